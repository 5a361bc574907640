"""The request path whole: routers, transformer, a real Redis, a real Triton."""

import contextlib
import itertools
import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis

from slipway_box import environments
from slipway_box import redis as box_redis
from slipway_box.box import Box
from slipway_box.layout import REPOSITORY
from slipway_features import keys
from slipway_features.blob import Writer
from slipway_features.schema import Schema
from slipway_operator.cluster import resources
from slipway_testing import hook_image, malformed, onnx_models
from slipway_testing.kube import eventually
from slipway_testing.stage import DOUBLED, Stage
from slipway_testing.users import Users

NAME = "ranker"
PROJECT = "e2e"
"""Not the demo's, whose rows are older and would not replace these when it is run again."""

USERS = Schema.of([("ctr", "float32"), ("age", "int64")], ttl_s=3600)
SMALL = {"requests": {"cpu": "50m", "memory": "96Mi"}}
REQUEST = [{"name": "user", "dtype": "INT64", "shape": [1]}, {"name": "price", "dtype": "FP32", "shape": [1]}]
MUTATIONS = 1_000
LEAK_BYTES = 20 * 2**20
"""What both transformers may keep more after them: 10 KiB for each, if all of them leaked."""
HEAD = b"POST /v2/models/ranker/infer HTTP/1.1\r\nHost: ranker\r\nConnection: close\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def store() -> Iterator[redis.Redis]:
    """The Redis of the box, with the rows of users 0 to 99."""
    box = Box()
    box.start(box_redis.NAME)
    with redis.Redis.from_url(box_redis.url(box.site)) as client:
        fill(client)
        yield client


def fill(client: redis.Redis) -> None:
    """User n has a ctr of n / 2 and is 20 + n years old."""
    client.set(keys.schema_key(PROJECT, "users"), USERS.json())
    writer = Writer(USERS)
    for user in range(100):
        client.set(keys.row_key(PROJECT, "users", {"user": user}), writer.row({"ctr": user / 2, "age": 20 + user}, time.time_ns() // 1000))


def transformer(**changes: Any) -> dict[str, Any]:
    """ctr from the store and the price from the client are the two numbers that the model doubles."""
    return {
        "request": REQUEST,
        "validation": {"rules": [{"input": "price", "minimum": "0", "maximum": "1000", "nullable": False}]},
        "features": {
            "redis": box_redis.url(Box().site),
            "project": PROJECT,
            "into": "x",
            "columns": [{"view": "users", "feature": "ctr"}, {"input": "price"}],
            "entities": [{"view": "users", "keys": [{"name": "user", "input": "user"}]}],
            "default": "7",
        },
        "resources": SMALL,
    } | changes


@pytest.fixture(scope="module")
def serving(stage: Stage, store: redis.Redis) -> str:
    """Two pods of the model behind the namespace's routers."""
    uri = stage.store("ranker/1/model.onnx", onnx_models.doubled())
    serving = DOUBLED["serving"] | {"replicas": {"min": 2}}
    stage.apply(NAME, uri=uri, transformer=transformer(), **DOUBLED | {"serving": serving})
    return stage.ready(NAME)


def body(user: object = 3, price: object = 1.5) -> dict[str, Any]:
    """One row."""
    return {
        "inputs": [
            {"name": "user", "datatype": "INT64", "shape": [1, 1], "data": [user]},
            {"name": "price", "datatype": "FP32", "shape": [1, 1], "data": [price]},
        ]
    }


def infer(stage: Stage, asked: dict[str, Any], *, name: str = NAME) -> tuple[int, Any]:
    return stage.ask(name, f"/v2/models/{name}/infer", asked)


def doubled(stage: Stage, user: int, price: float = 1.5, *, name: str = NAME) -> list[float]:
    status, answer = infer(stage, body(user, price), name=name)
    assert status == 200, answer
    found: list[float] = answer["outputs"][0]["data"]
    return found


def outcome(stage: Stage, user: int = 3) -> object:
    """The data of a good answer, or the status."""
    status, answer = infer(stage, body(user))
    return answer["outputs"][0]["data"] if status == 200 else status


def pods(stage: Stage, name: str = NAME) -> list[dict[str, Any]]:
    return stage.kube.list(resources.PODS, namespace=stage.namespace, selector=f"slipway.dev/modeldeployment={name}")


def restarts(stage: Stage, name: str = NAME) -> Counter[str]:
    """By container, of all pods."""
    counted: Counter[str] = Counter()
    for pod in pods(stage, name):
        for container in pod["status"]["containerStatuses"]:
            counted[container["name"]] += container["restartCount"]
    return counted


@pytest.mark.usefixtures("serving")
def test_rows_get_the_features_of_their_user(stage: Stage) -> None:
    assert doubled(stage, 3) == [3.0, 3.0]
    assert doubled(stage, 40, 2.0) == [40.0, 4.0]
    assert doubled(stage, 4_000) == [14.0, 3.0], "nobody: the default"
    status, described = stage.ask(NAME, f"/v2/models/{NAME}")
    assert (status, [each["name"] for each in described["inputs"]]) == (200, ["user", "price"])


@pytest.mark.usefixtures("serving")
def test_what_breaks_a_rule_is_refused_with_the_reason(stage: Stage) -> None:
    status, said = infer(stage, body(price=-1))
    assert status == 422
    assert (said["input"], said["reason"], said["row"]) == ("price", "minimum", 0)


@pytest.mark.usefixtures("serving")
def test_clients_that_others_wrote_ask_it_unchanged(stage: Stage) -> None:
    python = environments.need("clients") / "bin/python"
    command = [str(python), str(REPOSITORY / "tests/slipway_testing/foreign_clients.py"), stage.address(NAME), NAME, "3", "1.5"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"tritonclient, binary": [3.0, 3.0], "tritonclient, JSON": [3.0, 3.0], "kserve": [3.0, 3.0]}


@pytest.mark.usefixtures("serving")
def test_grpc_does_not_go_around_it(stage: Stage) -> None:
    asked = b"\x0a" + bytes([len(NAME)]) + NAME.encode()  # ModelInferRequest {model_name: "ranker"}
    with grpc.insecure_channel(f"{stage.address(NAME)}:9000") as channel:
        infer_by_grpc: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as refused:
            infer_by_grpc(asked, timeout=10)

    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "transformer" in str(refused.value.details())


CASES = {
    "truncated": (b'{"inputs": [', {}, 400),
    "no JSON": (b"hello", {}, 400),
    "datatype": (json.dumps({"inputs": [body()["inputs"][0] | {"datatype": "FP32"}, body()["inputs"][1]]}).encode(), {}, 400),
    "shape": (json.dumps({"inputs": [body()["inputs"][0] | {"shape": [1, 2]}, body()["inputs"][1]]}).encode(), {}, 400),
    "NaN": (json.dumps(body(price=float("nan"))).encode(), {}, 400),
    "null": (json.dumps(body(price=None)).encode(), {}, 422),
    "text": (json.dumps(body(price="cheap")).encode(), {}, 400),
    "nothing": (b"", {}, 400),
    "10 MB of nothing": (b" " * 10_000_000, {}, 400),
    "10,000 rows of another shape": (
        json.dumps({"inputs": [body()["inputs"][0] | {"shape": [10_000, 1], "data": [1] * 10_000}, body()["inputs"][1]]}).encode(),
        {},
        400,
    ),
    "content type": (json.dumps(body()).encode(), {"content-type": "text/plain"}, 415),
}


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize("case", CASES)
def test_broken_bodies_are_the_clients_fault(stage: Stage, case: str) -> None:
    content, headers, status = CASES[case]
    head = HEAD.replace(b"application/json", headers.get("content-type", "application/json").encode())

    answer = malformed.sent(stage.address(NAME), head + b"content-length: %d\r\n\r\n" % len(content) + content, timeout_s=20)

    assert (answer.status, bool(answer.error)) == (status, True), answer


@pytest.mark.usefixtures("serving")
def test_10_000_rows_are_answered(stage: Stage) -> None:
    users = list(range(100)) * 100
    asked = {
        "inputs": [
            {"name": "user", "datatype": "INT64", "shape": [10_000, 1], "data": users},
            {"name": "price", "datatype": "FP32", "shape": [10_000, 1], "data": [1] * 10_000},
        ]
    }
    status, said = infer(stage, asked)
    assert (status, said["outputs"][0]["shape"]) == (200, [10_000, 2])
    assert said["outputs"][0]["data"] == list(itertools.chain.from_iterable((float(user), 2.0) for user in users))


@pytest.mark.usefixtures("serving")
def test_random_mutations_are_the_clients_fault_and_restart_nothing(stage: Stage) -> None:
    before, kept = restarts(stage), kept_bytes(stage)
    dice = random.Random(7)  # noqa: S311 - the same mutations in every run
    valid = json.dumps(body()).encode()
    found: Counter[int] = Counter()
    for _ in range(MUTATIONS):
        content = malformed.mutated(valid, dice)
        answer = malformed.sent(stage.address(NAME), HEAD + b"content-length: %d\r\n\r\n" % len(content) + content, timeout_s=10)
        found[answer.status] += 1
        assert answer.status in (200, 400, 413, 422), (content, answer)
        assert answer.status == 200 or answer.error, content
    assert found[400] > MUTATIONS / 2
    assert restarts(stage) == before
    assert kept_bytes(stage) < kept + LEAK_BYTES


def kept_bytes(stage: Stage) -> int:
    """Resident memory of all transformers."""
    statuses = [process.joinpath("status").read_text() for process in processes_of(stage, "transformer-container", "slipway_inference")]
    assert statuses
    return sum(int(line.split()[1]) * 1024 for status in statuses for line in status.splitlines() if line.startswith("VmRSS:"))


@pytest.mark.usefixtures("serving")
def test_a_store_that_is_wiped_has_nobody(stage: Stage, store: redis.Redis) -> None:
    view = [keys.row_key(PROJECT, "users", {"user": user}) for user in range(100)]
    store.delete(*view)
    assert doubled(stage, 3) == [14.0, 3.0]
    fill(store)
    assert doubled(stage, 3) == [3.0, 3.0]


@pytest.mark.usefixtures("serving")
def test_a_store_that_takes_half_a_second_is_503_and_then_there_again(stage: Stage, store: redis.Redis) -> None:
    before = restarts(stage)
    store.client_pause(500)
    assert outcome(stage) == 503
    eventually(lambda: outcome(stage) == [3.0, 3.0])
    assert restarts(stage) == before


@pytest.mark.usefixtures("serving")
def test_a_store_that_is_down_is_503_and_used_again_when_it_is_back(stage: Stage, store: redis.Redis) -> None:
    before, box = restarts(stage), Box()
    box.stop(box_redis.NAME)
    try:
        eventually(lambda: outcome(stage) == 503)
    finally:
        box.start(box_redis.NAME)
    fill(store)
    eventually(lambda: outcome(stage) == [3.0, 3.0], within_s=30)
    assert restarts(stage) == before


@pytest.mark.usefixtures("serving")
def test_a_triton_that_is_killed_comes_back_under_the_same_transformer(stage: Stage) -> None:
    before = restarts(stage)
    pod = pods(stage)[0]["metadata"]["name"]
    (triton,) = processes_of(stage, "kserve-container", "--model-repository", pod=pod)
    subprocess.run(["kill", "-KILL", triton.name], check=True)
    eventually(lambda: restarts(stage)["kserve-container"] > before["kserve-container"], within_s=60)
    stage.run("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=90s")
    assert [outcome(stage) for _ in range(10)] == [[3.0, 3.0]] * 10
    assert restarts(stage)["transformer-container"] == before["transformer-container"]


def processes_of(stage: Stage, container: str, word: str, *, pod: str = "") -> list[Path]:
    """Folders in /proc of processes whose command line has a word, in containers of the model's pods, or of one: they run on this machine."""
    identities = [
        each["containerID"].removeprefix("containerd://")
        for live in pods(stage)
        if pod in ("", live["metadata"]["name"])
        for each in live["status"]["containerStatuses"]
        if each["name"] == container
    ]
    found = []
    for group in Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            within = group.read_text()
            if any(identity in within for identity in identities) and word in (group.parent / "cmdline").read_text():
                found.append(group.parent)
    return found


@pytest.mark.usefixtures("serving")
def test_pods_that_are_replaced_under_load_fail_no_request(stage: Stage) -> None:
    with Users(stage, NAME, clients=3, pause_s=0.002, body=json.dumps(body())) as users:
        eventually(lambda: users.total > 200)
        old = {pod["metadata"]["name"] for pod in pods(stage)}
        for name in sorted(old):
            stage.run("delete", "pod", name, "--wait=true")
            eventually(lambda: sum(ready(pod) for pod in pods(stage)) == 2, within_s=90)
        mark = users.total
        eventually(lambda: users.total > mark + 200)
    assert (users.failures, users.errors) == ([], {})


def ready(pod: dict[str, Any]) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return "deletionTimestamp" not in pod["metadata"] and conditions.get("Ready") == "True"


HOOKS = """
class Halved:
    def __init__(self, parameters):
        self.divisor = float(parameters["divisor"])

    def pre(self, tensors):
        x = tensors["x"]
        if (x < 0).any():
            raise ValueError("negative")
        return {"x": x / x.dtype.type(self.divisor)}
"""


def test_hooks_of_an_image_of_ones_own(stage: Stage, tmp_path: Path) -> None:
    image = hook_image.load("shop_hooks", HOOKS, tmp_path)
    uri = stage.store("hooked/1/model.onnx", onnx_models.doubled())
    hooks = {"class": "shop_hooks:Halved", "parameters": {"divisor": "2"}}
    stage.apply("hooked", uri=uri, transformer={"hooks": hooks, "image": image, "resources": SMALL, "log": {"samplePercent": "100"}}, **DOUBLED)
    stage.ready("hooked")

    assert stage.doubled("hooked", [[1, 2], [3, 4]]) == [1, 2, 3, 4]
    status, said = stage.ask("hooked", "/v2/models/hooked/infer", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [-1, 2]}]})
    assert (status, "Halved" in said["error"], "Traceback" in json.dumps(said)) == (500, True, False)
    pod = pods(stage, "hooked")[0]["metadata"]["name"]
    logged = stage.run("exec", pod, "-c", "transformer-container", "--", "cat", "/var/log/slipway/predictions.jsonl")
    assert [json.loads(line)["rows"] for line in logged.splitlines()] == [2]
    assert not restarts(stage, "hooked").total()


def test_a_model_that_does_not_load_says_why_through_its_transformer(stage: Stage) -> None:
    uri = stage.store("broken/1/model.onnx", b"this is no model")
    stage.apply("broken", uri=uri, transformer={"resources": SMALL}, **DOUBLED)

    def told() -> bool:
        message = stage.condition("broken")["message"]
        assert "model.onnx" in message or "onnx" in message.lower(), message
        return True

    eventually(told, within_s=60)


@pytest.mark.usefixtures("store")
def test_a_new_revision_that_waits_for_its_store_says_so(stage: Stage) -> None:
    name = "waiting"
    uri = stage.store(f"{name}/1/model.onnx", onnx_models.doubled())
    features = transformer()["features"]
    nowhere = features | {"redis": f"redis://{Box().site.address}:9/0"}
    stage.apply(name, uri=uri, transformer=transformer(features=nowhere), **DOUBLED)

    def told() -> bool:
        condition = stage.condition(name, "ModelReady")
        assert condition["reason"] == "StoreUnavailable", condition
        assert "does not get at the online store: it cannot be connected to: Connection refused" in condition["message"]
        return True

    eventually(told, within_s=60)
    stage.apply(name, uri=uri, transformer=transformer(), **DOUBLED)
    stage.ready(name)
    stage.run("delete", "mdep", name)
