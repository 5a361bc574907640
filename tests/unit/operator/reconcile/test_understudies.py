"""A shadow and a fallback beside the revision that serves."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec
from slipway_operator.reconcile import modeldeployment
from slipway_operator.state.observed import Compared, Observed, Routers, Workload
from slipway_operator.state.plan import Plan, Wait
from slipway_operator.state.revision import Revision
from slipway_operator.state.routes import Division, Limits, RouteTable, Split
from slipway_testing import builders

OLD = builders.revision(builders.spec(uri="pvc://models/digits/0"))
NOW = builders.revision(number=2)
OTHER_MODEL = builders.model(uri="pvc://models/digits/other")
OTHER = builders.revision(builders.spec(uri="pvc://models/digits/other"), number=3)
SHADOW: dict[str, Any] = {"shadow": {"model": OTHER_MODEL, "percent": 25}}
FALLBACK: dict[str, Any] = {"fallback": {"model": OTHER_MODEL}}
PREVIOUS: dict[str, Any] = {"fallback": {"revision": "Previous"}}
RESPONSE: dict[str, Any] = {"fallback": {"response": {"status": 203, "contentType": "text/plain", "body": "later"}}}


def spec(*, suspend: bool = False, uri: str = "pvc://models/digits/1", serving: dict[str, Any] | None = None, **traffic: Any) -> ModelDeploymentSpec:
    written = {"model": builders.model(uri=uri), "serving": serving or {}, "traffic": traffic, "suspend": suspend}
    return ModelDeploymentSpec.model_validate(written)


def table(stable: str, **changes: Any) -> RouteTable:
    division = Division(seed="shop/digits", epoch=3, split=Split.whole(stable))
    limits = Limits(timeout_ms=60_000, body_bytes=2**26, pending_per_pod=128)
    return RouteTable(namespace="shop", model="digits", division=division, unit=None, limits=limits, **changes)


def serving(written: ModelDeploymentSpec, *entries: dict[str, Any], **changes: Any) -> Observed:
    """NOW serves; OLD served before it and is parked."""
    live = changes.pop("table", table(NOW.name))
    known = entries or (builders.entry(NOW, "Stable", since=builders.long_ago()), builders.entry(OLD, "Parked", since=builders.at(-7000)))
    valid: dict[str, Any] = {
        "spec": written,
        "revisions": (NOW, OLD),
        "status": builders.status(*known),
        "workloads": {NOW.name: builders.running(), OLD.name: Workload(stopped=True)},
        "table": live,
        "selected": NOW.name,
        "routers": Routers(name="slipway-router", addressed=True, digests={"pod-1": live.digest}),
    }
    return builders.observed(**(valid | changes))


def roles(plan: Plan) -> dict[str, str]:
    assert plan.status
    return {entry.name: entry.role for entry in plan.status.revisions}


def written_table(plan: Plan) -> dict[str, Any]:
    config = next(child for child in plan.objects if child["metadata"]["name"] == "digits-routes")
    parsed: dict[str, Any] = json.loads(config["data"]["routes.json"])
    return parsed


def stopped(plan: Plan, revision: Revision) -> bool:
    service = next(child for child in plan.objects if child["kind"] == "InferenceService" and child["metadata"]["name"] == revision.name)
    return "serving.kserve.io/stop" in service["metadata"]["annotations"]


def condition(plan: Plan, kind: str) -> tuple[str, str] | None:
    assert plan.status
    return next(((each.status, each.reason) for each in plan.status.conditions if each.type == kind), None)


def test_a_shadow_gets_a_revision_with_one_pod_and_its_share_of_copies() -> None:
    plan = modeldeployment.plan(serving(spec(serving={"replicas": {"min": 3}}, **SHADOW)))

    assert roles(plan) == {NOW.name: "Stable", OTHER.name: "Shadow", OLD.name: "Parked"}
    assert written_table(plan)["shadow"] == {"revision": OTHER.name, "percent": "25"}
    assert (written_table(plan)["epoch"], written_table(plan)["slots"]) == (3, [[10_000, 0]])
    assert not stopped(plan, OTHER)
    assert [event.message for event in plan.events] == [f"Created revision {OTHER.name} for pvc://models/digits/other."]


def test_a_shadow_has_one_pod_and_a_fallback_the_least_that_serve() -> None:
    workloads = {NOW.name: builders.running(replicas=3), OTHER.name: builders.running(replicas=2)}
    known = (NOW, OTHER)
    scaled = {"replicas": {"min": 3, "max": 5}}

    shadowed = modeldeployment.plan(serving(spec(serving=scaled, **SHADOW), revisions=known, workloads=workloads))
    backed = modeldeployment.plan(serving(spec(serving=scaled, **FALLBACK), revisions=known, workloads=workloads))

    assert [(scale.deployment, scale.replicas) for scale in shadowed.scales] == [(f"{OTHER.name}-predictor", 1)]
    assert [(scale.deployment, scale.replicas) for scale in backed.scales] == [(f"{OTHER.name}-predictor", 3)]


def test_ready_does_not_wait_for_a_shadow_and_the_shadow_says_how_it_is() -> None:
    starting = serving(spec(**SHADOW), revisions=(NOW, OLD, OTHER), workloads={NOW.name: builders.running(), OTHER.name: Workload(replicas=1)})
    plan = modeldeployment.plan(starting)

    assert (condition(plan, "Ready"), condition(plan, "ShadowReady")) == (("True", "Serving"), ("False", "Starting"))
    assert plan.outcome == Wait(modeldeployment.SHADOW_LOOK_S)


def test_a_shadow_that_is_taken_out_goes_without_a_trace() -> None:
    live = table(NOW.name)
    entries = (builders.entry(NOW, "Stable", since=builders.long_ago()), builders.entry(OTHER, "Shadow", served=False))
    plan = modeldeployment.plan(serving(spec(), *entries, table=live, revisions=(NOW, OTHER)))

    assert roles(plan) == {NOW.name: "Stable"}
    assert "shadow" not in written_table(plan)
    assert condition(plan, "ShadowReady") is None


def test_the_model_that_serves_is_no_shadow_of_itself() -> None:
    plan = modeldeployment.plan(serving(spec(shadow={"model": builders.model(), "percent": 5})))

    assert roles(plan) == {NOW.name: "Stable", OLD.name: "Parked"}
    assert "shadow" not in written_table(plan)
    assert condition(plan, "ShadowReady") == ("False", "SameRevision")


def test_a_promoted_shadow_becomes_the_candidate_with_its_pod() -> None:
    entries = (builders.entry(NOW, "Stable", since=builders.long_ago()), builders.entry(OTHER, "Shadow", served=False))
    workloads = {NOW.name: builders.running(), OTHER.name: Workload(replicas=1)}
    plan = modeldeployment.plan(serving(spec(uri="pvc://models/digits/other", **SHADOW), *entries, revisions=(NOW, OTHER), workloads=workloads))

    assert roles(plan) == {NOW.name: "Stable", OTHER.name: "Candidate"}
    assert not stopped(plan, OTHER)


def test_previous_wakes_the_revision_that_served_before() -> None:
    plan = modeldeployment.plan(serving(spec(**PREVIOUS)))

    assert roles(plan) == {NOW.name: "Stable", OLD.name: "Fallback"}
    assert not stopped(plan, OLD)
    assert written_table(plan)["fallback"] == {"revision": OLD.name}
    assert [event.reason for event in plan.events] == ["RevisionWoken"]
    assert condition(plan, "FallbackReady") == ("False", "Starting")


def test_who_gives_way_becomes_the_fallback_and_the_one_before_drains() -> None:
    new = builders.revision(builders.spec(uri="pvc://models/digits/2"), number=3)
    entries = (
        builders.entry(NOW, "Stable", since=builders.long_ago()),
        builders.entry(new, "Candidate", served=False),
        builders.entry(OLD, "Fallback", since=builders.at(-7000)),
    )
    everybody = {revision.name: builders.running() for revision in (NOW, OLD, new)}
    seen = serving(spec(uri="pvc://models/digits/2", **PREVIOUS), *entries, revisions=(new, NOW, OLD), workloads=everybody)
    plan = modeldeployment.plan(seen)

    assert roles(plan) == {new.name: "Stable", NOW.name: "Fallback", OLD.name: "Draining"}
    assert written_table(plan)["fallback"] == {"revision": NOW.name}


def test_a_revision_that_was_rolled_back_is_no_fallback() -> None:
    bad = builders.revision(builders.spec(uri="pvc://models/digits/bad"), number=3)
    refused = {"revision": bad.name, "at": "2026-11-24T11:59:00Z", "message": "bad"}
    entries = (
        builders.entry(NOW, "Stable", since=builders.long_ago()),
        builders.entry(bad, "Draining"),
        builders.entry(OLD, "Parked", since=builders.at(-7000)),
    )
    seen = serving(spec(**PREVIOUS), *entries, revisions=(bad, NOW, OLD), status=builders.status(*entries, refused=[refused]))

    assert roles(modeldeployment.plan(seen))[OLD.name] == "Fallback"


def test_without_history_there_is_nothing_to_fall_back_to() -> None:
    only = builders.entry(NOW, "Stable", since=builders.long_ago())
    plan = modeldeployment.plan(serving(spec(**PREVIOUS), only, revisions=(NOW,)))

    assert condition(plan, "FallbackReady") == ("False", "NothingBefore")
    assert "fallback" not in written_table(plan)
    assert condition(plan, "Ready") == ("True", "Serving")


def test_a_fallback_that_never_served_drains_before_it_goes() -> None:
    entries = (builders.entry(NOW, "Stable", since=builders.long_ago()), builders.entry(OTHER, "Fallback", served=False))
    leaving = modeldeployment.plan(serving(spec(), *entries, revisions=(NOW, OTHER)))
    assert roles(leaving) == {NOW.name: "Stable", OTHER.name: "Draining"}

    entries = (entries[0], builders.entry(OTHER, "Draining", since=builders.at(-60), served=False))
    gone = modeldeployment.plan(serving(spec(), *entries, revisions=(NOW, OTHER)))
    assert roles(gone) == {NOW.name: "Stable"}


def test_a_fixed_response_needs_no_revision() -> None:
    plan = modeldeployment.plan(serving(spec(**RESPONSE)))

    assert written_table(plan)["fallback"] == {"response": {"status": 203, "contentType": "text/plain", "body": "later"}}
    assert condition(plan, "FallbackReady") == ("True", "ResponseFixed")
    assert condition(plan, "Degraded") == ("False", "ModelAnswers")


@pytest.mark.parametrize(("traffic", "by"), [(FALLBACK, f"revision {OTHER.name}"), (RESPONSE, "the fixed response")])
def test_it_is_degraded_while_only_the_fallback_answers(traffic: dict[str, Any], by: str) -> None:
    workloads = {NOW.name: Workload(replicas=1), OTHER.name: builders.running()}
    plan = modeldeployment.plan(serving(spec(**traffic), revisions=(NOW, OTHER), workloads=workloads))

    assert condition(plan, "Degraded") == ("True", "FallbackAnswers")
    assert condition(plan, "Available") == ("True", "FallbackAnswers")
    assert condition(plan, "Ready") == ("False", "Starting")
    assert plan.status
    assert next(each.message for each in plan.status.conditions if each.type == "Degraded") == (
        f"Revision {NOW.name} has no ready pod; {by} answers in its place."
    )


def test_a_fallback_without_pods_makes_nothing_better() -> None:
    workloads = {NOW.name: Workload(replicas=1), OTHER.name: Workload(replicas=1)}
    plan = modeldeployment.plan(serving(spec(**FALLBACK), revisions=(NOW, OTHER), workloads=workloads))

    assert condition(plan, "Degraded") == ("False", "ModelAnswers")
    assert condition(plan, "Available") == ("False", "NoEndpoint")


def test_suspended_understudies_stay_as_they_are() -> None:
    live = table(NOW.name, fallback=OLD.name)
    entries = (builders.entry(NOW, "Stable", since=builders.long_ago()), builders.entry(OLD, "Fallback", since=builders.at(-7000)))
    plan = modeldeployment.plan(serving(spec(suspend=True, **SHADOW), *entries, table=live))

    assert roles(plan) == {NOW.name: "Stable", OLD.name: "Fallback"}
    assert written_table(plan)["fallback"] == {"revision": OLD.name}
    assert "shadow" not in written_table(plan)


def test_without_routers_nobody_stands_by() -> None:
    plan = modeldeployment.plan(serving(spec(**SHADOW, **PREVIOUS), routers=None))

    assert roles(plan) == {NOW.name: "Stable", OLD.name: "Parked"}


def shadowed(compared: Compared | None, **status: Any) -> Plan:
    entries = (builders.entry(NOW, "Stable", since=builders.long_ago()), builders.entry(OTHER, "Shadow", served=False))
    workloads = {NOW.name: builders.running(), OTHER.name: builders.running()}
    known = builders.status(*entries, **status)
    return modeldeployment.plan(serving(spec(**SHADOW), *entries, revisions=(NOW, OTHER), workloads=workloads, status=known, compared=compared))


def test_the_status_says_how_the_shadow_compares() -> None:
    plan = shadowed(Compared(revision=OTHER.name, answers=400, agreed=399, absolute_difference=0.01234, seconds_difference=-0.0021, failed=2))
    assert plan.status
    assert plan.status.shadow
    assert plan.status.shadow.model_dump() == {
        "revision": OTHER.name,
        "compared": 400,
        "failed": 2,
        "agreement": "0.998",
        "mean_absolute_difference": "0.0123",
        "milliseconds_difference": "-2.1",
    }


def test_silent_routers_leave_the_last_figures_of_this_shadow_only() -> None:
    before = {"revision": OTHER.name, "compared": 7, "failed": 0}
    kept, other = shadowed(None, shadow=before), shadowed(None, shadow=before | {"revision": OLD.name})

    assert kept.status
    assert kept.status.shadow
    assert kept.status.shadow.compared == 7
    assert other.status
    assert other.status.shadow is None


@pytest.mark.parametrize(
    ("traffic", "told"),
    [
        ({"fallback": {}}, "exactly one of revision, model and response"),
        ({"fallback": PREVIOUS["fallback"] | RESPONSE["fallback"]}, "exactly one of revision, model and response"),
        ({"shadow": {"model": {"uri": "pvc://models/r", "format": "triton"}}}, "batching is refused with format triton"),
        ({"fallback": {"model": {"uri": "pvc://models/r", "format": "triton"}}}, "batching is refused with format triton"),
    ],
)
def test_what_does_not_go_together_is_refused(traffic: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        spec(serving={"batching": {"maxBatchSize": 8}}, **traffic)


def transformed(uri: str, **traffic: Any) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate({"model": builders.model(uri=uri), "transformer": {}, "traffic": traffic})


def test_routers_are_told_which_revisions_have_a_transformer() -> None:
    """The one that serves has none yet; the new one and the fallback have the spec's."""
    written = transformed("pvc://models/digits/2", fallback={"model": OTHER_MODEL}, rollout={})
    new = Revision.of(written, owner="digits", number=3, runtime="r")
    fallback = Revision.of(written.model_copy(update={"model": written.traffic.models[0]}), owner="digits", number=4, runtime="r")
    ready = {name: builders.running() for name in (NOW.name, new.name, fallback.name)}

    made = modeldeployment.plan(serving(written, workloads=ready))
    told = written_table(made)

    assert [entry["name"] for entry in told["revisions"]] == [NOW.name, new.name]
    assert told["httpOnly"] == sorted([new.name, fallback.name])
    assert RouteTable.parse(json.dumps(told)).http_only == tuple(sorted([new.name, fallback.name]))


def test_routers_are_told_nothing_of_transformers_where_there_are_none() -> None:
    assert "httpOnly" not in written_table(modeldeployment.plan(serving(spec())))


def test_a_serving_revision_whose_record_is_gone_keeps_what_routers_know_of_it() -> None:
    written = transformed("pvc://models/digits/2")
    live = table("digits-lost", http_only=("digits-lost", "digits-older"))

    told = written_table(modeldeployment.plan(serving(written, table=live, selected="digits-lost", revisions=())))

    assert told["httpOnly"] == ["digits-lost"]
