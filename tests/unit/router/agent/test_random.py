"""Whatever comes in, what may be raised is raised and nothing else."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway_router.agent.counts import Counts
from slipway_router.agent.shadow.player import _compared, _Failed
from slipway_router.agent.shadow.samples import Message, Sample
from slipway_router.agent.table import Refused, Table
from slipway_router.agent.totals import Totals
from slipway_testing.fake_nginx import routes_json

SCALARS = st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | st.text(max_size=3) | st.sampled_from(["FP32", "BYTES", "Stable"])
FEW = settings(max_examples=60)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=8)
FULL = json.loads(
    routes_json(exposures={"experiment": "x", "stratum": 0}, shadow={"revision": "s", "percent": "1"}, fallback={"revision": "f"}),
)


def changed(document: Any, path: list[int], value: Any) -> Any:
    """The document with something else at a place in it."""
    if not path or not isinstance(document, dict | list) or not document:
        return value
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    at = keys[path[0] % len(keys)]
    inner = changed(document[at], path[1:], value)
    return document | {at: inner} if isinstance(document, dict) else [inner if key == at else document[key] for key in keys]


@FEW
@given(st.lists(st.integers(0, 20), max_size=4), JSON)
def test_a_table_is_good_or_refused(path: list[int], value: Any) -> None:
    with contextlib.suppress(Refused):
        table = Table.parse(json.dumps(changed(FULL, path, value)), namespace="shop", model="ranker")
        assert table.model == "ranker"


OUTPUT = {"name": "y", "datatype": "FP32", "shape": [1], "data": [1.0]}
BINARY = {"name": "y", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}


@FEW
@given(st.sampled_from([{"outputs": [OUTPUT]}, {"outputs": [BINARY]}, {"predictions": [1.0]}]), st.lists(st.integers(0, 9), max_size=4), JSON)
def test_answers_can_be_compared_or_not(document: Any, path: list[int], value: Any) -> None:
    def message(of: Any) -> Message:
        line = json.dumps(of).encode()
        return Message(line + b"\0\0\0\0", "", len(line)) if "binary_data_size" in json.dumps(of) else Message(line, "", None)

    for one, two in ((document, changed(document, path, value)), (changed(document, path, value), document)):
        with contextlib.suppress(_Failed):
            assert math.isfinite(_compared(message(one), message(two)).mean_absolute_difference)


@FEW
@given(st.lists(st.integers(0, 20), max_size=2), JSON)
def test_a_sample_is_read_or_refused(path: list[int], value: Any) -> None:
    head = {"model": "m", "epoch": 1, "shadow": "s", "path": "/", "status": 200, "seconds": 0.1, "requestBytes": 1, "answerBytes": 1}
    with contextlib.suppress(ValueError):
        Sample.read(json.dumps(changed(head, path, value)).encode() + b"\nxy")


@pytest.mark.parametrize("kind", ["b", "t"])
@FEW
@given(st.lists(st.tuples(st.integers(0, 9), JSON), max_size=3))
def test_what_nginx_counted_is_added_up_or_left_out(kind: str, oddities: list[tuple[int, Any]]) -> None:
    counts, totals = Counts(), Totals()
    counts.known({"ranker": 7})
    cell = ["ranker", 7, "a", kind, 5, 100, 0, 1]
    total = ["ranker", 7, "a", "Stable", "http", "2xx", 1]
    odd = [changed(cell, [at], value) for at, value in oddities]
    lost = counts.add([cell, *odd, cell])
    assert lost <= len(odd)
    assert totals.add([total, *(changed(total, [at], value) for at, value in oddities)], pending={}) <= len(odd)
    json.dumps(counts.answer("ranker", 7, edges={}))
