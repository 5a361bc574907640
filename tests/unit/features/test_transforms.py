"""Transforms: what they compute, and that a row comes out the same alone and within any batch."""

import hashlib
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slipway_features import arithmetic
from slipway_features.transforms import (
    TRANSFORMS,
    Bucketise,
    Clip,
    Cyclical,
    HashBuckets,
    Log1p,
    OneHot,
    Pipeline,
    Ratio,
    Select,
    Standardise,
    Transform,
)

NULL = math.nan
ALL = Pipeline(
    inputs=("a", "b", "c", "d", "e", "t"),
    steps=(
        Ratio("a", "b", "ratio", zero=0.0),
        Clip(("a",), (-5.5,), (1e6,)),
        Log1p(("b", "ratio")),
        Standardise(("a", "b"), (0.1, -3.0), (0.7, 1e-3)),
        Bucketise("c", (-1.0, 0.0, 0.1, 18.0)),
        HashBuckets("d", 1000),
        OneHot("e", (0.0, 1.0, 2.5)),
        Cyclical("t", 86400.0),
    ),
)
NUMBERS = st.one_of(
    st.just(NULL), st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, math.inf, -math.inf]), st.floats(width=32), st.integers(-(2**24), 2**24).map(float)
)


def one(step: Transform, *values: float, dtype: type = np.float64) -> list[list[float]]:
    """What a step makes of a single row with the columns a, b, c."""
    names = tuple("abc"[: len(values)])
    found: list[list[float]] = Pipeline(names, (step,))(np.array([values], dtype)).tolist()
    return found


@pytest.mark.parametrize(
    ("step", "values", "expected"),
    [
        (Standardise(("b",), (1.0,), (2.0,)), (9, 5), (9, 2)),
        (Clip(("a",), (0.0,), (1.0,)), (-3,), (0,)),
        (Clip(("a",), (0.0,), (1.0,)), (math.inf,), (1,)),
        (Clip(("a",), (0.0,), (1.0,)), (0.25,), (0.25,)),
        (Clip(("a",), (0.0,), (1.0,)), (NULL,), (NULL,)),
        (Log1p(("a",)), (0,), (0,)),
        (Log1p(("a",)), (-1,), (-math.inf,)),
        (Log1p(("a",)), (-1.5,), (NULL,)),
        (Log1p(("a",)), (math.inf,), (math.inf,)),
        (Log1p(("a",)), (NULL,), (NULL,)),
        (Bucketise("a", (0.0, 10.0)), (-1,), (0,)),
        (Bucketise("a", (0.0, 10.0)), (0,), (1,)),
        (Bucketise("a", (0.0, 10.0)), (10,), (2,)),
        (Bucketise("a", (0.0, 10.0)), (NULL,), (NULL,)),
        (HashBuckets("a", 100), (42,), (47,)),
        (HashBuckets("a", 100), (43,), (92,)),
        (HashBuckets("a", 100), (NULL,), (NULL,)),
        (OneHot("a", (1.0, 2.0)), (2, 9), (9, 0, 1)),
        (OneHot("a", (1.0, 2.0)), (3, 9), (9, 0, 0)),
        (OneHot("a", (1.0, 2.0)), (NULL, 9), (9, 0, 0)),
        (Cyclical("a", 24.0), (0, 9), (9, 0, 1)),
        (Cyclical("a", 24.0), (30, 9), (9, 1, 0)),
        (Cyclical("a", 24.0), (12, 9), (9, 0, -1)),
        (Cyclical("a", 24.0), (-6, 9), (9, -1, 0)),
        (Cyclical("a", 24.0), (NULL, 9), (9, NULL, NULL)),
        (Cyclical("a", 24.0), (math.inf, 9), (9, NULL, NULL)),
        (Ratio("a", "b", "r"), (1, 4), (1, 4, 0.25)),
        (Ratio("a", "b", "r"), (1, 0), (1, 0, NULL)),
        (Ratio("a", "b", "r", zero=7.0), (1, -0.0), (1, 0, 7)),
        (Ratio("a", "b", "r", zero=7.0), (NULL, 0), (NULL, 0, NULL)),
        (Ratio("a", "b", "r", zero=7.0), (1, NULL), (1, NULL, NULL)),
        (Select(("b", "a")), (1, 2), (2, 1)),
    ],
)
def test_what_a_transform_makes_of_a_row(step: Transform, values: tuple[float, ...], expected: tuple[float, ...]) -> None:
    np.testing.assert_array_equal(one(step, *values), [expected])


def test_the_columns_that_come_out_have_names() -> None:
    assert ALL.outputs == ("a", "b", "c", "d", "ratio", "e=0", "e=1", "e=2.5", "t_sin", "t_cos")


@given(st.sampled_from([np.float32, np.float64]), st.data())
def test_a_row_gives_the_same_bits_alone_and_within_any_batch(dtype: Any, data: st.DataObject) -> None:
    rows: npt.NDArray[np.floating] = data.draw(hnp.arrays(dtype, st.tuples(st.integers(1, 40), st.just(6)), elements=NUMBERS))
    start, stop = sorted([data.draw(st.integers(0, len(rows))), data.draw(st.integers(0, len(rows)))])

    whole = ALL(rows)

    assert whole.dtype == dtype
    assert bits(whole[start:stop]) == bits(ALL(rows[start:stop]))
    assert bits(whole) == bits(np.vstack([ALL(row[None]) for row in rows]))
    assert bits(whole) == bits(ALL(np.asfortranarray(rows)))


def bits(rows: npt.NDArray[np.generic]) -> list[list[int]]:
    found: list[list[int]] = rows.view(f"u{rows.itemsize}").tolist()
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_and_short_arrays_give_the_same_bits(dtype: Any) -> None:
    """As numpy promises of no logarithm: it may have one kernel for whole registers and another for what is left over."""
    rows = np.random.default_rng(3).normal(0, 1e3, (2000, 6)).astype(dtype)
    rows[::7] = np.abs(rows[::7]) * 1e-6

    whole = ALL(rows)

    for length in (1, 2, 3, 7, 8, 15, 16, 17, 33):
        assert bits(np.vstack([ALL(rows[at : at + length]) for at in range(0, len(rows), length)])) == bits(whole)


@given(st.one_of(st.floats(-0.999999, 1e300), st.floats(-1e-5, 1e-5)))
def test_the_logarithm_is_within_four_units_in_the_last_place(value: float) -> None:
    (found,) = arithmetic.log1p(np.array([value]))

    assert abs(found - math.log1p(value)) <= 4 * math.ulp(math.log1p(value))


@given(st.integers(0, 2**40 - 1))
def test_sine_and_cosine_are_within_four_units_in_the_last_place_of_one(part: int) -> None:
    turns = part / 2**40
    (sine,), (cosine,) = arithmetic.sine_and_cosine(np.array([turns]))

    assert abs(sine - math.sin(2 * math.pi * turns)) <= 4 * math.ulp(1)
    assert abs(cosine - math.cos(2 * math.pi * turns)) <= 4 * math.ulp(1)


def test_the_bits_are_these_on_every_machine() -> None:
    found = ALL(np.array([[3.5, 0.3, 0.05, 1234567, 2.5, 1_800_000_123]]))

    assert [value.hex() for value in found[0].tolist()] == [
        "0x1.36db6db6db6dcp+2",
        "0x1.97cba80df4df0p+11",
        "0x1.0000000000000p+1",
        "0x1.6000000000000p+9",
        "0x1.44fd1886cc023p+1",
        "0x0.0p+0",
        "0x0.0p+0",
        "0x1.0000000000000p+0",
        "0x1.b918f0faf9176p-1",
        "-0x1.03f4b4967d5a1p-1",
    ]


@pytest.mark.parametrize(
    ("dtype", "digest"),
    [(np.float32, "67330165bf918a6a"), (np.float64, "cb4dc59e969596a4")],
)
def test_the_bits_of_many_rows_are_these_on_every_machine(dtype: Any, digest: str) -> None:
    """numpy's own logarithm, sine and cosine give others for some of them."""
    rows = np.random.default_rng(3).integers(1, 2**24, (2000, 6)) / 64

    assert hashlib.sha256(ALL(rows.astype(dtype)).tobytes()).hexdigest()[:16] == digest


def test_ids_spread_over_the_buckets() -> None:
    pipeline = Pipeline(("a",), (HashBuckets("a", 16),))

    counts = np.bincount(pipeline(np.arange(16000.0)[:, None])[:, 0].astype(int), minlength=16)

    assert counts.min() > 850
    assert counts.max() < 1150


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 3), st.just(6)), elements=NUMBERS))
def test_a_pipeline_comes_back_from_json(rows: npt.NDArray[np.float32]) -> None:
    again = Pipeline.parse(ALL.json())

    assert again == ALL
    assert bits(again(rows)) == bits(ALL(rows))


def test_the_rows_given_stay_as_they_are() -> None:
    rows = np.ones((3, 6))

    ALL(rows)

    assert (rows == 1).all()


def test_every_transform_is_in_the_pipeline_of_these_tests() -> None:
    assert {step.op for step in ALL.steps} | {"select"} == TRANSFORMS.keys()


def changed(**step: Any) -> str:
    return json.dumps({"version": 1, "inputs": ["a", "b"], "steps": [step]})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Expecting value"),
        ("[]", "list indices"),
        ('{"version": 2}', "version 2 is not 1"),
        (changed(op="nonsense"), "'nonsense'"),
        (changed(op="log1p", columns=["c"]), "there is no column c; there are a, b"),
        (changed(op="log1p", columns=["a"], more=1), "unexpected keyword argument"),
        (changed(op="standardise", columns=["a", "b"], mean=[0], deviation=[1, 1]), "2 columns need as many of each parameter"),
        (changed(op="standardise", columns=["a"], mean=[0], deviation=[0]), "a deviation must be above 0"),
        (changed(op="clip", columns=["a"], minimum=[1], maximum=[0]), "a minimum is above its maximum"),
        (changed(op="bucketise", column="a", edges=[1, 1]), "edges must ascend"),
        (changed(op="bucketise", column="a", edges=[]), "edges must ascend"),
        (changed(op="hash_buckets", column="a", buckets=0), "0 buckets"),
        (changed(op="one_hot", column="a", values=[1, 1.0]), "values must differ"),
        (changed(op="cyclical", column="a", period_s=0), "a period of 0 s is none"),
        (changed(op="ratio", numerator="a", denominator="b", output="a"), "a column would be there twice: a, b, a"),
    ],
)
def test_what_is_no_pipeline_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^this is no pipeline of transforms: .*{told}"):
        Pipeline.parse(text)


@pytest.mark.parametrize("rows", [np.ones((2, 5)), np.ones(6), np.ones((2, 6), np.int64), np.ones((2, 6), np.float16)])
def test_rows_of_another_shape_or_dtype_are_refused(rows: npt.NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"^rows are float32 or float64 of shape \(n, 6\), not "):
        ALL(rows)


@pytest.mark.parametrize("step", [Clip(("a",), (0.0,), (math.inf,)), Standardise(("a",), (np.float32(0.5),), (1.0,))])  # type: ignore[arg-type]
def test_a_pipeline_that_could_not_be_recorded_is_refused(step: Transform) -> None:
    with pytest.raises(ValueError, match=r"^what cannot be recorded is no pipeline; numbers are finite, and Python's own: "):
        Pipeline(("a",), (step,))
