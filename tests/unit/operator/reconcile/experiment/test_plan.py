"""An experiment from its place in the queue to its end: values in, values out."""

import dataclasses
import json
import re
from typing import Any

import pytest

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.experiment import ExperimentSpec, ExperimentStatus
from slipway_operator.reconcile.experiment import designs, scenes
from slipway_operator.reconcile.experiment import plan as plans
from slipway_operator.state import revision as revisions
from slipway_operator.state.experiment import Plan, Rival
from slipway_operator.state.observed import Failure, Workload
from slipway_operator.state.plan import Done, Stalled, Wait
from slipway_operator.state.routes import Split
from slipway_statistics import experiment as statistics
from slipway_statistics import record, verdict
from slipway_statistics.counts import Counts
from slipway_statistics.experiment import Design
from slipway_testing import builders
from slipway_testing import experiments as xp

TWO = ("v8", "v9")
"""Arms beside control."""

UNFIT = ExperimentSpec.model_validate(
    xp.written() | {"arms": [{"name": "control"}, {"name": "v8", "model": {"uri": "pvc://models/digits/8", "format": "triton"}}]}
)
"""Of a whole repository, for which the target has settings that do not go with it."""

BATCHED = builders.revision(builders.spec(uri="pvc://models/digits/0", serving={"batching": {"maxBatchSize": 8}}))
SAME_TWICE = ExperimentSpec.model_validate(xp.written() | {"arms": [{"name": "control"}, xp.arm("v8"), xp.arm("v8") | {"name": "again"}]})
BETTER = {"v8": 0.12}
WORSE = {"v8": 0.05}


def plan(known: ExperimentStatus | None = None, **changes: Any) -> Plan:
    return plans.plan(xp.observed(known, **changes))


def looked(known: ExperimentStatus, *, units: int = 20_000, rates: dict[str, float] | None = None, **changes: Any) -> Plan:
    """A look, a second after ``known``."""
    valid: dict[str, Any] = {"sums": xp.sums(known, units=units, rates=rates, now=builders.at(1)), "now": builders.at(1)}
    return plan(known, **(valid | changes))


def said(made: Plan, kind: str = conditions.READY) -> tuple[str, str]:
    assert made.status
    return next((each.status, each.reason) for each in made.status.conditions if each.type == kind)


def message(made: Plan, kind: str = conditions.READY) -> str:
    assert made.status
    return next(each.message for each in made.status.conditions if each.type == kind)


def slots(known: ExperimentStatus) -> dict[str, int]:
    found: dict[str, int] = {}
    begin = 0
    for run in known.traffic.slots if known.traffic else ():
        found[run.group] = found.get(run.group, 0) + run.before - begin
        begin = run.before
    return found


def decided(made: Plan) -> tuple[str, str | None] | None:
    assert made.status
    return (made.status.decision.action, made.status.decision.arm) if made.status.decision else None


def rival(name: str = "other", **changes: Any) -> Rival:
    valid: dict[str, Any] = {"name": name, "uid": f"uid-{name}", "created": "2026-11-24T11:58:00Z", "admitted_at": None, "over": False}
    return Rival(**({"suspended": False} | valid | changes))


# What is asked before anything is done.


def test_a_deleted_experiment_is_left_alone() -> None:
    assert plan(identity=xp.identity(deleting=True)) == Plan()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"spec": None, "spec_error": "spec.arms: Field required."}, conditions.SPEC_UNREADABLE),
        ({"ledger": False}, conditions.NO_LEDGER),
        ({"target": xp.target(routers=None)}, conditions.NO_ROUTERS),
        ({"spec": xp.spec(arms=("v0",))}, conditions.ARM_IS_CONTROL),
        ({"spec": xp.spec(arms=("v8", "v0"))}, conditions.ARM_IS_CONTROL),
        ({"spec": SAME_TWICE}, conditions.ARM_IS_CONTROL),
        ({"spec": UNFIT, "target": xp.target(revisions=(BATCHED,), selected=BATCHED.name)}, conditions.ARM_UNFIT),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_a_reason(changes: dict[str, Any], reason: str) -> None:
    made = plan(**changes)
    assert said(made) == ("False", reason)
    assert said(made, conditions.STALLED) == ("True", reason)
    assert (xp.status(made).verdict, xp.status(made).admitted_at) == ("Pending", None)
    assert isinstance(made.outcome, Stalled)
    assert [(event.type, event.reason) for event in made.events] == [("Warning", reason)]


def test_a_refusal_leaves_what_runs_as_it_is_and_is_told_once() -> None:
    running = xp.begun()
    made = plan(running, ledger=False)
    assert (xp.status(made).traffic, xp.status(made).verdict, said(made)) == (running.traffic, running.verdict, ("False", conditions.NO_LEDGER))
    again = plan(xp.status(made), ledger=False)
    assert (again.status, again.events) == (made.status, ())


def test_one_that_is_refused_before_it_has_begun_gives_its_turn_back_and_takes_up_no_arm_of_before() -> None:
    edited: dict[str, Any] = {"spec": xp.spec(arms=("v0",)), "identity": xp.identity(generation=2)}
    for known in (xp.admitted(), xp.divided()):
        found = xp.status(plan(known, **edited))
        assert (found.reason, found.admitted_at, found.target, found.traffic, found.arms) == (conditions.ARM_IS_CONTROL, None, None, None, ())


def test_the_target_that_a_turn_was_of_may_be_exchanged_for_one_that_is_not_there_yet() -> None:
    edited: dict[str, Any] = {"spec": xp.spec(targetRef={"name": "other"}), "identity": xp.identity(generation=2)}
    waiting = xp.status(plan(xp.admitted(), **edited, target=None))
    assert (waiting.reason, waiting.admitted_at, waiting.target, waiting.arms) == (conditions.TARGET_MISSING, None, None, ())
    there = xp.target(Split.whole(xp.V9.name))
    found = xp.status(plan(waiting, **edited, target=there))
    assert (found.decision, found.target and found.target.revision) == (None, xp.V9.name)


@pytest.mark.parametrize("known", [None, xp.admitted()], ids=["before its turn", "while its arms get pods"])
def test_what_takes_a_long_sentence_to_tell_fits_into_the_status(known: ExperimentStatus | None) -> None:
    broken = Workload(settled=True, replicas=1, failures=(Failure(reason=conditions.MODEL_LOAD_FAILED, message=3_000 * "x"),))
    target = xp.target(workloads={xp.CONTROL.name: builders.running(replicas=4), xp.V8.name: broken})
    made = plan(known, target=target) if known else plan(spec=None, spec_error=3_000 * "x")
    assert len(xp.status(made).summary or "") == 1024


# Whose turn it is.


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_that_wait_the_oldest_goes_first_in_whatever_order_they_are_known(order: int) -> None:
    older = rival("older", uid="z", created="2026-11-24T11:50:00Z")
    younger = rival("younger", uid="a", created="2026-11-24T11:55:00Z")
    made = plan(rivals=(older, younger)[::order])
    assert said(made) == ("False", conditions.QUEUED)
    assert message(made).startswith("Experiment older is first to have the units of ModelDeployment digits")
    assert (made.outcome, xp.status(made).admitted_at) == (Done(), None)


def test_of_the_same_age_the_smaller_uid_goes_first() -> None:
    twin = {"created": "2026-11-24T11:59:00Z"}
    assert said(plan(rivals=(rival("a", uid="0", **twin),))) == ("False", conditions.QUEUED)
    assert said(plan(rivals=(rival("z", uid="f", **twin),))) == ("False", conditions.STARTING)


@pytest.mark.parametrize("changes", [{"over": True, "admitted_at": "2026-11-24T11:50:00Z"}, {"suspended": True}, {"created": "2026-11-24T11:59:30Z"}])
def test_nobody_waits_for_one_that_is_over_or_suspended_or_younger(changes: dict[str, Any]) -> None:
    assert said(plan(rivals=(rival(**changes),))) == ("False", conditions.STARTING)


def test_one_whose_turn_has_come_keeps_it_even_if_an_older_one_appears() -> None:
    assert said(plan(rivals=(rival(created="2026-11-24T11:59:30Z", admitted_at="2026-11-24T11:59:40Z"),))) == ("False", conditions.QUEUED)
    assert said(plan(xp.admitted(), rivals=(rival(created="2026-11-24T11:00:00Z"),)))[1] == conditions.ROUTING


def test_of_two_whose_turn_came_at_once_the_later_one_gives_it_back() -> None:
    known = xp.admitted()
    made = plan(known, rivals=(rival(uid="0", admitted_at=known.admitted_at),))
    found = xp.status(made)
    assert (said(made)[1], found.admitted_at, found.target, found.arms) == (conditions.QUEUED, None, None, ())
    assert said(plan(known, rivals=(rival(uid="f", admitted_at=known.admitted_at),)))[1] == conditions.ROUTING


def test_itself_is_no_rival() -> None:
    assert said(plan(rivals=(rival(uid=xp.UID, admitted_at="2026-11-24T11:00:00Z"),)))[1] == conditions.STARTING


# The target.


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (None, conditions.TARGET_MISSING),
        (xp.target(spec=builders.spec(uri="pvc://models/digits/0", suspend=True)), conditions.TARGET_NOT_READY),
        (xp.target(told={"observedGeneration": 0}), conditions.TARGET_NOT_READY),
        (xp.target(told={"conditions": []}), conditions.TARGET_NOT_READY),
        (xp.target(follow=False), conditions.TARGET_NOT_READY),
    ],
)
def test_the_target_must_be_there_and_stand_still(target: Any, reason: str) -> None:
    made = plan(target=target)
    assert (said(made), xp.status(made).admitted_at) == (("False", reason), None)
    assert isinstance(made.outcome, Wait)


def test_its_turn_fixes_control_and_arms() -> None:
    made = plan(spec=xp.spec(arms=TWO))
    found = xp.status(made)
    assert found.admitted_at == "2026-11-24T12:00:00Z"
    assert found.ledger_name == "digits-v8-1a2b3c4d"
    assert found.target
    assert (found.target.revision, found.target.replicas) == (xp.CONTROL.name, 4)
    assert [(arm.name, arm.revision, arm.capacity_percent) for arm in found.arms] == [
        ("control", xp.CONTROL.name, 0),
        ("v8", xp.V8.name, 1),
        ("v9", xp.V9.name, 1),
    ]
    assert (found.traffic, made.register) == (None, None)


# Arms get their pods, and the first step begins.


def test_the_first_step_waits_for_pods_of_every_arm_and_the_ledger_knows_before() -> None:
    known = xp.admitted(spec=xp.spec(arms=TWO))
    made = plan(known, spec=xp.spec(arms=TWO), target=xp.target(pods={"v9": 0}))
    assert xp.status(made).traffic is None
    assert message(made) == f"Arm v9: 0 of 1 pods of revision {xp.V9.name} are ready."
    assert made.register == {
        "service": "digits",
        "arms": ["control", "v8", "v9"],
        "metrics": [{"name": "conversion", "type": "Proportion", "windowSeconds": 60}],
    }


def test_the_first_step_waits_until_routers_follow_the_table_of_the_target() -> None:
    made = plan(xp.admitted(), target=xp.target(follow=False))
    assert (xp.status(made).traffic, message(made)) == (None, "Routers follow the table of the target.")


def test_an_arm_that_cannot_load_its_model_is_told_and_moves_nobody() -> None:
    broken = Workload(settled=True, replicas=1, failures=(Failure(reason=conditions.MODEL_LOAD_FAILED, message="no such input"),))
    target = xp.target(workloads={xp.CONTROL.name: builders.running(replicas=4), xp.V8.name: broken})
    made = plan(xp.admitted(), target=target)
    assert said(made) == ("False", conditions.MODEL_LOAD_FAILED)
    assert message(made) == f"Arm v8, revision {xp.V8.name}: no such input. Control goes on serving everybody."
    assert xp.status(made).traffic is None


def test_an_arm_may_be_put_right_before_it_has_begun() -> None:
    of = ExperimentSpec.model_validate(xp.written() | {"arms": [{"name": "control"}, xp.arm("v9") | {"name": "v8"}]})
    for known in (xp.admitted(), xp.divided()):
        found = xp.status(plan(known, spec=of, identity=xp.identity(generation=2), target=xp.target()))
        assert [(arm.name, arm.revision) for arm in found.arms] == [("control", xp.CONTROL.name), ("v8", xp.V9.name)]
        assert (found.admitted_at, found.traffic) == ("2026-11-24T12:00:00Z", None)


def test_the_first_step_gives_arms_their_share_and_keeps_later_ones_waiting() -> None:
    made = plan(xp.admitted())
    found = xp.status(made)
    assert slots(found) == {"control": 5_000, "v8": 200, "waiting": 4_800}
    assert found.traffic
    assert (found.traffic.stratum, found.traffic.step, found.traffic.percent, found.traffic.since) == (1, 1, 2, None)
    assert [{group.arm: group.slots for group in stratum.slots} for stratum in found.strata] == [{"control": 5_000, "v8": 200}]
    assert (found.started_at, found.verdict, found.traffic.seed) == (None, "Pending", "shop/digits-v8")


def test_a_seed_of_ones_own_divides_by_it() -> None:
    of = xp.spec(assignment={"unit": {"header": "x-user-id"}, "seed": "autumn"})
    found = xp.divided(spec=of)
    assert found.traffic
    assert found.traffic.seed == "autumn"


@pytest.mark.parametrize(
    "target",
    [
        lambda known: xp.target(),
        lambda known: xp.target(xp.split(known), follow=False),
        lambda known: xp.target(xp.split(xp.climbed(2))),
        lambda known: xp.target(xp.split(known.model_copy(update={"ledger_name": "namesake"}))),
    ],
    ids=["the table is not there", "a router lags", "of another stratum", "of another experiment"],
)
def test_a_step_begins_only_when_every_router_has_it(target: Any) -> None:
    known = xp.divided()
    made = plan(known, target=target(known))
    found = xp.status(made)
    assert found.traffic
    assert (found.started_at, found.traffic.since, made.outcome) == (None, None, Wait(scenes.FOLLOW_S))


def test_an_experiment_begins_when_every_router_has_the_first_step() -> None:
    made = plan(xp.divided(), now=builders.at(7))
    found = xp.status(made)
    assert found.traffic
    assert (found.started_at, found.traffic.since, found.verdict) == ("2026-11-24T12:00:07Z", "2026-11-24T12:00:07Z", "InsufficientData")
    assert said(made) == ("True", conditions.RUNNING)
    assert [event.reason for event in made.events] == [conditions.EXPERIMENT_STARTED]


# Looks.


def test_between_looks_nothing_is_written_and_the_next_one_is_waited_for() -> None:
    known = xp.status(looked(xp.begun(), units=100))
    made = plan(known, look_in_s=7.5, now=builders.at(3))
    assert (made.status, made.outcome, made.look, made.events) == (known, Wait(7.5), None, ())


def test_a_look_goes_to_the_ledger_with_all_that_it_took() -> None:
    known = xp.begun()
    made = looked(known, units=520)
    assert made.look
    assert (made.look["sequence"], made.look["step"], made.look["percent"], made.look["decision"]) == (1, 1, 2, None)
    again = verdict.look(record.read(Design, made.look["design"]), record.read(statistics.Observed, made.look["observed"]))
    assert record.write(again) == made.look["said"]
    assert made.memory == again.memory
    assert xp.status(made).units == 520


def test_a_look_that_finds_nothing_new_writes_the_same_status() -> None:
    known = xp.status(looked(xp.begun(), units=520))
    assert looked(known, units=520, now=builders.at(50)).status == known


def test_the_ramp_goes_on_when_its_time_is_over_harm_could_have_been_seen_and_pods_are_there() -> None:
    known = xp.begun()
    made = looked(known, now=builders.at(60))
    found = xp.status(made)
    assert slots(found) == {"control": 5_000, "v8": 2_000, "waiting": 3_000}
    assert found.traffic
    assert (found.traffic.step, found.traffic.stratum, found.traffic.since) == (2, 2, None)
    assert [(stratum.name, stratum.step) for stratum in found.strata] == [("1", 1), ("2", 2)]
    assert made.look
    assert made.look["decision"] == {"action": "NextStep", "arm": None}
    assert [event.reason for event in made.events] == [conditions.EXPERIMENT_STEP]


@pytest.mark.parametrize(
    "changes",
    [
        {"now": builders.at(59)},
        {"units": 1_000, "now": builders.at(60)},
        {"target": xp.target(xp.split(xp.begun()), pods={"v8": 0}, replicas=8), "now": builders.at(60)},
    ],
    ids=["too early", "harm could not have been seen", "no pods"],
)
def test_the_ramp_waits(changes: dict[str, Any]) -> None:
    """Of 1,000 units 38 are in the arm, of whom 3.8 would convert: harm is read from ten expected conversions on."""
    found = xp.status(looked(xp.begun(), **changes))
    assert found.traffic
    assert found.traffic.step == 1


def test_pods_for_the_next_step_are_asked_for_before_it() -> None:
    known = xp.begun()
    eight = xp.target(xp.split(known), pods={"v8": 1})
    found = xp.status(looked(known, now=builders.at(60), target=eight))
    assert [arm.capacity_percent for arm in found.arms] == [0, 20]
    assert found.traffic
    assert found.traffic.step == 2, "one of four pods carries a fifth of the requests"

    third = xp.climbed(2)
    waiting = xp.status(looked(third, now=builders.at(60), target=xp.target(xp.split(third), pods={"v8": 1})))
    assert waiting.traffic
    assert (waiting.traffic.step, [arm.capacity_percent for arm in waiting.arms]) == (2, [0, 50])
    ready = xp.status(looked(waiting, now=builders.at(60), target=xp.target(xp.split(third), pods={"v8": 2})))
    assert ready.traffic
    assert ready.traffic.step == 3


def test_a_step_that_waits_for_pods_says_so_until_it_has_them() -> None:
    known = xp.climbed(2)
    few = xp.target(xp.split(known), pods={"v8": 1})
    waiting = looked(known, now=builders.at(60), target=few)
    told = f"Step 2 of 3: 20 % of the units get v8. The next step waits for pods. Arm v8: 1 of 2 pods of revision {xp.V8.name} are ready."
    assert (said(waiting), message(waiting)) == (("True", conditions.RUNNING), told)
    assert (xp.status(waiting).summary or "").endswith("50 % follow when the arms have pods for it.")
    between_looks = plan(xp.status(waiting), now=builders.at(62), look_in_s=5.0, target=few)
    assert xp.status(between_looks) == xp.status(waiting)
    early = looked(known, now=builders.at(59), target=few)
    assert message(early) == "Step 2 of 3: 20 % of the units get v8."


def test_the_last_step_lasts() -> None:
    known = xp.climbed(3)
    made = looked(known, units=2_000, now=builders.at(3_600))
    assert (xp.status(made).traffic, xp.status(made).verdict, made.outcome) == (known.traffic, "Collecting", Wait(30))


# Arms whose pods are gone.


def test_an_arm_without_pods_gives_its_units_to_control_until_it_has_some_again() -> None:
    known = xp.begun(spec=xp.spec(arms=TWO))
    down = xp.target(xp.split(known), pods={"v9": 0})
    made = plan(known, spec=xp.spec(arms=TWO), target=down)
    without = xp.status(made)
    assert slots(without) == {"control": 5_000, "v8": 100, "waiting": 4_900}
    assert without.traffic
    assert (without.traffic.step, without.traffic.stratum, message(made)) == (
        1,
        2,
        "Arm v9 has no ready pod: control serves its units until it has.",
    )
    live = xp.target(xp.split(without), pods={"v9": 0})
    begun = xp.status(plan(without, spec=xp.spec(arms=TWO), target=live))
    assert begun.traffic
    assert begun.traffic.since
    back = xp.status(plan(begun, spec=xp.spec(arms=TWO)))
    assert slots(back) == slots(known)
    assert back.traffic
    assert back.traffic.stratum == 3


def test_the_only_arm_without_pods_comes_back_as_well() -> None:
    known = xp.climbed(2)
    down = xp.status(plan(known, target=xp.target(xp.split(known), pods={"v8": 0})))
    assert slots(down) == {"control": 5_000, "waiting": 5_000}
    for _ in range(3):
        made = plan(down, target=xp.target(xp.split(down), pods={"v8": 0}))
        down = xp.status(made)
    assert made.outcome != Wait(scenes.FOLLOW_S), "there is nothing for routers to follow"
    assert message(made) == "Step 2 of 3: 0 % of the units get v8. Arm v8 has no ready pod: control serves its units until it has."
    again = plan(down)
    assert [(event.type, event.message) for event in again.events] == [("Normal", "Every arm has pods again.")]
    back = xp.status(again)
    begun = xp.status(plan(back)).traffic
    assert begun
    assert (slots(back), begun.since) == (slots(known), "2026-11-24T12:00:00Z")


def test_looks_go_on_while_the_only_arm_has_no_pods() -> None:
    known = xp.climbed(2)
    down = xp.status(plan(known, target=xp.target(xp.split(known), pods={"v8": 0})))
    down = xp.status(plan(down, target=xp.target(xp.split(down), pods={"v8": 0})))
    counted = xp.sums(known)
    made = looked(down, sums=counted, target=xp.target(xp.split(down), pods={"v8": 0}))
    assert xp.status(made).units == 19_999, "those of the stratum before, rounded down"


def test_pods_that_go_before_routers_have_the_first_step_do_not_leave_it_behind() -> None:
    known = xp.divided()
    down = xp.status(plan(known, target=xp.target(pods={"v8": 0})))
    back = xp.status(plan(down))
    assert slots(back) == slots(known)
    assert xp.status(plan(back)).started_at


def test_pods_that_come_and_go_leave_strata_for_the_ramp() -> None:
    """The ledger takes a hundred, and nine steps and four arms to stop are to find room."""
    of = xp.spec(arms=TWO, ramp=[{"percent": 5 * step} for step in range(1, 10)])
    known = xp.begun(spec=of)
    before = tuple(known.strata[0].model_copy(update={"name": str(number)}) for number in range(1, 81))
    known = known.model_copy(update={"strata": before, "traffic": known.traffic and known.traffic.model_copy(update={"stratum": 80})})
    for _ in range(30):
        down = xp.target(xp.split(known), pods={"v8": 0} if _without(known) != {"v8"} else {})
        known = xp.status(plan(known, spec=of, target=down))
    assert known.traffic
    assert 80 < known.traffic.stratum <= 100 - 9 - 1


def _without(known: ExperimentStatus) -> set[str]:
    return set(TWO) - slots(known).keys()


# Harm.


def test_the_last_harmful_arm_ends_the_experiment() -> None:
    made = looked(xp.begun(), rates=WORSE)
    found = xp.status(made)
    assert (decided(made), found.traffic, found.verdict) == (("RollBack", None), None, "Harmful")
    assert found.decision
    assert found.decision.message == "Every arm was harmful. v8: the primary metric is worse than in control, by outcomes to date (conversion)."
    assert [(event.type, event.reason) for event in made.events] == [("Warning", conditions.ARM_ROLLED_BACK)]
    assert made.look
    assert made.look["decision"] == {"action": "RollBack", "arm": None}


@pytest.mark.parametrize("rate", [0.05, 0.0], ids=["half", "dead"])
def test_a_harmful_arm_is_stopped_and_others_go_on(rate: float) -> None:
    of = xp.spec(arms=TWO)
    known = xp.begun(spec=of)
    made = looked(known, spec=of, units=40_000, rates={"v9": rate})
    found = xp.status(made)
    assert slots(found) == {"control": 5_000, "v8": 100, "waiting": 4_900}
    assert [(arm.name, arm.stopped) for arm in found.arms] == [("control", False), ("v8", False), ("v9", True)]
    assert found.traffic
    assert (decided(made), found.traffic.stratum) == (None, 2)
    assert made.look
    assert made.look["decision"] == {"action": "StopArm", "arm": "v9"}
    assert [(event.type, event.reason) for event in made.events] == [("Warning", conditions.ARM_STOPPED)]


def test_a_stop_gives_no_units_to_an_arm_without_pods() -> None:
    of = xp.spec(arms=("v7", "v8", "v9"))
    known = xp.begun(spec=of)
    pods = {"v8": 0}
    down = xp.status(plan(known, spec=of, target=xp.target(xp.split(known), pods=pods)))
    down = xp.status(plan(down, spec=of, target=xp.target(xp.split(down), pods=pods)))
    made = looked(down, spec=of, units=60_000, rates={"v9": 0.0}, target=xp.target(xp.split(down), pods=pods))
    assert [arm.name for arm in xp.status(made).arms if arm.stopped] == ["v9"]
    assert slots(xp.status(made)).keys() == {"control", "v7", "waiting"}


def test_a_stopped_arm_never_gets_units_again() -> None:
    of = xp.spec(arms=TWO)
    known = xp.begun(spec=of)
    counted = xp.sums(known, units=40_000, rates={"v9": 0.0})
    stopped = xp.status(plan(known, spec=of, sums=counted))
    begun = xp.status(plan(stopped, spec=of))
    later = xp.status(plan(begun, spec=of, sums=counted, now=builders.at(61)))
    assert later.traffic
    assert (later.traffic.step, slots(later)) == (2, {"control": 5_000, "v8": 1_000, "waiting": 4_000})
    assert [arm.capacity_percent for arm in later.arms] == [0, 10, 1]


def test_a_harmful_arm_is_held_where_the_spec_says_so() -> None:
    of = xp.spec(decision={"onHarm": "Hold"})
    known = xp.begun(spec=of)
    made = looked(known, spec=of, rates=WORSE)
    assert (decided(made), xp.status(made).traffic, said(made, conditions.DECIDED)) == (None, known.traffic, ("False", conditions.HELD))
    assert xp.status(made).verdict == "Harmful"


def test_what_waits_for_somebody_is_said_between_looks_too() -> None:
    of = xp.spec(decision={"onHarm": "Hold"})
    held = xp.status(looked(xp.begun(spec=of), spec=of, rates=WORSE))
    made = plan(held, spec=of, look_in_s=10.0, now=builders.at(5))
    assert made.status == held


def test_what_is_held_stays_as_it_is_until_somebody_decides() -> None:
    of = xp.spec(decision={"onHarm": "Hold"})
    known = xp.begun(spec=of)
    held = xp.status(looked(known, spec=of, rates=WORSE))
    unclear = xp.status(looked(held, spec=of, now=builders.at(61)))
    assert (unclear.verdict, unclear.traffic) == ("Collecting", held.traffic), "the next step would be due"
    lost = xp.status(plan(unclear, spec=of, target=xp.target(xp.split(unclear), pods={"v8": 0})))
    back = xp.status(plan(lost, spec=of))
    begun = xp.status(plan(back, spec=of, now=builders.at(70)))
    won = looked(begun, spec=of, rates=BETTER, now=builders.at(140))
    assert (decided(won), said(won, conditions.DECIDED)) == (None, ("False", conditions.HELD))
    assert message(won, conditions.DECIDED).startswith("Held, because an arm is harmful")
    assert decided(plan(xp.status(won), spec=of, command="promote v8")) == ("Promote", "v8")


# Data that cannot be believed.


def lossy(known: ExperimentStatus, *, rates: dict[str, float] | None = None) -> Any:
    """Half of the arm's exposures are missing."""
    counted = xp.sums(known, units=40_000, rates=rates)
    (name, units), *_ = counted.units.items()
    return dataclasses.replace(counted, units={name: {**units, "v8": units["v8"] // 2}})


@pytest.mark.parametrize(
    ("sums", "reason"),
    [
        (lambda known: lossy(known, rates=BETTER), conditions.SAMPLE_RATIO_MISMATCH),
        (lambda known: xp.sums(known, units=40_000, rates=BETTER, in_two_arms=401), conditions.BROKEN_JOIN),
    ],
)
def test_data_that_cannot_be_believed_decide_nothing(sums: Any, reason: str) -> None:
    known = xp.climbed(3)
    made = plan(known, sums=sums(known), now=builders.at(3_600))
    assert (decided(made), xp.status(made).verdict, said(made, conditions.TRUSTED)) == (None, "Unhealthy", ("False", reason))
    assert (xp.status(made).traffic, said(made)) == (known.traffic, ("False", reason))


def test_harm_is_stopped_whatever_the_data_are_worth() -> None:
    known = xp.climbed(3)
    made = plan(known, sums=lossy(known, rates=WORSE))
    assert decided(made) == ("RollBack", None)


def test_the_ramp_does_not_go_on_with_data_that_cannot_be_believed() -> None:
    known = xp.begun()
    made = plan(known, sums=xp.sums(known, in_two_arms=10_000), now=builders.at(3_600))
    assert xp.status(made).traffic == known.traffic


def test_units_in_arms_that_had_no_slots_are_a_broken_join() -> None:
    of = xp.spec(arms=TWO)
    known = xp.begun(spec=of)
    down = xp.status(plan(known, spec=of, target=xp.target(xp.split(known), pods={"v9": 0})))
    down = xp.status(plan(down, spec=of, target=xp.target(xp.split(down), pods={"v9": 0})))
    counted = xp.sums(down)
    stray = dataclasses.replace(counted, units={"2": {**counted.units["2"], "v9": 400}})
    made = plan(down, spec=of, sums=stray, target=xp.target(xp.split(down), pods={"v9": 0}))
    assert (xp.status(made).verdict, said(made, conditions.TRUSTED)) == ("Unhealthy", ("False", conditions.BROKEN_JOIN))


def test_data_that_cannot_be_believed_end_with_the_time_and_others_get_the_units() -> None:
    known = xp.climbed(3)
    assert known.started_at
    for late, expected in ((86_399, None), (86_400, ("KeepControl", None))):
        counted = dataclasses.replace(lossy(known, rates=BETTER), now=builders.at(late))
        made = plan(known, sums=counted, now=builders.at(late))
        assert decided(made) == expected
    assert message(made, conditions.DECIDED).startswith("The time is over and the data cannot be believed: the arms did not get the units")


# Wins.


def test_a_winner_is_promoted_and_keeps_its_units_until_it_serves() -> None:
    known = xp.climbed(3)
    made = looked(known, rates=BETTER)
    found = xp.status(made)
    assert (decided(made), found.traffic, found.verdict) == (("Promote", "v8"), known.traffic, "Winning")
    assert made.look
    assert made.look["decision"] == {"action": "Promote", "arm": "v8"}


def test_a_winner_is_only_told_where_the_spec_keeps_control() -> None:
    of = xp.spec(decision={"onWin": "KeepControl"})
    made = looked(xp.climbed(3, spec=of), spec=of, rates=BETTER)
    assert (decided(made), xp.status(made).traffic) == (("KeepControl", "v8"), None)


def test_a_promotion_waits_for_consent_to_what_was_seen() -> None:
    of = xp.spec(decision={"approval": "Manual"})
    known = xp.climbed(3, spec=of)
    waiting = looked(known, spec=of, rates=BETTER)
    proposed = xp.status(waiting).proposal
    assert proposed
    assert (decided(waiting), said(waiting, conditions.DECIDED)) == (None, ("False", conditions.AWAITS_APPROVAL))
    assert f"slipway.dev/approve={proposed.digest}" in message(waiting, conditions.DECIDED)
    after = xp.status(waiting)
    assert decided(looked(after, spec=of, rates=BETTER, approved="0123456789abcdef")) is None
    assert decided(looked(after, spec=of, rates=BETTER, approved=proposed.digest)) == ("Promote", "v8")


def test_consent_may_come_before_the_next_look_and_after_the_win_has_faded() -> None:
    of = xp.spec(decision={"approval": "Manual"})
    known = xp.climbed(3, spec=of)
    after = xp.status(looked(known, spec=of, rates=BETTER))
    assert after.proposal
    faded = looked(after, spec=of, rates={"v8": 0.1005})
    assert (xp.status(faded).proposal, xp.status(faded).verdict) == (after.proposal, "Winning")
    assert decided(looked(after, spec=of, rates={"v8": 0.1005}, approved=after.proposal.digest)) == ("Promote", "v8")


def test_consent_to_one_arm_is_none_to_another() -> None:
    of = xp.spec(arms=TWO, decision={"approval": "Manual"})
    known = xp.climbed(3, spec=of)
    first = xp.status(looked(known, spec=of, units=40_000, rates={"v8": 0.13}))
    assert first.proposal
    made = looked(first, spec=of, units=40_000, rates={"v8": 0.13, "v9": 0.15}, approved=first.proposal.digest)
    second = xp.status(made).proposal
    assert second
    assert (decided(made), second.arm, second.digest != first.proposal.digest) == (None, "v9", True)


def test_a_proposed_arm_that_turns_out_harmful_is_proposed_no_longer() -> None:
    of = xp.spec(arms=TWO, decision={"approval": "Manual", "confirmSeconds": 61})
    first = xp.status(looked(xp.climbed(3, spec=of), spec=of, units=40_000, rates={"v8": 0.13}))
    assert (first.proposal is not None, first.winning_since) == (True, "2026-11-24T12:00:01Z")
    begun = xp.status(plan(first, spec=of))
    made = looked(begun, spec=of, units=40_000, rates={"v8": 0.05})
    found = xp.status(made)
    assert (decided(made), found.proposal, found.winning_since) == (None, None, None)


def test_a_winner_keeps_its_share_for_a_fresh_estimate() -> None:
    of = xp.spec(decision={"confirmSeconds": 600})
    known = xp.climbed(3, spec=of)
    made = looked(known, spec=of, rates=BETTER)
    won = xp.status(made)
    assert won.traffic
    assert (decided(made), won.winning_since, slots(won), won.traffic.stratum) == (None, "2026-11-24T12:00:01Z", slots(known), 4)
    confirming = xp.status(plan(won, spec=of))
    assert decided(looked(confirming, spec=of, rates=BETTER, now=builders.at(600))) is None
    assert decided(looked(confirming, spec=of, rates=BETTER, now=builders.at(601))) == ("Promote", "v8")


def test_a_fresh_estimate_is_of_units_that_had_no_part_in_the_win() -> None:
    """Of 10,000 units each, 0.1 and 0.11, with no variance below the pooled one: 0.01 ± 1.96 √((0.09395 + 0.0979) / 10⁴) = 0.01 ± 0.00858."""
    of = xp.spec(decision={"confirmSeconds": 600})
    won = xp.status(looked(xp.climbed(3, spec=of), spec=of, rates=BETTER))
    made = looked(xp.status(plan(won, spec=of)), spec=of, rates={"v8": 0.11}, now=builders.at(601))
    assert xp.status(made).decision
    told = message(made, conditions.DECIDED)
    figures = re.search(r"conversion (\S+) \((\S+) to (\S+)\), an interval for one reading", told)
    assert figures, told
    assert [float(figure) for figure in figures.groups()] == pytest.approx([0.01, 0.01 - 0.00858, 0.01 + 0.00858], abs=5e-5)


def test_whose_win_is_confirmed_is_who_won_first() -> None:
    of = xp.spec(arms=TWO, decision={"confirmSeconds": 600})
    won = xp.status(looked(xp.climbed(3, spec=of), spec=of, units=40_000, rates={"v8": 0.13}))
    confirming = xp.status(plan(won, spec=of))
    made = looked(confirming, spec=of, units=40_000, rates={"v8": 0.13, "v9": 0.16}, now=builders.at(601))
    assert decided(made) == ("Promote", "v8"), "v9 had no fresh estimate"


def test_a_model_that_comes_meanwhile_is_told_of_before_anybody_wins() -> None:
    known = xp.climbed(3)
    changed = xp.target(xp.split(known), spec=builders.spec(uri="pvc://models/digits/7"))
    made = looked(known, target=changed)
    assert (decided(made), message(made)) == (
        None,
        "Step 3 of 3: 50 % of the units get v8."
        " spec.model of ModelDeployment digits was changed meanwhile: it follows when this is over, and no arm is promoted.",
    )


def test_nobody_is_promoted_over_a_model_that_came_meanwhile() -> None:
    known = xp.climbed(3)
    changed = xp.target(xp.split(known), spec=builders.spec(uri="pvc://models/digits/7"))
    made = looked(known, rates=BETTER, target=changed)
    assert (decided(made), xp.status(made).traffic) == (("KeepControl", "v8"), None)
    assert message(made, conditions.DECIDED) == (
        "Arm v8 won at look 1. spec.model of ModelDeployment digits was changed meanwhile and is what follows."
    )


def test_a_model_that_comes_before_the_winner_serves_is_what_follows() -> None:
    won = xp.status(looked(xp.climbed(3), rates=BETTER))
    made = plan(won, target=xp.target(xp.split(won), spec=builders.spec(uri="pvc://models/digits/7")))
    assert (decided(made), xp.status(made).traffic) == (("KeepControl", "v8"), None)


# Without effect, or without an end.


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        ({}, ("KeepControl", None)),
        ({"onNoEffect": "Promote"}, ("Promote", "v8")),
        ({"onNoEffect": "Hold"}, None),
        ({"onNoEffect": "Promote", "approval": "Manual"}, None),
    ],
)
def test_what_follows_without_an_effect_is_said_by_the_spec(decision: dict[str, str], expected: Any) -> None:
    of = xp.spec(decision=decision)
    made = looked(xp.climbed(3, spec=of), spec=of, units=40_000)
    assert decided(made) == expected


def test_control_that_is_written_to_git_meanwhile_takes_nothing_from_a_win() -> None:
    """It was promoted by the experiment before, and spec.model named the model that served before that."""
    older = builders.spec(uri="pvc://models/digits/7")
    begun = xp.climbed(3)
    assert begun.target
    behind = begun.model_copy(update={"target": begun.target.model_copy(update={"model_digest": revisions.model_digest(older.model)})})
    assert decided(looked(behind, rates=BETTER, target=xp.target(xp.split(behind), spec=older))) == ("Promote", "v8")
    made = looked(behind, rates=BETTER)
    found = xp.status(made).target
    assert (decided(made), found and found.model_digest) == (("Promote", "v8"), revisions.model_digest(xp.TARGET_SPEC.model))


def test_consent_promotes_an_arm_without_effect() -> None:
    of = xp.spec(decision={"onNoEffect": "Promote", "approval": "Manual"})
    first = looked(xp.climbed(3, spec=of), spec=of, units=40_000)
    assert said(first, conditions.DECIDED) == ("False", conditions.HELD)
    assert decided(plan(xp.status(first), spec=of, command="promote v8")) == ("Promote", "v8")


@pytest.mark.parametrize(("wanted", "expected"), [("KeepControl", ("KeepControl", None)), ("Hold", None)])
def test_what_follows_when_the_time_is_over_is_said_by_the_spec(wanted: str, expected: Any) -> None:
    of = xp.spec(decision={"onInconclusive": wanted})
    made = over(of)
    assert (decided(made), xp.status(made).verdict) == (expected, "Inconclusive")


def over(of: ExperimentSpec) -> Plan:
    """A look a day after the beginning, at 2,000 units."""
    known = xp.climbed(3, spec=of)
    return plan(known, spec=of, sums=xp.sums(known, units=2_000, now=builders.at(86_400)), now=builders.at(86_400))


# What somebody says.


@pytest.mark.parametrize("known", [xp.divided, xp.begun])
@pytest.mark.parametrize(
    ("command", "expected"),
    [("rollback", ("RollBack", None)), ("RollBack please", ("RollBack", None)), ("promote v8", ("Promote", "v8"))],
)
def test_somebody_may_decide_at_any_step(known: Any, command: str, expected: tuple[str, str | None]) -> None:
    made = plan(known(), command=command)
    assert (decided(made), xp.status(made).handled) == (expected, command)
    assert message(made, conditions.DECIDED) == f"Annotation slipway.dev/experiment asked for it: {command}."


@pytest.mark.parametrize("command", ["promote", "promote v7", "promote control", "stop"])
def test_a_command_that_says_nothing_is_told_once(command: str) -> None:
    made = plan(xp.begun(), command=command)
    assert (decided(made), [event.type for event in made.events]) == (None, ["Warning"])
    assert plan(xp.status(made), command=command).events == ()


def test_a_command_is_carried_out_once() -> None:
    known = xp.begun().model_copy(update={"handled": "rollback"})
    assert decided(plan(known, command="rollback")) is None


def test_a_stopped_arm_is_not_promoted_by_command() -> None:
    of = xp.spec(arms=TWO)
    stopped = xp.status(looked(xp.begun(spec=of), spec=of, units=40_000, rates={"v9": 0.0}))
    assert decided(plan(stopped, spec=of, command="promote v9")) is None


QUEUED: dict[str, Any] = {"rivals": (rival(admitted_at="2026-11-24T11:50:00Z"),)}
SUSPENDED: dict[str, Any] = {"spec": xp.spec(suspend=True)}


def given_back() -> ExperimentStatus:
    """Suspended when routers may have had its first step."""
    return xp.status(plan(xp.divided(), **SUSPENDED, target=xp.target()))


def stopped_for_now() -> ExperimentStatus:
    """Suspended when it had begun."""
    return xp.status(plan(xp.begun(), **SUSPENDED, target=xp.target()))


NOT_BEGUN = pytest.mark.parametrize(
    ("known", "changes"),
    [
        (ExperimentStatus, QUEUED),
        (ExperimentStatus, SUSPENDED),
        (ExperimentStatus, {"target": None}),
        (ExperimentStatus, {"target": xp.target(told={"observedGeneration": 0})}),
        (xp.admitted, {}),
        (xp.admitted, QUEUED),
        (xp.divided, SUSPENDED),
        (xp.divided, QUEUED),
        (given_back, SUSPENDED),
    ],
    ids=["queued", "suspended", "no target", "target on its way", "arms start", "gives way", "suspended at once", "gives way at once", "given back"],
)


@NOT_BEGUN
def test_who_is_rolled_back_before_it_has_begun_is_over(known: Any, changes: dict[str, Any]) -> None:
    made = plan(known(), command="rollback", **changes)
    assert (decided(made), xp.status(made).handled) == (("RollBack", None), "rollback")
    assert said(made, conditions.DECIDED) == ("True", conditions.ARM_ROLLED_BACK)
    assert message(made, conditions.DECIDED) == "Annotation slipway.dev/experiment asked for it: rollback."
    after = plan(xp.status(made), command="rollback", **changes | {"target": xp.target()})
    assert (xp.status(after).verdict, said(after), after.outcome) == ("RolledBack", ("True", conditions.CONCLUDED), Done())


def test_who_never_divided_anybody_waits_for_no_router() -> None:
    of = plan(command="rollback", **QUEUED)
    after = plan(xp.status(of), command="rollback", target=xp.target(follow=False), **QUEUED)
    assert (xp.status(after).verdict, after.outcome) == ("RolledBack", Done())


@NOT_BEGUN
def test_nobody_is_promoted_whom_no_unit_has_met(known: Any, changes: dict[str, Any]) -> None:
    made = plan(known(), command="promote v8", **changes)
    assert (decided(made), said(made, conditions.DECIDED)) == (None, ("False", conditions.COMMAND_REFUSED))
    assert message(made, conditions.DECIDED) == (
        "Annotation slipway.dev/experiment says 'promote v8', which came before any unit had met the arm: it has no pods and nothing speaks for it."
        " Write its model to spec.model of ModelDeployment digits, or say it again when units are divided ('promote v8 again')."
    )
    refusals = [(event.type, event.message) for event in made.events if event.reason == conditions.COMMAND_REFUSED]
    assert refusals == [("Warning", message(made, conditions.DECIDED))]
    assert (said(made)[1], xp.status(made).handled) == (said(plan(known(), **changes))[1], "promote v8"), "nothing else is different"


@NOT_BEGUN
def test_a_refusal_stands_as_long_as_its_cause_and_is_told_once(known: Any, changes: dict[str, Any]) -> None:
    told = xp.status(plan(known(), command="promote v8", **changes))
    again = plan(told, command="promote v8", **changes)
    assert (said(again, conditions.DECIDED), conditions.COMMAND_REFUSED in {event.reason for event in again.events}) == (
        ("False", conditions.COMMAND_REFUSED),
        False,
    )
    made = xp.status(plan(told, **changes))
    assert conditions.DECIDED not in {each.type for each in made.conditions}


def test_what_was_refused_before_it_had_begun_promotes_nobody_afterwards() -> None:
    begun = xp.begun().model_copy(update={"handled": "promote v8"})
    made = plan(begun, command="promote v8")
    assert (decided(made), said(made, conditions.DECIDED)) == (None, ("False", conditions.COMMAND_REFUSED))
    assert decided(plan(begun, command="promote v8 again")) == ("Promote", "v8")
    silent = xp.status(plan(xp.status(made)))
    assert conditions.DECIDED not in {each.type for each in silent.conditions}, "between looks too it is gone with the annotation"


def test_an_arm_that_was_put_right_and_has_no_pods_yet_is_not_promoted() -> None:
    """The division that routers may have is of the model that was named before."""
    of = xp.spec(arms=("v9",))
    made = plan(xp.divided(), spec=of, identity=xp.identity(generation=2), command="promote v9")
    assert (decided(made), said(made, conditions.DECIDED)) == (None, ("False", conditions.COMMAND_REFUSED))


@pytest.mark.parametrize(("command", "expected"), [("rollback", ("RollBack", None)), ("promote v8", ("Promote", "v8"))])
def test_somebody_may_decide_while_it_is_suspended(command: str, expected: tuple[str, str | None]) -> None:
    made = plan(stopped_for_now(), command=command, target=xp.target(), **SUSPENDED)
    assert (decided(made), xp.status(made).handled) == (expected, command)


def test_a_suspended_experiment_that_is_rolled_back_is_over_and_ends_at_the_ledger() -> None:
    first = xp.status(plan(stopped_for_now(), command="rollback", target=xp.target(), **SUSPENDED))
    made = plan(first, command="rollback", target=xp.target(), **SUSPENDED)
    assert (xp.status(made).verdict, said(made), made.end) == ("RolledBack", ("True", conditions.CONCLUDED), True)


@pytest.mark.parametrize("changes", [{"target": None}, QUEUED], ids=["no target", "another has it"])
def test_a_promotion_waits_for_a_target_that_is_not_there_for_it(changes: dict[str, Any]) -> None:
    made = plan(xp.begun(), command="promote v8", **changes)
    assert (decided(made), xp.status(made).handled, conditions.DECIDED in {each.type for each in xp.status(made).conditions}) == (None, None, False)
    assert decided(plan(xp.status(made), command="promote v8")) == ("Promote", "v8")


def test_nobody_is_promoted_over_another_control_while_it_is_suspended() -> None:
    made = plan(stopped_for_now(), command="promote v8", target=xp.target(selected=xp.V9.name), **SUSPENDED)
    assert (decided(made), message(made, conditions.DECIDED)) == (
        ("KeepControl", None),
        "ModelDeployment digits serves another revision than the control.",
    )


def test_control_that_is_written_to_git_while_it_is_suspended_takes_nothing_from_a_promotion() -> None:
    known = stopped_for_now()
    assert known.target
    behind = known.model_copy(update={"target": known.target.model_copy(update={"model_digest": "of a model that served before"})})
    made = plan(behind, command="promote v8", target=xp.target(), **SUSPENDED)
    assert decided(made) == ("Promote", "v8")


def test_who_is_stopped_is_not_among_those_that_may_be_named() -> None:
    of = xp.spec(arms=TWO)
    stopped = xp.status(looked(xp.begun(spec=of), spec=of, units=40_000, rates={"v9": 0.0}))
    made = plan(stopped, spec=of, command="promote v9")
    assert message(made, conditions.DECIDED).endswith("which is neither 'promote <arm>' with an arm of v8 nor 'rollback'.")


# Suspended.


def test_a_suspended_experiment_that_has_not_begun_gives_its_turn_back() -> None:
    of = xp.spec(suspend=True)
    for known in (ExperimentStatus(), xp.admitted(), xp.divided()):
        made = plan(known, spec=of)
        found = xp.status(made)
        assert (found.admitted_at, found.target, found.traffic, found.arms) == (None, None, None, ())
        assert (said(made), made.outcome) == (("False", conditions.SUSPENDED), Done())


def test_a_first_step_that_routers_may_have_had_is_not_numbered_again() -> None:
    """Before it has begun its ramp may be changed: units that met the earlier first step are no units of the next one."""
    back = xp.status(plan(xp.divided(), spec=xp.spec(suspend=True), target=xp.target()))
    of = xp.spec(ramp=[{"percent": 10}])
    again = xp.status(plan(xp.status(plan(back, spec=of)), spec=of))
    assert again.traffic
    assert (again.traffic.stratum, slots(again)) == (2, {"control": 9_000, "v8": 1_000})
    assert [(stratum.name, stratum.slots[1].slots) for stratum in again.strata] == [("1", 200), ("2", 1_000)]


OTHER_SPECS = pytest.mark.parametrize(
    "of",
    [xp.spec(metrics=[xp.CONVERSION | {"windowSeconds": 61}]), xp.spec(arms=("v9",)), xp.spec(arms=TWO)],
    ids=["another metric", "another arm", "one more arm"],
)


@OTHER_SPECS
def test_what_is_changed_when_units_may_have_met_an_arm_is_another_experiment_at_the_ledger(of: ExperimentSpec) -> None:
    """Its exposures are of the arms and metrics of before: the ledger takes no other definition of that name, and the next must not have them."""
    first = xp.divided()
    changed = xp.identity(generation=2)
    again = xp.status(plan(first, spec=of, identity=changed))
    assert again.ledger_name != first.ledger_name
    assert re.fullmatch(r"digits-v8-[0-9a-f]{8}", str(again.ledger_name))
    assert xp.status(plan(first, spec=of, identity=changed)) == again, "a pass that is done twice comes to the same name"
    divided = xp.status(plan(again, spec=of, identity=changed))
    assert (divided.ledger_name, divided.traffic and divided.traffic.stratum) == (again.ledger_name, 2)
    begun = xp.status(plan(divided, spec=of, identity=changed))
    found = xp.status(looked(begun, spec=of, identity=changed))
    assert (begun.started_at is not None, found.verdict, found.sample_ratio and found.sample_ratio.summary) == (True, "Collecting", "OK")


def test_what_is_changed_before_anybody_was_divided_keeps_its_name() -> None:
    first = xp.admitted()
    again = xp.status(plan(first, spec=xp.spec(arms=("v9",)), identity=xp.identity(generation=2)))
    assert (again.ledger_name, again.arms[1].name) == (first.ledger_name, "v9")


def test_nothing_that_was_found_of_units_of_a_turn_before_is_known_in_the_next() -> None:
    """A look before the first step is live comes of harm that routers see."""
    known = xp.divided(spec=guarded(onHarm="Hold"))
    target = xp.target(xp.split(known), follow=False, counts=xp.counted(v8=0.05))
    seen = xp.status(plan(known, spec=guarded(onHarm="Hold"), target=target, sums=xp.sums(known)))
    assert (seen.verdict, seen.started_at, bool(seen.metrics), bool(seen.units)) == ("Harmful", None, True, True)
    again = xp.status(plan(seen, identity=xp.identity(generation=2)))
    assert (again.verdict, again.metrics, again.units, again.lift, again.sample_ratio) == ("Pending", (), None, None, None)


def test_a_suspended_experiment_goes_on_with_the_same_division() -> None:
    known = xp.climbed(2)
    stopped = xp.status(plan(known, spec=xp.spec(suspend=True), target=xp.target()))
    assert stopped.traffic
    assert (stopped.traffic.since, slots(stopped)) == (None, slots(known))
    waiting = xp.status(plan(stopped, target=xp.target()))
    assert waiting.traffic == stopped.traffic
    again = xp.status(plan(waiting, now=builders.at(100)))
    assert again.traffic
    assert (again.traffic.since, again.traffic.stratum, slots(again)) == ("2026-11-24T12:01:40Z", 2, slots(known))


def test_nothing_is_decided_while_it_is_suspended() -> None:
    known = xp.climbed(3)
    made = looked(known, spec=xp.spec(suspend=True), rates=WORSE)
    assert (decided(made), made.look) == (None, None)


# The end.


def test_the_end_is_when_every_router_has_what_follows() -> None:
    decision = xp.status(looked(xp.begun(), rates=WORSE))
    for target in (xp.target(xp.split(xp.begun())), xp.target(follow=False)):
        waiting = plan(decision, target=target)
        assert (waiting.end, xp.status(waiting).verdict, said(waiting)) == (False, "Harmful", ("False", conditions.ROUTING))
    made = plan(decision)
    found = xp.status(made)
    assert found.decision
    assert (made.end, made.outcome, found.verdict, found.decision.done) == (True, Done(), "RolledBack", True)
    assert said(made) == ("True", conditions.CONCLUDED)


def promoted(by: str = xp.UID) -> dict[str, Any]:
    return {
        "experiment": xp.NAME,
        "experimentUid": by,
        "arm": "v8",
        "revision": xp.V8.name,
        "model": builders.model(uri="pvc://models/digits/8"),
        "modelDigest": revisions.model_digest(xp.TARGET_SPEC.model),
        "at": "2026-11-24T12:00:00Z",
        "standing": "Serves",
    }


def test_a_promotion_is_over_when_the_winner_serves_everybody() -> None:
    won = xp.status(looked(xp.climbed(3), rates=BETTER))
    assert plan(won, target=xp.target(xp.split(won))).end is False
    assert plan(won, target=xp.target(Split.whole(xp.V8.name))).end is False, "its status does not say so yet"
    by_another = xp.target(Split.whole(xp.V8.name), told={"promoted": promoted("another")})
    assert plan(won, target=by_another).end is False
    made = plan(won, target=xp.target(Split.whole(xp.V8.name), told={"promoted": promoted()}))
    assert (made.end, xp.status(made).verdict, xp.status(made).traffic) == (True, "Won", None)


def test_a_model_that_comes_after_the_winner_took_over_takes_nothing_from_its_win() -> None:
    won = xp.status(looked(xp.climbed(3), rates=BETTER))
    newer = builders.spec(uri="pvc://models/digits/7")
    made = plan(won, target=xp.target(Split.whole(xp.V8.name), told={"promoted": promoted()}, spec=newer))
    assert (decided(made), xp.status(made).verdict) == (("Promote", "v8"), "Won")


def test_an_experiment_at_its_end_is_at_rest() -> None:
    done = xp.status(plan(xp.status(looked(xp.begun(), rates=WORSE))))
    made = plan(done, now=builders.at(100_000), command="promote v8", spec=xp.spec(suspend=True))
    assert (made.status, made.events, made.outcome, made.end) == (done, (), Done(), False)


def ended_unhealthy() -> ExperimentStatus:
    """Exposures of one arm went missing until the time was over."""
    known = xp.climbed(3)
    counted = dataclasses.replace(lossy(known), now=builders.at(86_400))
    return xp.status(plan(known, sums=counted, now=builders.at(86_400)))


def test_one_that_ended_with_data_that_cannot_be_believed_needs_nobody_and_still_says_so() -> None:
    made = plan(ended_unhealthy())
    for _ in range(2):
        found = xp.status(made)
        assert (said(made), said(made, conditions.STALLED)) == (("True", conditions.CONCLUDED), ("False", conditions.SETTLED))
        assert (found.verdict, found.reason, said(made, conditions.TRUSTED)[0]) == ("Unhealthy", "SampleRatio", "False")
        made = plan(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"ledger": False},
        {"spec": None, "spec_error": "spec.mode: unknown."},
        {"target": xp.target(routers=None)},
        {"identity": xp.identity(generation=2), "spec": None, "spec_error": "spec.mode: unknown."},
    ],
)
def test_one_that_is_over_is_ready_whatever_the_operator_could_do_with_its_spec(changes: dict[str, Any]) -> None:
    done = xp.status(plan(xp.status(looked(xp.begun(), rates=WORSE))))
    made = plan(done, **changes)
    assert (said(made), made.outcome, xp.status(made).summary) == (("True", conditions.CONCLUDED), Done(), done.summary)


def test_what_was_decided_before_the_first_step_was_live_ends_as_well() -> None:
    won = xp.status(plan(xp.divided(), command="promote v8"))
    target = xp.target(Split.whole(xp.V8.name), told={"promoted": promoted()})
    assert xp.status(plan(won, target=target)).verdict == "Won"


def test_a_target_that_is_deleted_stops_everything_and_what_was_decided_ends() -> None:
    known = xp.climbed(3)
    made = plan(known, target=None)
    assert (said(made), xp.status(made).traffic) == (("False", conditions.TARGET_MISSING), known.traffic)
    decision = xp.status(looked(known, rates=WORSE))
    assert xp.status(plan(decision, target=None)).verdict == "RolledBack"


def test_an_experiment_whose_control_serves_no_longer_is_over() -> None:
    known = xp.climbed(3)
    made = plan(known, target=xp.target(Split.whole(xp.V9.name)))
    assert (decided(made), xp.status(made).traffic) == (("KeepControl", None), None)


def test_a_spec_that_was_changed_behind_the_server_harms_nobody() -> None:
    """The server refuses it; without it the arms are those of the spec, and none of them has been admitted."""
    known = xp.climbed(3)
    assert plan(known, spec=xp.spec(arms=("v9",))).status is not None


# Guardrails that routers count.


BROKEN = xp.counted() | {xp.V8.name: xp.requests(6_400, bad=1.0)}
SOUND = xp.counted(v8=0.0)


def guarded(**decision: str) -> ExperimentSpec:
    return xp.spec(metrics=[xp.CONVERSION, xp.ERRORS], decision=decision)


def test_a_guardrail_of_the_routers_stops_an_arm_at_a_look() -> None:
    of = guarded()
    known = xp.begun(spec=of)
    made = looked(known, spec=of, target=xp.target(xp.split(known), counts=BROKEN))
    assert decided(made) == ("RollBack", None)
    assert message(made, conditions.DECIDED) == "Every arm was harmful. v8: it is worse by more than the margin of a guardrail (error-rate)."


def test_a_guardrail_of_the_routers_acts_while_the_ledger_is_away() -> None:
    of = guarded()
    known = xp.begun(spec=of)
    made = plan(known, spec=of, trouble="The ledger does not answer.", target=xp.target(xp.split(known), counts=BROKEN))
    assert (decided(made), made.look, said(made, conditions.RECORDED)) == (("RollBack", None), None, ("False", conditions.LEDGER_UNAVAILABLE))


@pytest.mark.parametrize("known", [xp.divided, xp.begun])
@pytest.mark.parametrize("away", [False, True])
def test_a_router_that_does_not_follow_keeps_no_harmful_arm_where_it_is(known: Any, away: bool) -> None:
    """Its other routers have the division, and units meet the arm there."""
    of = guarded()
    found = known(spec=of)
    if found.traffic.since:
        found = found.model_copy(update={"traffic": found.traffic.model_copy(update={"since": None})})
    seen = {"trouble": "The ledger does not answer."} if away else {"sums": xp.sums(found, units=0)}
    made = plan(found, spec=of, target=xp.target(xp.split(found), follow=False, counts=BROKEN), **seen)
    assert (decided(made), made.look is None) == (("RollBack", None), away)


def test_an_arm_is_stopped_once_though_its_counts_are_still_there() -> None:
    of = xp.spec(arms=TWO, metrics=[xp.CONVERSION, xp.ERRORS])
    known = xp.begun(spec=of)
    broken = BROKEN | xp.counted(v9=0.0)
    first = xp.status(plan(known, spec=of, trouble="Away.", target=xp.target(xp.split(known), counts=broken)))
    assert [arm.name for arm in first.arms if arm.stopped] == ["v8"]
    begun = xp.status(plan(first, spec=of))
    again = plan(begun, spec=of, trouble="Away.", target=xp.target(xp.split(begun), counts=broken))
    assert (xp.status(again).traffic, again.events) == (begun.traffic, ())


@pytest.mark.parametrize(("of", "counted"), [(guarded(), SOUND), (guarded(), {}), (guarded(onHarm="Hold"), BROKEN)])
def test_without_the_ledger_nothing_else_happens(of: ExperimentSpec, counted: dict[str, Counts]) -> None:
    known = xp.begun(spec=of)
    made = plan(known, spec=of, trouble="The ledger does not answer.", target=xp.target(xp.split(known), counts=counted), now=builders.at(3_600))
    assert (decided(made), xp.status(made).traffic) == (None, known.traffic)
    assert said(made) == ("False", conditions.LEDGER_UNAVAILABLE)


@pytest.mark.parametrize(
    ("of", "look_in_s", "next_s"),
    [
        (xp.spec(), 20.0, 20.0),
        (guarded(), 20.0, scenes.WATCH_S),
        (guarded(), 0.5, 0.5),
        (guarded(onHarm="Hold"), 20.0, scenes.WATCH_S),
    ],
)
def test_between_looks_routers_are_read_again_and_again_where_a_guardrail_goes_by_them(of: ExperimentSpec, look_in_s: float, next_s: float) -> None:
    known = xp.begun(spec=of)
    made = plan(known, spec=of, look_in_s=look_in_s, target=xp.target(xp.split(known), counts=SOUND))
    assert (xp.status(made), made.look, made.outcome) == (known, None, Wait(next_s))


@pytest.mark.parametrize(("of", "next_s"), [(xp.spec(), 30), (guarded(), scenes.WATCH_S)])
def test_after_a_look_they_are_read_as_soon(of: ExperimentSpec, next_s: float) -> None:
    known = xp.begun(spec=of)
    assert looked(known, spec=of, target=xp.target(xp.split(known), counts=SOUND)).outcome == Wait(next_s)
    away = plan(known, spec=of, trouble="Away.", target=xp.target(xp.split(known), counts=SOUND))
    assert away.outcome == Wait(min(next_s, scenes.RETRY_S))


def test_a_win_needs_every_guardrail_shown() -> None:
    of = guarded()
    known = xp.climbed(3, spec=of)
    made = looked(known, spec=of, rates=BETTER)
    assert (decided(made), xp.status(made).reason) == (None, "GuardrailNotShown")
    assert decided(looked(known, spec=of, rates=BETTER, target=xp.target(xp.split(known), counts=SOUND))) == ("Promote", "v8")


# What fits into an object.


def test_the_largest_status_fits_and_is_read_again() -> None:
    """etcd takes 1.5 MB; 64 KiB is what others can bear to watch."""
    arms = tuple(f"v{number}" for number in range(1, 6))
    metrics = [
        xp.CONVERSION,
        *({"name": f"metric-{number}-{'x' * 40}", "role": "Secondary", "type": "Mean", "windowSeconds": 60} for number in range(19)),
    ]
    of = xp.spec(arms=arms, metrics=metrics, ramp=[{"percent": 10 * step} for step in range(1, 10)])
    known = xp.admitted(spec=of)
    pods = {arm.revision: builders.running(replicas=4) for arm in known.arms}
    made = plan(known, spec=of, target=xp.target(workloads=pods))
    found = xp.status(made)
    assert found.traffic
    assert len(found.traffic.slots) <= 64
    strata = tuple(found.strata[0].model_copy(update={"name": str(number)}) for number in range(1, 101))
    traffic = found.traffic.model_copy(update={"since": found.admitted_at, "step": 9, "stratum": 100})
    found = found.model_copy(update={"strata": strata, "started_at": found.admitted_at, "traffic": traffic})
    counted = xp.sums(found)
    values = {arm: {"100": xp.conversions(sums["100"].units, 0.123)} for arm, sums in counted.closed["conversion"].items()}
    every = {str(metric["name"]): values for metric in metrics}
    final = plan(found, spec=of, target=xp.target(workloads=pods), sums=dataclasses.replace(counted, closed=every, open=every))
    written = xp.status(final)
    assert [len(arm.metrics) for arm in written.arms] == [0, 20, 20, 20, 20, 20]
    assert len(json.dumps(written.model_dump(mode="json", by_alias=True, exclude_none=True), separators=(",", ":"))) < 65_536
    assert len(json.dumps(final.look)) < 262_144


@pytest.mark.parametrize(
    ("changes", "told", "by_hand", "expected"),
    [
        ({}, {}, {}, ("RollBack", None)),
        ({}, {}, {"handled": "promote v7"}, ("RollBack", None)),
        ({}, {"promoted": promoted()}, {}, ("Promote", "v8")),
        ({}, {}, {"handled": "promote v8", "proposal": None}, ("Promote", "v8")),
        ({"decision": {"onHarm": "Hold"}}, {}, {}, ("Promote", "v8")),
    ],
    ids=["it waits for pods", "somebody had said another thing", "it serves already", "somebody promoted it", "harm is held"],
)
def test_guardrails_of_routers_act_on_a_winner_until_it_takes_over(
    changes: dict[str, Any], told: dict[str, Any], by_hand: dict[str, Any], expected: Any
) -> None:
    of = xp.spec(metrics=[xp.CONVERSION, xp.ERRORS], **changes)
    known = xp.climbed(3, spec=of)
    won = xp.status(looked(known, spec=of, rates=BETTER, target=xp.target(xp.split(known), counts=SOUND))).model_copy(update=by_hand)
    assert decided(plan(won, spec=of, target=xp.target(xp.split(won), counts=SOUND))) == ("Promote", "v8")
    made = plan(won, spec=of, target=xp.target(xp.split(won), counts=BROKEN, told=told))
    assert decided(made) == expected
    if expected[0] == "RollBack":
        assert xp.status(made).traffic is None
        assert message(made, conditions.DECIDED) == "Arm v8 won at look 1. Before it took over it crossed guardrail error-rate."


def test_harm_takes_a_win_back_though_a_harmful_arm_is_held() -> None:
    of = xp.spec(decision={"onHarm": "Hold", "confirmSeconds": 600})
    won = xp.status(looked(xp.climbed(3, spec=of), rates=BETTER, spec=of))
    afresh = xp.status(plan(won, spec=of, now=builders.at(2)))
    assert (afresh.proposal and afresh.proposal.arm, afresh.winning_since) == ("v8", "2026-11-24T12:00:01Z")
    harmful = xp.sums(afresh, rates=WORSE, now=builders.at(100))
    held = xp.status(plan(afresh, spec=of, sums=harmful, now=builders.at(100)))
    assert (held.verdict, held.proposal, held.winning_since, held.decision) == ("Harmful", None, None, None)
    unclear = xp.status(plan(held, spec=of, sums=xp.sums(held, now=builders.at(700)), now=builders.at(700)))
    assert unclear.decision is None


def test_a_metric_that_cannot_be_cut_off_is_told_of_and_holds_nobody_else_up() -> None:
    revenue = {"name": "revenue", "role": "Secondary", "type": "Mean", "capPercentile": "95"}
    of = xp.spec(metrics=[xp.CONVERSION, revenue])
    known = xp.climbed(3, spec=of)
    units = xp.sums(known).closed["conversion"]
    seen = {"conversion": xp.sums(known, rates=BETTER).closed["conversion"], "revenue": units}
    made = looked(known, spec=of, sums=xp.sums(known, closed=seen, open=seen, quantiles={"revenue": 0.0}, now=builders.at(1)))
    found = xp.status(made)
    assert decided(made) == ("Promote", "v8")
    assert made.register == designs.definition(of, settled={})
    assert "Percentile 95 of revenue is not above 0" in (found.summary or "")
