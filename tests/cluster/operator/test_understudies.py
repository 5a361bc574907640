"""A shadow and a fallback, with the real API server and the real KServe; the router's pods and what they counted are played."""

from typing import Any

import pytest

from slipway_operator.cluster import resources
from slipway_testing import builders
from slipway_testing.kube import Refused, eventually
from slipway_testing.router import FakeRouter
from slipway_testing.shop import Shop

ONE, TWO, OTHER = "pvc://models/digits/1", "pvc://models/digits/2", "pvc://models/digits/other"
OTHER_MODEL = builders.model(uri=OTHER)


def name(shop: Shop, role: str) -> str:
    return eventually(lambda: next((entry["name"] for entry in shop.status()["revisions"] if entry["role"] == role), ""))


def test_a_shadow_comes_compares_and_goes(shop: Shop, router: FakeRouter) -> None:
    shop.serve_through_routers(uri=ONE)
    shop.apply(uri=ONE, traffic={"shadow": {"model": OTHER_MODEL, "percent": 20}})
    shadow = name(shop, "Shadow")
    assert shop.table()["shadow"] == {"revision": shadow, "percent": "20"}
    assert shop.ready()

    router.shadow = {"revision": shadow, "sampled": 12, "answered": 10, "agreed": 9, "failed": 1, "dropped": 1} | {
        "meanAbsoluteDifference": 0.5,
        "secondsDifference": 0.002,
    }
    shop.roll_out(shadow)
    eventually(lambda: shop.condition("ShadowReady")["status"] == "True")
    eventually(lambda: shop.status().get("shadow", {}).get("compared"))
    assert shop.status()["shadow"] == {
        "revision": shadow,
        "compared": 10,
        "failed": 1,
        "agreement": "0.900",
        "meanAbsoluteDifference": "0.5",
        "millisecondsDifference": "2.0",
    }

    shop.apply(uri=ONE)
    eventually(lambda: shop.roles() == {ONE: "Stable"})
    assert "shadow" not in shop.table()
    assert "shadow" not in shop.status()
    eventually(lambda: shop.kube.get(resources.INFERENCE_SERVICES, shadow, namespace=shop.namespace) is None)


def test_the_previous_revision_stands_by_and_answers_when_nobody_else_does(shop: Shop, router: FakeRouter) -> None:
    first = shop.serve_through_routers(uri=ONE, traffic={"fallback": {"revision": "Previous"}})
    assert shop.condition("FallbackReady")["reason"] == "NothingBefore"
    second = shop.serve_through_routers(uri=TWO, traffic={"fallback": {"revision": "Previous"}})

    eventually(lambda: shop.roles() == {TWO: "Stable", ONE: "Fallback"})
    assert shop.table()["fallback"] == {"revision": first}
    assert not shop.stopped(first)
    assert [shop.condition(kind)["status"] for kind in ("FallbackReady", "Degraded")] == ["True", "False"]

    shop.roll_out(second, available=0)
    eventually(lambda: shop.condition("Degraded")["status"] == "True")
    assert shop.condition("Available")["reason"] == "FallbackAnswers"


@pytest.mark.parametrize(
    ("traffic", "told"),
    [
        ({"fallback": {}}, "fallback takes exactly one of revision, model and response"),
        ({"fallback": {"revision": "Previous", "response": {"body": ""}}}, "fallback takes exactly one of revision, model and response"),
        ({"fallback": {"model": {"uri": "pvc://m/r", "format": "triton"}}}, "serving.batching is refused with format triton"),
        ({"shadow": {"model": {"uri": "pvc://m/r", "format": "triton"}}}, "serving.batching is refused with format triton"),
        ({"shadow": {"model": {"uri": "pvc://m/r", "format": "onnx"}}}, "inputs and outputs are needed with format onnx and python"),
        ({"shadow": {"model": OTHER_MODEL, "percent": 0}}, "should be greater than or equal to 1"),
        ({"fallback": {"response": {"status": 99, "body": ""}}}, "should be greater than or equal to 200"),
    ],
)
def test_the_api_server_refuses_what_does_not_go_together(shop: Shop, traffic: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told):
        shop.apply(serving={"batching": {"maxBatchSize": 8}}, traffic=traffic)
