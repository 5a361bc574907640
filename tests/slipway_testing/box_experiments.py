"""Experiments on the box: applied as users do, and looked at through the API server and the ledger."""

import http
import json
from typing import Any

from slipway_operator.cluster import resources
from slipway_testing import accounts
from slipway_testing.kube import eventually
from slipway_testing.shoppers import SYSTEM, ledger_address, post
from slipway_testing.stage import Stage

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


def manifest(stage: Stage, name: str, *, arms: dict[str, int], **spec: Any) -> dict[str, Any]:
    """An Experiment on TARGET; ``arms``: by name, the number of its model."""
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
    """Apply one as a user does."""
    stage.run("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest(stage, name, arms=arms, **spec)))


def status(stage: Stage, name: str) -> dict[str, Any]:
    """Its status."""
    live = stage.kube.get(resources.EXPERIMENTS, name, namespace=stage.namespace)
    assert live is not None
    found: dict[str, Any] = live.get("status") or {}
    return found


def revision_of(stage: Stage, name: str, arm: str) -> str:
    """The revision of an arm."""
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
    """Wait for its first step."""
    eventually(lambda: "startedAt" in status(stage, name), within_s=90, every_s=0.25)


def conversion(winner: str, *, control: float, arm: float) -> Any:
    """Who buys how often, by the revision that answered."""
    return lambda revision: arm if revision == winner else control


def routed(stage: Stage) -> dict[str, Any]:
    """The live route table of TARGET."""
    live = stage.kube.get(resources.CONFIG_MAPS, f"{TARGET}-routes", namespace=stage.namespace)
    assert live is not None
    found: dict[str, Any] = json.loads(live["data"]["routes.json"])
    return found


def over(stage: Stage, name: str) -> None:
    """Delete it, and wait until its arms have no units left."""
    stage.run("delete", "experiment", name)
    eventually(lambda: "exposures" not in routed(stage), within_s=20)


def sums(stage: Stage, name: str) -> dict[str, Any]:
    """The ledger's sums."""
    token = accounts.token(stage.kube, SYSTEM, "slipway-operator")
    path = f"/v1/experiments/{stage.namespace}/{status(stage, name)['ledgerName']}/sums"
    answered, found = post(ledger_address(stage), path, None, token=token, method="GET")
    assert answered == http.HTTPStatus.OK, found
    return dict(found)
