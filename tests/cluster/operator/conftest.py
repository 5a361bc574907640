"""The operator against the control plane; the tests play the kubelet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway_box import ports
from slipway_operator.cluster import resources
from slipway_testing import builders
from slipway_testing.kube import Kube
from slipway_testing.operators import RunningOperator
from slipway_testing.router import FakeRouter
from slipway_testing.shop import Shop

ROUTER_IMAGE = "slipway/router:test"


@pytest.fixture(scope="session")
def runtime(kube: Kube) -> None:
    """The ClusterServingRuntime that revisions are pinned to."""
    kube.request(
        "PATCH",
        "/apis/serving.kserve.io/v1alpha1/clusterservingruntimes/slipway-triton-test?fieldManager=test&force=true",
        body=builders.serving_runtime("slipway-triton-test"),
        content_type="application/apply-patch+yaml",
    )


@pytest.fixture
def operator(kubeconfig: Path, runtime: None) -> Iterator[RunningOperator]:
    """A running operator."""
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0]) as running:
        yield running


@pytest.fixture
def routing_operator(kubeconfig: Path, runtime: None) -> Iterator[RunningOperator]:
    """A running operator that has routers."""
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], router_image=ROUTER_IMAGE) as running:
        yield running


@pytest.fixture
def router(kube: Kube, shop: Shop, routing_operator: RunningOperator) -> Iterator[FakeRouter]:
    """A pod of the shared router, and the operator that looks at it."""
    with FakeRouter(kube, shop.namespace) as playing:
        yield playing


@pytest.fixture
def shop(kube: Kube, namespace: str) -> Iterator[Shop]:
    """An empty namespace; what a test leaves in it, the operators of later tests are not to try again and again."""
    yield Shop(kube, namespace)
    for kind in (resources.EXPERIMENTS, resources.MODEL_DEPLOYMENTS):
        for left in kube.list(kind, namespace=namespace):
            kube.delete(kind, left["metadata"]["name"], namespace=namespace)
