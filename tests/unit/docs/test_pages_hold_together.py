"""Links lead somewhere, quoted files are quoted right, outputs belong to commands."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway_testing import pages
from slipway_testing.golden import REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "requirements/README.md"])
PARTS = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(REPOSITORY)) for page in PAGES])


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> Iterator[str]:
    """The names that headings can be linked to by: lower case, no punctuation, dashes for blanks."""
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@PARTS
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in set(anchors(file)), f"{target}: there is no such heading"


@PARTS
def test_files_are_quoted_as_they_are(page: Path) -> None:
    for fence in pages.fences(page.read_text()):
        name = fence.info.partition(" ")[2]
        if name and fence.info not in {pages.RUN, pages.OUTPUT}:
            assert fence.text == (REPOSITORY / name).read_text(), f"line {fence.line} is not {name}"


@PARTS
def test_every_output_follows_a_command(page: Path) -> None:
    claimed = [block.output for block in pages.blocks(page.read_text()) if block.output is not None]
    outputs = [fence.text for fence in pages.fences(page.read_text()) if fence.info == pages.OUTPUT]

    assert claimed == outputs


def test_alerts_point_to_headings_of_troubleshooting() -> None:
    components = (REPOSITORY / "kustomize/components").rglob("*.yaml")
    named = {anchor for file in components for anchor in re.findall(r"runbook_url: \S+/troubleshooting#(\S+)", file.read_text())}

    assert named <= set(anchors(REPOSITORY / "docs/guides/troubleshooting.md"))
