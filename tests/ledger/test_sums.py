"""What the sums are of."""

import json

import pytest

from ledger.conftest import Start
from ledger.harness import CHECKOUT, Ledger, definition, exposure, outcome
from slipway_statistics import sums

ZERO = {"units": "0", "totals": ["0", "0"], "products": ["0", "0", "0"]}


def test_a_unit_counts_once_and_in_its_arm(ledger: Ledger) -> None:
    assert ledger.expose(exposure("ada"), exposure("bob", "challenger"), exposure("cy")) == {"accepted": 3, "duplicates": 0, "refused": []}
    assert ledger.observe(outcome("ada"), outcome("ada", seconds=-800), outcome("bob", 0)) == {"accepted": 3, "duplicates": 0, "refused": []}

    assert ledger.sums()["metrics"][0]["sums"] == [
        {"arm": "control", "stratum": "0", "open": {"units": "2", "totals": ["1", "0"], "products": ["1", "0", "0"]}, "closed": ZERO},
        {"arm": "challenger", "stratum": "0", "open": ZERO | {"units": "1"}, "closed": ZERO},
    ]


def test_the_statistics_read_them(start: Start, database: str) -> None:
    """Two programs that know each other by this answer only."""
    ledger = start(database)
    ratio = {"name": "clicks", "type": "Ratio", "denominator": "views", "windowSeconds": 3600}
    ledger.register(metrics=[*definition()["metrics"], ratio])
    ledger.expose(exposure("ada"), exposure("bob"), exposure("cy"), exposure("dan", "challenger"))
    ledger.observe(outcome("ada"), outcome("bob"), outcome("cy", 0))
    answer = json.loads(ledger.get(f"{CHECKOUT}/sums").body)

    [control, challenger] = answer["metrics"][0]["sums"]
    found = sums.parse(control["open"])
    assert (found.units, found.mean) == (3, 2 / 3)
    assert found.variance == pytest.approx(1 / 3)
    assert sums.parse(challenger["open"]).units == 1
    assert sums.parse(control["closed"]) == sums.nothing(sums.MEAN)
    clicks = sums.parse(answer["metrics"][1]["sums"][0]["open"])
    assert (clicks.units, len(clicks.totals)) == (3, sums.RATIO)
