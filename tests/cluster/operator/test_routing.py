"""Requests through a shared router, with the real API server and the real KServe; the router's pods are played."""

import time
from pathlib import Path

import pytest

from slipway_box import ports
from slipway_operator.cluster import resources
from slipway_operator.controller import keeper
from slipway_operator.handlers import notices
from slipway_testing import builders
from slipway_testing.kube import Kube, eventually, steady
from slipway_testing.operators import RunningOperator
from slipway_testing.router import ROUTER, FakeRouter
from slipway_testing.shop import Shop

from .conftest import ROUTER_IMAGE

ONE, TWO = "pvc://models/digits/1", "pvc://models/digits/2"


pytestmark = pytest.mark.usefixtures("routing_operator")


def addressed(shop: Shop) -> bool:
    live = shop.kube.get(resources.SERVICES, "digits", namespace=shop.namespace) or {}
    return bool((live.get("spec", {}).get("selector") or {}) == {"slipway.dev/router": ROUTER})


def routed_to(shop: Shop) -> str | None:
    revisions = shop.table()["revisions"] if shop.kube.get(resources.CONFIG_MAPS, "digits-routes", namespace=shop.namespace) else []
    return next((str(entry["name"]) for entry in revisions if entry["role"] == "Stable"), None)


def parts(kube: Kube, namespace: str) -> list[str]:
    return [kind.kind for kind, name in keeper.PARTS if kube.get(kind, name, namespace=namespace)]


def test_a_new_object_is_ready_when_routers_lead_to_its_pods(shop: Shop, router: FakeRouter) -> None:
    revision = shop.serve_through_routers(uri=ONE)

    assert addressed(shop)
    assert routed_to(shop) == revision
    assert shop.condition("Routed")["reason"] == "RevisionRouted"
    assert shop.status()["traffic"]["slots"] == [{"before": 10_000, "revision": revision}]


def test_a_new_object_is_ready_when_nodes_can_know_its_address(kubeconfig: Path, shop: Shop, kube: Kube, routing_operator: RunningOperator) -> None:
    routing_operator.stop()
    slow = RunningOperator(kubeconfig, probe_port=ports.free(1)[0], router_image=ROUTER_IMAGE, route_seconds=1.0)
    with slow, FakeRouter(kube, shop.namespace) as router:
        shop.apply(uri=ONE)
        shop.roll_out(shop.candidate())
        eventually(lambda: shop.condition("Routed")["message"] == "Nodes learn that the address leads to router slipway-router.")
        assert not steady(shop.ready, for_s=2), "its Service has no endpoint"

        began = time.monotonic()
        router.reach()
        eventually(shop.ready)
        assert time.monotonic() - began >= 1.0


def test_a_namespace_gets_its_router_with_its_first_object_and_loses_it_with_its_last(shop: Shop, kube: Kube) -> None:
    all_of_it = ["Deployment", "Service", "PodDisruptionBudget", "RoleBinding", "ServiceAccount"]
    assert parts(kube, shop.namespace) == []
    shop.apply(uri=ONE)
    kube.apply(builders.manifest(name="letters", namespace=shop.namespace, uri=ONE))
    eventually(lambda: parts(kube, shop.namespace) == all_of_it)

    kube.delete(resources.MODEL_DEPLOYMENTS, "digits", namespace=shop.namespace)
    steady(lambda: parts(kube, shop.namespace), for_s=2)
    kube.delete(resources.MODEL_DEPLOYMENTS, "letters", namespace=shop.namespace)
    eventually(lambda: parts(kube, shop.namespace) == [])


@pytest.mark.parametrize("inhabited", [True, False])
def test_a_start_takes_only_routers_away_that_nobody_needs(
    kubeconfig: Path, shop: Shop, kube: Kube, routing_operator: RunningOperator, monkeypatch: pytest.MonkeyPatch, inhabited: bool
) -> None:
    shop.apply(uri=ONE)
    eventually(lambda: len(parts(kube, shop.namespace)) == len(keeper.PARTS))
    before = (kube.get(resources.DEPLOYMENTS, ROUTER, namespace=shop.namespace) or {})["metadata"]["uid"]
    routing_operator.stop()
    if not inhabited:
        kube.delete(resources.MODEL_DEPLOYMENTS, "digits", namespace=shop.namespace)
    # No watch tells of its deployments: what is known of them is what was asked for before anything began.
    monkeypatch.setattr(notices, "notice", lambda *_: None)
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], router_image=ROUTER_IMAGE):
        if inhabited:
            kube.merge(resources.DEPLOYMENTS, ROUTER, {"spec": {"replicas": 1}}, namespace=shop.namespace)
            eventually(lambda: (kube.get(resources.DEPLOYMENTS, ROUTER, namespace=shop.namespace) or {})["spec"]["replicas"] == 2)
            assert (kube.get(resources.DEPLOYMENTS, ROUTER, namespace=shop.namespace) or {})["metadata"]["uid"] == before
        else:
            eventually(lambda: parts(kube, shop.namespace) == [])


def test_what_somebody_does_to_the_router_is_undone(shop: Shop, kube: Kube) -> None:
    shop.apply(uri=ONE)
    eventually(lambda: len(parts(kube, shop.namespace)) == len(keeper.PARTS))

    kube.merge(resources.DEPLOYMENTS, ROUTER, {"spec": {"replicas": 0}}, namespace=shop.namespace)
    kube.delete(resources.POD_DISRUPTION_BUDGETS, ROUTER, namespace=shop.namespace)

    eventually(lambda: (kube.get(resources.DEPLOYMENTS, ROUTER, namespace=shop.namespace) or {})["spec"]["replicas"] == 2)
    eventually(lambda: len(parts(kube, shop.namespace)) == len(keeper.PARTS))


def test_a_stranger_of_the_routers_name_is_left_alone_and_told(shop: Shop, kube: Kube) -> None:
    stranger = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": ROUTER, "namespace": shop.namespace},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    }
    theirs = kube.apply(stranger)
    shop.apply(uri=ONE)
    shop.roll_out(shop.candidate())

    eventually(lambda: f"Deployment {shop.namespace}/{ROUTER}" in shop.condition("Routed")["message"])
    assert shop.condition("Routed")["reason"] == "NoRouter"
    assert (kube.get(resources.DEPLOYMENTS, ROUTER, namespace=shop.namespace) or {})["spec"] == theirs["spec"]


def test_pods_that_are_no_endpoints_yet_get_no_units(shop: Shop, router: FakeRouter) -> None:
    """Routers would find none: they learn of pods by EndpointSlices, which can be a minute late after the API server was away."""
    first = shop.serve_through_routers(uri=ONE)
    shop.apply(uri=TWO)
    second = shop.candidate()
    pod = shop.start_pod(second)
    shop.roll_out(second)
    assert steady(lambda: routed_to(shop), for_s=2.5) == first

    shop.lead_to(pod, service=f"{second}-predictor")

    eventually(lambda: routed_to(shop) == second)


def test_an_update_is_ready_when_every_router_follows_and_pods_stay_until_then(shop: Shop, router: FakeRouter, kube: Kube) -> None:
    first = shop.serve_through_routers(uri=ONE)
    with FakeRouter(kube, shop.namespace, f"{ROUTER}-2") as late:
        eventually(shop.ready)
        late.freeze()
        shop.apply(uri=TWO)
        second = shop.candidate()
        shop.roll_out(second)

        eventually(lambda: routed_to(shop) == second)
        eventually(lambda: shop.condition("Routed")["message"] == f"1 of 2 pods of router {ROUTER} send requests to revision {second}.")
        assert steady(lambda: shop.roles()[ONE], for_s=2.5) == "Draining"
        assert not shop.stopped(first)

        late.thaw()
        eventually(shop.ready)
        eventually(lambda: shop.roles() == {TWO: "Stable", ONE: "Parked"})


def test_a_router_that_is_not_ready_holds_nobody_up(shop: Shop, router: FakeRouter, kube: Kube) -> None:
    shop.serve_through_routers(uri=ONE)
    with FakeRouter(kube, shop.namespace, f"{ROUTER}-2") as lost:
        lost.freeze()
        lost.ready(False)
        shop.apply(uri=TWO)
        shop.roll_out(shop.candidate())
        eventually(shop.ready)


def test_routers_are_not_asked_at_rest(shop: Shop, router: FakeRouter) -> None:
    shop.serve_through_routers(uri=ONE)
    eventually(lambda: steady(lambda: router.asked, for_s=1))
    steady(lambda: router.asked, for_s=3)


def test_a_service_that_led_to_pods_is_taken_over(kubeconfig: Path, shop: Shop, kube: Kube, routing_operator: RunningOperator) -> None:
    routing_operator.stop()
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0]):
        revision = shop.serve(uri=ONE)
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], router_image=ROUTER_IMAGE):
        eventually(lambda: routed_to(shop) == revision)
        assert steady(shop.selected, for_s=1) == revision
        with FakeRouter(kube, shop.namespace, announced=False) as unheard_of:
            assert steady(shop.selected, for_s=1) == revision, "its endpoints would be empty until their controller has heard of the pod"
            unheard_of.announce()
            eventually(lambda: addressed(shop))
            eventually(shop.ready)
            assert routed_to(shop) == revision
