import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import sums
from slipway_statistics.sums import MEAN, RATIO, Sums

VALUES = st.floats(-1e3, 1e3)
ROWS = st.lists(st.tuples(VALUES, VALUES), min_size=3, max_size=30)
COUNTS = st.integers(0, 50)
VISITS = st.lists(st.tuples(COUNTS, st.integers(1, 60), COUNTS, st.integers(1, 60)), min_size=3, max_size=30)


def covariance(one: list[float], other: list[float]) -> float:
    """Centred, in two passes: what the sums must come to."""
    a, b = statistics.fmean(one), statistics.fmean(other)
    return math.fsum((x - a) * (y - b) for x, y in zip(one, other, strict=True))


@given(rows=ROWS)
def test_moments_of_a_mean_are_those_of_the_units(rows: list[tuple[float, float]]) -> None:
    found = sums.of_units(rows).moments
    assert found is not None
    outcome, covariate = [row[0] for row in rows], [row[1] for row in rows]
    assert (found.value, found.before) == pytest.approx((statistics.fmean(outcome), statistics.fmean(covariate)), abs=1e-9)
    expected = (covariance(outcome, outcome), covariance(outcome, covariate), covariance(covariate, covariate))
    assert (found.value_value, found.value_before, found.before_before) == pytest.approx(expected, abs=1e-5, rel=1e-7)


@given(rows=VISITS)
def test_moments_of_a_ratio_are_those_of_its_linearised_units(rows: list[tuple[int, int, int, int]]) -> None:
    """Per unit (m - R d)/(mean d), which is what the delta method says that a ratio of means varies like."""
    found = sums.of_units(rows, things=RATIO).moments
    assert found is not None
    m, d, m_before, d_before = ([float(row[place]) for row in rows] for place in range(4))
    ratio, before = sum(m) / sum(d), sum(m_before) / sum(d_before)
    now = [(a - ratio * b) / statistics.fmean(d) for a, b in zip(m, d, strict=True)]
    then = [(a - before * b) / statistics.fmean(d_before) for a, b in zip(m_before, d_before, strict=True)]
    assert (found.value, found.before) == pytest.approx((ratio, before))
    expected = (covariance(now, now), covariance(now, then), covariance(then, then))
    assert (found.value_value, found.value_before, found.before_before) == pytest.approx(expected, abs=1e-7, rel=1e-7)


@pytest.mark.parametrize("things", [MEAN, RATIO])
@given(rows=VISITS, at=st.integers(0, 30))
def test_parts_add_up(things: int, rows: list[tuple[int, ...]], at: int) -> None:
    rows = [row[:things] for row in rows]
    assert sums.merge([sums.of_units(rows[:at], things=things), sums.of_units(rows[at:], things=things)]) == sums.of_units(rows, things=things)
    assert sums.of_units(rows, things=things) + sums.nothing(things) == sums.of_units(rows, things=things)


def test_large_counts_are_exact() -> None:
    """A variance of 0.25 on values of a billion billion: doubles have nothing left of it, whole numbers all."""
    rows = [(10**18 + number % 2, 0) for number in range(10)]
    assert sums.of_units(rows).variance == pytest.approx(10 * 0.25 / 9)


def test_a_variance_that_rounding_made_is_none() -> None:
    rows = [(0.1 + 1e9, 0.0)] * 1000
    assert sums.of_units(rows).variance == 0
    for units in range(990, 1010):
        assert sums.of_units([(1e9 + number % 2 * 0.5, 0.0) for number in range(units)]).variance == 0, "and says so rather than guess"
    assert sums.of_units([(1e3 + number % 2 * 0.5, 0.0) for number in range(1000)]).variance == pytest.approx(0.0625 * 1000 / 999, rel=1e-6)


def test_a_proportion_is_a_mean_of_zeros_and_ones() -> None:
    found = sums.of_units([(1, 0)] * 30 + [(0, 0)] * 70)
    assert (found.mean, found.events) == (0.3, 30)
    assert found.variance == pytest.approx(0.3 * 0.7 * 100 / 99)


def test_events_are_as_many_as_equal_ones_would_weigh() -> None:
    assert sums.of_units([(5.0, 0)] * 8 + [(0.0, 0)] * 92).events == pytest.approx(8)
    assert sums.of_units([(1.0, 0)] * 10 + [(1000.0, 0)]).events == pytest.approx(1.02, abs=0.001)


def test_nothing_has_no_moments() -> None:
    assert sums.nothing(MEAN).moments is None
    assert sums.of_units([(3, 0, 0, 0)], things=RATIO).moments is None
    assert (sums.nothing(MEAN).mean, sums.nothing(MEAN).variance, sums.nothing(MEAN).events) == (0, 0, 0)


def test_a_mean_and_a_ratio_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="of 2 and of 4 things"):
        sums.nothing(MEAN) + sums.nothing(RATIO)
    with pytest.raises(ValueError, match="no sums to merge"):
        sums.merge([])


@given(rows=VISITS)
def test_json_and_back(rows: list[tuple[int, ...]]) -> None:
    found = sums.of_units(rows, things=RATIO)
    assert sums.parse(found.to_json()) == found


GOOD = {"units": 3, "totals": [2, 1], "products": [2, 1, 1]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"units": -1}, "units are a whole number from 0 up, not -1"),
        ({"units": 2.5}, "units are a whole number"),
        ({"units": True}, "units are a whole number"),
        ({"totals": [2, math.nan]}, "a sum is a finite number, not nan"),
        ({"totals": ["2", 1]}, "a sum is a finite number, not '2'"),
        ({"totals": [2, 1, 3]}, "2 totals and 3 products, or 4 and 10, not 3 and 3"),
        ({"products": [2, 1]}, "2 totals and 3 products, or 4 and 10, not 2 and 2"),
        ({"products": None}, "units, totals and products"),
        ({"totals": [4, 1]}, "3 units with squares of 2 cannot add up to 4"),
        ({"products": [2, 2, 1]}, "products of 2 do not go with squares of 2 and 1"),
        ({"products": [-2, 1, 1], "totals": [0, 1]}, "cannot add up to|do not go with"),
        ({"units": 0}, "0 units with squares of 2 cannot add up to 2"),
    ],
)
def test_sums_that_no_units_have_are_refused(wrong: dict[str, Any], message: str) -> None:
    assert sums.parse(GOOD) == Sums(units=3, totals=(2, 1), products=(2, 1, 1))
    with pytest.raises(ValueError, match=f"conversion, challenger: .*({message})"):
        sums.parse(GOOD | wrong, of="conversion, challenger")
