"""What happens to requests while parts go away and come back: nothing."""

import subprocess
from collections.abc import Callable

import pytest

from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object
from slipway_testing import onnx_models
from slipway_testing.kube import eventually
from slipway_testing.load import Load
from slipway_testing.stage import DOUBLED, Stage
from slipway_testing.users import Users

NAME = "doubled"
ROUTERS = "slipway.dev/router=slipway-router"


@pytest.fixture(scope="module")
def serving(stage: Stage) -> str:
    """Two pods of a model behind the namespace's routers."""
    uri = stage.store("doubled/1/model.onnx", onnx_models.doubled())
    stage.apply(NAME, uri=uri, **DOUBLED | {"serving": DOUBLED["serving"] | {"replicas": {"min": 2}}})
    return stage.ready(NAME)


def pods(stage: Stage, selector: str) -> list[str]:
    """Names of the ready ones."""
    found = stage.kube.list(resources.PODS, namespace=stage.namespace, selector=selector)
    return [pod["metadata"]["name"] for pod in found if _ready(pod)]


def _ready(pod: Object) -> bool:
    conditions = {each["type"]: each["status"] for each in (pod.get("status") or {}).get("conditions", [])}
    return "deletionTimestamp" not in pod["metadata"] and conditions.get("Ready") == "True"


def while_users_ask(stage: Stage, happens: Callable[[], None]) -> tuple[Users, Load]:
    """Users with connections that they keep, others that connect anew, before, while and after."""
    with Users(stage, NAME, clients=3, pause_s=0.002) as users, Load(stage, NAME, pause_s=0.01) as others:
        eventually(lambda: users.total > 200 and others.total > 20)
        happens()
        mark, other_mark = users.total, others.total
        eventually(lambda: users.total > mark + 300 and others.total > other_mark + 30, within_s=60)
    return users, others


def untouched(users: Users, others: Load) -> bool:
    assert (users.failures, users.errors, others.failures) == ([], {}, [])
    return True


def replaced(stage: Stage, selector: str, *, count: int, gone: str) -> None:
    eventually(lambda: gone not in pods(stage, selector) and len(pods(stage, selector)) == count, within_s=120)


def test_a_router_pod_that_is_deleted_finishes_what_it_has(stage: Stage, serving: str) -> None:
    first = pods(stage, ROUTERS)[0]

    def happens() -> None:
        stage.run("delete", "pod", first, "--wait=false")
        replaced(stage, ROUTERS, count=2, gone=first)

    users, others = while_users_ask(stage, happens)
    # A connection that is kept open is ended between two answers; a client may have sent the next request by then, as with any server.
    assert (users.errors, others.failures) == ({}, [])
    assert len(users.failures) <= 3, users.failures


def test_a_model_pod_that_is_killed_fails_no_request(stage: Stage, serving: str) -> None:
    selector = f"slipway.dev/revision={serving}"
    first = pods(stage, selector)[0]

    def happens() -> None:
        stage.run("delete", "pod", first, "--grace-period=0", "--force", "--wait=false")
        replaced(stage, selector, count=2, gone=first)

    assert untouched(*while_users_ask(stage, happens))


def test_an_operator_that_is_killed_is_not_missed(stage: Stage, serving: str) -> None:
    def happens() -> None:
        subprocess.run(
            [
                *stage.kubectl,
                "-n",
                "slipway-system",
                "delete",
                "pods",
                "-l",
                "app.kubernetes.io/name=slipway-operator",
                "--grace-period=0",
                "--force",
            ],
            check=True,
            capture_output=True,
        )
        stage.apply(NAME, uri="pvc://models/doubled/1", **DOUBLED | {"serving": DOUBLED["serving"] | {"replicas": {"min": 2, "max": 3}}})
        stage.ready(NAME)

    assert untouched(*while_users_ask(stage, happens))


def test_a_table_that_changes_every_second_costs_no_request(stage: Stage, serving: str) -> None:
    def happens() -> None:
        for milliseconds in range(50_000, 50_008):
            patch = f'{{"spec": {{"traffic": {{"limits": {{"timeoutMilliseconds": {milliseconds}}}}}}}}}'
            stage.run("patch", "mdep", NAME, "--type=merge", "-p", patch)
            stage.ready(NAME)

    assert untouched(*while_users_ask(stage, happens))


def test_routers_run_as_restricted_pods_with_two_of_them(stage: Stage, serving: str) -> None:
    assert len(pods(stage, ROUTERS)) == 2
    budget = stage.kube.get(resources.POD_DISRUPTION_BUDGETS, "slipway-router", namespace=stage.namespace)
    assert budget
    assert budget["status"]["disruptionsAllowed"] == 1
