"""Whether anything goes round in circles: the operator's counters and the versions of the objects, looked at twice."""

import json
import re
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object, Resource
from slipway_testing.kube import Kube

METRICS_PORT = 8081
_SAMPLE = re.compile(r"^(?P<name>[a-z_]+)(?:\{[^}]*\})? (?P<value>\S+)$", re.MULTILINE)

WRITTEN = (
    resources.MODEL_DEPLOYMENTS,
    resources.INFERENCE_SERVICES,
    resources.SERVICES,
    resources.CONFIG_MAPS,
    resources.CONTROLLER_REVISIONS,
)
"""What the operator writes."""


@dataclass(frozen=True, kw_only=True)
class Unrest:
    """What happened while somebody watched."""

    seconds: float
    passes: float
    """Reconciles of the operator, of all objects in the cluster."""

    restarts: int
    """Of the operator's container."""

    changed: Sequence[str]
    """Objects of the namespace that were written, made or deleted."""


def watched(kube: Kube, namespace: str, *, for_s: float) -> Unrest:
    """Watch the operator and what it writes in a namespace for a while."""
    began, before, passes, restarts = time.monotonic(), versions(kube, namespace), reconciles(kube), operator_restarts(kube)
    time.sleep(for_s)
    after = versions(kube, namespace)
    return Unrest(
        seconds=time.monotonic() - began,
        passes=reconciles(kube) - passes,
        restarts=operator_restarts(kube) - restarts,
        changed=sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)),
    )


def versions(kube: Kube, namespace: str) -> Mapping[str, str]:
    """What of everything that the operator writes in a namespace changes when it does."""
    return {
        f"{resource.kind} {each['metadata']['name']}": _edition(resource, each)
        for resource in WRITTEN
        for each in kube.list(resource, namespace=namespace)
    }


def _edition(resource: Resource, obj: Object) -> str:
    """The resourceVersion; of an InferenceService, whose status KServe writes whenever a container starts or ends, all but the status."""
    meta = obj["metadata"]
    if resource is not resources.INFERENCE_SERVICES:
        return str(meta["resourceVersion"])
    return json.dumps([meta["uid"], meta["generation"], meta.get("labels"), meta.get("annotations")], sort_keys=True)


def reconciles(kube: Kube) -> float:
    """Passes of the operator so far, all its pods together."""
    return sum(sample(pod, "controller_runtime_reconcile_total") for pod in operator_pods(kube))


def operator_restarts(kube: Kube) -> int:
    """How often its containers were started again."""
    return sum(int(status["restartCount"]) for pod in operator_pods(kube) for status in pod["status"]["containerStatuses"])


def operator_pods(kube: Kube) -> list[Object]:
    """The operator's running pods."""
    pods = kube.list(resources.PODS, namespace="slipway-system", selector="app.kubernetes.io/name=slipway-operator")
    running = [pod for pod in pods if pod["status"].get("podIP") and "deletionTimestamp" not in pod["metadata"]]
    assert running, "the operator has no running pod"
    return running


def sample(pod: Object, metric: str) -> float:
    """The sum of a metric over its labels, as the pod tells it."""
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:{METRICS_PORT}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return sum(float(found["value"]) for found in _SAMPLE.finditer(text) if found["name"] == metric)
