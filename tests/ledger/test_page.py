"""docs/spec/ledger.md: its clients work as they stand, its tables say what the code does, its example is an answer of the ledger's."""

import json
import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger.conftest import Start
from ledger.harness import ADMIN, APPLICATION, CHECKOUT, READER, ROUTER, Ledger
from slipway_box import packages
from slipway_box.layout import REPOSITORY
from slipway_ledger import account, app, book, definitions, events, intake, looks, meters, reading, reviews, source
from slipway_ledger.api import MOST_LOOKUPS
from slipway_ledger.settings import Settings
from slipway_service.variables import PREFIX
from slipway_testing import pages

PAGE = (REPOSITORY / "docs/spec/ledger.md").read_text()
RUNBOOK = (REPOSITORY / "docs/guides/ledger-runbook.md").read_text()
PROGRAMS = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"], "javascript": ["node", "-e"]}


def run(ledger: Ledger, fence: pages.Fence) -> str:
    """What a block prints."""
    tokens = {"ADMIN": ADMIN, "ROUTER": ROUTER, "APPLICATION": APPLICATION, "READER": READER}
    environment = os.environ | tokens | {"LEDGER": f"http://127.0.0.1:{ledger.port}"}
    done = subprocess.run([*PROGRAMS[fence.info], fence.text], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"line {fence.line}: {done.stdout} {done.stderr}"
    return done.stdout


def test_the_clients_work_as_they_stand(start: Start, tmp_path: Path) -> None:
    if not shutil.which("node"):
        packages.need("nodejs", usual_s=30)
    ledger = start()
    said: list[str] = []
    for fence in pages.fences(PAGE):
        if fence.info in PROGRAMS:
            said.append(run(ledger, fence))
            if fence.info != "bash":
                assert json.loads(said[-1].replace("'", '"')) == {"accepted": 1, "duplicates": 0, "refused": []}

    revenue = next(json.loads(fence.text) for fence in pages.fences(PAGE) if fence.info == "json" and '"name": "revenue"' in fence.text)
    [sums] = [json.loads(text) for text in said if text.startswith('{"experiment"')]
    assert sums["metrics"][1] | {"closedAt": ""} == revenue | {"closedAt": ""}
    assert sums["counts"] | {"waiting": 1, "notCounted": 1} == sums["counts"]
    after = ledger.get(f"{CHECKOUT}/sums").said["metrics"]
    assert [group["closed"]["totals"][0] for group in after[0]["sums"]] == [1, 1]
    assert [group["closed"]["totals"][0] for group in after[1]["sums"]] == [19.99, 7]
    assert after[2]["sums"][0]["closed"]["totals"] == [0, 1, 0, 0]


def test_the_example_adds_up() -> None:
    y, x = Decimal("19.99"), Decimal("5.5")
    [revenue] = [
        json.loads(fence.text, parse_float=Decimal) for fence in pages.fences(PAGE) if fence.info == "json" and '"name": "revenue"' in fence.text
    ]
    assert revenue["sums"][0]["closed"] == {"units": 1, "totals": [y, x], "products": [y * y, y * x, x * x]}


def rows(text: str, heading: str) -> dict[str, str]:
    """First and second cell of the table rows below a heading."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {first.strip(): second.strip() for first, second in re.findall(r"^\| (.*?) \| (.*?) \|", section, re.MULTILINE)}


def test_every_field_has_a_row() -> None:
    for heading, kind in (("Exposures", events.ExposureEvent), ("Outcomes", events.OutcomeEvent)):
        named = {name for cell in rows(PAGE, heading) for name in re.findall(r"`(\w+)`", cell)}
        assert named == set(kind.__struct_encode_fields__)
    named = {name for cell in rows(PAGE, "Rows of a database") for name in re.findall(r"`(\w+)`", cell)}
    assert named | {"ledger", "experiment"} == set(source.Source.__struct_encode_fields__)
    [example] = [fence.text for fence in pages.fences(PAGE) if fence.info == "json" and '"query"' in fence.text]
    assert source.parse(example.encode()).overlap_seconds == 3600
    metric = {f"metrics[].{name}" for name in definitions.Metric.__struct_encode_fields__} - {"metrics[].cuped"}
    named = {name for cell in rows(PAGE, "Experiments") for name in re.findall(r"`([\w.\[\]]+)`", cell)}
    assert named == metric | {"metrics[].cuped.days"} | set(definitions.Definition.__struct_encode_fields__)


def test_every_reason_has_a_row() -> None:
    code = "".join(path.read_text() for path in (REPOSITORY / "inference/slipway_ledger").rglob("*.py"))
    of_events = set(re.findall(r'word="([\w-]+)"', code)) | set(intake.WORDS.values()) - {"duplicate"}
    of_requests = set(re.findall(r'reason="([\w-]+)"', code)) | {"fault"}
    section = PAGE.partition("\n## Answers and errors\n")[2].partition("\n## ")[0]
    events_table, _, requests_table = section.partition("| status |")
    assert set(re.findall(r"^\| `([\w-]+)` \|", events_table, re.MULTILINE)) == of_events
    told = {word for cell in re.findall(r"^\| \d[\d, ]* \| (.*?) \|", requests_table, re.MULTILINE) for word in re.findall(r"`([\w-]+)`", cell)}
    assert told == of_requests


def test_the_limits_are_those_of_the_code() -> None:
    assert [number for cell in rows(PAGE, "Limits").values() for number in re.findall(r"\d(?:[\d,]*\d)?", cell.replace("1 MiB", f"{2**20:,}"))] == [
        f"{number:,}"
        for number in (
            Settings().body_bytes,
            events.MOST_EVENTS,
            app.MOST_UNDER_WAY,
            reviews.MOST_UNDER_WAY,
            Settings().waiting_events,
            book.MOST_EXPERIMENTS,
            definitions.MOST_ARMS,
            definitions.MOST_METRICS,
            definitions.MOST_STRATA,
            looks.MOST,
            looks.MOST_BYTES,
            app.MOST_LONG,
            MOST_LOOKUPS,
        )
    ]
    assert f"an event more than {Settings().skew_seconds:.0f} s ahead" in PAGE.lower()
    assert set(re.findall(r"`(\w+)`", rows(PAGE, "Sums")["`counts`"])) == set(reading.TALLIES)
    assert {"open", "closed"} == set(account.PHASES)
    assert f"{definitions.MOST_STRATA + 1}st stratum" in PAGE


def shown(value: Any) -> str:
    """A default as the runbook has it."""
    return "" if value == "" else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_the_runbook_has_every_setting_with_its_default() -> None:
    defaults = {f"`{PREFIX}{name.upper()}`": shown(value) for name, value in vars(Settings()).items()}
    assert rows(RUNBOOK, "Settings") == {"variable": "default", "---": "---"} | defaults


def test_the_runbook_has_every_metric() -> None:
    names = {f"`{metric.name}{'_total' if metric.type == 'counter' else ''}`" for metric in meters.Meters().collect()}
    assert set(rows(RUNBOOK, "Metrics")) - {"metric", "---"} == names


@pytest.mark.parametrize("text", [PAGE, RUNBOOK], ids=["spec", "runbook"])
def test_no_line_is_a_promise_of_what_is_not_there(text: str) -> None:
    assert not re.search(r"\b(TODO|soon|not yet implemented|planned)\b", text)
