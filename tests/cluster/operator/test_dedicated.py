"""A router of a ModelDeployment's own, with the real API server and the real KServe; the routers' pods are played."""

import pytest

from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object
from slipway_testing.kube import Refused, eventually, steady
from slipway_testing.router import FakeRouter
from slipway_testing.shop import Shop

SHARED, OWN = "slipway-router", "digits-router"
TOKENS = {"router": "Dedicated", "tokens": {"name": "keys"}}


def selected(shop: Shop) -> str | None:
    service = shop.kube.get(resources.SERVICES, "digits", namespace=shop.namespace)
    assert service
    found: str | None = service["spec"].get("selector", {}).get("slipway.dev/router")
    return found


def own(shop: Shop) -> Object | None:
    found = shop.kube.get(resources.DEPLOYMENTS, OWN, namespace=shop.namespace)
    return found if found and "deletionTimestamp" not in found["metadata"] else None


def table_labels(shop: Shop) -> dict[str, str]:
    live = shop.kube.get(resources.CONFIG_MAPS, "digits-routes", namespace=shop.namespace)
    assert live
    found: dict[str, str] = live["metadata"]["labels"]
    return found


def asks_for_tokens(shop: Shop) -> bool:
    return bool(shop.table()["tokens"])


def replace_pods(shop: Shop) -> None:
    """What the Deployment's controller would write once all pods are of the newest template."""
    live = eventually(lambda: own(shop) or {})
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), live["spec"]["replicas"])
    status = {"status": {"observedGeneration": live["metadata"]["generation"]} | counts}
    shop.kube.merge(resources.DEPLOYMENTS, OWN, status, namespace=shop.namespace, subresource="status")


def test_the_address_moves_to_a_router_of_its_own_and_back(shop: Shop, router: FakeRouter) -> None:
    shop.serve_through_routers()
    shop.apply(traffic={"router": "Dedicated"})
    eventually(lambda: own(shop))
    assert steady(lambda: selected(shop), for_s=1.5) == SHARED
    assert shop.condition("Routed")["reason"] == "NoRouter"

    with FakeRouter(shop.kube, shop.namespace, "digits-router-1", model="digits", announced=False) as unheard_of:
        assert steady(lambda: selected(shop), for_s=1.5) == SHARED, "its endpoints would be empty until their controller has heard of the pod"
        unheard_of.announce()
        eventually(lambda: selected(shop) == OWN)
        eventually(shop.ready)

        router.freeze()
        shop.apply(traffic={"limits": {"bodyMebibytes": 3}})
        assert steady(lambda: selected(shop), for_s=1.5) == OWN
        assert own(shop)
        shop.lead_to("digits-router-1")
        router.thaw()
        eventually(lambda: selected(shop) == SHARED)
        assert steady(lambda: own(shop) is not None, for_s=1.5), "it goes while the address still leads there"
        shop.lead_to("slipway-router-1")
        eventually(lambda: own(shop) is None)
        assert "slipway.dev/dedicated-router" in table_labels(shop), "its pods are still there, and may be asked"
        eventually(shop.ready)


def test_tokens_are_asked_for_once_all_pods_have_them(shop: Shop, router: FakeRouter) -> None:
    shop.apply(traffic={"router": "Dedicated"})
    shop.roll_out(shop.candidate())
    with FakeRouter(shop.kube, shop.namespace, "digits-router-1", model="digits"):
        eventually(shop.ready)
        replace_pods(shop)
        shop.apply(traffic=TOKENS)
        eventually(lambda: shop.condition("Routed")["reason"] == "Routing")
        assert not steady(lambda: asks_for_tokens(shop), for_s=1.5)
        assert "Secret keys; until all have it, requests need no token." in shop.condition("Routed")["message"]

        replace_pods(shop)
        eventually(lambda: asks_for_tokens(shop))
        eventually(shop.ready)


def test_a_new_object_asks_for_tokens_from_the_beginning(shop: Shop, router: FakeRouter) -> None:
    shop.apply(traffic=TOKENS)
    eventually(shop.table)
    assert asks_for_tokens(shop)


def test_tokens_in_a_shared_router_are_refused(shop: Shop) -> None:
    with pytest.raises(Refused, match="tokens need router: Dedicated; a shared router mounts nobody's Secret"):
        shop.apply(traffic={"tokens": {"name": "keys"}})
