"""The page, as a browser and a reader meet it."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from slipway_operator.cli.experiment import content, looks, page, stylesheet
from slipway_testing import simulated_experiments

VOID = {"meta", "br", "hr"}


class Page(HTMLParser):
    """Elements with their attributes and text; raises where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def _html(bodies: list[dict[str, Any]]) -> str:
    return page.html(content.report([looks.parse(body, where="a look") for body in bodies]))


@pytest.fixture
def pages(bodies: Callable[[str], list[dict[str, Any]]]) -> Callable[[str], Page]:
    return lambda story: Page(_html(bodies(story)))


@pytest.mark.parametrize("story", simulated_experiments.STORIES)
def test_a_page_needs_nothing_else(story: str, pages: Callable[[str], Page]) -> None:
    found = pages(story)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in found.elements}
    assert not [
        name for _, attributes in found.elements for name in attributes if name.startswith("on") or name in ("href", "src", "srcset", "style")
    ]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in found.named("meta")
    assert "url(" not in stylesheet.TEXT
    assert "@import" not in stylesheet.TEXT
    assert "prefers-color-scheme:dark" in stylesheet.TEXT
    assert "@media print" in stylesheet.TEXT


@pytest.mark.parametrize("story", simulated_experiments.STORIES)
def test_pictures_and_tables_can_be_read_aloud(story: str, pages: Callable[[str], Page]) -> None:
    found = pages(story)
    named = {attributes["id"] for _, attributes in found.elements if "id" in attributes}
    pictures = found.named("svg")
    assert pictures
    for picture in pictures:
        assert picture["role"] == "img"
        assert set(picture["aria-labelledby"].split()) <= named
    assert len(named) == sum("id" in attributes for _, attributes in found.elements)
    assert len(found.named("caption")) == len(found.named("table"))
    assert all("scope" in head for head in found.named("th"))
    assert {"lang": "en"} in found.named("html")


def test_every_story_tells_its_verdict_and_reason_first(pages: Callable[[str], Page]) -> None:
    text = pages("unhealthy").text
    assert text.index("The data cannot be believed") < text.index("v8 against control")


def test_simpson_is_told_on_the_page(pages: Callable[[str], Page]) -> None:
    assert "The ramp would have deceived" in pages("simpson").text
    assert "The ramp would have deceived" not in pages("alike").text


def test_numbers_stay_with_what_they_are_per_cent_or_points_of(pages: Callable[[str], Page]) -> None:
    texts = [text for text in pages("win").texts if "%" in text or "points" in text]
    assert any("\u00a0%" in text for text in texts)
    assert not any(re.search(r"[0-9] (%|points)", text) for text in texts)


def test_many_strata_are_folded_and_few_are_not(pages: Callable[[str], Page]) -> None:
    assert [pages(story).text.count("strata in numbers") for story in ("bandit", "win")] == [1, 0]


def test_where_no_window_is_over_there_is_no_p_of_the_primary(pages: Callable[[str], Page]) -> None:
    """Harm by outcomes to date beside "p of no effect: 1" would seem to contradict itself."""
    assert ["Always-valid p" in pages(story).text for story in ("harm", "win")] == [False, True]


def test_names_cannot_become_tags(bodies: Callable[[str], list[dict[str, Any]]]) -> None:
    """YAML and JSON can say anything; the ledger's rules are not trusted here."""
    evil = '<script>alert("1")</script><b onclick=x>&amp;\'"'
    text = json.dumps(bodies("three")).replace("v8", json.dumps(evil)[1:-1]).replace("conversion", f"{json.dumps(evil)[1:-1]}-metric")
    told = json.loads(text)
    told[-1]["decision"] = {"action": evil, "arm": evil}
    told[-1]["said"]["findings"] = [{"reason": "MinDuration", "about": [evil]}]
    html = _html(told)
    found = Page(html)
    assert not found.named("script")
    assert not found.named("b")
    assert evil in found.text
    assert "<script" not in html


def _luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1, 2])
def test_colours_have_contrast(theme: int) -> None:
    """Light, dark, print: text at 4.5 to 1 on the paper and on the tint, by WCAG 2.1 AA."""
    colours = dict(re.findall(r"--(\w+):(#[0-9a-f]{3,6})\b", stylesheet.TEXT.split(":root{")[theme + 1].partition("}")[0]))
    for ink in ("ink", "soft", "line", "good", "bad"):
        for paper in ("paper", "tint"):
            light, dark = sorted((_luminance(colours[ink]), _luminance(colours[paper])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (theme, ink, paper)


def test_ten_thousand_looks_make_a_small_page() -> None:
    html = _html(simulated_experiments.many(10_000))
    assert len(html.encode()) < 100_000
    assert "10,000 looks" in Page(html).text


def test_the_picture_stays_within_its_frame(pages: Callable[[str], Page]) -> None:
    """Whatever is beyond it is cut off, and nothing is so far away that a browser would round it."""
    for story in simulated_experiments.STORIES:
        for name, attributes in pages(story).elements:
            if name in ("polyline", "polygon"):
                places = [tuple(map(float, pair.split(","))) for pair in attributes["points"].split()]
                assert all(0 <= x <= 400 and -250 <= y <= 500 for x, y in places)


def test_the_command_writes_a_file(run: Any, looks_file: Any, tmp_path: Any) -> None:
    status, out, _ = run("report", "--looks", looks_file("win"))
    assert (status, out) == (0, "ranker-v8.html: shop/ranker-v8, 24 looks: Winning\n")
    assert (tmp_path / "ranker-v8.html").read_text().startswith("<!doctype html>")


def test_the_command_writes_to_standard_output(run: Any, looks_file: Any) -> None:
    status, out, _ = run("report", "--looks", looks_file("win"), "-o", "-")
    assert (status, out[:15]) == (0, "<!doctype html>")


def test_json_says_the_same(run: Any, looks_file: Any, bodies: Any) -> None:
    for story in simulated_experiments.STORIES:
        status, out, _ = run("report", "--json", "--looks", looks_file(story))
        told, last = json.loads(out), bodies(story)[-1]
        assert (status, told["verdict"], told["looks"]) == (0, last["said"]["verdict"], last["sequence"])
        assert "Infinity" not in out
    assert told["arms"][0]["guardrails"][0]["state"] == last["said"]["arms"]["v8"]["guardrails"]["error-rate"]


def test_a_file_that_cannot_be_written(run: Any, looks_file: Any) -> None:
    status, _, err = run("report", "--looks", looks_file("win"), "-o", "no/such/folder.html")
    assert (status, err) == (2, "slipway: cannot write no/such/folder.html: No such file or directory; give another file with -o\n")
