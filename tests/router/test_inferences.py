"""What a pod answers 500 to, as Triton does to bodies that it cannot parse: whose fault it was."""

import json
from collections import Counter
from typing import Any

import pytest

from router.harness import BODY, Reply, Router, Seen, table

BEFORE = {"revision": "ranker-before"}
FIXED = {"response": {"status": 200, "contentType": "application/json", "body": '{"outputs":[]}'}}


def failing(_: Seen) -> Reply:
    return Reply(status=500, body=b'{"error":"failed to parse the request JSON buffer"}')


def counted(router: Router) -> Counter[str]:
    """Of all tables that were served one after the other, by outcome."""
    found: Counter[str] = Counter()
    for row in router.taken()["totals"]:
        found[row[5]] += row[6]
    return found


def tensor(**changed: Any) -> dict[str, Any]:
    whole = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    return {name: value for name, value in {**whole, **changed}.items() if value is not None}


def request(*inputs: Any, **changed: Any) -> bytes:
    return json.dumps({"inputs": list(inputs)} | changed).encode()


def binary(content: bytes, *inputs: Any) -> tuple[bytes, str]:
    """A body with ``content`` after its JSON, and the length of that."""
    described = request(*inputs)
    return described + content, str(len(described))


RAW = tensor(data=None, parameters={"binary_data_size": 8})
NOT_AN_OBJECT = "it is not an object of JSON"
SHAPELESS = "input x needs a shape: a list of whole numbers"
NUMBERLESS = "input x has an element that is not a number"

WRONG = {
    "nothing": (b"", NOT_AN_OBJECT),
    "cut short": (BODY[:-1], NOT_AN_OBJECT),
    "two": (BODY + BODY, NOT_AN_OBJECT),
    "a list": (b"[" + BODY + b"]", NOT_AN_OBJECT),
    "a number": (b"1", NOT_AN_OBJECT),
    "very deep": (b"[" * 5000, NOT_AN_OBJECT),
    "no number": (BODY.replace(b"[1,2]}", b"[1,NaN]}"), NOT_AN_OBJECT),
    "infinite": (BODY.replace(b"[1,2]}", b"[1,-Infinity]}"), NOT_AN_OBJECT),
    "hexadecimal": (BODY.replace(b"[1,2]}", b"[1,0x10]}"), NOT_AN_OBJECT),
    "no inputs": (b'{"imputs":[]}', "it needs inputs: a list of tensors"),
    "no input": (request(), "it needs inputs: a list of tensors"),
    "inputs by name": (b'{"inputs":{"x":[1]}}', "it needs inputs: a list of tensors"),
    "an id that is a number": (request(tensor(), id=1), "its id is no string"),
    "parameters in a list": (request(tensor(), parameters=[1]), "its parameters are no object"),
    "outputs by name": (request(tensor(), outputs={"y": 1}), "its outputs are no list"),
    "an output without name": (request(tensor(), outputs=[{"parameters": {}}]), "output 1 needs a name"),
    "an output's parameters": (request(tensor(), outputs=[{"name": "y", "parameters": [1]}]), "output y has parameters that are no object"),
    "an input that is none": (request(None), "input 1 needs a name"),
    "an input without name": (request(tensor(), tensor(name=None)), "input 2 needs a name"),
    "an input named by a number": (request(tensor(name=1)), "input 1 needs a name"),
    "an input's parameters": (request(tensor(parameters=[1])), "input x has parameters that are no object"),
    "no shape": (request(tensor(shape=None)), SHAPELESS),
    "a shape that is a number": (request(tensor(shape=2)), SHAPELESS),
    "half a row": (request(tensor(shape=[1, 2.5])), SHAPELESS),
    "rows unknown": (request(tensor(shape=[-1, 2])), SHAPELESS),
    "no datatype": (request(tensor(datatype=None)), "input x needs a datatype: FP32, INT64 or another of the protocol's"),
    "another datatype": (request(tensor(datatype="FP31")), "input x needs a datatype: FP32, INT64 or another of the protocol's"),
    "no data": (request(tensor(data=None)), "input x needs data: a list"),
    "data by name": (request(tensor(data={"0": 1})), "input x needs data: a list"),
    "too few elements": (request(tensor(data=[1])), "input x has 1 elements, but its shape says 2"),
    "too many elements": (request(tensor(data=[[1, 2], [3, 4]])), "input x has 4 elements, but its shape says 2"),
    "text among numbers": (request(tensor(data=[1, "2"])), NUMBERLESS),
    "null among numbers": (request(tensor(data=[[1, None]])), NUMBERLESS),
    "a fraction among whole numbers": (request(tensor(datatype="INT64", data=[1, 2.5])), "input x has an element that is not a whole number"),
    "a whole number with a point": (
        request(tensor(datatype="INT64", data=[1, 2.0])),
        "all inputs are of whole numbers, and it has others: write 1, not 1.0",
    ),
    "less than nothing": (request(tensor(datatype="UINT8", data=[1, -1])), "input x has an element that is not a whole number from 0 up"),
    "a number for a truth": (request(tensor(datatype="BOOL", data=[1, 0])), "input x has an element that is not true or false"),
    "a number for text": (request(tensor(datatype="BYTES", data=["1", 2])), "input x has an element that is not a string"),
    "a size that is text": (
        request(tensor(data=None, parameters={"binary_data_size": "8"})),
        "input x has a binary_data_size that is no number of bytes",
    ),
}

RIGHT = {
    "as it should be": BODY,
    "in rows": request(tensor(data=[[1, 2]])),
    "of all kinds": request(
        tensor(name="a", datatype="INT8", data=[-1, 2]),
        tensor(name="b", datatype="UINT64", data=[0, 2]),
        tensor(name="c", datatype="BOOL", data=[True, False]),
        tensor(name="d", datatype="BYTES", data=["1.0", ""]),
        tensor(name="e", datatype="FP64", data=[1e300, -0.5]),
    ),
    "a fraction in a name": request(tensor(name="v1.0", datatype="INT64")),
    "of no rows": request(tensor(shape=[0, 2], data=[])),
    "one number": request(tensor(shape=[], data=[1])),
    "with all that may be": request(tensor(parameters={"a": 1}), id="1", parameters={"p": True}, outputs=[{"name": "y", "parameters": {}}]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_parsed_is_the_clients_fault(router: Router, name: str) -> None:
    """With a fallback it is told in the router's words, and no fallback is asked; without, in the pod's."""
    body, wrong = WRONG[name]
    pod, before = router.pod(failing), router.pod()
    pods = {"ranker-old": [pod], "ranker-before": [before]}
    router.serve(table(), pods=pods)
    plain = router.ask(body=body, x_user_id="u")
    assert (plain.status, plain.json, plain.revision) == (400, {"error": "failed to parse the request JSON buffer"}, "ranker-old")

    for fallback in (BEFORE, FIXED):
        router.serve(table(fallback=fallback), pods=pods)
        answer = router.ask(body=body, x_user_id="u")
        assert (answer.status, answer.json) == (400, {"error": f"this is no inference request for ranker: {wrong}"})
    assert before.count == 0
    assert counted(router) == {"4xx": 3}


@pytest.mark.parametrize("name", RIGHT)
def test_what_can_be_parsed_is_the_models_failure(router: Router, name: str) -> None:
    before = router.pod()
    pods = {"ranker-old": [router.pod(failing)], "ranker-before": [before]}
    router.serve(table(), pods=pods)
    assert router.ask(body=RIGHT[name], x_user_id="u").status == 500
    for fallback in (BEFORE, FIXED):
        router.serve(table(fallback=fallback), pods=pods)
        assert router.ask(body=RIGHT[name], x_user_id="u").status == 200
    assert before.count == 1
    assert counted(router) == {"5xx": 3, "fallback": 2}


@pytest.mark.parametrize(
    ("content", "length", "status"),
    [
        (b"\0" * 8, None, 500),
        (b"\0" * 7, None, 400),
        (b"\0" * 9, None, 400),
        (b"\0" * 8, "1000", 400),
        (b"\0" * 8, "5", 400),
    ],
)
def test_binary_tensors_follow_the_json(router: Router, content: bytes, length: str | None, status: int) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod(failing)]})
    body, found = binary(content, RAW)
    headers = {"content_type": "application/octet-stream", "inference_header_content_length": length or found}
    assert router.ask(body=body, x_user_id="u", **headers).status == status


def test_the_router_says_how_binary_tensors_are_wrong(router: Router) -> None:
    router.serve(table(fallback=FIXED), pods={"ranker-old": [router.pod(failing)]})
    headers = {"content_type": "application/octet-stream", "x_user_id": "u"}
    body, length = binary(b"\0" * 7, RAW)
    said = router.ask(body=body, inference_header_content_length=length, **headers).json["error"]
    assert said == "this is no inference request for ranker: 7 bytes follow its JSON, and its inputs say 8"
    said = router.ask(body=body, inference_header_content_length="1000", **headers).json["error"]
    assert said == "this is no inference request for ranker: inference-header-content-length is not the length of its JSON"


@pytest.mark.parametrize("headers", [{"content_encoding": "gzip"}, {}])
def test_bodies_that_the_router_cannot_see_are_not_judged(router: Router, headers: dict[str, str]) -> None:
    """Compressed ones, and those of more than a megabyte, which nginx keeps in a file."""
    router.serve(table(limits={"bodyBytes": 4 << 20, "pendingPerPod": 128}), pods={"ranker-old": [router.pod(failing)]})
    body = b"[" if headers else b"[" + b" " * (2 << 20)
    assert router.ask(body=body, x_user_id="u", **headers).status == 500


def test_bad_bodies_do_not_rest_a_pod(router: Router) -> None:
    """Ten of them in a row: a pod that had failed as often would be left alone."""
    picky = router.pod(lambda seen: Reply(status=500 if seen.body == b"[" else 200))
    others = router.pod(lambda seen: Reply(status=500 if seen.body == b"[" else 200))
    router.serve(table(fallback=BEFORE), pods={"ranker-old": [picky, others], "ranker-before": [router.pod()]})
    assert {router.ask(body=b"[", x_user_id="u").status for _ in range(20)} == {400}
    before = (picky.count, others.count)
    assert {router.ask(x_user_id="u").status for _ in range(40)} == {200}
    assert picky.count - before[0] > 5
    assert others.count - before[1] > 5


def test_another_path_is_not_judged(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod(failing)]})
    assert router.ask("GET", "/v2/models/ranker").status == 500
