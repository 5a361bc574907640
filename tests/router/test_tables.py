"""Tables: taken as a whole or not at all, and live with the next request."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.harness import Load, Router, given, split, table
from slipway_router.agent.table import Refused, Table

GOOD = table()
EXPOSURES = {"experiment": "shop/ranker-v8-1a2b3c4d", "stratum": "1", "arms": ["control", "v8", "waiting"]}


def changed(**fields: Any) -> str:
    return json.dumps({"routes": {"ranker": json.dumps({**GOOD, **fields})}, "pods": {}})


def without(field: str) -> str:
    return json.dumps({"routes": {"ranker": json.dumps({name: value for name, value in GOOD.items() if name != field})}, "pods": {}})


BAD = {
    "nothing": "",
    "no JSON": "{",
    "no object": "[]",
    "a number": "7",
    "no routes": '{"pods":{}}',
    "no pods": '{"routes":{}}',
    "routes is a list of numbers": '{"routes":[1],"pods":{}}',
    "a route is an object": '{"routes":{"ranker":{}},"pods":{}}',
    "a route is no JSON": '{"routes":{"ranker":"{"},"pods":{}}',
    "a route is null": '{"routes":{"ranker":"null"},"pods":{}}',
    "a cut route": json.dumps({"routes": {"ranker": json.dumps(GOOD)[:-20]}, "pods": {}}),
    "another model": json.dumps({"routes": {"sorter": json.dumps(GOOD)}, "pods": {}}),
    "a model with a slash": json.dumps({"routes": {"a/b": json.dumps({**GOOD, "model": "a/b"})}, "pods": {}}),
    "version 2": changed(version=2),
    "version in text": changed(version="1"),
    "no namespace": without("namespace"),
    "no seed": without("seed"),
    "an empty seed": changed(seed=""),
    "no epoch": without("epoch"),
    "half an epoch": changed(epoch=1.5),
    "an epoch before 0": changed(epoch=-1),
    "a unit without header": changed(unit={"onMissing": "Random"}),
    "a header with a colon": changed(unit={"header": "a:b", "onMissing": "Random"}),
    "another onMissing": changed(unit={"header": "x-user-id", "onMissing": "Reject"}),
    "revisions is an object": changed(revisions={"name": "x"}),
    "a revision without a name": changed(revisions=[{"role": "Stable"}]),
    "a revision without a role": changed(revisions=[{"name": "x"}]),
    "two of one name": changed(revisions=[{"name": "x", "role": "Stable"}, {"name": "x", "role": "Candidate"}]),
    "two stable": changed(revisions=[{"name": "x", "role": "Stable"}, {"name": "y", "role": "Stable"}]),
    "slots without stable": changed(revisions=[{"name": "x", "role": "Candidate"}]),
    "stable without slots": changed(slots=[]),
    "slots that end early": changed(slots=[[9999, 0]]),
    "slots beyond the end": changed(slots=[[10001, 0]]),
    "slots that fall": changed(slots=[[5000, 0], [4000, 0], [10000, 0]]),
    "slots that stand": changed(slots=[[5000, 0], [5000, 0], [10000, 0]]),
    "slots of nobody": changed(slots=[[10000, 1]]),
    "slots before the first": changed(slots=[[10000, -1]]),
    "half a slot": changed(slots=[[0.5, 0], [10000, 0]]),
    "a run of one": changed(slots=[[10000]]),
    "a run of four": changed(slots=[[10000, 0, 0, 0]], exposures=EXPOSURES),
    "a run of null": changed(slots=[[10000, 0, None]], exposures=EXPOSURES),
    "an arm without exposures": changed(slots=[[10000, 0, 0]]),
    "an arm that is not there": changed(slots=[[9900, 0, 2], [10000, 0, 3]], exposures=EXPOSURES),
    "half an arm": changed(slots=[[10000, 0, 0.5]], exposures=EXPOSURES),
    "no timeout": changed(timeoutMilliseconds=0),
    "a timeout of days": changed(timeoutMilliseconds=10**9),
    "no limits": without("limits"),
    "limits of nothing": changed(limits={"bodyBytes": 0, "pendingPerPod": 1}),
    "no pending": changed(limits={"bodyBytes": 1}),
    "tokens in text": changed(tokens="no"),
    "no tokens": without("tokens"),
    "exposures without stratum": changed(exposures=EXPOSURES | {"stratum": None}),
    "exposures of a number": changed(exposures=EXPOSURES | {"stratum": 1}),
    "exposures of an empty stratum": changed(exposures=EXPOSURES | {"stratum": ""}),
    "exposures of a long stratum": changed(exposures=EXPOSURES | {"stratum": "s" * 64}),
    "exposures of a spaced stratum": changed(exposures=EXPOSURES | {"stratum": "a b"}),
    "exposures without experiment": changed(exposures=EXPOSURES | {"experiment": ""}),
    "exposures without arms": changed(exposures=EXPOSURES | {"arms": []}),
    "exposures of an object of arms": changed(exposures=EXPOSURES | {"arms": {"control": 0}}),
    "exposures of an arm twice": changed(exposures=EXPOSURES | {"arms": ["control", "control"]}),
    "exposures of a dash": changed(exposures=EXPOSURES | {"arms": ["-control"]}),
    "a shadow of 101 percent": changed(shadow={"revision": "x", "percent": "101"}),
    "a shadow of no number": changed(shadow={"revision": "x", "percent": "nan"}),
    "a shadow of nobody": changed(shadow={"percent": "1"}),
    "http only of no list": changed(httpOnly="ranker-old"),
    "http only of a number": changed(httpOnly=[7]),
    "a fallback of nothing": changed(fallback={}),
    "a fallback of both": changed(fallback={"revision": "x", "response": {"status": 200, "contentType": "a/b", "body": ""}}),
    "a response of status 99": changed(fallback={"response": {"status": 99, "contentType": "a/b", "body": ""}}),
    "a response with a header more": changed(fallback={"response": {"status": 200, "contentType": "a/b\r\nset-cookie: x", "body": ""}}),
    "a pod's name": json.dumps({"routes": {}, "pods": {"x": ["pod.shop.svc"]}}),
    "a pod's number": json.dumps({"routes": {}, "pods": {"x": [7]}}),
    "a pod of 256": json.dumps({"routes": {}, "pods": {"x": ["10.0.0.256"]}}),
    "a pod with a port": json.dumps({"routes": {}, "pods": {"x": ["10.0.0.1:80"]}}),
    "pods in text": json.dumps({"routes": {}, "pods": {"x": "10.0.0.1"}}),
    "pods in an object": json.dumps({"routes": {}, "pods": {"x": {"a": "10.0.0.1"}}}),
    "one bad table of two": json.dumps({"routes": {"ranker": json.dumps(GOOD), "sorter": "{}"}, "pods": {}}),
    "very deep": "[" * 5000,
}


@pytest.fixture(scope="module")
def serving(lasting_folder: Path) -> Iterator[Router]:
    with Router(lasting_folder, workers=2) as running:
        running.serve(GOOD, pods={"ranker-old": [running.pod()]})
        yield running


@pytest.mark.parametrize("what", BAD)
def test_bad_tables_are_refused_and_the_good_ones_stay(serving: Router, what: str) -> None:
    before = serving.control("GET", "/tables").json
    answer = serving.control("PUT", "/tables", BAD[what].encode())
    assert (answer.status, list(answer.json)) == (400, ["error"])
    assert serving.control("GET", "/tables").json == before
    assert serving.ask(x_user_id="u").revision == "ranker-old"


@pytest.mark.parametrize("what", [what for what in BAD if what.startswith(("exposures", "an arm", "half an arm", "a run of"))])
def test_the_agent_refuses_the_same(what: str) -> None:
    """It is asked first, and one model's table must not keep nginx from those of all others."""
    with pytest.raises(Refused):
        Table.parse(json.loads(BAD[what])["routes"]["ranker"], namespace="shop", model="ranker")


def test_a_refusal_says_what_and_where(router: Router) -> None:
    said = [
        router.control("PUT", "/tables", BAD[what].encode()).json["error"]
        for what in ("version 2", "slots that end early", "a pod's name", "no JSON")
    ]
    assert said == [
        "the route table of ranker has version 2, and this router knows version 1",
        "the route table of ranker is refused: slots must end at 10000",
        "the pods of x must be IP addresses, and pod.shop.svc is none",
        "the tables are not a JSON object: Expected object key string but found T_END at character 2",
    ]


def test_what_is_live_is_told_by_digest(router: Router) -> None:
    text = json.dumps(split(100), sort_keys=True, separators=(",", ":"))
    router.serve(split(100), pods={"ranker-old": ["10.88.0.7", "fd00::7"], "ranker-new": []})
    expected = {
        "digests": {"ranker": hashlib.sha256(text.encode()).hexdigest()[:16]},
        "pods": {"ranker-old": ["10.88.0.7", "fd00::7"], "ranker-new": []},
    }
    assert router.control("GET", "/tables").json == expected


def test_fields_that_are_not_known_do_no_harm(router: Router) -> None:
    router.serve(table(comment="new", exposures=None), pods={"ranker-old": [router.pod()]})
    assert router.ask(x_user_id="u").status == 200


def test_null_is_absent(router: Router) -> None:
    text = json.dumps({**GOOD, "exposures": None, "shadow": None, "fallback": None, "unit": None})
    assert router.control("PUT", "/tables", json.dumps({"routes": {"ranker": text}, "pods": {}}).encode()).status == 204


def test_a_model_that_left_is_unknown(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod()]})
    router.serve(table(model="sorter"), pods={})
    answer = router.ask()
    assert (answer.status, answer.json) == (404, {"error": "no model ranker is served here: check the name of the ModelDeployment"})


def test_large_tables(router: Router) -> None:
    """A hundred models, each with every slot a run of its own: 14 MB."""
    revisions = [{"name": "a", "role": "Stable"}, {"name": "b", "role": "Candidate"}]
    slots = [[end, end % 2] for end in range(1, 10001)]
    tables = [table(model=f"model-{number}", revisions=revisions, slots=slots) for number in range(100)]
    pod = router.pod()
    router.serve(*tables, pods={"a": [pod], "b": [pod]})
    assert router.ask(path="/v2/models/model-77/infer", x_user_id="u").status == 200


def test_tables_that_do_not_fit_into_memory_change_nothing(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod()]})
    response = {"response": {"status": 200, "contentType": "text/plain", "body": "x" * 30_000_000}}
    answer = router.put(table(fallback=response), table(model="sorter", fallback=response), pods={})
    assert (answer.status, router.ask(x_user_id="u").status) == (507, 200)


@pytest.mark.parametrize("request_", ["GET /taken", "POST /tables", "DELETE /tables", "GET /"])
def test_the_control_socket_knows_no_more(router: Router, request_: str) -> None:
    method, path = request_.split()
    assert router.control(method, path).status == 404


def test_a_change_every_50_ms_under_load_fails_nothing(router: Router) -> None:
    pods = {"ranker-old": [router.pod(), router.pod()], "ranker-new": [router.pod(), router.pod()]}
    router.serve(split(0), pods=pods)
    with Load(router.http_port, clients=4) as load:
        for number in range(60):
            router.serve(split(number * 167 % 10001, epoch=number + 8), pods=pods)
            time.sleep(0.05)
    assert (load.failures, set(load.statuses)) == ([], {200})
    assert load.revisions["ranker-new"] > load.total // 5


def test_a_change_is_live_in_every_worker_with_the_next_request(folder: Path) -> None:
    with Router(folder, workers=2) as router:
        pods = {"ranker-old": [router.pod()], "ranker-new": [router.pod()]}
        for number in range(100):
            router.serve(split(10000 * (number % 2)), pods=pods)
            assert router.ask(x_user_id="u").revision == ("ranker-new" if number % 2 else "ranker-old")


def test_pods_that_come_and_go_under_load_fail_nothing(router: Router) -> None:
    first, second = router.pod(), router.pod()
    router.serve(table(), pods={"ranker-old": [first]})
    with Load(router.http_port, clients=4) as load:
        for number in range(40):
            listed = [[first], [first, second], [second]][number % 3]
            assert router.control("PUT", "/tables", given(table(), pods={"ranker-old": listed})).status == 204
            time.sleep(0.02)
    assert (load.failures, set(load.statuses)) == ([], {200})
    assert min(first.count, second.count) > 0
