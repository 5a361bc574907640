"""Random objects against the real API server and the real KServe: few, for each costs a second."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from slipway_box import ports
from slipway_box.controlplane import ControlPlane
from slipway_operator.cluster import resources
from slipway_testing import strategies
from slipway_testing.kube import Kube, eventually, steady
from slipway_testing.operators import RunningOperator

NAMESPACE = "random"
KINDS = (
    resources.INFERENCE_SERVICES,
    resources.SERVICES,
    resources.CONFIG_MAPS,
    resources.CONTROLLER_REVISIONS,
    resources.HORIZONTAL_POD_AUTOSCALERS,
    resources.POD_DISRUPTION_BUDGETS,
)
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def kube(plane: ControlPlane) -> Iterator[Kube]:
    """A namespace with an operator that looks after it."""
    plane.kubectl("create", "namespace", NAMESPACE)
    options: dict[str, Any] = {"namespace": NAMESPACE, "lease_namespace": NAMESPACE, "transformer_image": "slipway/transformer:test"}
    with RunningOperator(plane.kubeconfig, probe_port=ports.free(1)[0], **options):
        yield Kube(plane.kubeconfig)


def apply(kube: Kube, name: str, spec: dict[str, Any]) -> None:
    body = {"apiVersion": "slipway.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
    kube.apply(body)


def observed(kube: Kube, name: str) -> bool:
    live = kube.get(resources.MODEL_DEPLOYMENTS, name, namespace=NAMESPACE) or {}
    return bool((live.get("status") or {}).get("observedGeneration") == live["metadata"]["generation"])


def ours(kube: Kube, name: str) -> list[dict[str, Any]]:
    """Children of an object that are to stay, without what others write."""
    live = [each for kind in KINDS for each in kube.list(kind, namespace=NAMESPACE, selector=f"slipway.dev/modeldeployment={name}")]
    owned = [each for each in live if (each["metadata"].get("ownerReferences") or [{}])[0].get("kind") == "ModelDeployment"]
    owned = [each for each in owned if "deletionTimestamp" not in each["metadata"]]
    return [{"uid": each["metadata"]["uid"], "generation": each["metadata"].get("generation"), **_body(each)} for each in owned]


def _body(child: dict[str, Any]) -> dict[str, Any]:
    return {key: child[key] for key in ("spec", "data", "revision") if key in child}


@pytest.mark.parametrize(("first", "second"), strategies.examples(8), ids=itertools.count(1))
def test_random_objects_are_taken_answered_and_at_rest(kube: Kube, first: dict[str, Any], second: dict[str, Any]) -> None:
    name = f"random-{next(numbers)}"

    for spec in (first, second):
        apply(kube, name, spec)
        eventually(lambda: observed(kube, name))

    eventually(lambda: steady(lambda: ours(kube, name), for_s=0.6) or first.get("suspend"))
    kube.delete(resources.MODEL_DEPLOYMENTS, name, namespace=NAMESPACE)
