"""What the sums are of."""

from ledger.harness import Ledger, exposure, outcome

ZERO = {"units": "0", "totals": ["0", "0"], "products": ["0", "0", "0"]}


def test_a_unit_counts_once_and_in_its_arm(ledger: Ledger) -> None:
    assert ledger.expose(exposure("ada"), exposure("bob", "challenger"), exposure("cy")) == {"accepted": 3, "duplicates": 0, "refused": []}
    assert ledger.observe(outcome("ada"), outcome("ada", seconds=-800), outcome("bob", 0)) == {"accepted": 3, "duplicates": 0, "refused": []}

    assert ledger.sums()["metrics"][0]["sums"] == [
        {"arm": "control", "stratum": "0", "open": {"units": "2", "totals": ["1", "0"], "products": ["1", "0", "0"]}, "closed": ZERO},
        {"arm": "challenger", "stratum": "0", "open": ZERO | {"units": "1"}, "closed": ZERO},
    ]
