import dataclasses
import itertools
import json
from typing import Any

import pytest

from slipway_operator.state import routes
from slipway_operator.state.routes import Division, FixedResponse, Groups, Limits, RouteTable, Shadow, Split, TableError, UnitRule
from slipway_operator.state.slots import Allocation
from slipway_router.agent.table import Table

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


def grouped(*, arms: int = 1, now: int = 200, most: int = 5_000) -> Split:
    """Control, so many arms and waiting units, as in an experiment."""
    names = [f"v{number}" for number in range(arms)]
    allocation = Allocation.in_groups(control="control", waiting="waiting", arms=dict.fromkeys(names, (now, most)))
    present = {group for _, group in allocation.runs}
    serving = {"control": "ranker-1", **{name: f"ranker-{name}" for name in names}, "waiting": "ranker-1"}
    revisions = tuple((group, revision) for group, revision in serving.items() if group in present)
    return Split(stable="ranker-1", groups=Groups(experiment="shop/try-1a2b3c4d", stratum="3", revisions=revisions), allocation=allocation)


def test_a_table_says_which_group_each_slot_belongs_to() -> None:
    allocation = Allocation(((5_000, "control"), (5_200, "v0"), (10_000, "waiting")))
    groups = Groups(experiment="shop/try-1a2b3c4d", stratum="1", revisions=(("control", "ranker-1"), ("v0", "ranker-2"), ("waiting", "ranker-1")))
    split = Split(stable="ranker-1", groups=groups, allocation=allocation)
    told = json.loads(table(division=Division(seed="shop/try", epoch=1, split=split)).text())
    assert told["slots"] == [[5000, 0, 0], [5200, 1, 1], [10000, 0, 2]]
    assert told["exposures"] == {"experiment": "shop/try-1a2b3c4d", "stratum": "1", "arms": ["control", "v0", "waiting"]}
    assert told["revisions"] == [{"name": "ranker-1", "role": "Stable"}, {"name": "ranker-2", "role": "Arm"}]


GROUPED = [grouped(), grouped(now=5_000), grouped(arms=5, now=100, most=1_000), grouped(arms=2, now=0, most=2_500)]


@pytest.mark.parametrize("split", GROUPED)
def test_groups_are_read_as_they_were_written(split: Split) -> None:
    written = table(division=Division(seed="shop/try", epoch=1, split=split))
    assert RouteTable.parse(written.text()) == written


@pytest.mark.parametrize("split", [*GROUPED, HALF, Split.whole("ranker-1"), Split.whole(None)])
def test_a_router_takes_what_is_written(split: Split) -> None:
    text = table(division=Division(seed="shop/try", epoch=1, split=split)).text()
    taken = Table.parse(text, namespace="shop", model="ranker")
    assert (taken.digest, taken.revisions) == (routes.digest_of(text), tuple(name for name, _ in split.revisions))


def test_runs_of_who_serves_leave_the_groups_out() -> None:
    split = grouped()
    served: dict[str, int] = {}
    begin = 0
    for end, revision in split.runs:
        served[revision] = served.get(revision, 0) + end - begin
        begin = end
    assert served == {"ranker-1": 9_800, "ranker-v0": 200}
    assert all(one[1] != other[1] for one, other in itertools.pairwise(split.runs))


@pytest.mark.parametrize("slots", [[[10_000, 0]], [[10_000, 0, 7]]])
def test_a_table_whose_groups_do_not_fit_is_none(slots: list[list[int]]) -> None:
    told = json.loads(table(division=Division(seed="s", epoch=1, split=grouped())).text())
    with pytest.raises(TableError):
        RouteTable.parse(json.dumps(told | {"slots": slots}))


def test_another_stratum_is_another_epoch() -> None:
    before = Division(seed="shop/try", epoch=4, split=grouped())
    assert before.split.groups
    after = dataclasses.replace(before.split, groups=dataclasses.replace(before.split.groups, stratum="4"))
    assert (before.into(before.split).epoch, before.into(after).epoch, before.into(before.split, seed="other").epoch) == (4, 5, 5)


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
