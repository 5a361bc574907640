"""A router of a ModelDeployment's own: moved to and away from under traffic, and asking for tokens."""

import http.client
import json

import pytest

from slipway_operator.cluster import resources
from slipway_testing import onnx_models
from slipway_testing.kube import eventually
from slipway_testing.stage import DOUBLED, Stage
from slipway_testing.users import Users

NAME = "guarded"
OWN = f"slipway.dev/router={NAME}-router"
BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]})
OPEN, SHUT = "open-sesame-1", "open-sesame-2"


@pytest.fixture(scope="module")
def serving(stage: Stage) -> str:
    """One pod of a model behind the namespace's routers."""
    stage.apply(NAME, uri=stage.store("doubled/1/model.onnx", onnx_models.doubled()), **DOUBLED)
    return stage.ready(NAME)


def traffic(stage: Stage, **fields: object) -> None:
    stage.run("patch", "mdep", NAME, "--type=merge", "-p", json.dumps({"spec": {"traffic": fields}}))


def asked(stage: Stage, token: str | None) -> tuple[int, str]:
    """Status of an inference, and what it asks for."""
    connection = http.client.HTTPConnection(stage.address(NAME), 80, timeout=10)
    try:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        connection.request("POST", f"/v2/models/{NAME}/infer", BODY, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("www-authenticate", "")
    finally:
        connection.close()


def own_pods(stage: Stage) -> int:
    return len(stage.kube.list(resources.PODS, namespace=stage.namespace, selector=OWN))


def test_no_request_is_lost_on_the_way_to_a_router_of_its_own_and_back(stage: Stage, serving: str) -> None:
    with Users(stage, NAME, clients=2, pause_s=0.005) as users:
        eventually(lambda: users.total > 100)
        traffic(stage, router="Dedicated")
        stage.ready(NAME)
        service = stage.kube.get(resources.SERVICES, NAME, namespace=stage.namespace)
        assert service
        assert service["spec"]["selector"] == {"slipway.dev/router": f"{NAME}-router"}
        there = users.total
        eventually(lambda: users.total > there + 200)

        traffic(stage, router="Shared")
        stage.ready(NAME)
        eventually(lambda: own_pods(stage) == 0, within_s=120)
        back = users.total
        eventually(lambda: users.total > back + 200)
    # A connection that is kept open is ended between two answers; a client may have sent the next request by then, as with any server.
    assert users.errors == {}
    assert len(users.failures) <= 4, users.failures


def test_who_has_a_token_is_answered_and_nobody_else(stage: Stage, serving: str) -> None:
    stage.run("create", "secret", "generic", "keys", f"--from-literal=web={OPEN}")
    traffic(stage, router="Dedicated", tokens={"name": "keys"})
    stage.ready(NAME)

    eventually(lambda: asked(stage, None) == (401, "Bearer"))
    assert asked(stage, SHUT) == (401, "Bearer")
    assert asked(stage, OPEN) == (200, "")
