"""What becomes of values that break a rule."""

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from slipway_inference.protocol.requests import Request
from slipway_inference.refusals import Refused
from slipway_inference.validation import Validation
from slipway_testing.inference import Stage, asked, configured, given, tensor


def ruled(*rules: dict[str, Any], on: str = "Reject", dtype: str = "FP32") -> Stage:
    """A model of four values, and rules about them."""
    return Stage(inputs=[tensor("x", dtype, 4)], validation={"onInvalid": on, "rules": [{"input": "x"} | rule for rule in rules]})


def floats(*data: Any) -> bytes:
    """A request of FP32."""
    return asked(given(shape=[len(data) // 4, 4], data=data))


@pytest.mark.parametrize(
    ("rule", "data", "reason", "place", "value"),
    [
        ({"minimum": "0"}, [1, 2, -3, 4], "minimum", (0, 2), -3.0),
        ({"minimum": "0", "column": 2}, [-1, -1, 0, -1, -1, -1, -2, -1], "minimum", (1, 2), -2.0),
        ({"maximum": "3.5"}, [1, 2, 3, 4], "maximum", (0, 3), 4.0),
        ({"allowed": ["1", "2"]}, [1, 2, 1, 3], "allowed", (0, 3), 3.0),
        ({"nullable": False}, [1, 2, 3, 4, 5, None, 7, 8], "null", (1, 1), None),
        ({"nullable": False, "column": 3, "minimum": "0"}, [1, 2, 3, None], "null", (0, 3), None),
    ],
)
async def test_a_value_that_is_rejected_is_told_with_its_place(
    rule: dict[str, Any], data: list[float | None], reason: str, place: tuple[int, int], value: float | None
) -> None:
    stage = ruled(rule)
    said = (await stage.ask(floats(*data))).json
    assert (said["reason"], said["input"], (said["row"], said["column"]), said["value"], said["ruleIndex"]) == (reason, "x", place, value, 0)
    assert stage.model.calls == []


async def test_the_sentence_of_a_refusal() -> None:
    said = await ruled({"minimum": "0"}).ask(floats(1, -1, 1, 1))
    assert (said.status, said.json["error"]) == (422, "input x: row 0, column 1 is -1.0: it should be at least 0")


async def test_values_at_the_bounds_pass() -> None:
    stage = ruled({"minimum": "0.1", "maximum": "0.7"})
    assert (await stage.ask(floats(0.1, 0.7, 0.5, 0.2))).status == 200  # as FP32, which 0.1 and 0.7 are not exactly


async def test_a_null_passes_where_it_may() -> None:
    assert (await ruled({"minimum": "0"}).ask(floats(1, 2, 3, None))).output() == [None]


async def test_wrong_values_are_imputed_and_right_ones_stay() -> None:
    stage = ruled({"minimum": "0", "nullable": False, "onInvalid": "Impute", "impute": "7"})
    said = await stage.ask(floats(1, -2, None, 4))
    assert (said.output(), stage.model.calls[0]["x"].tolist()) == ([19.0], [[1, 7, 7, 4]])
    assert (stage.meters.imputed, "x-slipway-flags" in said.headers) == ({("x", "null"): 1, ("x", "minimum"): 1}, False)


async def test_wrong_values_are_flagged_and_passed_on() -> None:
    stage = ruled({"minimum": "0"}, {"maximum": "9", "column": 3}, on="Flag")
    said = await stage.ask(floats(-1, -2, 3, 10))
    assert (said.output(), said.headers["x-slipway-flags"]) == ([10.0], "x:maximum=1, x:minimum=2")
    assert stage.meters.flagged == {("x", "minimum"): 2, ("x", "maximum"): 1}


async def test_rules_see_what_the_ones_before_them_left() -> None:
    stage = ruled({"maximum": "5", "onInvalid": "Impute", "impute": "100"}, {"maximum": "50"})
    assert (await stage.ask(floats(1, 2, 3, 6))).json["value"] == 100.0


async def test_a_null_among_whole_numbers_is_imputed_or_refused() -> None:
    body = asked(given(datatype="INT64", data=[1, None, 3, 4]))
    imputing = ruled({"nullable": False, "onInvalid": "Impute", "impute": "9007199254740993"}, dtype="INT64")
    assert (await imputing.ask(body)).status == 200
    assert imputing.model.calls[0]["x"].tolist() == [[1, 2**53 + 1, 3, 4]]
    refused = (await ruled({"minimum": "0"}, on="Flag", dtype="INT64").ask(body)).json
    assert (refused["reason"], refused["row"], refused["column"]) == ("null", 0, 1)


@pytest.mark.parametrize(("dtype", "bad", "rule"), [("BYTES", "c", {"allowed": ["a", "b"]}), ("BOOL", True, {"allowed": ["false"]})])
async def test_text_and_bools_have_allowed_values(dtype: str, bad: object, rule: dict[str, Any]) -> None:
    stage = ruled(rule, dtype=dtype)
    good: object = "a" if dtype == "BYTES" else False
    said = await stage.ask(asked(given(datatype=dtype, data=[good, good, bad, good])))
    assert (said.status, said.json["reason"], said.json["column"], said.json["value"]) == (422, "allowed", 2, bad)


async def test_large_whole_numbers_are_compared_exactly() -> None:
    stage = ruled({"maximum": "9007199254740992"}, dtype="INT64")
    said = await stage.ask(asked(given(datatype="INT64", data=[1, 1, 2**53, 2**53 + 1])))
    assert (said.json["column"], said.json["value"]) == (3, 2**53 + 1)


async def test_a_bound_that_no_value_can_break_is_taken() -> None:
    stage = ruled({"maximum": "1000", "minimum": "-1000"}, dtype="INT8")
    assert (await stage.ask(asked(given(datatype="INT8", data=[127, -128, 1, 0])))).status == 200


@drawn(
    st.lists(st.one_of(st.floats(-3, 3, width=32), st.just(float("nan"))), min_size=8, max_size=8),
    st.lists(
        st.fixed_dictionaries(
            {"nullable": st.booleans()},
            optional={
                "column": st.integers(0, 3),
                "minimum": st.sampled_from(["-1", "0", "0.5"]),
                "maximum": st.sampled_from(["0", "1"]),
                "allowed": st.just(["0", "1", "2"]),
            },
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_a_request_passes_just_when_each_value_fits_each_rule(values: list[float], rules: list[dict[str, Any]]) -> None:
    configuration = configured(validation={"onInvalid": "Reject", "rules": [{"input": "x"} | rule for rule in rules]})
    array = np.array(values, np.float32).reshape(2, 4)

    def fits(rule: dict[str, Any], value: float) -> bool:
        if np.isnan(value):
            return bool(rule["nullable"])
        low, high = float(rule.get("minimum", "-inf")), float(rule.get("maximum", "inf"))
        return low <= value <= high and ("allowed" not in rule or (str(int(value)) in rule["allowed"] and value == int(value)))

    good = all(fits(rule, float(value)) for rule in rules for row in array for value in (row if "column" not in rule else [row[rule["column"]]]))
    with contextlib.nullcontext() if good else pytest.raises(Refused):
        Validation(configuration).check(Request(tensors={"x": array}, rows=2))
