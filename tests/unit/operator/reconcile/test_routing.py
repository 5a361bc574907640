"""Where requests go through routers: the table is the move, and routers say when it has happened."""

import json
from typing import Any

import pytest

from slipway_operator.api import conditions
from slipway_operator.reconcile import modeldeployment, traffic
from slipway_operator.state.observed import Observed, Routers
from slipway_operator.state.plan import Plan, Wait
from slipway_operator.state.routes import Division, Limits, RouteTable, Split
from slipway_testing import builders

OLD = builders.revision(builders.spec(uri="pvc://models/digits/0"))
NEW = builders.revision(number=2)
ROUTER = "slipway-router"


def table(stable: str | None, *, epoch: int = 3) -> RouteTable:
    return RouteTable(
        namespace="shop",
        model="digits",
        division=Division(seed="shop/digits", epoch=epoch, split=Split.whole(stable)),
        unit=None,
        limits=Limits(timeout_ms=60_000, body_bytes=2**26, pending_per_pod=128),
    )


def routers(*digests: str | None, addressed: bool = True, **changes: Any) -> Routers:
    return Routers(name=ROUTER, addressed=addressed, digests={f"pod-{number}": digest for number, digest in enumerate(digests)}, **changes)


def serving(live: RouteTable, **changes: Any) -> Observed:
    """One revision serves through routers that follow."""
    stable = live.division.split.stable
    valid: dict[str, Any] = {
        "revisions": (NEW,),
        "status": builders.status(builders.entry(NEW, "Stable", since=builders.long_ago())),
        "workloads": {NEW.name: builders.running()},
        "table": live,
        "selected": stable,
        "routers": routers(live.digest, live.digest),
    }
    return builders.observed(**(valid | changes))


def written(plan: Plan) -> dict[str, Any]:
    config = next(child for child in plan.objects if child["metadata"]["name"] == "digits-routes")
    assert config["metadata"]["labels"]["slipway.dev/router"] == ROUTER
    parsed: dict[str, Any] = json.loads(config["data"]["routes.json"])
    return parsed


def selector(plan: Plan) -> Any:
    return next(child for child in plan.objects if child["kind"] == "Service")["spec"].get("selector")


def condition(plan: Plan, kind: str) -> tuple[str, str, str]:
    assert plan.status
    found = next(each for each in plan.status.conditions if each.type == kind)
    return found.status, found.reason, found.message


def test_a_new_object_is_addressed_through_routers_and_nobody_serves_yet() -> None:
    plan = modeldeployment.plan(builders.observed(routers=routers(None, addressed=False)))

    assert selector(plan) == {"slipway.dev/router": ROUTER}
    assert (written(plan)["revisions"], written(plan)["slots"], written(plan)["epoch"]) == ([], [], 1)


def test_a_ready_revision_gets_all_slots_in_a_new_epoch() -> None:
    live = table(OLD.name)
    moving = serving(
        live,
        revisions=(NEW, OLD),
        status=builders.status(builders.entry(OLD, "Stable", since=builders.long_ago()), builders.entry(NEW, "Candidate", served=False)),
        workloads={NEW.name: builders.running(), OLD.name: builders.running()},
    )

    plan = modeldeployment.plan(moving)

    assert (written(plan)["revisions"], written(plan)["epoch"]) == ([{"name": NEW.name, "role": "Stable"}], 4)
    assert condition(plan, conditions.ROUTED)[:2] == ("False", conditions.ROUTING)
    assert isinstance(plan.outcome, Wait)
    assert plan.outcome.seconds == modeldeployment.ROUTER_LOOK_S


def test_it_is_routed_when_every_router_says_so() -> None:
    live = table(NEW.name)

    assert condition(modeldeployment.plan(serving(live)), conditions.ROUTED)[:2] == ("True", conditions.REVISION_ROUTED)
    late = modeldeployment.plan(serving(live, routers=routers(live.digest, "an earlier one")))
    assert condition(late, conditions.ROUTED) == (
        "False",
        conditions.ROUTING,
        f"1 of 2 pods of router {ROUTER} send requests to revision {NEW.name}.",
    )


@pytest.mark.parametrize(("reached_s", "look_in_s"), [(0.0, 2.1), (1.5, 0.6)])
def test_a_new_address_is_routed_when_nodes_have_had_time_to_learn_of_it(reached_s: float, look_in_s: float) -> None:
    live = table(NEW.name)
    found = routers(live.digest, reached_s=reached_s)

    plan = modeldeployment.plan(serving(live, routers=found))

    assert condition(plan, conditions.ROUTED) == ("False", conditions.ROUTING, f"Nodes learn that the address leads to router {ROUTER}.")
    assert isinstance(plan.outcome, Wait)
    assert plan.outcome.seconds == pytest.approx(look_in_s)
    assert condition(modeldeployment.plan(serving(live, routers=routers(live.digest, reached_s=2.0))), conditions.ROUTED)[0] == "True"


def test_an_address_that_nodes_knew_stays_routed_while_its_endpoints_come_and_go() -> None:
    live = table(NEW.name)
    known = modeldeployment.plan(serving(live)).status
    assert known

    plan = modeldeployment.plan(serving(live, status=known, routers=routers(live.digest, reached_s=0.0)))

    assert condition(plan, conditions.ROUTED)[0] == "True"
    assert not isinstance(plan.outcome, Wait)


def test_a_world_at_rest_asks_for_nothing() -> None:
    live = table(NEW.name)
    first = modeldeployment.plan(serving(live))
    assert first.status
    second = modeldeployment.plan(serving(live, status=first.status))
    assert (second.status, written(second)) == (first.status, json.loads(live.text()))
    assert not isinstance(second.outcome, Wait)


def test_without_a_router_pod_that_is_said_with_the_reason() -> None:
    live = table(NEW.name)
    plan = modeldeployment.plan(serving(live, routers=routers(trouble="image slipway/router:9 cannot be pulled.")))

    expected = f"No pod of router {ROUTER} is ready: image slipway/router:9 cannot be pulled."
    assert condition(plan, conditions.ROUTED) == ("False", conditions.NO_ROUTER, expected)
    assert condition(plan, conditions.AVAILABLE) == ("False", conditions.NO_ENDPOINT, expected)


def draining(*, since: float, digests: tuple[str | None, ...]) -> Observed:
    return serving(
        table(NEW.name),
        revisions=(NEW, OLD),
        status=builders.status(builders.entry(NEW, "Stable", since=builders.at(since)), builders.entry(OLD, "Draining", since=builders.at(since))),
        workloads={NEW.name: builders.running(), OLD.name: builders.running()},
        routers=routers(*digests),
    )


@pytest.mark.parametrize(
    ("since", "digests", "role"),
    [
        (-5, (table(NEW.name).digest,), "Draining"),
        (-16, (table(NEW.name).digest,), "Parked"),
        (-16, (table(NEW.name).digest, "an earlier one"), "Draining"),
        (-16, (), "Draining"),
    ],
    ids=["time has not passed", "all have left", "a router still sends requests there", "nobody knows what routers do"],
)
def test_pods_stay_until_every_router_has_left_them(since: float, digests: tuple[str | None, ...], role: str) -> None:
    plan = modeldeployment.plan(draining(since=since, digests=digests))
    assert plan.status
    assert next(entry.role for entry in plan.status.revisions if entry.name == OLD.name) == role


def test_a_service_that_led_to_pods_moves_to_routers_once_they_follow() -> None:
    """What an operator without routers left behind keeps serving meanwhile."""
    live = table(NEW.name)
    before = {"serving.kserve.io/inferenceservice": NEW.name, "component": "predictor"}

    unready = modeldeployment.plan(serving(live, table=None, routers=routers(None, addressed=False)))
    assert selector(unready) == before
    late = modeldeployment.plan(serving(live, routers=routers("another", addressed=False)))
    assert selector(late) == before
    ready = modeldeployment.plan(serving(live, routers=routers(live.digest, addressed=False)))
    assert selector(ready) == {"slipway.dev/router": ROUTER}
    assert condition(ready, conditions.ROUTED)[0] == "False"


def test_a_service_never_leaves_the_routers() -> None:
    live = table(NEW.name)
    assert selector(modeldeployment.plan(serving(live, routers=routers()))) == {"slipway.dev/router": ROUTER}


def test_a_table_that_is_gone_comes_back_as_the_status_has_it() -> None:
    live = table(NEW.name, epoch=9)
    status = builders.status(builders.entry(NEW, "Stable", since=builders.long_ago())).model_copy(update={"traffic": traffic.told(live.division)})

    plan = modeldeployment.plan(serving(live, table=None, status=status, routers=routers(live.digest)))

    assert written(plan) == json.loads(live.text())


def test_the_seed_of_the_live_table_is_kept() -> None:
    """Whoever restores an object under another name keeps the users where they were."""
    live = RouteTable(**{**vars(table(NEW.name)), "division": Division(seed="old/name", epoch=2, split=Split.whole(NEW.name))})
    assert written(modeldeployment.plan(serving(live)))["seed"] == "old/name"
