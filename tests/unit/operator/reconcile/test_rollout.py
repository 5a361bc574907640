"""A new revision takes over by steps: what routers counted decides, at every look anew."""

import json
from datetime import datetime
from typing import Any

import pytest

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from slipway_operator.reconcile import modeldeployment
from slipway_operator.reconcile.rollout import LOOK_S
from slipway_operator.state.observed import Observed, Routers
from slipway_operator.state.plan import Plan, Scale, Stalled, Wait
from slipway_operator.state.revision import Revision
from slipway_operator.state.routes import Division, Limits, RouteTable, Split
from slipway_operator.state.slots import SLOTS, Allocation
from slipway_statistics.counts import Counts
from slipway_statistics.latency import Edges
from slipway_testing import builders

ERRORS = {"metric": "ErrorRate", "maxIncrease": "0.01"}
LATENCY = {"metric": "LatencyP95", "maxIncreasePercent": 20}
STEPS = [{"percent": 1, "holdSeconds": 60}, {"percent": 10, "holdSeconds": 60}, {"percent": 50, "holdSeconds": 60}]
OLD = builders.revision(builders.spec(uri="pvc://models/digits/0"))
NEW = builders.revision(number=2)
OTHER = builders.revision(builders.spec(uri="pvc://models/digits/9"), number=3)
EDGES = Edges(stable=100, candidate=108)


def spec(*, uri: str = "pvc://models/digits/1", suspend: bool = False, replicas: dict[str, Any] | None = None, **rollout: Any) -> ModelDeploymentSpec:
    rules = {"steps": STEPS, "guardrails": [ERRORS]} | rollout
    serving = {"replicas": replicas} if replicas else {}
    return ModelDeploymentSpec.model_validate(
        {"model": builders.model(uri=uri), "serving": serving, "suspend": suspend, "traffic": {"rollout": rules}}
    )


def counts(requests: int = 64_000, *, bad: float = 0.0, slow: float = 0.05) -> Counts:
    """So many requests, spread evenly over buckets and 20 blocks."""
    each, block = requests // 64, requests // 20
    return Counts(
        buckets=((each, round(each * bad), round(each * slow)),) * 64,
        blocks=dict.fromkeys(range(20), (block, round(block * bad), round(block * slow))),
        latency={100: requests},
    )


GOOD = {OLD.name: counts(640_000), NEW.name: counts()}
BROKEN = {OLD.name: counts(640_000), NEW.name: counts(640, bad=1.0)}


def share(percent: int, of: Revision = NEW) -> Split:
    """What the table says in the middle of a rollout."""
    if not percent:
        return Split.whole(OLD.name)
    allocation = Allocation.whole(OLD.name).moved({of.name: percent * 100}, base=OLD.name)
    return Split(stable=OLD.name, candidate=of.name, allocation=allocation)


def observed(
    percent: int, *, of: Revision = NEW, follow: bool = True, since: float | None = None, told: dict[str, Any] | None = None, **changes: Any
) -> Observed:
    """NEW is wanted, OLD serves, and the table gives NEW so many percent."""
    table = RouteTable(
        namespace="shop",
        model="digits",
        division=Division(seed="shop/digits", epoch=5, split=share(percent, of)),
        unit=None,
        limits=Limits(timeout_ms=60_000, body_bytes=2**26, pending_per_pod=128),
    )
    status = builders.status(builders.entry(OLD, "Stable", since=builders.long_ago()), builders.entry(of, "Candidate"), **(told or {}))
    if since is not None:
        step = [entry["percent"] for entry in STEPS].index(percent) + 1
        status = status.model_copy(update={"rollout": rollout_status(of, step=step, since=builders.at(since))})
    valid: dict[str, Any] = {
        "spec": spec(),
        "revisions": (NEW, OLD) if of == NEW else (of, NEW, OLD),
        "status": status,
        "workloads": {OLD.name: builders.running(replicas=4), of.name: builders.running()},
        "table": table,
        "selected": OLD.name,
        "routers": Routers(name="slipway-router", addressed=True, digests={"pod-1": table.digest if follow else "earlier"}),
        "counts": GOOD,
        "edges": EDGES,
    }
    return builders.observed(**(valid | changes))


def rollout_status(of: Revision, *, step: int, since: datetime, **changes: Any) -> Any:
    status = {
        "revision": of.name,
        "step": step,
        "steps": 3,
        "percent": STEPS[step - 1]["percent"],
        "summary": "",
        "reason": "HoldTime",
        "since": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "stableReplicas": 4,
    }
    parsed = ModelDeploymentStatus.model_validate({"rollout": status | changes})
    return parsed.rollout


def slots(plan: Plan) -> dict[str, int]:
    """How many slots each revision gets."""
    table = RouteTable.parse(next(child for child in plan.objects if child["metadata"]["name"] == "digits-routes")["data"]["routes.json"])
    allocation = table.division.split.allocation
    return {name: allocation.count(name) for name, _ in table.division.split.revisions} if allocation else {}


def status(plan: Plan) -> ModelDeploymentStatus:
    assert plan.status
    return plan.status


def told(plan: Plan) -> tuple[int, str] | None:
    """Step and reason of the rollout."""
    rollout = status(plan).rollout
    return (rollout.step, rollout.reason) if rollout else None


def roles(plan: Plan) -> dict[str, str]:
    return {entry.name: entry.role for entry in status(plan).revisions}


def condition(plan: Plan, kind: str = conditions.READY) -> tuple[str, str]:
    found = next(each for each in status(plan).conditions if each.type == kind)
    return found.status, found.reason


def test_without_rules_a_ready_revision_takes_everything_at_once() -> None:
    plan = modeldeployment.plan(observed(0, spec=builders.spec()))
    assert slots(plan) == {NEW.name: SLOTS}


def test_the_first_revision_of_all_needs_no_steps() -> None:
    first = builders.observed(
        spec=spec(), revisions=(NEW,), workloads={NEW.name: builders.running()}, routers=Routers(name="slipway-router", addressed=True)
    )
    assert slots(modeldeployment.plan(first)) == {NEW.name: SLOTS}


def test_a_ready_revision_begins_with_the_first_step() -> None:
    plan = modeldeployment.plan(observed(0))

    assert slots(plan) == {OLD.name: 9_900, NEW.name: 100}
    assert told(plan) == (1, "Starting")
    assert roles(plan) == {OLD.name: "Stable", NEW.name: "Candidate"}
    assert condition(plan) == ("False", conditions.ROLLING_OUT)
    assert condition(plan, conditions.RECONCILING)[0] == "True"
    assert status(plan).revision == OLD.name
    assert [event.reason for event in plan.events] == [conditions.ROLLOUT_STEP]


def test_a_revision_that_is_not_ready_gets_nothing() -> None:
    unready = {OLD.name: builders.running(replicas=4), NEW.name: builders.running(available=0)}
    plan = modeldeployment.plan(observed(0, workloads=unready))
    assert (slots(plan), told(plan)) == ({OLD.name: SLOTS}, None)


def test_a_step_begins_when_every_router_has_it() -> None:
    early = modeldeployment.plan(observed(1, follow=False))
    assert told(early) == (1, "Starting")
    assert status(early).rollout.since is None  # type: ignore[union-attr]
    assert early.outcome == Wait(modeldeployment.ROUTER_LOOK_S)

    begun = modeldeployment.plan(observed(1))
    assert status(begun).rollout.since == "2026-11-24T12:00:00Z"  # type: ignore[union-attr]
    assert begun.outcome == Wait(LOOK_S)


@pytest.mark.parametrize(("since", "expected"), [(-59, (1, "HoldTime")), (-60, (2, "Starting"))])
def test_a_step_lasts_as_long_as_it_should(since: float, expected: tuple[int, str]) -> None:
    plan = modeldeployment.plan(observed(1, since=since))
    assert told(plan) == expected
    assert slots(plan)[NEW.name] == (100 if expected[0] == 1 else 1_000)


def test_whoever_had_the_new_revision_keeps_it_at_the_next_step() -> None:
    before = observed(1, since=-60)
    plan = modeldeployment.plan(before)
    after = RouteTable.parse(next(child for child in plan.objects if child["metadata"]["name"] == "digits-routes")["data"]["routes.json"])
    assert before.table
    old, new = before.table.division.split.allocation, after.division.split.allocation
    assert old
    assert new
    assert all(new.owner(slot) == NEW.name for slot in range(SLOTS) if old.owner(slot) == NEW.name)
    assert after.division.epoch == 6


def test_after_the_last_step_it_takes_everything() -> None:
    plan = modeldeployment.plan(observed(50, since=-60))
    assert slots(plan) == {NEW.name: SLOTS}
    assert roles(plan) == {NEW.name: "Stable", OLD.name: "Draining"}
    assert told(plan) is None
    assert conditions.REVISION_PROMOTED in [event.reason for event in plan.events]


@pytest.mark.parametrize("percent", [1, 10, 50])
@pytest.mark.parametrize("since", [None, -1])
def test_a_broken_revision_is_rolled_back_at_any_step_however_young(percent: int, since: float | None) -> None:
    plan = modeldeployment.plan(observed(percent, since=since, counts=BROKEN))

    assert slots(plan) == {OLD.name: SLOTS}
    assert condition(plan) == ("False", conditions.ROLLED_BACK)
    assert condition(plan, conditions.STALLED) == ("True", conditions.ROLLED_BACK)
    assert roles(plan) == {OLD.name: "Stable", NEW.name: "Draining"}
    refused = status(plan).refused
    assert [entry.revision for entry in refused] == [NEW.name]
    assert refused[0].message == (
        f"Revision {NEW.name} was rolled back at {percent} %: ErrorRate: 100.0% of 640 requests against 0.0% of 640000 failed, 0.01 more are allowed."
    )
    assert [event.reason for event in plan.events].count(conditions.ROLLED_BACK) >= 1


def rolled_back(**changes: Any) -> Observed:
    """Some time after NEW was rolled back."""
    first = modeldeployment.plan(observed(10, counts=BROKEN))
    live = observed(0, workloads={OLD.name: builders.running(replicas=4), NEW.name: builders.running()})
    drained = {"status": status(first), "now": builders.at(20)}
    return Observed(**{**vars(live), **drained, **changes})


def test_a_refused_revision_gives_its_pods_back_and_stays_refused() -> None:
    plan = modeldeployment.plan(rolled_back())

    assert roles(plan) == {OLD.name: "Stable", NEW.name: "Parked"}
    assert slots(plan) == {OLD.name: SLOTS}
    assert condition(plan) == ("False", conditions.ROLLED_BACK)
    assert [entry.revision for entry in status(plan).refused] == [NEW.name]
    assert conditions.ROLLED_BACK not in [event.reason for event in plan.events]

    again = modeldeployment.plan(Observed(**{**vars(rolled_back()), "status": status(plan)}))
    assert (status(again), again.events) == (status(plan), ())
    assert not isinstance(again.outcome, Wait | Stalled)


def test_a_refused_revision_is_tried_again_when_somebody_asks_for_it_once() -> None:
    plan = modeldeployment.plan(rolled_back(command="retry 1"))
    assert status(plan).refused == ()
    assert status(plan).handled == "retry 1"
    assert slots(plan) == {OLD.name: 9_900, NEW.name: 100}

    assert slots(
        modeldeployment.plan(
            rolled_back(command="retry 1", status=status(modeldeployment.plan(rolled_back())).model_copy(update={"handled": "retry 1"}))
        )
    ) == {OLD.name: SLOTS}


def test_another_model_is_tried_although_one_was_refused() -> None:
    changes = {"spec": spec(uri="pvc://models/digits/9"), "revisions": (OTHER, NEW, OLD)}
    workloads = {OLD.name: builders.running(replicas=4), OTHER.name: builders.running()}
    plan = modeldeployment.plan(rolled_back(**changes, workloads=workloads))
    assert slots(plan) == {OLD.name: 9_900, OTHER.name: 100}
    assert [entry.revision for entry in status(plan).refused] == [NEW.name]


def test_going_back_to_what_serves_ends_the_rollout_at_once() -> None:
    plan = modeldeployment.plan(observed(10, since=-5, spec=spec(uri="pvc://models/digits/0")))
    assert slots(plan) == {OLD.name: SLOTS}
    assert told(plan) is None
    assert roles(plan) == {OLD.name: "Stable", NEW.name: "Draining"}


def test_a_third_model_waits_until_the_units_of_the_second_are_back() -> None:
    plan = modeldeployment.plan(observed(10, since=-5, spec=spec(uri="pvc://models/digits/9"), revisions=(OTHER, NEW, OLD)))
    assert slots(plan) == {OLD.name: SLOTS}
    assert roles(plan) == {OLD.name: "Stable", OTHER.name: "Candidate", NEW.name: "Draining"}


def test_a_new_revision_whose_pods_are_gone_gives_its_units_back_and_may_come_again() -> None:
    gone = {OLD.name: builders.running(replicas=4), NEW.name: builders.running(available=0)}
    plan = modeldeployment.plan(observed(10, since=-5, workloads=gone))
    assert slots(plan) == {OLD.name: SLOTS}
    assert status(plan).refused == ()


FEW = {OLD.name: counts(640_000), NEW.name: counts(64)}


def test_a_step_that_could_not_have_seen_a_fault_holds() -> None:
    plan = modeldeployment.plan(observed(10, since=-600, counts=FEW))
    assert told(plan) == (2, "TooLittleTraffic")
    assert slots(plan)[NEW.name] == 1_000


def test_no_traffic_at_all_passes_nothing() -> None:
    assert told(modeldeployment.plan(observed(1, since=-600, counts={}))) == (1, "NothingToCompare")


def test_a_step_may_be_told_what_it_is_to_detect() -> None:
    steps = [STEPS[0], STEPS[1] | {"detect": "0.2"}, STEPS[2]]
    assert told(modeldeployment.plan(observed(10, since=-600, counts=FEW, spec=spec(steps=steps)))) == (3, "Starting")


@pytest.mark.parametrize("on_failure", ["RollBack", "Pause"])
def test_a_step_that_takes_too_long_has_failed(on_failure: str) -> None:
    rules = spec(progressDeadlineSeconds=100, onFailure=on_failure)
    assert told(modeldeployment.plan(observed(10, since=-160, counts=FEW, spec=rules))) == (2, "TooLittleTraffic")
    plan = modeldeployment.plan(observed(10, since=-161, counts=FEW, spec=rules))
    if on_failure == "RollBack":
        assert slots(plan) == {OLD.name: SLOTS}
        assert "took longer than its deadline" in status(plan).refused[0].message
    else:
        assert slots(plan)[NEW.name] == 1_000
        assert condition(plan) == ("False", conditions.ROLLOUT_PAUSED)


def test_a_broken_revision_pauses_where_that_is_asked_for() -> None:
    plan = modeldeployment.plan(observed(10, since=-5, counts=BROKEN, spec=spec(onFailure="Pause")))
    assert slots(plan)[NEW.name] == 1_000
    assert condition(plan) == ("False", conditions.ROLLOUT_PAUSED)
    assert condition(plan, conditions.STALLED)[0] == "True"
    assert status(plan).refused == ()


def test_people_pause_resume_promote_and_roll_back() -> None:
    paused = modeldeployment.plan(observed(1, since=-600, command="pause"))
    assert (told(paused), status(paused).handled) == ((1, "Paused"), "pause")
    assert condition(paused) == ("False", conditions.ROLLOUT_PAUSED)

    still = observed(1, since=-600, command="pause")
    held = Observed(**{**vars(still), "status": status(paused)})
    assert told(modeldeployment.plan(held)) == (1, "Paused")

    resumed = modeldeployment.plan(Observed(**{**vars(held), "command": "resume"}))
    assert told(resumed) == (2, "Starting")

    promoted = modeldeployment.plan(observed(1, since=-1, command="promote now"))
    assert slots(promoted) == {NEW.name: SLOTS}
    assert status(promoted).handled == "promote now"

    undone = modeldeployment.plan(observed(50, since=-1, command="rollback"))
    assert slots(undone) == {OLD.name: SLOTS}
    assert "somebody asked for it" in status(undone).refused[0].message


def test_a_paused_rollout_is_rolled_back_all_the_same() -> None:
    paused = rollout_status(NEW, step=2, since=builders.at(-5), paused=True)
    broken = observed(10, counts=BROKEN)
    plan = modeldeployment.plan(Observed(**{**vars(broken), "status": broken.status.model_copy(update={"rollout": paused})}))
    assert slots(plan) == {OLD.name: SLOTS}


def test_a_promotion_waits_for_pods_and_is_not_forgotten() -> None:
    plan = modeldeployment.plan(observed(1, since=-1, command="promote", spec=spec(replicas={"min": 4})))
    assert slots(plan)[NEW.name] == 100
    assert status(plan).handled is None
    assert Scale(deployment=f"{NEW.name}-predictor", replicas=4) in plan.scales


def test_suspending_freezes_the_split() -> None:
    plan = modeldeployment.plan(observed(10, since=-600, counts=BROKEN, spec=spec(suspend=True)))
    assert slots(plan)[NEW.name] == 1_000


@pytest.mark.parametrize(("percent", "pods"), [(1, 1), (10, 5)])
def test_the_next_step_needs_pods_for_its_share_first(percent: int, pods: int) -> None:
    """Of 10: 10 % are 1, 50 % are 5."""
    workloads = {OLD.name: builders.running(replicas=10), NEW.name: builders.running(replicas=1)}
    waiting = observed(percent, since=-600, workloads=workloads, spec=spec(replicas={"min": 10}))
    told_ten = waiting.status.model_copy(
        update={"rollout": rollout_status(NEW, step=1 if percent == 1 else 2, since=builders.at(-600), stableReplicas=10)}
    )
    plan = modeldeployment.plan(Observed(**{**vars(waiting), "status": told_ten}))
    if pods == 1:
        assert told(plan) == (2, "Starting")
    else:
        assert told(plan) == (2, "Scaling")
        assert Scale(deployment=f"{NEW.name}-predictor", replicas=5) in plan.scales


def test_autoscalers_keep_what_served_and_give_the_new_revision_its_share() -> None:
    """min 2, max 20, stable at 10 when it began and scaled down to 4 since: it keeps 10, for all its units may come back."""
    workloads = {OLD.name: builders.running(replicas=4), NEW.name: builders.running(replicas=5)}
    live = observed(50, since=-5, workloads=workloads, spec=spec(replicas={"min": 2, "max": 20}))
    begun = live.status.model_copy(update={"rollout": rollout_status(NEW, step=3, since=builders.at(-5), stableReplicas=10)})
    plan = modeldeployment.plan(Observed(**{**vars(live), "status": begun}))
    floors = {child["metadata"]["name"]: child["spec"]["minReplicas"] for child in plan.objects if child["kind"] == "HorizontalPodAutoscaler"}
    assert floors[OLD.name] == 10


def test_latency_is_looked_at_from_the_second_look_on() -> None:
    slow = {OLD.name: counts(640_000, slow=0.05), NEW.name: counts(6_400, slow=0.6)}
    rules = spec(guardrails=[ERRORS, LATENCY])
    blind = modeldeployment.plan(observed(10, since=-600, counts=slow, edges=None, spec=rules))
    assert told(blind) == (2, "NothingToCompare")
    seen = modeldeployment.plan(observed(10, since=-600, counts=slow, spec=rules))
    assert slots(seen) == {OLD.name: SLOTS}
    assert "LatencyP95: 60.0% of 6400 requests against 5.0% of 640000 were slow" in status(seen).refused[0].message


def test_the_status_shows_the_interval_and_what_would_be_seen() -> None:
    plan = modeldeployment.plan(observed(10, since=-5))
    rollout = status(plan).rollout
    assert rollout
    assert rollout.summary == "2/3 10% HoldTime"
    assert rollout.guardrails[0].model_dump()["requests"] == 64_000
    assert float(rollout.guardrails[0].lower) <= float(rollout.guardrails[0].estimate) <= float(rollout.guardrails[0].upper)


def test_the_whole_status_stays_small() -> None:
    """Ten revisions in the middle of a rollout, eight refused ones with long reasons."""
    live = observed(10, since=-5)
    long = [{"revision": f"a-name-as-long-as-they-may-be-{number:010d}", "at": "2026-11-24T12:00:00Z", "message": "x" * 512} for number in range(8)]
    refused = ModelDeploymentStatus.model_validate({"refused": long}).refused
    plan = modeldeployment.plan(Observed(**{**vars(live), "status": live.status.model_copy(update={"refused": refused})}))
    assert len(json.dumps(status(plan).model_dump(mode="json", by_alias=True, exclude_none=True))) < 8 * 1024


def test_a_command_that_is_none_is_ignored() -> None:
    plan = modeldeployment.plan(observed(1, since=-1, command="faster!"))
    assert told(plan) == (1, "HoldTime")
