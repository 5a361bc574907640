"""Values as whole millionths."""

import math
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_ledger import amounts


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=6))
def test_a_decimal_of_six_places_is_kept_exactly(value: Decimal) -> None:
    assert amounts.from_number(float(value)) == int(value * 10**6)


@given(st.floats(min_value=-1e9, max_value=1e9))
def test_others_go_to_the_nearest(value: float) -> None:
    nearest = Decimal(value).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    assert abs(amounts.from_number(value) - int(nearest * 10**6)) <= (Decimal(value) * 10**6 % 1 == Decimal("0.5")) + (abs(value) > 1e8)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e9 + 1, -2e9])
def test_what_is_no_amount(value: float) -> None:
    with pytest.raises(ValueError, match="finite number from -1000000000 to 1000000000"):
        amounts.from_number(value)


@given(st.integers(-(10**40), 10**40), st.sampled_from([6, 12]))
def test_an_amount_is_written_exactly(amount: int, places: int) -> None:
    assert Decimal(amounts.plain(amount, places=places)) == Decimal(f"{amount}E-{places}")


@pytest.mark.parametrize(("amount", "text"), [(0, "0"), (2_500_000, "2.5"), (-1, "-0.000001"), (10_000_000, "10"), (-3_000_000, "-3")])
def test_an_amount_has_no_more_digits_than_it_needs(amount: int, text: str) -> None:
    assert amounts.plain(amount) == text
