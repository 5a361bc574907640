"""An experiment as its target sees it."""

from typing import Any

import pytest

from slipway_operator.api.v1alpha1.experiment import ExperimentStatus
from slipway_operator.state import trial as trials
from slipway_operator.state.slots import Allocation
from slipway_operator.state.trial import Promotion, Trial
from slipway_testing import experiments as xp

LATENCY = {"name": "latency-p95", "role": "Guardrail", "source": "Router", "direction": "Down", "marginPercent": 10}


def trial(known: ExperimentStatus, *, uid: str = xp.UID, **changes: Any) -> Trial:
    found = Trial.of(name=xp.NAME, namespace="shop", uid=uid, spec=xp.spec(**changes), status=known)
    assert found
    return found


def with_decision(
    known: ExperimentStatus, action: str, *, arm: str | None = "v8", at: str = "2026-11-24T13:00:00Z", done: bool = False
) -> ExperimentStatus:
    told = {"action": action, "at": at, "message": "", "done": done} | ({"arm": arm} if arm else {})
    return ExperimentStatus.model_validate(known.model_dump(mode="json", by_alias=True, exclude_none=True) | {"decision": told})


def test_before_its_turn_there_is_none() -> None:
    assert Trial.of(name=xp.NAME, namespace="shop", uid=xp.UID, spec=xp.spec(), status=ExperimentStatus()) is None


def test_its_turn_asks_for_arms_and_divides_nothing_yet() -> None:
    found = trial(xp.admitted())
    assert (found.ledger_name, found.control, found.control_revision, found.stable_replicas) == (xp.FULL_NAME, "control", xp.CONTROL.name, 4)
    assert [(arm.name, arm.model.uri, arm.capacity_percent, arm.stopped) for arm in found.arms] == [("v8", "pvc://models/digits/8", 2, False)]
    assert (found.division, found.promotion, found.over, found.header) == (None, None, False, "x-user-id")


def test_a_division_is_that_of_the_status_and_none_while_it_is_suspended() -> None:
    known = xp.climbed(2)
    found = trial(known).division
    assert found
    assert (found.seed, found.stratum) == ("shop/digits-v8", 2)
    assert [found.allocation.count(group) for group in ("control", "v8", "waiting")] == [5_000, 2_000, 3_000]
    assert trial(known, suspend=True).division is None


@pytest.mark.parametrize(
    ("metrics", "margin", "counted"),
    [([xp.CONVERSION], None, False), ([xp.CONVERSION, xp.ERRORS], None, True), ([xp.CONVERSION, LATENCY], 0.1, True)],
)
def test_guardrails_say_what_routers_are_to_count(metrics: list[dict[str, Any]], margin: float | None, counted: bool) -> None:
    found = trial(xp.admitted(), metrics=metrics)
    assert (found.latency_margin, found.counted) == (margin, counted)


@pytest.mark.parametrize(
    ("action", "done", "over"), [("Promote", False, False), ("Promote", True, True), ("RollBack", False, True), ("KeepControl", False, True)]
)
def test_only_a_promotion_under_way_asks_for_anything_after_the_decision(action: str, done: bool, over: bool) -> None:
    found = trial(with_decision(xp.climbed(3), action, done=done))
    assert found.over is over
    assert (found.promotion is not None) is (action == "Promote")


def test_a_promotion_is_bound_to_the_model_that_it_was_won_against() -> None:
    known = with_decision(xp.climbed(3), "Promote")
    assert known.target
    assert trial(known).promotion == Promotion(arm="v8", at="2026-11-24T13:00:00Z", model_digest=known.target.model_digest)


def test_a_stopped_arm_is_told() -> None:
    known = xp.climbed(2)
    stopped = known.model_copy(update={"arms": tuple(arm.model_copy(update={"stopped": arm.name == "v8"}) for arm in known.arms)})
    assert [arm.stopped for arm in trial(stopped).arms] == [True]


def test_of_several_whose_turn_has_come_the_first_goes_on_in_any_order() -> None:
    known = xp.admitted()
    later = known.model_copy(update={"admitted_at": "2026-11-24T12:00:01Z"})
    first, twin, second = trial(known, uid="b"), trial(known, uid="a"), trial(later, uid="0")
    over = trial(with_decision(xp.climbed(3), "RollBack"), uid="9")
    assert trials.current([second, first, over]) == trials.current([over, first, second]) == first
    assert trials.current([first, twin]) == twin
    assert trials.current([over]) is None


def test_the_last_promotion_counts() -> None:
    first, second = (trial(with_decision(xp.climbed(3), "Promote", at=f"2026-11-24T1{hour}:00:00Z", done=True), uid=str(hour)) for hour in (3, 4))
    kept = trial(with_decision(xp.climbed(3), "KeepControl", at="2026-11-24T15:00:00Z", done=True))
    assert trials.last_promotion([first, second, kept]) == trials.last_promotion([kept, second, first]) == second
    assert trials.last_promotion([kept]) is None


def test_slots_of_groups_that_are_not_served_wait_and_neighbours_are_one() -> None:
    allocation = Allocation(((100, "control"), (200, "a"), (300, "waiting"), (400, "b"), (10_000, "control")))
    assert trials.without(allocation, frozenset({"a", "b"})).runs == ((100, "control"), (400, "waiting"), (10_000, "control"))
    assert trials.without(allocation, frozenset()) == allocation
