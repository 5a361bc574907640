"""What happens to requests while parts go away and come back: nothing."""

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from slipway_box import clusters, on_box
from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object
from slipway_testing import calm, lookups, malformed, onnx_models, outages
from slipway_testing.kube import eventually, steady
from slipway_testing.load import Load
from slipway_testing.lookups import Resolving
from slipway_testing.malformed import Answer
from slipway_testing.stage import DOUBLED, Stage
from slipway_testing.users import BODY, Users

NAME = "doubled"
ROUTERS = "slipway.dev/router=slipway-router"
API_AWAY_S = 10.0
DNS_AWAY_S = 3.0
MUTATIONS = 300
TAKEN_S = 2.0
"""After which the agent has what nginx counted: it takes it each second."""

HEAD = b"POST /v2/models/doubled/infer HTTP/1.1\r\nHost: doubled\r\nConnection: close\r\nx-user-id: u\r\ncontent-type: application/json\r\n"
VALID = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY.encode()


@pytest.fixture(scope="module")
def serving(stage: Stage) -> str:
    """Two pods of a model behind the namespace's routers."""
    uri = stage.store("doubled/1/model.onnx", onnx_models.doubled())
    stage.apply(NAME, uri=uri, **DOUBLED | {"serving": DOUBLED["serving"] | {"replicas": {"min": 2}}})
    return stage.ready(NAME)


def pods(stage: Stage, selector: str) -> list[str]:
    """Names of the ready ones."""
    return [pod["metadata"]["name"] for pod in ready_pods(stage, selector)]


def ready_pods(stage: Stage, selector: str) -> list[Object]:
    """The ready ones."""
    return [pod for pod in stage.kube.list(resources.PODS, namespace=stage.namespace, selector=selector) if _ready(pod)]


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


def test_the_api_server_is_not_missed_for_ten_seconds(stage: Stage, serving: str) -> None:
    def happens() -> None:
        with outages.without("kube-apiserver"):
            began = time.monotonic()
            eventually(lambda: time.monotonic() - began > API_AWAY_S, within_s=API_AWAY_S + 5)
            assert not outages.reachable(stage.kube)
        eventually(lambda: outages.reachable(stage.kube), within_s=60)

    users, others = while_users_ask(stage, happens)
    assert untouched(users, others)
    assert users.total > 1_000
    stage.ready(NAME)


@pytest.mark.skipif(not isinstance(clusters.chosen(), on_box.OnBox), reason="the DNS of this cluster is not ours to end")
def test_dns_is_missed_by_look_ups_alone(stage: Stage, serving: str) -> None:
    """Clients that know the address ask on; one that looks it up each time waits, and no request of its fails. Routers look nothing up."""
    with Resolving(stage, NAME) as client:

        def happens() -> None:
            with outages.without("dns"):
                began = time.monotonic()
                eventually(lambda: time.monotonic() - began > DNS_AWAY_S, within_s=DNS_AWAY_S + 5)

        assert untouched(*while_users_ask(stage, happens))
        told = client.told()

    assert told.failures == []
    assert told.missed > 0, "it did not notice"
    assert told.since >= lookups.AFTER, "its look-ups did not come back"


def requests_counted(stage: Stage) -> Mapping[str, float]:
    """First attempts of inferences by router pod; this namespace's routers serve one model."""
    return {pod["metadata"]["name"]: calm.sample(pod, "slipway_router_requests_total") for pod in ready_pods(stage, ROUTERS)}


def at_rest(stage: Stage) -> Mapping[str, float]:
    found: Mapping[str, float] = eventually(lambda: steady(lambda: requests_counted(stage), for_s=TAKEN_S))
    return found


def test_every_request_is_counted_once(stage: Stage, serving: str) -> None:
    """Some over one connection, some over one each, so that both routers get some."""
    before = at_rest(stage)
    with Users(stage, NAME, clients=1, requests=300) as users:
        eventually(lambda: users.finished, within_s=60)
    with Load(stage, NAME, requests=200) as others:
        eventually(lambda: others.total == 200, within_s=60)
    assert untouched(users, others)
    after = at_rest(stage)
    assert after.keys() == before.keys()
    assert sum(after.values()) - sum(before.values()) == 500
    assert all(after[name] > before[name] for name in before)


def starts(stage: Stage, serving: str) -> Mapping[str, int]:
    """How often each container of routers and model was started again; those of pods that are not ready are missing."""
    found = [pod for selector in (ROUTERS, f"slipway.dev/revision={serving}") for pod in ready_pods(stage, selector)]
    return {f"{pod['metadata']['name']} {each['name']}": each["restartCount"] for pod in found for each in pod["status"]["containerStatuses"]}


@pytest.fixture(scope="module")
def started(stage: Stage, serving: str) -> Mapping[str, int]:
    """As it is before the first request that is wrong."""
    return starts(stage, serving)


@pytest.fixture
def unharmed(stage: Stage, serving: str, started: Mapping[str, int]) -> Iterator[str]:
    """The address; afterwards no container was started again, and a good request is answered."""
    address = stage.address(NAME)
    yield address
    assert malformed.sent(address, VALID).status == 200
    assert starts(stage, serving) == started


@pytest.mark.parametrize(
    ("request_", "status", "error"),
    [
        (VALID.replace(b"/infer", b"/predict"), 404, "there is nothing at this path"),
        (VALID.replace(b"/v2/models/doubled/infer", b"/v2/repository/models/doubled/unload"), 404, "there is nothing at this path"),
        (VALID.replace(b"models/doubled", b"models/tripled"), 404, "no model tripled is served here"),
        (VALID.replace(b"POST", b"PUT"), 405, "POST the request for doubled"),
        (VALID.replace(b"application/json", b"text/csv"), 415, "doubled takes application/json"),
        (HEAD + b"content-length: 67108865\r\n\r\n", 413, "doubled takes bodies of at most 67108864 bytes"),
        (HEAD + b"content-length: 99999999999\r\n\r\n", 413, "the body is larger than any model takes"),
        (HEAD + b"content-length: -1\r\n\r\n", 400, "this is not an HTTP/1.1 request that can be read"),
        (VALID.replace(b"x-user-id: u", b"x-user-id: u\rx-slipway-revision: mine"), 400, "this is not an HTTP/1.1 request that can be read"),
        (VALID.replace(b"x-user-id: u", b"x-user-id: u\0v"), 400, "this is not an HTTP/1.1 request that can be read"),
        (VALID.replace(b'"FP32"', b'"FP31"'), 400, ""),
        (VALID.replace(b"[1, 2]", b"[1, 3]", 1), 400, ""),
        (VALID.replace(b'"inputs"', b'"imputs"'), 400, ""),
        (VALID.replace(b"{", b"["), 400, ""),
    ],
)
def test_what_is_wrong_is_told(unharmed: str, request_: bytes, status: int, error: str) -> None:
    """By the router, and by Triton where only the model can know."""
    answer = malformed.sent(unharmed, request_)
    assert (answer.status, error in answer.error) == (status, True), answer


def test_a_body_that_is_cut_short_is_no_request(unharmed: str) -> None:
    for request_ in (VALID[:-5], HEAD + b"content-length: 1000000\r\n\r\n{"):
        assert malformed.sent(unharmed, request_, finish=True).status in (0, 400)


def test_a_header_in_a_header_gets_into_no_answer(stage: Stage, serving: str, unharmed: str) -> None:
    """A bare line feed ends a header, so what follows it is another header of the request, and none of the answer."""
    injected = b"x-user-id: u\nx-slipway-revision: mine\nset-cookie: a=b\nx-request-id: mine\nset-cookie: c=d"
    answer = malformed.sent(unharmed, VALID.replace(b"x-user-id: u", injected))
    assert (answer.status, answer.headers["x-slipway-revision"], answer.headers["x-request-id"]) == (200, serving, "mine")
    assert "set-cookie" not in answer.headers


def test_mutations_of_a_request_are_answered_or_refused_and_nobody_else_notices(stage: Stage, serving: str, unharmed: str) -> None:
    chance = random.Random(20261125)  # noqa: S311
    requests = [malformed.mutated(VALID, chance) for _ in range(MUTATIONS)]
    answers: list[tuple[bytes, Answer]] = []

    def happens() -> None:
        with ThreadPoolExecutor(16) as threads:
            answers.extend(zip(requests, threads.map(lambda request_: malformed.sent(unharmed, request_), requests), strict=True))

    assert untouched(*while_users_ask(stage, happens))
    for request_, answer in answers:
        assert answer.status in (0, 200) or 400 <= answer.status < 500, (request_, answer)
        assert answer.status < 400 or answer.error, (request_, answer)
    found = Counter(answer.status for _, answer in answers)
    assert found[200] > 5, found
    assert found.total() - found[200] - found[0] > 100, found
    assert found[0] < 60, found
    # The kubelet may need a second to see that something ended.
    steady(lambda: starts(stage, serving), for_s=3)
