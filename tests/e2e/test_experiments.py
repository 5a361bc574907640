"""Experiments as users live them: real routers, a real ledger, and shoppers who ask the real endpoint and buy, or do not."""

import json
from typing import Any

import pytest

from slipway_operator.cluster import resources
from slipway_testing import onnx_models
from slipway_testing.kube import eventually
from slipway_testing.shoppers import Shoppers
from slipway_testing.stage import DOUBLED, Stage

TARGET = "ranker"
PRIMARY = {
    "name": "bought",
    "role": "Primary",
    "type": "Proportion",
    "direction": "Up",
    "windowSeconds": 2,
    "minimumEffect": {"relativePercent": "10"},
}
ANALYSIS = {"minUnitsPerArm": 200, "minDurationSeconds": 5, "maxDurationSeconds": 600, "intervalSeconds": 1}


@pytest.fixture(scope="module")
def control(stage: Stage) -> str:
    """A revision that serves, and the files of those to come."""
    for number in range(1, 9):
        stage.store(f"model/{number}/model.onnx", onnx_models.doubled())
    stage.apply(TARGET, uri="pvc://models/model/1", format="onnx", **DOUBLED)
    return stage.ready(TARGET)


def manifest(stage: Stage, name: str, *, arms: dict[str, int], **spec: Any) -> dict[str, Any]:
    treatments = [{"name": arm, "model": {"uri": f"pvc://models/model/{number}"}} for arm, number in arms.items()]
    return {
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": stage.namespace},
        "spec": {
            "targetRef": {"name": TARGET},
            "arms": [{"name": "control"}, *treatments],
            "assignment": {"unit": {"header": "x-user-id"}},
            "metrics": [PRIMARY],
            "analysis": ANALYSIS,
            **spec,
        },
    }


def apply(stage: Stage, name: str, *, arms: dict[str, int], **spec: Any) -> None:
    stage.run("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest(stage, name, arms=arms, **spec)))


def status(stage: Stage, name: str) -> dict[str, Any]:
    live = stage.kube.get(resources.EXPERIMENTS, name, namespace=stage.namespace)
    assert live is not None
    found: dict[str, Any] = live.get("status") or {}
    return found


def revision_of(stage: Stage, name: str, arm: str) -> str:
    return str(next(each["revision"] for each in status(stage, name)["arms"] if each["name"] == arm))


def verdict(stage: Stage, name: str, *expected: str, within_s: float = 120) -> dict[str, Any]:
    """Wait for one of these verdicts; the status with it."""

    def look() -> bool:
        found = status(stage, name)
        assert found.get("verdict") in expected, f"{found.get('verdict')}: {found.get('reason')}: {found.get('summary')}"
        return True

    eventually(look, within_s=within_s, every_s=0.25)
    return status(stage, name)


def started(stage: Stage, name: str) -> None:
    eventually(lambda: "startedAt" in status(stage, name), within_s=90, every_s=0.25)


def test_an_arm_that_sells_more_is_promoted_and_no_request_fails(stage: Stage, control: str) -> None:
    apply(stage, "better", arms={"v2": 2})
    started(stage, "better")
    winner = revision_of(stage, "better", "v2")
    with Shoppers(stage, TARGET, buys=lambda revision: 0.6 if revision == winner else 0.5) as shoppers:
        found = verdict(stage, "better", "Won")
        eventually(lambda: stage.live(TARGET)["status"]["revision"] == winner, within_s=60)
    assert shoppers.failures == []
    assert found["decision"]["action"] == "Promote"
