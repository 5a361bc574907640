"""Comparing the answers of two revisions."""

import json
import math
import struct
from array import array
from typing import Any

import pytest

from slipway_router.agent.shadow.agreement import Agreement, compare
from slipway_router.agent.shadow.samples import Message

SAME = Agreement(True, 0.0)


def answer(*outputs: dict[str, Any], **more: Any) -> Message:
    body = json.dumps({"model_name": "ranker", "outputs": list(outputs)} | more).encode()
    return Message(body, "application/json", None)


def output(data: Any, *, datatype: str = "FP32", shape: list[int] | None = None, name: str = "y") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def binary(raw: bytes, *, datatype: str, shape: list[int]) -> Message:
    head = {"outputs": [{"name": "y", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(raw)}}]}
    line = json.dumps(head).encode()
    return Message(line + raw, "application/octet-stream", len(line))


@pytest.mark.parametrize(
    ("given", "other", "expected"),
    [
        (answer(output([1.0, 2.0])), answer(output([1.0, 2.0]), id="else"), SAME),
        (answer(output([2.0**20, 1.0])), answer(output([2.0**20 + 1, 1.0])), Agreement(True, 0.5)),
        (answer(output([2.0**20, 1.0])), answer(output([2.0**20 + 2, 1.0])), Agreement(False, 1.0)),
        (answer(output([1.0, 2.0])), answer(output([1.0, 2.5])), Agreement(False, 0.25)),
        (answer(output([[1.0, 2.0]], shape=[1, 2])), answer(output([1.0, 2.0], shape=[1, 2])), SAME),
        (answer(output([1.0, 2.0], shape=[2])), answer(output([1.0, 2.0], shape=[1, 2])), Agreement(False, 0.0)),
        (answer(output([1], datatype="INT64")), answer(output([2], datatype="INT64")), Agreement(False, 1.0)),
        (answer(output([10**9], datatype="INT64")), answer(output([10**9 + 1], datatype="INT64")), Agreement(False, 1.0)),
        (answer(output([1], datatype="INT64")), answer(output([1], datatype="INT32")), Agreement(False, 0.0)),
        (answer(output(["a"], datatype="BYTES")), answer(output(["b"], datatype="BYTES")), Agreement(False, 0.0)),
        (answer(output([True], datatype="BOOL")), answer(output([False], datatype="BOOL")), Agreement(False, 0.0)),
        (answer(output([1.0])), answer(output([1.0], name="z")), Agreement(False, 0.0)),
        (answer(output([math.nan, 1.0])), answer(output([math.nan, 3.0])), Agreement(False, 1.0)),
        (answer(output([math.nan])), answer(output([math.nan]), id="else"), SAME),
        (answer(output([None])), answer(output([None]), id="else"), SAME),
        (answer(output([None])), answer(output([0.0])), Agreement(False, 0.0)),
        (answer(output([math.inf])), answer(output([1.0])), Agreement(False, 0.0)),
        (answer(output([2.0])), binary(struct.pack("<f", 2.0), datatype="FP32", shape=[1]), SAME),
        (answer(output(["ü"], datatype="BYTES")), binary(b"\2\0\0\0" + "ü".encode(), datatype="BYTES", shape=[1]), SAME),
        (answer(output([2.5], datatype="FP16")), binary(struct.pack("<e", 2.5), datatype="FP16", shape=[1]), SAME),
        (answer(output([2.5], datatype="BF16")), binary(struct.pack("<f", 2.5)[2:], datatype="BF16", shape=[1]), SAME),
        (answer(output([-3], datatype="INT8")), binary(b"\xfd", datatype="INT8", shape=[1]), SAME),
    ],
)
def test_answers_of_the_open_inference_protocol(given: Message, other: Message, expected: Agreement) -> None:
    assert compare(given, other) == expected
    assert compare(other, given) == expected


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ({"predictions": [1, 2.0]}, {"predictions": [1.0, 2]}, SAME),
        ({"predictions": [1, 2]}, {"predictions": [1, 3]}, Agreement(False, 0.5)),
        ({"predictions": [1, 2]}, {"predictions": [1]}, Agreement(False, 0.0)),
        ({"a": "x"}, {"a": "x", "b": 1}, Agreement(False, 0.0)),
        ({"a": True}, {"a": 1}, Agreement(False, 0.0)),
        ([], {}, Agreement(False, 0.0)),
    ],
)
def test_answers_of_other_protocols(one: Any, two: Any, expected: Agreement) -> None:
    assert compare(*(Message(json.dumps(each).encode(), "application/json", None) for each in (one, two))) == expected


@pytest.mark.parametrize(
    "broken",
    [
        Message(b"<html>", "text/html", None),
        answer(output([1.0, 2.0], shape=[3])),
        answer({"name": "y"}),
        binary(b"\0\0\0", datatype="FP32", shape=[1]),
        binary(b"\0\0\0", datatype="FP16", shape=[1]),
        binary(b"\5\0\0\0ab", datatype="BYTES", shape=[1]),
        binary(b"\0\0\0\0", datatype="FP8", shape=[4]),
        Message(b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":9}}]}1234', "", 92),
    ],
)
def test_what_cannot_be_read_says_nothing(broken: Message) -> None:
    with pytest.raises(ValueError, match=r"value|output|tensor|Expecting"):
        compare(answer(output([1.0])), broken)


def test_large_tensors_are_compared_in_a_moment() -> None:
    values = array("f", range(250_000))
    given = binary(values.tobytes(), datatype="FP32", shape=[250_000])
    values[7] = -7.0
    assert compare(given, binary(values.tobytes(), datatype="FP32", shape=[250_000])) == Agreement(False, 14 / 250_000)
