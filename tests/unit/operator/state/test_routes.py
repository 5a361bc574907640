import json
from typing import Any

import pytest

from slipway_operator.state.routes import Division, FixedResponse, Limits, RouteTable, Shadow, Split, TableError, UnitRule
from slipway_operator.state.slots import Allocation

LIMITS = Limits(timeout_ms=60_000, body_bytes=2**26, pending_per_pod=128)
HALF = Split(stable="ranker-1", candidate="ranker-2", allocation=Allocation(((5_000, "ranker-1"), (10_000, "ranker-2"))))


def table(**changes: Any) -> RouteTable:
    valid: dict[str, Any] = {
        "namespace": "shop",
        "model": "ranker",
        "division": Division(seed="shop/ranker", epoch=7, split=HALF),
        "unit": UnitRule(header="x-user-id", on_missing="Random"),
        "limits": LIMITS,
    }
    return RouteTable(**(valid | changes))


def test_a_table_is_what_routers_read() -> None:
    assert json.loads(table().text()) == {
        "version": 1,
        "namespace": "shop",
        "model": "ranker",
        "seed": "shop/ranker",
        "epoch": 7,
        "unit": {"header": "x-user-id", "onMissing": "Random"},
        "revisions": [{"name": "ranker-1", "role": "Stable"}, {"name": "ranker-2", "role": "Candidate"}],
        "slots": [[5000, 0], [10000, 1]],
        "timeoutMilliseconds": 60000,
        "limits": {"bodyBytes": 67108864, "pendingPerPod": 128},
        "tokens": False,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"unit": None},
        {"shadow": Shadow(revision="ranker-3", percent=10)},
        {"fallback": "ranker-3"},
        {"http_only": ("ranker-1", "ranker-3")},
        {"fallback": FixedResponse(status=203, content_type="text/plain", body="later")},
        {"division": Division(seed="s", epoch=1, split=Split.whole(None))},
        {"division": Division(seed="s", epoch=1, split=Split.whole("ranker-1"))},
    ],
)
def test_what_is_written_is_read(changes: dict[str, Any]) -> None:
    written = table(**changes)
    assert RouteTable.parse(written.text()) == written


def test_the_digest_is_of_the_very_bytes() -> None:
    assert table().digest == table().digest
    assert table().digest != table(unit=None).digest
    assert len(table().digest) == 16


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"version": 2}', table().text().replace("10000", "9000"), table().text()[:-40]])
def test_what_is_no_table_is_said(text: str) -> None:
    with pytest.raises(TableError):
        RouteTable.parse(text)


def test_an_epoch_ends_with_its_split_and_with_nothing_else() -> None:
    division = Division(seed="s", epoch=7, split=HALF)
    assert division.into(HALF) is division
    assert division.into(Split.whole("ranker-1")) == Division(seed="s", epoch=8, split=Split.whole("ranker-1"))
