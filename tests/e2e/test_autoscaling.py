"""Slipway's own HorizontalPodAutoscaler, fed by a real metrics server, under real load."""

import threading
from collections.abc import Iterator

import pytest

from slipway_box import resource_metrics
from slipway_box.box import Box
from slipway_operator.cluster import resources
from slipway_testing.kube import eventually
from slipway_testing.stage import ROW, Stage

BUSY_MODEL = b'''
import time
import numpy
import triton_python_backend_utils as utils

class TritonPythonModel:
    """Keeps a core busy for 20 ms a request."""

    def execute(self, requests):
        until = time.perf_counter() + 0.02 * len(requests)
        while time.perf_counter() < until:
            pass
        rows = [utils.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [utils.InferenceResponse([utils.Tensor("y", row.astype(numpy.float32))]) for row in rows]
'''


@pytest.fixture(scope="module")
def metrics() -> Iterator[None]:
    """A metrics server on the box, gone again afterwards."""
    Box().start(resource_metrics.NAME)
    yield
    Box().stop(resource_metrics.NAME)


@pytest.mark.usefixtures("metrics")
def test_load_brings_a_second_pod(stage: Stage) -> None:
    uri = stage.store("busy/1/model.py", BUSY_MODEL)
    serving = {
        "replicas": {"min": 1, "max": 2, "targetCpuUtilizationPercent": 50},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "batching": {"maxBatchSize": 8},
    }
    stage.apply("busy", uri=uri, format="python", inputs=ROW, outputs=[{"name": "y", "dtype": "FP32", "shape": [2]}], serving=serving)
    revision = stage.ready("busy")
    assert pods(stage) == 1

    stop = threading.Event()
    asking = threading.Thread(target=ask, args=(stage, stop), daemon=True)
    asking.start()
    try:
        eventually(lambda: pods(stage) == 2, within_s=150, every_s=1)
        stage.ready("busy")
    finally:
        stop.set()
        asking.join()

    scaler = stage.kube.get(resources.HORIZONTAL_POD_AUTOSCALERS, revision, namespace=stage.namespace)
    assert scaler is not None
    assert scaler["status"]["desiredReplicas"] == 2
    isvc = stage.kube.get(resources.INFERENCE_SERVICES, revision, namespace=stage.namespace)
    assert isvc is not None
    assert isvc["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"


def pods(stage: Stage) -> int:
    """Ready pods of the model."""
    live = stage.kube.list(resources.DEPLOYMENTS, namespace=stage.namespace, selector="slipway.dev/modeldeployment=busy")
    return sum(int(each.get("status", {}).get("readyReplicas") or 0) for each in live)


def ask(stage: Stage, stop: threading.Event) -> None:
    """Ask one request after the other, at most 10,000."""
    for _ in range(10_000):
        if stop.is_set():
            return
        stage.doubled("busy", [[1, 2]])
