"""Tensors survive the protocol, in JSON and in binary, there and back."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from slipway_inference.configuration import Tensor
from slipway_inference.protocol import answers, binary, elements
from slipway_inference.protocol.datatypes import DATATYPES, Array, Datatype
from slipway_inference.protocol.requests import Reader, Request, Wanted
from slipway_testing.inference import Stage, asked, configured, floats, given, tensor, with_binary

NUMBERS = [datatype for datatype in DATATYPES.values() if datatype.fixed]


@st.composite
def tensors(draw: st.DrawFn, *, finite: bool) -> tuple[Datatype, Array]:
    """Any array of any datatype, one to four rows."""
    datatype = draw(st.sampled_from(list(DATATYPES.values())))
    shape = (draw(st.integers(1, 4)), *draw(st.lists(st.integers(1, 3), max_size=2)))
    if not datatype.fixed:
        text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(str.encode)
        count = int(np.prod(shape))
        made = np.empty(count, object)
        made[:] = draw(st.lists(text if finite else st.binary(max_size=8), min_size=count, max_size=count))
        return datatype, made.reshape(shape)
    some = arrays.from_dtype(datatype.numpy, allow_nan=not finite, allow_infinity=not finite) if datatype.family == "float" else None
    return datatype, draw(arrays.arrays(datatype.numpy, shape, elements=some))


def same(one: Array, other: Array) -> None:
    """To the bit."""
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    assert one.tolist() == other.tolist() if one.dtype == object else one.tobytes() == other.tobytes()


def read(datatype: Datatype, array: Array, body: bytes, header_length: int | None = None) -> Request:
    """A request of one input ``t``."""
    spec = tensor("t", datatype.name, *array.shape[1:])
    return Reader(configured(inputs=[spec]), max_rows=100).read(body, header_length=header_length)


@drawn(tensors(finite=False))
def test_binary_there_and_back(case: tuple[Datatype, Array]) -> None:
    datatype, array = case
    body, length = with_binary((given("t", datatype.name, array.shape), binary.write(array)))
    same(read(datatype, array, body, int(length)).tensors["t"], array)


@drawn(tensors(finite=True), st.booleans())
def test_json_there_and_back_flat_and_nested(case: tuple[Datatype, Array], nested: bool) -> None:
    datatype, array = case
    listed = array if nested else array.ravel()
    data = np.vectorize(bytes.decode, [object])(listed).tolist() if datatype.family == "str" else listed.tolist()
    same(read(datatype, array, asked(given("t", datatype.name, array.shape, data))).tensors["t"], array)


@drawn(tensors(finite=True))
def test_an_answer_in_json_can_be_sent_as_a_request(case: tuple[Datatype, Array]) -> None:
    datatype, array = case
    said = answers.write("ranker", {"t": array}, Request(tensors={}, rows=1), default=["t"])
    assert said.header_length is None
    same(read(datatype, array, asked(json.loads(said.body)["outputs"][0])).tensors["t"], array)


@drawn(tensors(finite=False))
def test_an_answer_in_binary_can_be_sent_as_a_request(case: tuple[Datatype, Array]) -> None:
    datatype, array = case
    said = answers.write("ranker", {"t": array}, Request(tensors={}, rows=1, wanted=(Wanted("t", True),)), default=["t"])
    assert said.header_length is not None
    body, length = with_binary((json.loads(said.body[: said.header_length])["outputs"][0], said.body[said.header_length :]))
    same(read(datatype, array, body, int(length)).tensors["t"], array)


@pytest.mark.parametrize("datatype", [each for each in NUMBERS if each.family == "int"], ids=lambda each: each.name)
def test_the_ends_of_whole_numbers_are_taken_and_one_beyond_is_not(datatype: Datatype) -> None:
    least, most = int(np.iinfo(datatype.numpy).min), int(np.iinfo(datatype.numpy).max)
    assert elements.pack([least, most], datatype).tolist() == [least, most]
    for beyond in (least - 1, most + 1):
        with pytest.raises(elements.Wrong, match=f"no {datatype.name} can hold"):
            elements.pack([beyond], datatype)


async def test_an_answer_as_it_is_sent() -> None:
    said = await Stage().ask(asked(given(shape=[2, 4], data=[1, 2, 3, 4, 0.5, 0, 0, 0]), id="7"))
    assert said.body == b'{"model_name":"ranker","outputs":[{"name":"y","datatype":"FP32","shape":[2,1],"data":[10.0,0.5]}],"id":"7"}'


async def test_what_is_no_number_in_json_is_null() -> None:
    body, length = with_binary((given(), floats(1, np.inf, 0, 0)))
    assert (await Stage().ask(body, inference_header_content_length=length)).output() == [None]


async def test_binary_is_answered_where_it_is_asked_for() -> None:
    said = await Stage().ask(asked(outputs=[{"name": "y", "parameters": {"binary_data": True}}]))
    length = int(said.headers["inference-header-content-length"])
    assert (said.headers["content-type"], said.body[length:]) == ("application/octet-stream", floats(10))


async def test_all_outputs_are_binary_where_the_request_says_so() -> None:
    said = await Stage().ask(asked(parameters={"binary_data_output": True}))
    assert said.body[int(said.headers["inference-header-content-length"]) :] == floats(10)


async def test_only_the_outputs_that_are_asked_for_are_answered() -> None:
    stage = Stage(outputs=[tensor("y", "FP32", 1), tensor("z", "FP32", 1)])
    assert [output["name"] for output in (await stage.ask(asked())).json["outputs"]] == ["y", "z"]
    assert [output["name"] for output in (await stage.ask(asked(outputs=[{"name": "z"}]))).json["outputs"]] == ["z"]


async def test_a_model_without_a_batch_dimension() -> None:
    stage = Stage(maxBatchSize=0, inputs=[tensor("x", "FP32", 2, 2)], outputs=[tensor("y", "FP32", 2, 1)])
    assert (await stage.ask(asked(given(shape=[2, 2])))).output() == [3.0, 7.0]
    assert (await stage.ask(asked(given(shape=[1, 2, 2])))).json["reason"] == "shape"


async def test_more_rows_than_a_batch_are_answered_in_their_order() -> None:
    stage = Stage()
    said = await stage.ask(asked(given(shape=[20, 4], data=[value for row in range(20) for value in [row] * 4])))
    assert said.output() == [4.0 * row for row in range(20)]
    assert sorted(len(call["x"]) for call in stage.model.calls) == [4, 8, 8]


@pytest.mark.parametrize("path", ["/v2/models/ranker", "/v2/models/ranker/versions/1"])
async def test_a_model_is_described_as_clients_send_it(path: str) -> None:
    said: Any = (await Stage(request=[tensor("x", "FP64", 4)]).ask(method="GET", path=path)).json
    assert said == {
        "name": "ranker",
        "versions": ["1"],
        "platform": "slipway",
        "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
    }


async def test_readiness_is_the_models_until_it_drains() -> None:
    stage = Stage()
    ready = "/v2/health/ready"
    assert (await stage.ask(method="GET", path=ready)).status == 200
    stage.app.drain()
    assert [(await stage.ask(method="GET", path=path)).status for path in (ready, "/v2/models/ranker/ready", "/v2/health/live")] == [503, 503, 200]
    assert (await stage.ask(asked())).headers["connection"] == "close"


def test_a_tensor_of_any_size_has_no_width() -> None:
    assert [Tensor("t", "FP32", shape).width for shape in ((), (2, 3), (2, -1))] == [1, 6, -1]
