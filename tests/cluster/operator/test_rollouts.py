"""Rollouts by steps, with the real API server and the real KServe; the router's pods and what they counted are played."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway_box import ports
from slipway_operator.cluster import resources
from slipway_testing.kube import Kube, eventually, steady
from slipway_testing.operators import RunningOperator
from slipway_testing.router import FakeRouter
from slipway_testing.shop import Shop

from .conftest import ROUTER_IMAGE

ONE, TWO = "pvc://models/digits/1", "pvc://models/digits/2"
STEPS = [{"percent": 1, "holdSeconds": 0}, {"percent": 50, "holdSeconds": 0}]


@pytest.fixture
def started(kubeconfig: Path, runtime: None) -> Iterator[list[RunningOperator]]:
    """The running operator; a test may put another one in its place."""
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], router_image=ROUTER_IMAGE) as running:
        operators = [running]
        yield operators
        operators[-1].stop()


@pytest.fixture
def router(kube: Kube, shop: Shop, started: list[RunningOperator]) -> Iterator[FakeRouter]:
    with FakeRouter(kube, shop.namespace) as playing:
        yield playing


def apply(shop: Shop, uri: str, **rollout: Any) -> None:
    shop.apply(uri=uri, traffic=traffic(**rollout))


def traffic(**rollout: Any) -> dict[str, Any]:
    return {"rollout": {"steps": STEPS, "guardrails": [{"metric": "ErrorRate", "maxIncrease": "0.01"}]} | rollout}


def serve(shop: Shop) -> str:
    return shop.serve_through_routers(uri=ONE, traffic=traffic())


def shares(shop: Shop) -> dict[str, int]:
    """Slots of each revision, in the live table."""
    table = shop.table()
    found: dict[str, int] = {}
    begin = 0
    for end, owner in table.get("slots", []):
        name = table["revisions"][owner]["name"]
        found[name] = found.get(name, 0) + end - begin
        begin = end
    return found


def test_a_good_revision_goes_through_every_step(shop: Shop, router: FakeRouter) -> None:
    first = serve(shop)
    router.freeze()
    apply(shop, TWO)
    second = shop.candidate()
    shop.roll_out(second)

    eventually(lambda: shares(shop) == {first: 9_900, second: 100})
    eventually(lambda: shop.status().get("rollout", {}).get("summary") == "1/2 1% Starting")
    assert shop.reason() == "RollingOut"
    steady(lambda: shares(shop), for_s=2.5)
    router.thaw()

    eventually(shop.ready)
    assert shares(shop) == {second: 10_000}
    assert "rollout" not in shop.status()
    assert shop.roles()[TWO] == "Stable"


def test_a_bad_revision_is_rolled_back_and_stays_so_through_a_restart(
    shop: Shop, router: FakeRouter, started: list[RunningOperator], kubeconfig: Path
) -> None:
    first = serve(shop)
    router.freeze()
    apply(shop, TWO)
    second = shop.candidate()
    router.bad[second] = 0.2
    shop.roll_out(second)
    eventually(lambda: shares(shop).get(second))
    router.thaw()

    eventually(lambda: shop.reason("Stalled") == "RolledBack")
    assert shares(shop) == {first: 10_000}
    assert "ErrorRate: 20.0% of 64000 requests against 0.0% of 64000 failed, 0.01 more are allowed" in shop.condition("Ready")["message"]
    eventually(lambda: shop.roles() == {ONE: "Stable", TWO: "Parked"})

    started[-1].stop()
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], router_image=ROUTER_IMAGE) as again:
        started.append(again)
        assert steady(lambda: shares(shop), for_s=4) == {first: 10_000}

        router.bad.clear()
        shop.kube.merge(
            resources.MODEL_DEPLOYMENTS, "digits", {"metadata": {"annotations": {"slipway.dev/rollout": "retry 1"}}}, namespace=shop.namespace
        )
        eventually(lambda: not shop.stopped(second))
        shop.roll_out(second)
        eventually(shop.ready)
        assert shares(shop) == {second: 10_000}
        assert shop.status()["handled"] == "retry 1"


def test_a_rollout_goes_on_after_a_restart(shop: Shop, router: FakeRouter, started: list[RunningOperator], kubeconfig: Path) -> None:
    first = serve(shop)
    apply(shop, TWO, steps=[{"percent": 1, "holdSeconds": 3600}])
    second = shop.candidate()
    shop.roll_out(second)
    eventually(lambda: shop.status().get("rollout", {}).get("reason") == "HoldTime")
    since = shop.status()["rollout"]["since"]

    started[-1].stop()
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], router_image=ROUTER_IMAGE) as again:
        started.append(again)
        assert steady(lambda: shares(shop), for_s=4) == {first: 9_900, second: 100}
        assert shop.status()["rollout"]["since"] == since


def test_a_table_that_somebody_spoils_comes_back_as_it_was(shop: Shop, router: FakeRouter) -> None:
    first = serve(shop)
    shop.kube.merge(resources.CONFIG_MAPS, "digits-routes", {"data": {"routes.json": "{}"}}, namespace=shop.namespace)
    eventually(lambda: shares(shop) == {first: 10_000})
    eventually(shop.ready)
