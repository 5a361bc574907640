"""Whatever is wrong with a request is 4xx with a sentence, the input and a word; nothing of it reaches the model."""

import json
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from slipway_testing.inference import Adding, Stage, asked, floats, given, tensor, with_binary
from slipway_testing.malformed import mutated


@dataclass(frozen=True)
class Bad:
    """A request, and what has to be said about it."""

    body: bytes
    input: str
    reason: str
    status: int = 400
    headers: tuple[tuple[str, str], ...] = ()


MIXED = [tensor("x", "FP32", 4), tensor("n", "INT32", 1), tensor("s", "BYTES", 1), tensor("b", "BOOL", 1), tensor("any", "UINT8", -1)]
N, S, B, ANY = (
    given("n", "INT32", [1, 1], [7]),
    given("s", "BYTES", [1, 1], ["a"]),
    given("b", "BOOL", [1, 1], [True]),
    given("any", "UINT8", [1, 2], [1, 2]),
)


def x(**changes: Any) -> bytes:
    """A request whose ``x`` is otherwise than it should be."""
    return asked(given(**changes))


def mixed(**changes: Any) -> bytes:
    """A request of five inputs, one of which is otherwise."""
    return asked(*({**each, **changes} if each["name"] == changes.get("name") else each for each in (given(), N, S, B, ANY)))


def binary(size: int, data: bytes, **changes: Any) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """A request with a binary tensor that says another size than it may have."""
    body, length = with_binary((given(parameters={"binary_data_size": size}, **changes), data))
    return body, (("inference-header-content-length", length),)


def of_binary(size: int, data: bytes, input: str, reason: str, **changes: Any) -> Bad:  # noqa: A002
    """The same, as a case."""
    body, headers = binary(size, data, **changes)
    return Bad(body, input, reason, headers=headers)


def head_length(text: str, reason: str = "header") -> Bad:
    """A header that is no length of JSON."""
    return Bad(asked(), "", reason, headers=(("inference-header-content-length", text),))


SIMPLE = {
    "nothing": Bad(b"", "", "json"),
    "a space": Bad(b" ", "", "json"),
    "truncated after a brace": Bad(b"{", "", "json"),
    "truncated within data": Bad(asked()[:-20], "", "json"),
    "truncated within a string": Bad(b'{"inputs":[{"name":"x', "", "json"),
    "something after the end": Bad(asked() + b"{}", "", "json"),
    "no UTF-8": Bad(b'{"inputs":[{"name":"\xff\xfe","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}', "", "json"),
    "a byte order mark": Bad(b"\xef\xbb\xbf" + asked(), "", "json"),
    "a NUL": Bad(b"\x00" + asked(), "", "json"),
    "a lone surrogate in a name": Bad(asked().replace(b'"x"', b'"\\ud800"'), "", "json"),
    "a comment": Bad(b"/* x */" + asked(), "", "json"),
    "single quotes": Bad(asked().replace(b'"', b"'"), "", "json"),
    "a list": Bad(b"[]", "", "request"),
    "null": Bad(b"null", "", "request"),
    "a number": Bad(b"1", "", "request"),
    "no inputs": Bad(b"{}", "", "request"),
    "inputs are null": Bad(b'{"inputs":null}', "", "request"),
    "inputs are an object": Bad(b'{"inputs":{}}', "", "request"),
    "an empty list of inputs": Bad(b'{"inputs":[]}', "x", "missing"),
    "an input is a number": Bad(b'{"inputs":[1]}', "", "request"),
    "an input without a name": Bad(b'{"inputs":[{"shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}', "", "request"),
    "an input without a shape": Bad(b'{"inputs":[{"name":"x","datatype":"FP32","data":[1,2,3,4]}]}', "", "request"),
    "an input without a datatype": Bad(b'{"inputs":[{"name":"x","shape":[1,4],"data":[1,2,3,4]}]}', "", "request"),
    "an input without data": Bad(b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32"}]}', "x", "data"),
    "a name that is a number": Bad(x(name=1), "", "request"),
    "an unknown input": Bad(x(name="z"), "z", "unknown"),
    "an unknown input beside the right one": Bad(asked(given(), given("z")), "z", "unknown"),
    "an input twice": Bad(asked(given(), given()), "x", "duplicate"),
    "the name in capitals": Bad(x(name="X"), "X", "unknown"),
    "another datatype": Bad(x(datatype="FP64"), "x", "datatype"),
    "BF16": Bad(x(datatype="BF16"), "x", "datatype"),
    "a datatype that there is not": Bad(x(datatype="FLOAT"), "x", "datatype"),
    "a datatype that is a number": Bad(x(datatype=32), "", "request"),
    "a column too many": Bad(x(shape=[1, 5], data=[1] * 5), "x", "shape"),
    "a dimension too many": Bad(x(shape=[1, 4, 1]), "x", "shape"),
    "no batch dimension": Bad(x(shape=[4]), "x", "shape"),
    "no dimension": Bad(x(shape=[]), "x", "shape"),
    "no rows": Bad(x(shape=[0, 4], data=[]), "x", "shape"),
    "rows below zero": Bad(x(shape=[-1, 4]), "x", "shape"),
    "columns below zero": Bad(x(shape=[1, -4]), "x", "shape"),
    "a shape with a fraction": Bad(x(shape=[1, 4.5]), "", "request"),
    "a shape of text": Bad(x(shape=["1", "4"]), "", "request"),
    "a shape that is a number": Bad(x(shape=4), "", "request"),
    "a shape of more dimensions than can be": Bad(x(shape=[1] * 10_000), "x", "shape"),
    "more rows than are taken": Bad(x(shape=[101, 4], data=[1] * 404), "x", "rows", 413),
    "rows beyond 64 bits": Bad(x(shape=[2**70, 4]), "x", "rows", 413),
    "fewer elements than the shape says": Bad(x(data=[1, 2, 3]), "x", "count"),
    "more elements than the shape says": Bad(x(data=[1, 2, 3, 4, 5]), "x", "count"),
    "no elements": Bad(x(data=[]), "x", "count"),
    "nested otherwise": Bad(x(data=[[1, 2], [3, 4]]), "x", "shape"),
    "nested and ragged": Bad(x(shape=[2, 4], data=[[1, 2, 3, 4], [1, 2, 3]]), "x", "shape"),
    "nested and flat at once": Bad(x(shape=[2, 4], data=[[1, 2, 3, 4], 1]), "x", "shape"),
    "nested deeper than the shape": Bad(x(data=[[[1], [2], [3], [4]]]), "x", "shape"),
    "nested too deep": Bad(b"[" * 100_000, "", "request"),
    "nested too deep in a field that there is not": Bad(asked(more=1).replace(b"1}", b"[" * 100_000), "", "json"),
    "nested too deep, and complete": Bad(asked().replace(b"[1, 2, 3, 4]", b"[" * 50_000 + b"]" * 50_000), "", "json"),
    "data of text": Bad(x(data=["1", "2", "3", "4"]), "x", "type"),
    "data of true": Bad(x(data=[1, 2, 3, True]), "x", "type"),
    "data of objects": Bad(x(data=[1, 2, 3, {}]), "x", "type"),
    "data that is text": Bad(x(data="1234"), "x", "data"),
    "data that is null": Bad(x(data=None), "x", "data"),
    "a null that no rule allows": Bad(x(data=[1, 2, 3, None]), "x", "null"),
    "NaN": Bad(asked().replace(b"4]}", b"NaN]}"), "", "json"),
    "Infinity": Bad(asked().replace(b"4]}", b"Infinity]}"), "", "json"),
    "beyond a double": Bad(asked().replace(b"4]}", b"1e400]}"), "x", "json"),
    "beyond FP32": Bad(x(data=[1, 2, 3, 1e39]), "x", "range"),
    "beyond FP32, below": Bad(x(data=[1, 2, 3, -1e39]), "x", "range"),
    "an integer of 5,000 digits": Bad(asked().replace(b"4]}", b"9" * 5_000 + b"]}"), "x", "json"),
    "an id that is a number": Bad(asked(id=1), "", "request"),
    "outputs that are text": Bad(asked(outputs="y"), "", "request"),
    "an unknown output": Bad(asked(outputs=[{"name": "z"}]), "z", "output"),
    "an output twice": Bad(asked(outputs=[{"name": "y"}, {"name": "y"}]), "y", "duplicate"),
    "an output without a name": Bad(asked(outputs=[{}]), "", "request"),
    "classification": Bad(asked(outputs=[{"name": "y", "parameters": {"classification": 2}}]), "", "parameters"),
    "shared memory in": Bad(x(parameters={"shared_memory_region": "a"}), "x", "parameters"),
    "shared memory out": Bad(asked(outputs=[{"name": "y", "parameters": {"shared_memory_region": "a"}}]), "", "parameters"),
    "parameters of another type": Bad(x(parameters=[1]), "", "request"),
    "binary without the header": Bad(x(parameters={"binary_data_size": 16}), "x", "binary"),
    "another content type": Bad(asked(), "", "content-type", 415, (("content-type", "text/plain"),)),
    "a form": Bad(asked(), "", "content-type", 415, (("content-type", "application/x-www-form-urlencoded"),)),
    "octets without the header": Bad(asked(), "", "header", 400, (("content-type", "application/octet-stream"),)),
    "a header length of text": head_length("many"),
    "a header length below zero": head_length("-1"),
    "a header length with a plus": head_length("+5"),
    "a header length of other digits": head_length("\u0661\u0662"),
    "a header length beyond all": head_length("9" * 30),
    "a header length of zero": head_length("0", "truncated"),
    "a header length beyond the body": head_length("100000", "truncated"),
    "a header length within the JSON": head_length("20", "json"),
    "binary data cut": of_binary(16, floats(1, 2, 3), "x", "truncated"),
    "binary data left over": of_binary(16, floats(1, 2, 3, 4, 5), "", "sizes"),
    "binary data of other bytes than the shape says": of_binary(12, floats(1, 2, 3), "x", "count"),
    "a binary size below zero": of_binary(-1, floats(1, 2, 3, 4), "x", "truncated"),
    "a binary size beyond 64 bits": of_binary(2**70, floats(1, 2, 3, 4), "x", "truncated"),
    "a longer body than is taken": Bad(b" " * 1_000_001, "", "body", 413),
}
OF_FIVE = {
    "an integer with a fraction": Bad(mixed(name="n", data=[1.5]), "n", "type"),
    "an integer beyond INT32": Bad(mixed(name="n", data=[2**31]), "n", "range"),
    "an integer beyond 64 bits": Bad(mixed(name="n", data=[2**64]), "n", "range"),
    "an integer far beyond 64 bits": Bad(mixed(name="n", data=[10**300]), "n", "range"),
    "an integer below UINT8": Bad(mixed(name="any", data=[1, -1]), "any", "range"),
    "an integer of text": Bad(mixed(name="n", data=["7"]), "n", "type"),
    "a number among strings": Bad(mixed(name="s", data=[1]), "s", "type"),
    "a lone surrogate": Bad(mixed(name="s", data=["a"]).replace(b'["a"]', b'["\\udc00"]'), "", "json"),
    "a bool of 1": Bad(mixed(name="b", data=[1]), "b", "type"),
    "a bool of text": Bad(mixed(name="b", data=["true"]), "b", "type"),
    "any size, and fewer elements": Bad(mixed(name="any", shape=[1, 3]), "any", "count"),
    "any size, and an enormous one": Bad(mixed(name="any", shape=[1, 2**62]), "any", "count"),
    "any size, and one below zero": Bad(mixed(name="any", shape=[1, -1]), "any", "shape"),
    "other rows than another input": Bad(mixed(name="n", shape=[2, 1], data=[1, 2]), "n", "rows"),
    "the last input is missing": Bad(asked(given(), N, S, B), "any", "missing"),
    "the first input is missing": Bad(asked(N, S, B, ANY), "x", "missing"),
}


async def check(bad: Bad, stage: Stage) -> None:
    headers: dict[str, Any] = dict(bad.headers)
    said = await stage.ask(bad.body, content_length=str(len(bad.body)), **headers)
    assert (said.status, said.json["input"], said.json["reason"]) == (bad.status, bad.input, bad.reason), said
    assert said.headers["content-type"] == "application/json"
    assert 10 < len(said.json["error"]) < 1000, said
    assert stage.model.calls == []


@pytest.mark.parametrize("case", SIMPLE)
async def test_a_bad_request_is_told_what_is_wrong(case: str) -> None:
    await check(SIMPLE[case], Stage())


@pytest.mark.parametrize("case", OF_FIVE)
async def test_a_bad_request_with_inputs_of_every_kind_is_told_what_is_wrong(case: str) -> None:
    await check(OF_FIVE[case], Stage(inputs=MIXED))


STRINGS = {
    "cut within a length": b"\x01\x00\x00",
    "cut within an element": b"\x05\x00\x00\x00abc",
    "an element of four gigabytes": b"\xff\xff\xff\xffabc",
    "left over": b"\x01\x00\x00\x00abc",
}


@pytest.mark.parametrize("case", STRINGS)
async def test_binary_strings_that_are_none(case: str) -> None:
    body, length = with_binary((given("s", "BYTES", [1, 1]), STRINGS[case]))
    await check(Bad(body, "s", "count", headers=(("inference-header-content-length", length),)), Stage(inputs=[tensor("s", "BYTES", 1)]))


async def test_a_binary_bool_is_0_or_1() -> None:
    body, length = with_binary((given("b", "BOOL", [1, 1]), b"\x02"))
    await check(Bad(body, "b", "count", headers=(("inference-header-content-length", length),)), Stage(inputs=[tensor("b", "BOOL", 1)]))


async def test_a_client_that_goes_away_while_it_sends() -> None:
    said = await Stage().ask(b"", breaks=True, content_length="10")
    assert (said.status, said.json["reason"]) == (400, "truncated")


async def test_a_body_without_a_length_is_cut_off_where_it_is_too_long() -> None:
    said = await Stage().ask(b" " * 2_000_000)
    assert (said.status, said.json["reason"]) == (413, "body")


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/v2/models/ranker/infer", 405, "method"),
        ("POST", "/v2/health/ready", 405, "method"),
        ("POST", "/v2/models/other/infer", 404, "path"),
        ("POST", "/v2/models/ranker/versions/2/infer", 404, "path"),
        ("GET", "/", 404, "path"),
        ("GET", "/metrics", 404, "path"),
    ],
)
async def test_other_paths_and_methods(method: str, path: str, status: int, reason: str) -> None:
    said = await Stage().ask(asked(), method=method, path=path)
    assert (said.status, said.json["input"], said.json["reason"]) == (status, "", reason)


async def test_what_clients_make_up_is_no_label_of_a_metric() -> None:
    stage = Stage()
    await stage.ask(asked(given("made up")))
    await stage.ask(asked(given(data=[1])))
    assert stage.meters.refused == {("", "unknown"): 1, ("x", "count"): 1}


def right(body: bytes) -> list[float] | None:
    """What a good answer to a body has to hold, found without the transformer's code; None where only 4xx is right."""
    [one] = json.loads(body)["inputs"]
    rows = np.array(one["data"], object).reshape(one["shape"]).astype(np.float64)
    return [float(value) for value in rows.astype(np.float32).sum(axis=1, dtype=np.float32)]


@pytest.mark.parametrize("seed", range(4))
async def test_a_request_with_changed_bytes_gets_4xx_or_what_is_right(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    valid = asked(given(shape=[2, 4], data=[1, 2.5, -3, 4e3, 0.125, 6, 7, 8]), id="one")
    stage, statuses = Stage(Adding()), set()
    for _ in range(250):
        body = mutated(valid, chance)
        said = await stage.ask(body, content_length=str(len(body)))
        statuses.add(said.status)
        if said.status == 200:
            assert said.output() == right(body), body
        else:
            assert 400 <= said.status < 500, (body, said)
            assert set(said.json) >= {"error", "input", "reason"}
    assert {200, 400} <= statuses


@pytest.mark.parametrize("seed", range(4))
async def test_a_binary_request_with_changed_bytes_gets_4xx_or_an_answer(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    valid, length = with_binary((given(), floats(1, 2, 3, 4)), (given("s", "BYTES", [1, 1]), b"\x02\x00\x00\x00ab"))
    stage, statuses = Stage(inputs=[tensor("x", "FP32", 4), tensor("s", "BYTES", 1)]), set()
    for _ in range(250):
        body = mutated(valid, chance)
        said = await stage.ask(body, content_length=str(len(body)), inference_header_content_length=length)
        statuses.add(said.status)
        assert said.status == 200 or 400 <= said.status < 500, (body, said)
    assert {200, 400} <= statuses
