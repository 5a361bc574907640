import math

import pytest

from slipway_statistics import caps
from slipway_statistics.caps import Cap


@pytest.mark.parametrize(("quantile", "units"), [(0.99, 10_000), (0.999, 10_000), (0.9999, 100_000), (0.9995, 20_000), (0.99999, 1_000_000)])
def test_units_needed(quantile: float, units: int) -> None:
    assert caps.units_needed(quantile) == units


def test_it_is_found_from_the_first_units_only() -> None:
    values = [float(number % 1000) for number in range(10_000)]
    assert caps.resolve(values[:-1], quantile=0.99) is None
    found = Cap(quantile=0.99, value=989.0, units=10_000)
    assert caps.resolve(values, quantile=0.99) == found
    assert caps.resolve([*values, *[1e9] * 10_000], quantile=0.99) == found


def test_at_least_the_quantile_is_not_above_it() -> None:
    values = [float(number * 7919 % 10_007) for number in range(10_000)]
    found = caps.resolve(values, quantile=0.999)
    assert found is not None
    assert sum(value <= found.value for value in values) == 9990


def test_the_time_before_may_give_it() -> None:
    assert caps.from_before([1.0] * 9_999, quantile=0.99) is None
    assert caps.from_before([1.0] * 20_000, quantile=0.99) == Cap(quantile=0.99, value=1.0, units=20_000)


def test_applied() -> None:
    assert caps.apply([1, 5, 50], Cap(quantile=0.99, value=5, units=10_000)) == [1, 5, 5]


@pytest.mark.parametrize("quantile", [0.5, 1.0, -1, math.nan])
def test_what_is_no_upper_quantile_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match=r"above 0\.5 and below 1"):
        caps.resolve([], quantile=quantile)


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite values"):
        caps.resolve([math.nan] * 10_000, quantile=0.99)
