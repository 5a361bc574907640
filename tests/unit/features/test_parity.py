"""The comparison of training with serving finds what differs, and nothing else."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_features.parity import Column, Difference, Report, compare

ENTITIES = [f"user_id={at}" for at in range(4)]
TRAINING: dict[str, Column] = {"ctr": np.array([0.1, 0.2, math.nan, 0.4], np.float32), "name": ["a", None, "c", "d"]}


def test_what_is_equal_is_equal() -> None:
    report = compare(ENTITIES, TRAINING, dict(TRAINING))

    assert report == Report(rows=4, columns=2, count=0, differences=())
    assert report.text() == "equal: 4 rows x 2 columns, bit by bit"


@given(st.integers(0, 3), st.integers(0, 31))
def test_a_planted_bit_is_found(row: int, bit: int) -> None:
    training = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    serving = training.copy()
    serving.view(np.uint32)[row] ^= np.uint32(1 << bit)

    report = compare(ENTITIES, {"ctr": training}, {"ctr": serving})

    assert report.count == 1
    assert str(report.differences) == str((Difference(ENTITIES[row], "ctr", training[row].item(), serving[row].item()),))


def test_the_first_differences_are_shown_and_all_are_counted() -> None:
    serving: dict[str, Column] = {"ctr": np.array([0.1, 0.25, 0.3, 0.4], np.float32), "name": ["a", None, "x", "y"]}

    report = compare(ENTITIES, TRAINING, serving, most=3)

    assert report.text().splitlines() == [
        "4 values differ in 4 rows x 2 columns",
        "entity     column  training             serving",
        "user_id=1  ctr     0.20000000298023224  0.25",
        "user_id=2  ctr     nan                  0.30000001192092896",
        "user_id=2  name    'c'                  'x'",
        "... and 1 more",
    ]


@pytest.mark.parametrize(
    ("training", "serving"),
    [
        ([0.1], np.array([0.1])),
        (np.array([0.5], np.float32), np.array([0.5])),
        ([1], np.array([1.0])),
        ([None], np.array([math.nan])),
        ([[1, 2]], [np.array([1, 2])]),
        ([True], [np.bool_(True)]),
        ([b"a"], [b"a"]),
    ],
)
def test_these_are_the_same(training: Column, serving: Column) -> None:
    assert compare(["e"], {"a": training}, {"a": serving}).equal


@pytest.mark.parametrize(
    ("training", "serving"),
    [
        (np.array([0.1]), np.array([0.1], np.float32)),
        (np.array([0.0]), np.array([-0.0])),
        ([0.0], [-0.0]),
        ([None], [0]),
        ([None], [""]),
        (["1"], [1]),
        ([b"a"], ["a"]),
        ([True], [1]),
        ([[1, 2]], [[2, 1]]),
        ([2**53], [2**53 + 1]),
        ([float(2**53)], [2**53 + 1]),
    ],
)
def test_these_differ(training: Column, serving: Column) -> None:
    assert compare(["e"], {"a": training}, {"a": serving}).count == 1


def test_columns_and_lengths_must_be_the_same() -> None:
    with pytest.raises(ValueError, match=r"^columns of training only or of serving only: b$"):
        compare(["e"], {"a": [1]}, {"a": [1], "b": [1]})
    with pytest.raises(ValueError, match=r"^column a has 1 values for 2 rows$"):
        compare(["e", "f"], {"a": [1]}, {"a": [1]})
