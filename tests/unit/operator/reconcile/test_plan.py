"""The plan: objects in order, conditions, events, when to look again."""

from typing import Any

import pytest

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec
from slipway_operator.api.v1alpha1.transformer import Transformer
from slipway_operator.reconcile import failure, modeldeployment, summary
from slipway_operator.state.observed import Failure, Observed, Workload
from slipway_operator.state.plan import Done, Event, Plan, Scale, Stalled, Wait
from slipway_operator.state.revision import Revision
from slipway_testing import builders
from slipway_testing.builders import at, entry, long_ago, observed, running, status

ONE, TWO = (builders.spec(uri=f"pvc://models/digits/{number}") for number in (1, 2))
FIRST, SECOND = (builders.revision(spec, number=number) for number, spec in enumerate((ONE, TWO), start=1))
STARTING = Workload(settled=True, replicas=1, available=0)
BROKEN = Workload(settled=True, replicas=1, failures=(Failure(reason=conditions.MODEL_LOAD_FAILED, message="no such input"),))


def plan(**changes: Any) -> Plan:
    return modeldeployment.plan(observed(**changes))


def serving_first(**changes: Any) -> dict[str, Any]:
    valid: dict[str, Any] = {
        "spec": ONE,
        "revisions": (FIRST,),
        "workloads": {FIRST.name: running()},
        "selected": FIRST.name,
        "endpoints": {FIRST.name: 1},
        "status": status(entry(FIRST, "Stable", since=long_ago())),
    }
    return valid | changes


def names(made: Plan) -> list[str]:
    return [f"{child['kind']}/{child['metadata']['name']}" for child in made.objects]


def said(made: Plan) -> dict[str, tuple[str, str]]:
    assert made.status is not None
    return {condition.type: (condition.status, condition.reason) for condition in made.status.conditions}


def message(made: Plan, kind: str) -> str:
    assert made.status is not None
    return next(condition.message for condition in made.status.conditions if condition.type == kind)


def again(made: Plan, **changes: Any) -> Plan:
    """The next pass over a world in which nothing but the status changed."""
    return plan(**changes, status=made.status)


def test_the_service_comes_first_and_the_inference_service_after_what_it_mounts() -> None:
    made = plan()

    assert names(made) == [
        "Service/digits",
        f"ControllerRevision/{FIRST.name}",
        f"ConfigMap/{FIRST.name}",
        f"InferenceService/{FIRST.name}",
    ]


def test_a_first_revision_is_on_its_way() -> None:
    made = plan()

    assert said(made) == {
        "Ready": ("False", "Starting"),
        "Reconciling": ("True", "Starting"),
        "Stalled": ("False", "Starting"),
        "Accepted": ("True", "SpecAccepted"),
        "ModelReady": ("False", "Starting"),
        "Routed": ("False", "NoEndpoint"),
        "Available": ("False", "NoEndpoint"),
    }
    assert made.outcome == Wait(60.0), "what waits for pods is woken by them"
    assert made.events == (Event(type="Normal", reason="RevisionCreated", message=f"Created revision {FIRST.name} for pvc://models/digits/1."),)


def test_a_server_that_loads_its_model_is_asked_again_soon() -> None:
    made = plan(revisions=(FIRST,), workloads={FIRST.name: Workload(replicas=1, loading=True)})

    assert made.outcome == Wait(3.0)


def test_a_serving_revision_is_ready_and_needs_nothing() -> None:
    made = plan(**serving_first())

    assert said(made) == {
        "Ready": ("True", "Serving"),
        "Reconciling": ("False", "Settled"),
        "Stalled": ("False", "Settled"),
        "Accepted": ("True", "SpecAccepted"),
        "ModelReady": ("True", "ModelLoaded"),
        "Routed": ("True", "RevisionRouted"),
        "Available": ("True", "EndpointReady"),
    }
    assert (made.outcome, made.events, made.scales) == (Done(), (), ())


def test_the_status_tells_address_revision_and_model() -> None:
    made = plan(**serving_first())

    assert made.status is not None
    assert (made.status.url, made.status.revision, made.status.model_uri) == ("http://digits.shop.svc", FIRST.name, "pvc://models/digits/1")
    assert (made.status.observed_generation, [known.role for known in made.status.revisions]) == (1, ["Stable"])


def test_an_unchanged_world_gives_the_same_plan() -> None:
    first = plan(**serving_first())

    second = modeldeployment.plan(observed(**serving_first(status=first.status), now=at(3600)))

    assert (second.objects, second.status) == (first.objects, first.status)


def test_the_service_moves_in_the_pass_that_sees_the_candidate_ready() -> None:
    made = plan(
        spec=TWO,
        revisions=(FIRST, SECOND),
        workloads={FIRST.name: running(), SECOND.name: running()},
        selected=FIRST.name,
        endpoints={FIRST.name: 1},
        status=status(entry(FIRST, "Stable"), entry(SECOND, "Candidate", served=False)),
    )

    assert made.objects[0]["spec"]["selector"]["serving.kserve.io/inferenceservice"] == SECOND.name
    assert said(made)["Ready"] == ("False", "Routing")
    assert said(made)["Available"] == ("True", "EndpointReady")
    assert [event.reason for event in made.events] == ["RevisionPromoted"]
    assert made.outcome == Wait(2.1)


@pytest.mark.parametrize(("age_s", "ready"), [(1, "False"), (2, "True")])
def test_ready_waits_until_every_node_has_followed_the_service(age_s: float, ready: str) -> None:
    made = plan(**serving_first(status=status(entry(FIRST, "Stable", since=at(-age_s)))))

    assert said(made)["Ready"][0] == ready
    assert made.outcome == (Wait(1.1) if ready == "False" else Done())


def test_a_drained_revision_is_parked_with_an_event() -> None:
    made = plan(
        spec=TWO,
        revisions=(FIRST, SECOND),
        workloads={FIRST.name: running(), SECOND.name: running()},
        selected=SECOND.name,
        status=status(entry(SECOND, "Stable"), entry(FIRST, "Draining", since=at(-15))),
    )

    stopped = {child["metadata"]["name"] for child in made.objects if "serving.kserve.io/stop" in child["metadata"].get("annotations", {})}
    assert stopped == {FIRST.name}
    assert [event.reason for event in made.events] == ["RevisionParked"]


def test_the_look_after_draining_comes_when_draining_ends() -> None:
    made = plan(
        spec=TWO,
        revisions=(FIRST, SECOND),
        workloads={FIRST.name: running(), SECOND.name: running()},
        selected=SECOND.name,
        status=status(entry(SECOND, "Stable", since=long_ago()), entry(FIRST, "Draining", since=at(-5))),
    )

    assert made.outcome == Wait(10.1)


def test_a_broken_candidate_stalls_and_the_old_revision_goes_on() -> None:
    world = {
        "spec": TWO,
        "revisions": (FIRST, SECOND),
        "workloads": {FIRST.name: running(), SECOND.name: BROKEN},
        "selected": FIRST.name,
        "endpoints": {FIRST.name: 1},
    }

    made = plan(**world, status=status(entry(FIRST, "Stable"), entry(SECOND, "Candidate", served=False)))

    assert said(made)["Ready"] == ("False", "ModelLoadFailed")
    assert said(made)["Stalled"] == ("True", "ModelLoadFailed")
    assert said(made)["Reconciling"] == ("False", "ModelLoadFailed")
    assert said(made)["Available"] == ("True", "EndpointReady")
    assert message(made, "Ready") == f"Revision {SECOND.name}: no such input. Revision {FIRST.name} goes on serving."
    assert made.objects[0]["spec"]["selector"]["serving.kserve.io/inferenceservice"] == FIRST.name
    assert made.outcome == Stalled("ModelLoadFailed", seconds=60.0)
    assert [event.type for event in made.events] == ["Warning"]
    assert again(made, **world).events == ()


def test_a_serving_revision_that_lost_a_pod_is_scaling() -> None:
    spec = builders.spec(uri="pvc://models/digits/1", serving={"replicas": {"min": 2}})

    made = plan(**serving_first(spec=spec, workloads={FIRST.name: running(replicas=2, available=1)}))

    assert said(made)["Ready"] == ("False", "Scaling")
    assert message(made, "ModelReady") == f"Revision {FIRST.name}: 1 of 2 replicas are ready and up to date."
    assert said(made)["Available"] == ("True", "EndpointReady")


def test_a_serving_revision_without_pods_has_no_endpoint() -> None:
    made = plan(**serving_first(workloads={FIRST.name: STARTING}, endpoints={}))

    assert said(made)["Available"] == ("False", "NoEndpoint")


def test_a_fixed_number_of_pods_is_set_on_the_deployment() -> None:
    spec = builders.spec(uri="pvc://models/digits/1", serving={"replicas": {"min": 3}})

    assert plan(**serving_first(spec=spec)).scales == (Scale(deployment=f"{FIRST.name}-predictor", replicas=3),)


def test_an_autoscaled_number_of_pods_is_left_to_the_autoscaler() -> None:
    spec = builders.spec(uri="pvc://models/digits/1", serving={"replicas": {"min": 2, "max": 5}})

    made = plan(**serving_first(spec=spec, workloads={FIRST.name: running(replicas=4)}))

    assert made.scales == ()
    assert f"HorizontalPodAutoscaler/{FIRST.name}" in names(made)


@pytest.mark.parametrize(
    ("replicas", "guarded"),
    [({"min": 1}, False), ({"min": 2}, True), ({"min": 1, "max": 3}, True)],
    ids=["one pod", "several", "perhaps several"],
)
def test_several_pods_have_a_disruption_budget(replicas: dict[str, int], guarded: bool) -> None:
    spec = builders.spec(uri="pvc://models/digits/1", serving={"replicas": replicas})

    assert (f"PodDisruptionBudget/{FIRST.name}" in names(plan(**serving_first(spec=spec)))) is guarded


def test_a_deployment_at_zero_is_raised_under_an_autoscaler_too() -> None:
    spec = builders.spec(uri="pvc://models/digits/1", serving={"replicas": {"min": 2, "max": 5}})

    made = plan(**serving_first(spec=spec, workloads={FIRST.name: running(replicas=0)}))

    assert made.scales == (Scale(deployment=f"{FIRST.name}-predictor", replicas=2),)


def test_a_draining_revision_keeps_its_pods_and_loses_its_autoscaler() -> None:
    spec = builders.spec(uri="pvc://models/digits/2", serving={"replicas": {"min": 1, "max": 5}})
    made = plan(
        spec=spec,
        revisions=(FIRST, SECOND),
        workloads={FIRST.name: running(replicas=4), SECOND.name: running(replicas=4)},
        selected=SECOND.name,
        status=status(entry(SECOND, "Stable"), entry(FIRST, "Draining")),
    )

    assert [name for name in names(made) if name.startswith("Horizontal")] == [f"HorizontalPodAutoscaler/{SECOND.name}"]
    assert made.scales == ()


def test_waking_a_parked_revision_is_told() -> None:
    made = plan(
        spec=ONE,
        revisions=(FIRST, SECOND),
        workloads={FIRST.name: Workload(stopped=True), SECOND.name: running()},
        selected=SECOND.name,
        status=status(entry(SECOND, "Stable"), entry(FIRST, "Parked")),
    )

    assert [event.reason for event in made.events] == ["RevisionWoken"]


def test_a_dropped_revision_is_told_and_no_longer_planned() -> None:
    made = plan(**serving_first(revisions=(FIRST, SECOND), status=status(entry(FIRST, "Stable"), entry(SECOND, "Candidate", served=False))))

    assert not [name for name in names(made) if SECOND.name in name]
    assert [event.reason for event in made.events] == ["RevisionRemoved"]


def test_a_serving_revision_without_record_is_spared() -> None:
    made = plan(spec=TWO, selected="digits-unknown")

    assert made.spared == {"digits-unknown"}
    assert made.objects[0]["spec"]["selector"]["serving.kserve.io/inferenceservice"] == "digits-unknown"


def test_suspension_is_told_and_nothing_is_waited_for() -> None:
    spec = builders.spec(suspend=True, uri="pvc://models/digits/2")

    made = plan(**serving_first(spec=spec))

    assert said(made)["Ready"] == ("False", "Suspended")
    assert said(made)["Reconciling"] == said(made)["Stalled"] == ("False", "Suspended")
    assert message(made, "Ready") == f"spec.suspend is set: revision {SECOND.name} waits. {FIRST.name} goes on serving."
    assert made.outcome == Done()


def test_created_suspended_the_address_is_there_and_nothing_else() -> None:
    made = plan(spec=builders.spec(suspend=True))

    assert names(made) == ["Service/digits"]
    assert said(made)["Ready"] == ("False", "Suspended")


def test_names_that_kserve_cannot_label_are_told_with_the_way_out() -> None:
    identity = builders.identity(name="r" * 39, namespace="shops")

    made = plan(identity=identity)

    assert said(made)["Stalled"] == ("True", "NameTooLong")
    assert "1 characters too long" in message(made, "Ready")
    assert (made.objects, made.prune) == ((), False)


def test_names_that_just_fit_are_accepted() -> None:
    made = plan(identity=builders.identity(name="r" * 39, namespace="shop"))

    assert said(made)["Accepted"] == ("True", "SpecAccepted")


def test_an_object_that_this_version_cannot_read_is_left_as_it_is() -> None:
    made = plan(**serving_first(spec=None, spec_error="spec.model.format: unknown."))

    assert said(made)["Stalled"] == ("True", "SpecUnreadable")
    assert (made.objects, made.prune) == ((), False)
    assert made.status is not None
    assert made.status.revision == FIRST.name


def test_an_object_that_goes_away_is_left_to_the_garbage_collector() -> None:
    assert plan(identity=builders.identity(deleting=True)) == Plan(prune=False)


def test_a_pass_that_could_not_be_applied_says_why_and_keeps_what_was_known() -> None:
    before = plan(**serving_first()).status
    assert before is not None
    seen = observed(**serving_first(status=before, identity=builders.identity(generation=2)), now=at(60))

    after = failure.status_after(seen, reason=conditions.NAME_TAKEN, message="Service shop/digits is taken.")

    kept = {condition.type: (condition.status, condition.reason) for condition in after.conditions}
    assert kept == {
        "Ready": ("False", "NameTaken"),
        "Reconciling": ("False", "NameTaken"),
        "Stalled": ("True", "NameTaken"),
        "Accepted": ("False", "NameTaken"),
        "ModelReady": ("True", "ModelLoaded"),
        "Routed": ("True", "RevisionRouted"),
        "Available": ("True", "EndpointReady"),
    }
    assert (after.observed_generation, after.revisions) == (2, before.revisions)


def test_a_generation_is_not_observed_by_a_pass_that_will_be_retried() -> None:
    before = plan(**serving_first()).status
    seen = observed(**serving_first(status=before, identity=builders.identity(generation=2)))

    after = failure.status_after(seen, reason=conditions.API_UNAVAILABLE, message="refused.")

    assert after.observed_generation == 1


def test_a_failure_is_told_once() -> None:
    seen = observed()
    first = failure.warning(seen, reason=conditions.NAME_TAKEN, message="taken.")
    told = observed(status=failure.status_after(seen, reason=conditions.NAME_TAKEN, message="taken."))

    assert [event.reason for event in first] == ["NameTaken"]
    assert failure.warning(told, reason=conditions.NAME_TAKEN, message="taken.") == ()
    assert failure.warning(seen, reason=conditions.API_UNAVAILABLE, message="refused.") == ()


def test_a_transition_time_moves_only_with_the_status() -> None:
    before = plan(**serving_first())
    assert before.status is not None

    after = modeldeployment.plan(observed(**serving_first(status=before.status, workloads={FIRST.name: STARTING}, endpoints={}), now=at(100)))

    assert after.status is not None
    times = {condition.type: condition.last_transition_time for condition in after.status.conditions}
    assert times["Ready"] == times["Available"] == "2026-11-24T12:01:40Z"
    assert times["Accepted"] == times["Stalled"] == "2026-11-24T12:00:00Z"


def test_a_long_message_is_cut() -> None:
    verdicts = {conditions.ACCEPTED: summary.failed(conditions.REJECTED, "x" * 5000)}

    found = summary.summarize(verdicts, previous=(), generation=1, now=builders.NOW)

    assert max(len(condition.message) for condition in found) == summary.MESSAGE_LIMIT


@pytest.mark.parametrize("reason", sorted(conditions.STALLING_REASONS))
def test_whatever_time_does_not_cure_is_stalled(reason: str) -> None:
    verdicts = {conditions.ACCEPTED: summary.failed(reason, "because")}

    found = {condition.type: condition.status for condition in summary.summarize(verdicts, previous=(), generation=1, now=builders.NOW)}

    assert (found["Ready"], found["Reconciling"], found["Stalled"]) == ("False", "False", "True")


def test_plans_are_made_of_values_only() -> None:
    """The same observation gives the same plan, whatever happened before."""
    world: Observed = observed(**serving_first())

    assert modeldeployment.plan(world) == modeldeployment.plan(world)


def test_a_second_pass_within_the_same_second_tells_of_no_parking_again() -> None:
    world: dict[str, Any] = {"spec": TWO, "revisions": (FIRST, SECOND), "selected": SECOND.name}
    running_both = {FIRST.name: running(), SECOND.name: running()}
    made = plan(**world, workloads=running_both, status=status(entry(SECOND, "Stable"), entry(FIRST, "Draining", since=at(-15))))

    once_more = plan(**world, workloads=running_both | {FIRST.name: Workload(stopped=True)}, status=made.status)

    assert once_more.events == ()


def test_a_transformer_without_any_image_is_refused_and_what_serves_is_left_alone() -> None:
    written = ModelDeploymentSpec.model_validate({"model": builders.model(), "transformer": {}})
    made = plan(**serving_first(spec=written, transformer_image=None))

    assert (made.objects, made.prune) == ((), False)
    assert said(made)["Stalled"] == ("True", "TransformerImageUnknown")
    named = written.model_copy(update={"transformer": Transformer(image="shop:1")})
    assert said(plan(**serving_first(spec=named, transformer_image=None)))["Accepted"] == ("True", "SpecAccepted")


def test_a_new_image_of_the_operators_makes_no_new_revision_and_changes_none() -> None:
    written = ModelDeploymentSpec.model_validate({"model": builders.model(), "transformer": {}})
    made = plan(spec=written, transformer_image="slipway/transformer:1")
    records = [child for child in made.objects if child["kind"] == "ControllerRevision"]
    known = tuple(Revision.recorded(name=each["metadata"]["name"], number=each["revision"], data=each["data"]) for each in records)

    later = plan(spec=written, transformer_image="slipway/transformer:2", revisions=known)

    assert [child for child in later.objects if child["kind"] in ("ControllerRevision", "InferenceService")] == [
        child for child in made.objects if child["kind"] in ("ControllerRevision", "InferenceService")
    ]
