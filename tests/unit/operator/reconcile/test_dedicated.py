"""A router of a ModelDeployment's own, its tokens, and the way there and back."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec
from slipway_operator.reconcile import modeldeployment
from slipway_operator.state.observed import Observed, Routers
from slipway_operator.state.plan import Plan, Wait
from slipway_operator.state.routes import Division, Limits, RouteTable, Split
from slipway_testing import builders

NOW = builders.revision()
OWN, SHARED = "digits-router", "slipway-router"


def spec(**traffic: Any) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate({"model": builders.model(), "traffic": traffic})


def table(*, tokens: bool = False) -> RouteTable:
    division = Division(seed="shop/digits", epoch=3, split=Split.whole(NOW.name))
    limits = Limits(timeout_ms=60_000, body_bytes=2**26, pending_per_pod=128)
    return RouteTable(namespace="shop", model="digits", division=division, unit=None, limits=limits, tokens=tokens)


def serving(written: ModelDeploymentSpec, routers: Routers, *, live: RouteTable | None = None) -> Observed:
    return builders.observed(
        spec=written,
        revisions=(NOW,),
        status=builders.status(builders.entry(NOW, "Stable", since=builders.long_ago())),
        workloads={NOW.name: builders.running()},
        table=live or table(),
        selected=NOW.name,
        routers=routers,
        endpoints={"": 2},
    )


def routers(name: str, *digests: str | None, **changes: Any) -> Routers:
    valid: dict[str, Any] = {"addressed": True, "image": "slipway/router:test", "replicas": 2}
    return Routers(name=name, digests={f"pod-{number}": digest for number, digest in enumerate(digests)}, **(valid | changes))


def child(plan: Plan, kind: str, name: str) -> dict[str, Any] | None:
    return next((dict(each) for each in plan.objects if (each["kind"], each["metadata"]["name"]) == (kind, name)), None)


def selector(plan: Plan) -> Any:
    found = child(plan, "Service", "digits")
    assert found
    return found["spec"].get("selector")


def labels(plan: Plan) -> Any:
    config = child(plan, "ConfigMap", "digits-routes")
    assert config
    return {key: value for key, value in config["metadata"]["labels"].items() if "router" in key}


def asks_for_tokens(plan: Plan) -> Any:
    config = child(plan, "ConfigMap", "digits-routes")
    assert config
    return json.loads(config["data"]["routes.json"])["tokens"]


def condition(plan: Plan, kind: str) -> tuple[str, str]:
    assert plan.status
    return next((each.status, each.reason) for each in plan.status.conditions if each.type == kind)


def test_the_address_stays_with_the_shared_router_until_its_own_follows() -> None:
    coming = modeldeployment.plan(serving(spec(router="Dedicated"), routers(OWN, addressed=False, leaving=SHARED)))

    assert child(coming, "Deployment", OWN)
    assert child(coming, "PodDisruptionBudget", OWN)
    assert child(coming, "Service", f"{OWN}-pods")
    assert selector(coming) == {"slipway.dev/router": SHARED}
    assert labels(coming) == {"slipway.dev/router": SHARED, "slipway.dev/dedicated-router": OWN}
    assert (condition(coming, "Available"), condition(coming, "Routed")) == (("True", "EndpointReady"), ("False", "NoRouter"))

    fresh = serving(spec(router="Dedicated"), routers(OWN, table().digest, addressed=False, leaving=SHARED, announced=False))
    assert selector(modeldeployment.plan(fresh)) == {"slipway.dev/router": SHARED}
    assert modeldeployment.plan(fresh).outcome == Wait(modeldeployment.ROUTER_LOOK_S)

    there = modeldeployment.plan(serving(spec(router="Dedicated"), routers(OWN, table().digest, table().digest, addressed=False, leaving=SHARED)))
    assert selector(there) == {"slipway.dev/router": OWN}


def test_its_own_router_stays_until_the_address_has_left_it() -> None:
    leaving = modeldeployment.plan(serving(spec(), routers(SHARED, table().digest, addressed=False, leaving=OWN, lingering=OWN)))

    assert selector(leaving) == {"slipway.dev/router": SHARED}
    assert OWN in leaving.spared
    assert labels(leaving)["slipway.dev/dedicated-router"] == OWN

    following = modeldeployment.plan(serving(spec(), routers(SHARED, table().digest, leaving=OWN, lingering=OWN)))
    assert (selector(following), following.spared) == ({"slipway.dev/router": SHARED}, frozenset({OWN, f"{OWN}-pods"}))

    ending = modeldeployment.plan(serving(spec(), routers(SHARED, table().digest, lingering=OWN)))
    assert (child(ending, "Deployment", OWN), ending.spared) == (None, frozenset())
    assert labels(ending)["slipway.dev/dedicated-router"] == OWN

    left = modeldeployment.plan(serving(spec(), routers(SHARED, table().digest)))
    assert (child(left, "Deployment", OWN), left.spared, labels(left)) == (None, frozenset(), {"slipway.dev/router": SHARED})


def test_a_shared_router_that_does_not_follow_holds_its_own_in_place() -> None:
    waiting = modeldeployment.plan(serving(spec(), routers(SHARED, "earlier", addressed=False, leaving=OWN)))

    assert selector(waiting) == {"slipway.dev/router": OWN}
    assert OWN in waiting.spared


def test_the_pods_belong_to_the_modeldeployment_and_follow_its_tables_only() -> None:
    plan = modeldeployment.plan(serving(spec(router="Dedicated"), routers(OWN, table().digest)))
    deployment = child(plan, "Deployment", OWN)
    assert deployment
    template = deployment["spec"]["template"]
    agent = next(each for each in template["spec"]["containers"] if each["name"] == "agent")

    assert deployment["metadata"]["ownerReferences"][0]["kind"] == "ModelDeployment"
    assert template["metadata"]["labels"]["slipway.dev/router"] == OWN
    assert template["spec"]["serviceAccountName"] == SHARED
    assert {"name": "SLIPWAY_ROUTER_NAME", "value": OWN} in agent["env"]
    assert {"name": "SLIPWAY_TABLES_LABEL", "value": "slipway.dev/dedicated-router"} in agent["env"]


def test_tokens_are_asked_for_once_every_router_has_them() -> None:
    written = spec(router="Dedicated", tokens={"name": "keys"})
    mounting = modeldeployment.plan(serving(written, routers(OWN, table().digest)))
    deployment = child(mounting, "Deployment", OWN)
    assert deployment
    pod = deployment["spec"]["template"]["spec"]
    nginx = next(each for each in pod["containers"] if each["name"] == "nginx")

    assert {"name": "tokens", "secret": {"secretName": "keys"}} in pod["volumes"]
    assert {"name": "tokens", "mountPath": "/etc/slipway/tokens", "readOnly": True} in nginx["volumeMounts"]
    assert not asks_for_tokens(mounting)
    assert condition(mounting, "Routed") == ("False", "Routing")
    assert asks_for_tokens(modeldeployment.plan(serving(written, routers(OWN, table().digest, tokens="keys"))))


def test_another_secret_never_opens_the_door() -> None:
    live = table(tokens=True)
    turning = serving(spec(router="Dedicated", tokens={"name": "new"}), routers(OWN, live.digest, tokens=None), live=live)

    assert asks_for_tokens(modeldeployment.plan(turning))


def test_tokens_without_a_router_of_its_own_are_refused() -> None:
    with pytest.raises(ValidationError, match="tokens need router: Dedicated"):
        spec(tokens={"name": "keys"})
