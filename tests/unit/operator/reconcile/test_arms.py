"""What an experiment asks of its target: arms beside stable, a split that it has divided, and a winner that takes over."""

import dataclasses
from typing import Any

import pytest

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.experiment import ExperimentStatus
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentStatus
from slipway_operator.reconcile import arms, modeldeployment
from slipway_operator.state.observed import Observed, Routers
from slipway_operator.state.plan import Plan, Scale
from slipway_operator.state.routes import RouteTable, Split
from slipway_operator.state.slots import SLOTS, Allocation
from slipway_operator.state.trial import Trial
from slipway_testing import builders, lives
from slipway_testing import experiments as xp
from slipway_testing.lives import Market

MODEL_0, MODEL_8 = ("pvc://models/digits/0", "pvc://models/digits/8")


def trial(known: ExperimentStatus, **changes: Any) -> Trial:
    found = Trial.of(name=xp.NAME, namespace="shop", uid=xp.UID, spec=xp.spec(**changes), status=known)
    assert found
    return found


def observed(known: ExperimentStatus, *, live: Split | None = None, spec: dict[str, Any] | None = None, **changes: Any) -> Observed:
    """The target while the experiment is where its status says."""
    found = trial(known)
    valid: dict[str, Any] = {"trial": found, "promotion": found if found.promotion else None}
    if spec is not None:
        valid["spec"] = builders.spec(**({"uri": MODEL_0} | spec))
    return xp.target(live or xp.split(known), **(valid | changes))


def plan(known: ExperimentStatus, **changes: Any) -> Plan:
    return modeldeployment.plan(observed(known, **changes))


def table(made: Plan) -> RouteTable:
    return RouteTable.parse(next(child for child in made.objects if child["metadata"]["name"] == "digits-routes")["data"]["routes.json"])


def roles(made: Plan) -> dict[str, str]:
    assert made.status
    return {entry.name: entry.role for entry in made.status.revisions if entry.role != "Parked"}


def said(made: Plan, kind: str) -> tuple[str, str]:
    assert made.status
    return next((each.status, each.reason) for each in made.status.conditions if each.type == kind)


def floor(made: Plan, revision: str) -> int:
    found = next(child for child in made.objects if child["kind"] == "HorizontalPodAutoscaler" and child["metadata"]["name"] == revision)
    least: int = found["spec"]["minReplicas"]
    return least


@pytest.mark.parametrize(("replicas", "percent", "pods"), [(3, 50, 2), (1, 2, 1), (4, 25, 1), (4, 26, 2), (10, 0, 1), (7, 100, 7)])
def test_pods_of_an_arm_follow_from_its_share(replicas: int, percent: int, pods: int) -> None:
    assert arms.capacity(replicas, percent) == pods


def test_arms_get_pods_before_anybody_meets_them() -> None:
    alone = {xp.CONTROL.name: builders.running(replicas=4)}
    made = plan(xp.admitted(), revisions=(xp.CONTROL,), workloads=alone)
    assert roles(made) == {xp.CONTROL.name: "Stable", xp.V8.name: "Arm"}
    assert table(made).division.split == Split.whole(xp.CONTROL.name)
    assert f"InferenceService/{xp.V8.name}" in [f"{child['kind']}/{child['metadata']['name']}" for child in made.objects]
    assert [event.reason for event in made.events] == [conditions.REVISION_CREATED]
    assert made.status
    assert made.status.experiment == xp.NAME


def test_an_arm_is_served_with_everything_else_as_control_is() -> None:
    """Settings that came after the control are not the arm's: it would differ from control in more than its model."""
    made = plan(xp.admitted(), spec={"serving": {"batching": {"maxBatchSize": 8}}}, revisions=(xp.CONTROL,))
    assert roles(made) == {xp.CONTROL.name: "Stable", xp.V8.name: "Arm"}


def test_a_new_model_waits_while_an_experiment_runs() -> None:
    made = plan(xp.begun(), spec={"uri": "pvc://models/digits/7"})
    assert said(made, conditions.MODEL_READY) == ("False", conditions.EXPERIMENT_RUNNING)
    assert table(made).division.split == xp.split(xp.begun())
    assert set(roles(made)) == {xp.CONTROL.name, xp.V8.name}


@pytest.mark.parametrize("step", [1, 2, 3])
def test_the_table_has_the_groups_of_the_division(step: int) -> None:
    known = xp.climbed(step)
    made = table(plan(known, live=Split.whole(xp.CONTROL.name)))
    groups = made.division.split.groups
    assert groups
    waiting = [("waiting", xp.CONTROL.name)] if step < 3 else []
    assert (groups.experiment, groups.stratum) == (xp.FULL_NAME, str(step))
    assert list(groups.revisions) == [("control", xp.CONTROL.name), ("v8", xp.V8.name), *waiting]
    allocation = made.division.split.allocation
    assert allocation
    assert [allocation.count(group) for group in ("control", "v8")] == [5_000, {1: 200, 2: 2_000, 3: 5_000}[step]]
    assert (made.division.seed, made.division.epoch) == ("shop/digits-v8", 6)
    assert made.unit
    assert (made.unit.header, made.unit.on_missing) == ("x-user-id", "Stable")


def test_units_of_an_arm_without_pods_wait_with_stable() -> None:
    known = xp.climbed(2)
    made = table(plan(known, pods={"v8": 0}))
    assert made.division.split == Split.whole(xp.CONTROL.name), "no arm is left"
    of: dict[str, Any] = {"arms": ("v8", "v9")}
    both = xp.climbed(2, spec=xp.spec(**of))
    found = trial(both, **of)
    split = table(modeldeployment.plan(xp.target(xp.split(both), pods={"v9": 0}, trial=found))).division.split
    assert split.groups
    assert split.allocation
    assert dict(split.groups.revisions) == {"control": xp.CONTROL.name, "v8": xp.V8.name, "waiting": xp.CONTROL.name}
    assert [split.allocation.count(group) for group in ("control", "v8", "waiting")] == [5_000, 1_000, 4_000]


@pytest.mark.parametrize("changes", [{"suspend": True}, {"decided": "RollBack"}, {"decided": "KeepControl"}])
def test_units_go_back_to_the_own_seed_when_it_is_suspended_or_decided_against(changes: dict[str, Any]) -> None:
    known = xp.climbed(2)
    if "decided" in changes:
        decision = {"action": changes["decided"], "at": "2026-11-24T12:00:00Z", "message": ""}
        raw = known.model_dump(mode="json", by_alias=True, exclude_none=True)
        known_after = ExperimentStatus.model_validate({name: value for name, value in raw.items() if name != "traffic"} | {"decision": decision})
        found = trial(known_after)
        assert found.over
        made = modeldeployment.plan(xp.target(xp.split(known)))
    else:
        made = modeldeployment.plan(xp.target(xp.split(known), trial=trial(known, suspend=True)))
    division = table(made).division
    assert (division.split, division.seed, division.epoch) == (Split.whole(xp.CONTROL.name), "shop/digits", 6)


def test_a_stopped_arm_gives_its_pods_back() -> None:
    of: dict[str, Any] = {"arms": ("v8", "v9")}
    known = xp.climbed(2, spec=xp.spec(**of))
    stopped = known.model_copy(update={"arms": tuple(arm.model_copy(update={"stopped": arm.name == "v9"}) for arm in known.arms)})
    made = modeldeployment.plan(xp.target(xp.split(xp.climbed(2)), trial=trial(stopped, **of)))
    assert roles(made).get(xp.V9.name) != "Arm"
    assert roles(made)[xp.V8.name] == "Arm"


def test_a_deleted_experiment_gives_units_and_pods_back() -> None:
    market = lives.opened()
    entry = market.experiment("x8", xp.written())
    _run(market, until=lambda: entry.status.started_at)
    market.delete("x8")
    market.settle()
    assert [(each.role, each.uri) for each in market.status.revisions] == [("Stable", MODEL_0), ("Parked", MODEL_8)]
    assert market.tables["router-1"] == market.tables["router-2"]
    found = market.tables["router-1"]
    assert found
    assert (found.division.split, found.division.seed) == (Split.whole(xp.CONTROL.name), "shop/digits")
    assert market._pods == {xp.CONTROL.name: 1}


# Pods.


def test_autoscalers_hold_what_shares_need_and_stable_what_it_had() -> None:
    known = xp.climbed(3)
    replicas = {"replicas": {"min": 1, "max": 10}}
    made = plan(known, spec={"serving": replicas}, replicas=4)
    assert (floor(made, xp.CONTROL.name), floor(made, xp.V8.name)) == (4, 2), "everybody may come back at once"


def test_without_an_autoscaler_arms_get_the_pods_of_their_share() -> None:
    known = xp.climbed(3)
    workloads = {xp.CONTROL.name: builders.running(replicas=4), xp.V8.name: builders.running(replicas=1)}
    made = plan(known, spec={"serving": {"replicas": {"min": 4}}}, workloads=workloads)
    assert made.scales == (Scale(deployment=f"{xp.V8.name}-predictor", replicas=2),)


def won(known: ExperimentStatus) -> ExperimentStatus:
    decision = {"action": "Promote", "arm": "v8", "at": "2026-11-24T12:00:00Z", "message": "It won."}
    return ExperimentStatus.model_validate(known.model_dump(mode="json", by_alias=True, exclude_none=True) | {"decision": decision})


def test_without_an_autoscaler_a_winner_gets_pods_for_everybody() -> None:
    known = won(xp.climbed(3))
    workloads = {xp.CONTROL.name: builders.running(replicas=4), xp.V8.name: builders.running(replicas=2)}
    made = plan(known, spec={"serving": {"replicas": {"min": 4}}}, workloads=workloads)
    assert made.scales == (Scale(deployment=f"{xp.V8.name}-predictor", replicas=4),)
    assert table(made).division.split == xp.split(known), "until then everything stays"


def test_under_an_autoscaler_a_winner_must_have_what_stable_has() -> None:
    known = won(xp.climbed(3))
    replicas = {"replicas": {"min": 1, "max": 10}}
    made = plan(known, spec={"serving": replicas}, pods={"v8": 2})
    assert floor(made, xp.V8.name) == 4
    assert table(made).division.split == xp.split(known)


# A winner takes over.


def test_a_winner_takes_over_when_it_has_pods_and_the_status_says_so() -> None:
    known = won(xp.climbed(3))
    made = plan(known)
    assert table(made).division.split == Split.whole(xp.V8.name)
    assert roles(made) == {xp.V8.name: "Stable", xp.CONTROL.name: "Draining"}
    assert made.status
    found = made.status.promoted
    assert found
    assert (found.experiment, found.experiment_uid, found.arm, found.revision, found.standing) == (xp.NAME, xp.UID, "v8", xp.V8.name, "Serves")
    assert (found.model.uri, found.at) == (MODEL_8, "2026-11-24T12:00:00Z")
    assert said(made, conditions.SPEC_BEHIND)[0] == "True"
    assert conditions.REVISION_PROMOTED in [event.reason for event in made.events]


def test_arms_that_did_not_win_give_their_pods_back_when_the_winner_takes_over() -> None:
    of: dict[str, Any] = {"arms": ("v8", "v9")}
    known = won(xp.climbed(3, spec=xp.spec(**of)))
    made = modeldeployment.plan(xp.target(xp.split(known), trial=trial(known, **of), promotion=trial(known, **of)))
    assert roles(made) == {xp.V8.name: "Stable", xp.V9.name: "Draining", xp.CONTROL.name: "Draining"}


def test_a_promotion_whose_status_was_lost_is_remembered_by_what_serves() -> None:
    known = won(xp.climbed(3))
    lost = plan(known, live=Split.whole(xp.V8.name))
    assert lost.status
    assert lost.status.promoted
    assert (lost.status.promoted.arm, lost.status.promoted.revision) == ("v8", xp.V8.name)


def test_a_winner_does_not_take_over_from_a_spec_that_changed() -> None:
    known = won(xp.climbed(3))
    made = plan(known, spec={"uri": "pvc://models/digits/7"})
    assert table(made).division.split.stable == xp.CONTROL.name
    assert made.status
    assert made.status.promoted is None


def promoted(market: Market) -> None:
    """v8 wins."""
    market.rates = {MODEL_8: 0.3}
    market.experiment("x8", xp.written(metrics=[xp.CONVERSION | {"minimumEffect": {"relativePercent": "60"}}]))
    market.settle(units=300)


def test_a_winner_serves_on_and_at_rest_nothing_is_written() -> None:
    market = lives.opened()
    promoted(market)
    assert market.status.promoted
    assert (market.status.model_uri, market.status.promoted.standing, market.generation) == (MODEL_8, "Serves", 1)
    before = (dict(market.children), market.status)
    market.pass_time(100_000)
    market.delete("x8")
    market.target_pass(dies_after=0)
    assert (dict(market.children), market.status) == before, "what it promoted stays when it is gone"


def test_a_winner_serves_on_though_the_status_is_lost_after_the_experiment_is_over() -> None:
    market = lives.opened()
    promoted(market)
    market.status = ModelDeploymentStatus()
    for _ in range(4):
        market.target_pass()
        for router in lives.ROUTERS:
            market.follow(router)
    assert market.stables == [xp.CONTROL.name, xp.V8.name], "no way back to the model of the spec, and no way there and back again"
    assert market.status.promoted
    assert market.status.promoted.standing == "Serves"
    assert [part.role for part in market.status.revisions] == ["Stable", "Parked"], "nobody was woken"


def test_a_winner_takes_over_at_once_where_new_models_go_by_steps() -> None:
    """The experiment was its canary. What comes after it goes by steps again."""
    rollout = {"steps": [{"percent": 10, "holdSeconds": 1}], "guardrails": [{"metric": "ErrorRate", "maxIncrease": "0.01"}]}
    market = lives.opened(traffic={"rollout": rollout})
    promoted(market)
    assert (market.stables, market.status.rollout) == ([xp.CONTROL.name, xp.V8.name], None)
    market.edit({"model": builders.model(uri="pvc://models/digits/7"), "traffic": {"rollout": rollout}})
    for _ in range(6):
        market.target_pass()
        for router in lives.ROUTERS:
            market.follow(router)
    assert market.status.rollout
    assert (market.status.rollout.percent, market.stables[-1]) == (10, xp.V8.name)


def test_writing_the_winner_to_git_moves_nothing() -> None:
    market = lives.opened()
    promoted(market)
    services = _services(market)
    tables = dict(market.tables)
    market.edit({"model": builders.model(uri=MODEL_8)})
    market.settle()
    assert _services(market) == services
    assert market.tables == tables
    assert market.status.promoted
    assert market.status.promoted.standing == "Superseded"
    assert not [each for each in market.status.conditions if each.type == conditions.SPEC_BEHIND and each.status == "True"]


def test_any_later_change_of_the_model_wins() -> None:
    market = lives.opened()
    promoted(market)
    market.edit({"model": builders.model(uri="pvc://models/digits/7")})
    market.settle()
    assert (market.status.model_uri, market.stables[-1]) == ("pvc://models/digits/7", market.status.revision)
    assert market.status.promoted
    assert market.status.promoted.standing == "Superseded"
    market.edit({"model": builders.model(uri=MODEL_0)})
    market.settle()
    assert market.status.model_uri == MODEL_0, "what was superseded does not come back"


def test_other_changes_keep_the_winner() -> None:
    market = lives.opened()
    promoted(market)
    market.edit({"model": builders.model(uri=MODEL_0), "serving": {"batching": {"maxBatchSize": 8}}})
    market.settle()
    assert market.status.model_uri == MODEL_8
    assert market.status.promoted
    assert market.status.promoted.standing == "Serves"


def test_a_promotion_may_be_discarded_once() -> None:
    market = lives.opened()
    promoted(market)
    seen = market.observed()
    made = modeldeployment.plan(dataclasses.replace(seen, command="discard 1"))
    assert made.status
    assert made.status.promoted
    assert (made.status.promoted.standing, made.status.handled) == ("Discarded", "discard 1")
    assert xp.CONTROL.name in roles(made)
    market.status = made.status
    market.settle()
    assert (market.status.model_uri, market.stables[-1]) == (MODEL_0, xp.CONTROL.name)


def test_a_second_experiment_begins_from_the_winner_of_the_first() -> None:
    market = lives.opened()
    promoted(market)
    market.rates = {MODEL_8: 0.3, "pvc://models/digits/9": 0.05}
    second = market.experiment("x9", xp.written(arms=("v9",)))
    market.settle(units=300)
    assert second.status.decision
    assert second.status.target
    assert (second.status.decision.action, second.status.target.revision) == ("RollBack", xp.V8.name)
    assert market.status.model_uri == MODEL_8
    assert market.status.promoted
    assert market.status.promoted.experiment == "x8"


def test_experiments_take_turns_in_order_of_their_age() -> None:
    market = lives.opened(rates={MODEL_8: 0.01, "pvc://models/digits/9": 0.01})
    entries = []
    for name, arm in (("first", "v8"), ("second", "v9")):
        market.pass_time(5)
        entries.append(market.experiment(name, xp.written(arms=(arm,))))
    market.settle(units=300)
    first, second = (entry.status for entry in entries)
    assert first.decision
    assert second.decision
    assert second.started_at
    assert (first.verdict, second.verdict) == ("RolledBack", "RolledBack")
    assert first.decision.at < second.started_at


def test_one_that_is_over_after_a_promotion_asks_for_nothing() -> None:
    known = won(xp.climbed(3))
    done = known.model_copy(update={"decision": known.decision and known.decision.model_copy(update={"done": True})})
    assert (trial(known).over, trial(done).over) == (False, True)


def test_without_routers_there_are_no_arms() -> None:
    made = plan(xp.admitted(), routers=None, table=None)
    assert xp.V8.name not in roles(made)


def test_an_arm_that_does_not_go_with_the_target_is_left_out() -> None:
    unfit = xp.spec().model_copy(update={"arms": _with_format("triton")})
    found = Trial.of(name=xp.NAME, namespace="shop", uid=xp.UID, spec=unfit, status=xp.admitted())
    batched = builders.revision(builders.spec(uri=MODEL_0, serving={"batching": {"maxBatchSize": 8}}))
    made = modeldeployment.plan(xp.target(Split.whole(batched.name), revisions=(batched,), workloads={batched.name: builders.running()}, trial=found))
    assert set(roles(made)) == {batched.name}


def test_the_first_table_of_all_has_no_groups() -> None:
    """An experiment cannot come before anything serves; were it there, it would be left out."""
    nobody = builders.observed(routers=Routers(name="slipway-router"), trial=trial(xp.begun()))
    assert table(modeldeployment.plan(nobody)).division.split == Split.whole(None)


def test_slots_are_never_lost() -> None:
    known = xp.climbed(2)
    split = table(plan(known)).division.split
    assert isinstance(split.allocation, Allocation)
    assert sum(split.allocation.count(group) for group in ("control", "v8", "waiting")) == SLOTS


def _with_format(name: str) -> Any:
    control, arm = xp.spec().arms
    return (control, arm.model_copy(update={"model": arm.model and arm.model.model_copy(update={"format": name})}))


def _services(market: Market) -> dict[str, Any]:
    return {name: child for (kind, name), child in market.children.items() if kind == "InferenceService"}


def _run(market: Market, *, until: Any) -> None:
    """Passes in turn."""
    for _ in range(50):
        if until():
            return
        market.target_pass()
        for router in lives.ROUTERS:
            market.follow(router)
        for entry in market.experiments.values():
            market.experiment_pass(entry)
            entry.seen = len(entry.versions) - 1
        market.pass_time(1)
    raise AssertionError("it does not come")
