"""A fallback and a shadow with real routers and real models: users get good answers, whatever stands beside them or fails before them."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from slipway_operator.cluster import resources
from slipway_testing import onnx_models, python_models
from slipway_testing.kube import eventually
from slipway_testing.stage import DOUBLED, Stage
from slipway_testing.users import BODY, Users

NAME = "ranker"
GOOD = {"uri": "pvc://models/good/1", "format": "onnx"}
FAILING = {"uri": "pvc://models/failing/1", "format": "python"}
SAME = {"uri": "pvc://models/same/1", "format": "onnx"}
TENSORS = {name: DOUBLED[name] for name in ("inputs", "outputs")}

REQUESTS = 600
"""So many that each of the 500 users asks at least once."""

PAUSE_S = 0.01
LOOK_S = 30
"""Between two looks of the operator at what routers say of a shadow."""


@pytest.fixture(scope="module", autouse=True)
def models(stage: Stage) -> None:
    """One that answers y = 2 x, one that fails every request, and one that answers y = x."""
    files = {
        "good/1/model.onnx": onnx_models.doubled(),
        "failing/1/model.py": python_models.failing(share=1.0),
        "same/1/model.onnx": onnx_models.passed_through(onnx_models.TensorProto.FLOAT),
    }
    stage.store_all(files)


def apply(stage: Stage, model: Mapping[str, str], **traffic: Any) -> None:
    stage.apply(NAME, uri=model["uri"], format=model["format"], traffic=traffic, **DOUBLED)


def serve(stage: Stage, model: Mapping[str, str], **traffic: Any) -> str:
    apply(stage, model, **traffic)
    return stage.ready(NAME)


def stands_by(stage: Stage, kind: str) -> None:
    """Wait for FallbackReady or ShadowReady."""

    def look() -> bool:
        condition = stage.condition(NAME, kind)
        assert condition["status"] == "True", f"{condition['reason']}: {condition['message']}"
        return True

    eventually(look, within_s=60)


def roles(stage: Stage) -> dict[str, str]:
    """Revision by role, but for those that serve no more."""
    entries = stage.live(NAME)["status"]["revisions"]
    return {entry["role"]: entry["name"] for entry in entries if entry["role"] not in ("Draining", "Parked")}


def all_ask(stage: Stage) -> Users:
    """Every user asks."""
    with Users(stage, NAME, pause_s=PAUSE_S, requests=REQUESTS) as users:
        eventually(lambda: users.finished, within_s=60)
    return users


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Of one request."""

    status: int
    headers: dict[str, str]
    body: bytes


def asked(stage: Stage) -> Answer:
    """One plain request, as curl sends it."""
    connection = http.client.HTTPConnection(stage.address(NAME), 80, timeout=10)
    try:
        connection.request("POST", f"/v2/models/{NAME}/infer", BODY, {"content-type": "application/json"})
        answer = connection.getresponse()
        return Answer(status=answer.status, headers={name.lower(): value for name, value in answer.getheaders()}, body=answer.read())
    finally:
        connection.close()


def test_another_model_answers_for_one_that_fails(stage: Stage) -> None:
    failing = serve(stage, FAILING, fallback={"model": TENSORS | GOOD})
    stands_by(stage, "FallbackReady")
    fallback = roles(stage)["Fallback"]

    users = all_ask(stage)

    assert (users.failures, users.errors, users.answered) == ([], {}, {fallback: REQUESTS})
    answer = asked(stage)
    assert (answer.status, json.loads(answer.body)["outputs"][0]["data"]) == (200, [2, 4])
    assert answer.headers["x-slipway-fallback"] == "revision"
    assert answer.headers["x-slipway-revision"] == fallback
    assert roles(stage) == {"Stable": failing, "Fallback": fallback}
    assert stage.condition(NAME, "Degraded")["status"] == "False"


def test_a_fixed_response_answers_byte_for_byte(stage: Stage) -> None:
    body = '{"model_name": "ranker",  "outputs": [], "sorry": "später"}\n'
    serve(stage, FAILING, fallback={"response": {"status": 200, "contentType": "application/json", "body": body}})
    assert stage.condition(NAME, "FallbackReady")["reason"] == "ResponseFixed"

    users = all_ask(stage)

    assert (users.failures, users.errors, users.answered.total()) == ([], {}, REQUESTS)
    answer = asked(stage)
    assert (answer.status, answer.body) == (200, body.encode())
    assert answer.headers["x-slipway-fallback"] == "response"
    assert answer.headers["content-type"] == "application/json"


def test_a_shadow_is_compared_and_its_end_is_nobodys_business(stage: Stage) -> None:
    """The request is x = 1, 2: the one answers 2, 4 and the other 1, 2, which are 1.5 apart in the mean."""
    good = serve(stage, GOOD, shadow={"model": TENSORS | SAME, "percent": 100})
    stands_by(stage, "ShadowReady")
    shadow = roles(stage)["Shadow"]

    with Users(stage, NAME, pause_s=PAUSE_S) as users:
        first = compared(stage, more_than=0)
        victim = pods(stage, shadow)[0]
        stage.run("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
        eventually(lambda: pods(stage, shadow) and victim not in pods(stage, shadow), within_s=30)
        last = compared(stage, more_than=int(first["compared"]))

    assert (users.failures, users.errors, set(users.answered)) == ([], {}, {good})
    for told in (first, last):
        assert (told["revision"], told["agreement"], told["meanAbsoluteDifference"]) == (shadow, "0.000", "1.5")
    assert last["compared"] <= users.total
    stands_by(stage, "ShadowReady")


def compared(stage: Stage, *, more_than: int) -> dict[str, Any]:
    """What the status says of the shadow as soon as so many requests have been compared."""

    def look() -> dict[str, Any] | None:
        told: dict[str, Any] = stage.live(NAME)["status"].get("shadow") or {}
        return told if told.get("compared", 0) > more_than else None

    found = eventually(look, within_s=2 * LOOK_S + 10)
    assert found
    return found


def pods(stage: Stage, revision: str) -> list[str]:
    """Names of those that are not going."""
    found = stage.kube.list(resources.PODS, namespace=stage.namespace, selector=f"slipway.dev/revision={revision}")
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def test_the_previous_revision_answers_for_a_new_one_that_fails(stage: Stage) -> None:
    good = serve(stage, GOOD)
    with Users(stage, NAME, pause_s=PAUSE_S) as users:
        eventually(lambda: users.total > REQUESTS, within_s=60)
        failing = serve(stage, FAILING, fallback={"revision": "Previous"})
        mark = users.total
        eventually(lambda: users.total > mark + REQUESTS, within_s=60)

    assert failing != good
    assert (users.failures, users.errors, set(users.answered)) == ([], {}, {good})
    assert roles(stage) == {"Stable": failing, "Fallback": good}
    assert asked(stage).headers["x-slipway-fallback"] == "revision"
    assert stage.condition(NAME, "FallbackReady")["status"] == "True"
