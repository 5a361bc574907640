"""Models of every format, served by real pods at their stable address."""

import subprocess
import threading
import time

from slipway_box import packages
from slipway_operator.cluster import resources
from slipway_testing import onnx_models
from slipway_testing.kube import eventually
from slipway_testing.stage import DOUBLED, ROW, Stage

PYTHON_MODEL = b"""
import numpy
import triton_python_backend_utils as utils

class TritonPythonModel:
    def execute(self, requests):
        rows = [utils.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [utils.InferenceResponse([utils.Tensor("y", (3 * row).astype(numpy.float32))]) for row in rows]
"""
CONFIG = b"""
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] } ]
"""


def test_an_onnx_model_answers_under_the_objects_name(stage: Stage) -> None:
    uri = stage.store("doubled/1/model.onnx", onnx_models.doubled())

    stage.apply("doubled", uri=uri, **DOUBLED)
    stage.ready("doubled")

    assert stage.doubled("doubled", [[1, 2], [3, 4]]) == [2, 4, 6, 8]
    status, described = stage.ask("doubled", "/v2/models/doubled")
    assert (status, described["name"], described["inputs"]) == (200, "doubled", [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}])


def test_the_same_address_speaks_grpc(stage: Stage) -> None:
    """ModelReady by hand: one length-prefixed protobuf message over HTTP/2, {name: "doubled"} out and {ready: true} back."""
    packages.need("curl")
    name = b"doubled"
    asked = b"\x0a" + bytes([len(name)]) + name
    address = f"http://{stage.address('doubled')}:9000/inference.GRPCInferenceService/ModelReady"
    command = ["curl", "--silent", "--fail", "--max-time", "10", "--http2-prior-knowledge", "--data-binary", "@-"]
    headers = ["--header", "content-type: application/grpc", "--header", "te: trailers"]

    answer = subprocess.run([*command, *headers, address], input=b"\x00" + len(asked).to_bytes(4) + asked, capture_output=True, check=True)

    assert answer.stdout == b"\x00\x00\x00\x00\x02\x08\x01"


def test_a_single_file_of_any_name_is_enough(stage: Stage) -> None:
    folder = stage.store("single/other-name.onnx", onnx_models.doubled())

    stage.apply("single", uri=f"{folder}/other-name.onnx", **DOUBLED)
    stage.ready("single")

    assert stage.doubled("single", [[1, 2]]) == [2, 4]


def test_a_python_model_answers(stage: Stage) -> None:
    uri = stage.store("tripled/1/model.py", PYTHON_MODEL)

    stage.apply("tripled", uri=uri, format="python", inputs=ROW, outputs=[{"name": "y", "dtype": "FP32", "shape": [2]}], serving=DOUBLED["serving"])
    stage.ready("tripled")

    assert stage.doubled("tripled", [[1, 2]]) == [3, 6]


def test_a_whole_triton_repository_answers(stage: Stage) -> None:
    stage.store_all({"repository/whole/1/model.onnx": onnx_models.doubled(), "repository/whole/config.pbtxt": CONFIG})

    stage.apply("whole", uri="pvc://models/repository", format="triton", inputs=None, outputs=None)
    stage.ready("whole")

    assert stage.doubled("whole", [[1, 2]]) == [2, 4]


def test_answers_given_once_come_from_the_cache(stage: Stage) -> None:
    uri = stage.store("cached/1/model.onnx", onnx_models.doubled())
    stage.apply("cached", uri=uri, **DOUBLED | {"serving": {"batching": {"maxBatchSize": 8}, "responseCache": {"sizeMebibytes": 16}}})
    stage.ready("cached")

    for _ in range(3):
        stage.doubled("cached", [[1, 2]])

    pod = stage.run("get", "pods", "-l", "slipway.dev/modeldeployment=cached", "-o", "jsonpath={.items[0].status.podIP}")
    hits = stage.run(
        "exec", "uploader", "--", "python", "-c", f"import urllib.request as r; print(r.urlopen('http://{pod}:8002/metrics').read().decode())"
    )
    assert 'nv_cache_num_hits_per_model{model="cached",version="1"} 2' in hits


def test_two_replicas_are_two_ready_pods(stage: Stage) -> None:
    uri = stage.store("twice/1/model.onnx", onnx_models.doubled())

    stage.apply("twice", uri=uri, **DOUBLED | {"serving": DOUBLED["serving"] | {"replicas": {"min": 2}}})
    stage.ready("twice")

    pods = stage.kube.list(resources.PODS, namespace=stage.namespace, selector="slipway.dev/modeldeployment=twice")
    assert len(pods) == 2


def test_an_update_and_the_way_back_lose_no_request(stage: Stage) -> None:
    uris = [stage.store(f"moving/{number}/model.onnx", onnx_models.doubled()) for number in (1, 2)]
    stage.apply("moving", uri=uris[0], **DOUBLED)
    first = stage.ready("moving")

    with Load(stage, "moving") as load:
        stage.apply("moving", uri=uris[1], **DOUBLED)
        second = stage.ready("moving")
        parked(stage, "moving", first)
        stage.apply("moving", uri=uris[0], **DOUBLED)
        third = stage.ready("moving")
        parked(stage, "moving", second)

    assert (first, load.failures) == (third, [])
    assert load.answered > 100


def parked(stage: Stage, name: str, revision: str) -> None:
    """Wait until a revision has given its pods back."""
    eventually(
        lambda: {"name": revision, "role": "Parked"}.items() <= next(each for each in revisions(stage, name) if each["name"] == revision).items(),
        within_s=60,
    )
    eventually(lambda: not stage.kube.list(resources.PODS, namespace=stage.namespace, selector=f"slipway.dev/revision={revision}"), within_s=90)


def revisions(stage: Stage, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = stage.live(name)["status"]["revisions"]
    return found


class Load:
    """One client that asks without a pause, each time on a new connection; at most 20,000 requests."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.failures: list[str] = []
        self.answered = 0
        self._stage, self._name = stage, name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        for _ in range(20_000):
            if self._stop.is_set():
                return
            try:
                assert self._stage.doubled(self._name, [[1, 2]]) == [2, 4]
                self.answered += 1
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))
            time.sleep(0.005)
