"""An experiment whose shares follow what arms earn."""

import math
from typing import Any

import pytest

from slipway_operator.api.v1alpha1.experiment import ExperimentSpec, ExperimentStatus
from slipway_operator.reconcile.experiment import plan as plans
from slipway_operator.state.experiment import Plan
from slipway_operator.state.plan import Wait
from slipway_operator.state.slots import SLOTS
from slipway_testing import builders, lives
from slipway_testing import experiments as xp

HOUR = 3_600


def spec(*, arms: tuple[str, ...] = ("v8",), bandit: dict[str, Any] | None = None, **changes: Any) -> ExperimentSpec:
    return xp.spec(mode="Bandit", ramp=None, arms=arms, bandit=bandit or {}, **changes)


def looked(known: ExperimentStatus, of: ExperimentSpec, *, rates: dict[str, float], after_s: float = HOUR, **changes: Any) -> Plan:
    now = builders.at(after_s)
    units = changes.pop("units", 20_000)
    return plans.plan(xp.observed(known, spec=of, sums=xp.sums(known, units=units, rates=rates, now=now), now=now, **changes))


def shares(known: ExperimentStatus) -> dict[str, float]:
    found: dict[str, float] = {}
    begin = 0
    for run in known.traffic.slots if known.traffic else ():
        found[run.group] = found.get(run.group, 0) + (run.before - begin) / SLOTS
        begin = run.before
    return found


@pytest.mark.parametrize(("arms", "each"), [(("v8",), 0.5), (("v8", "v9"), 1 / 3)])
def test_it_begins_with_equal_shares_for_everybody(arms: tuple[str, ...], each: float) -> None:
    found = xp.begun(spec=spec(arms=arms))
    assert shares(found) == pytest.approx(dict.fromkeys(("control", *arms), each), abs=2e-4)
    assert [arm.capacity_percent for arm in found.arms] == [0] + [math.ceil(100 / (len(arms) + 1))] * len(arms)


def test_an_update_moves_shares_towards_the_better_arm_and_no_farther_than_a_step() -> None:
    """At 20,000 units 0.12 is surely better than 0.1: the share goes as far as one step lets it."""
    of = spec(bandit={"stepPercent": 15, "floorPercent": 5}, decision={"onWin": "KeepControl"})
    known = xp.begun(spec=of)
    found = xp.status(looked(known, of, rates={"v8": 0.12}))
    assert shares(found) == pytest.approx({"control": 0.35, "v8": 0.65}, abs=2e-4)
    assert found.traffic
    assert (found.traffic.stratum, found.traffic.since, [arm.capacity_percent for arm in found.arms]) == (2, None, [0, 65])


def test_no_share_falls_below_the_floor_however_bad_the_arm() -> None:
    of = spec(bandit={"stepPercent": 100, "floorPercent": 20}, decision={"onHarm": "Hold", "onWin": "KeepControl"}, arms=("v8", "v9"))
    known = xp.begun(spec=of)
    assert min(shares(xp.status(looked(known, of, rates={"v8": 0.101}))).values()) >= 0.2 - 1e-9


@pytest.mark.parametrize(
    ("changes", "moves"),
    [({}, True), ({"after_s": HOUR - 1}, False), ({"units": 20}, False), ({"target": xp.target(pods={"v8": 1})}, False)],
    ids=["in time", "too early", "too few units", "no pods for the larger share"],
)
def test_an_update_waits_for_its_time_for_units_and_for_pods(changes: dict[str, Any], moves: bool) -> None:
    of = spec(bandit={"floorPercent": 5})
    known = xp.begun(spec=of)
    if "target" in changes:
        changes = {"target": xp.target(xp.split(known), pods={"v8": 2})}
    found = xp.status(looked(known, of, rates={"v8": 0.12}, **changes))
    assert (shares(found) != shares(known)) is moves


def test_a_look_keeps_shares_and_propensities_for_whoever_computes_again() -> None:
    of = spec(bandit={"floorPercent": 5})
    made = looked(xp.begun(spec=of), of, rates={"v8": 0.12})
    assert made.look
    assert made.look["bandit"]["shares"] == pytest.approx({"control": 0.5, "v8": 0.5})
    assert made.look["observed"]["steps"][0]["slots"] == {"control": 5_000, "v8": 5_000}
    assert made.look["decision"] == {"action": "NextStep", "arm": None}


def test_a_floor_below_ten_per_cent_calls_no_winner() -> None:
    low, high = spec(bandit={"floorPercent": 9}), spec(bandit={"floorPercent": 10})
    rates = {"v8": 0.2}
    quiet = xp.status(looked(xp.begun(spec=low), low, rates=rates))
    assert quiet.decision is None
    won = xp.status(looked(xp.begun(spec=high), high, rates=rates)).decision
    assert won
    assert (won.action, won.arm) == ("Promote", "v8")


def test_a_harmful_arm_loses_its_share_to_all_others() -> None:
    of = spec(arms=("v8", "v9"))
    found = xp.status(looked(xp.begun(spec=of), of, rates={"v9": 0.02}, units=30_000, after_s=1))
    assert [arm.name for arm in found.arms if arm.stopped] == ["v9"]
    assert shares(found) == pytest.approx({"control": 0.5, "v8": 0.5}, abs=2e-3)


def test_an_arm_without_pods_waits_with_its_share() -> None:
    of = spec(arms=("v8", "v9"))
    known = xp.begun(spec=of)
    down = xp.target(xp.split(known), pods={"v9": 0})
    found = xp.status(plans.plan(xp.observed(known, spec=of, target=down)))
    assert shares(found) == pytest.approx({"control": 1 / 3, "v8": 1 / 3, "waiting": 1 / 3}, abs=2e-4)


def test_an_arm_that_has_its_pods_again_has_its_share_and_its_units_again() -> None:
    of = spec(arms=("v8", "v9"), bandit={"stepPercent": 15, "floorPercent": 5}, decision={"onHarm": "Hold", "onWin": "KeepControl"})
    known = xp.status(looked(xp.begun(spec=of), of, rates={"v9": 0.12}))
    assert shares(known)["v9"] > 0.4
    lost = xp.status(plans.plan(xp.observed(known, spec=of, target=xp.target(xp.split(known), pods={"v9": 0}), now=builders.at(HOUR))))
    back = xp.status(plans.plan(xp.observed(lost, spec=of, now=builders.at(HOUR))))
    assert back.traffic
    assert known.traffic
    assert (back.traffic.slots, back.traffic.stratum) == (known.traffic.slots, known.traffic.stratum + 2)


def numbered(known: ExperimentStatus, stratum: int) -> ExperimentStatus:
    """As if there had been as many strata."""
    traffic, (first, *_) = known.traffic, known.strata
    assert traffic
    strata = tuple(first.model_copy(update={"name": str(number)}) for number in range(1, stratum + 1))
    return known.model_copy(update={"traffic": traffic.model_copy(update={"stratum": stratum}), "strata": strata})


def test_a_bandit_with_as_many_updates_as_there_may_be_has_strata_for_pods_that_go_and_come_to_its_end() -> None:
    """Ninety updates of a minute and some strata more, which are there after every update; and no arm is taken out that could not be let in again."""
    of = spec(arms=("v8", "v9"), bandit={"updateSeconds": 60}, analysis={"maxDurationSeconds": 5_400})
    for updates in (0, 10, 45, 89):
        known, now = numbered(xp.begun(spec=of), 1 + updates), builders.at(60 * updates)
        lost = xp.status(plans.plan(xp.observed(known, spec=of, target=xp.target(xp.split(known), pods={"v9": 0}), now=now)))
        assert shares(lost)["waiting"] == pytest.approx(1 / 3, abs=2e-4)
        back = xp.status(plans.plan(xp.observed(lost, spec=of, now=now)))
        assert shares(back) == shares(known)


def test_strata_that_pods_may_not_have_are_left_for_updates_and_for_arms_that_are_stopped() -> None:
    of = spec(arms=("v8", "v9"), bandit={"updateSeconds": 60, "floorPercent": 5}, analysis={"maxDurationSeconds": 5_400})
    known = numbered(xp.begun(spec=of), 7)
    kept = xp.status(plans.plan(xp.observed(known, spec=of, target=xp.target(xp.split(known), pods={"v9": 0}))))
    assert shares(kept) == shares(known)
    last = numbered(xp.begun(spec=of), 97)
    assert shares(xp.status(looked(last, of, rates={"v8": 0.12}))) == shares(last)
    stopped = xp.status(looked(last, of, rates={"v9": 0.02}, units=30_000))
    assert (len(stopped.strata), [arm.name for arm in stopped.arms if arm.stopped]) == (98, ["v9"])


def test_seen_in_two_arms_is_what_a_bandit_does_and_no_broken_join() -> None:
    of = spec(bandit={"floorPercent": 5})
    known = xp.begun(spec=of)
    counted = xp.sums(known, in_two_arms=5_000)
    found = xp.status(plans.plan(xp.observed(known, spec=of, sums=counted)))
    assert found.verdict != "Unhealthy"


def test_a_bandit_between_updates_is_at_rest() -> None:
    of = spec(bandit={"floorPercent": 5})
    known = xp.begun(spec=of)
    first = xp.status(looked(known, of, rates={}, after_s=60))
    made = plans.plan(xp.observed(first, spec=of, look_in_s=5.0, now=builders.at(70)))
    assert (made.status, made.outcome) == (first, Wait(5.0))


def test_a_whole_life_ends_with_the_better_arm_serving_everybody() -> None:
    market = lives.opened(rates={"pvc://models/digits/8": 0.25}, replicas={"min": 2})
    written = xp.written(
        mode="Bandit",
        ramp=None,
        arms=("v8", "v9"),
        bandit={"updateSeconds": 60, "floorPercent": 10},
        metrics=[xp.CONVERSION | {"minimumEffect": {"relativePercent": "60"}}],
        analysis={"maxDurationSeconds": 5_400},
    )
    entry = market.experiment("x8", written)
    market.settle(units=150)
    assert entry.status.decision
    assert (entry.status.decision.action, entry.status.decision.arm, entry.status.verdict) == ("Promote", "v8", "Won")
    assert market.stables == [xp.CONTROL.name, xp.V8.name]
    assert market.failures == []
