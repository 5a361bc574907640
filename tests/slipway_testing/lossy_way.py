"""A way from routers to the ledger on which exposures of one arm get lost: for as long as it is there, the ledger's Service leads to a relay."""

import http
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slipway_operator.cluster import resources
from slipway_testing import relay
from slipway_testing.kube import eventually
from slipway_testing.shoppers import SYSTEM, ledger_address, post
from slipway_testing.stage import Stage

LABEL = "app.kubernetes.io/name"
LEDGER = "slipway-ledger"
RELAY = "slipway-ledger-relay"
LIFE_S = 600
"""After so long the pod ends, whatever became of the test."""


@contextmanager
def losing(stage: Stage, arm: str, *, one_in: int) -> Iterator[None]:
    """Lose one in so many exposures of ``arm``. Connections that routers have already go on leading to the ledger: begin before there are any."""
    ledger = stage.kube.get(resources.PODS, f"{LEDGER}-0", namespace=SYSTEM)
    assert ledger is not None
    try:
        remove(stage)
        stage.kube.request("POST", f"/api/v1/namespaces/{SYSTEM}/pods", body=_pod(ledger["status"]["podIP"], arm=arm, one_in=one_in))
        eventually(lambda: _is_ready(stage), within_s=60)
        _lead(stage, RELAY, answers=http.HTTPStatus.OK)
        yield
    finally:
        _lead(stage, LEDGER, answers=http.HTTPStatus.NOT_FOUND)
        remove(stage)


def relayed(stage: Stage) -> dict[str, dict[str, int]]:
    """Units that were ``passed`` on and that were ``lost``, by arm."""
    answered, found = post(ledger_address(stage), relay.COUNTS, None, token="none", method="GET")
    assert answered == http.HTTPStatus.OK, found
    return dict(found)


def remove(stage: Stage) -> None:
    """End the relay, if there is one, and wait until it has ended: with a grace period of 0 it would be gone from the API server before."""
    if stage.kube.get(resources.PODS, RELAY, namespace=SYSTEM) is not None:
        stage.kube.request("DELETE", f"{resources.PODS.path(namespace=SYSTEM, name=RELAY)}?gracePeriodSeconds=1")
        eventually(lambda: stage.kube.get(resources.PODS, RELAY, namespace=SYSTEM) is None, within_s=60)


def _lead(stage: Stage, name: str, *, answers: http.HTTPStatus) -> None:
    """Let the Service lead to pods of this name, and wait until it does: until the relay's own path is answered with this status."""
    stage.kube.merge(resources.SERVICES, LEDGER, {"spec": {"selector": {LABEL: name}}}, namespace=SYSTEM)

    def led() -> bool:
        try:
            answered, found = post(ledger_address(stage), relay.COUNTS, None, token="none", method="GET")
        except OSError as error:
            raise AssertionError(f"the ledger's Service leads nowhere: {error}") from error
        assert answered == answers, found
        return True

    eventually(led, within_s=30)


def _is_ready(stage: Stage) -> bool:
    pod = stage.kube.get(resources.PODS, RELAY, namespace=SYSTEM)
    conditions = ((pod or {}).get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _pod(ledger: str, *, arm: str, one_in: int) -> dict[str, Any]:
    """It is of the ledger's image, which has Python and is there."""
    container = {
        "name": "relay",
        "image": "slipway/ledger:0.1.0",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", Path(relay.__file__).read_text(), ledger, arm, str(one_in)],
        "ports": [{"name": "http", "containerPort": relay.PORT}, {"name": "metrics", "containerPort": 8082}],
        "readinessProbe": {"httpGet": {"path": relay.COUNTS, "port": "http"}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    spec = {
        "automountServiceAccountToken": False,
        "activeDeadlineSeconds": LIFE_S,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": RELAY, "labels": {LABEL: RELAY}}, "spec": spec}
