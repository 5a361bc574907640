import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import intervals
from slipway_statistics.intervals import Interval


def test_differences_reach_from_one_far_end_to_the_other() -> None:
    found = Interval(lower=0.3, upper=0.5).minus(Interval(lower=0.1, upper=0.2))
    assert (found.lower, found.upper) == pytest.approx((0.1, 0.4))


def test_what_two_have_in_common() -> None:
    assert Interval(lower=0.1, upper=0.5).within(Interval(lower=0.2, upper=0.6)) == Interval(lower=0.2, upper=0.5)
    with pytest.raises(ValueError, match="nothing in common"):
        Interval(lower=0.1, upper=0.2).within(Interval(lower=0.3, upper=0.4))


def test_ends_belong_to_it() -> None:
    assert [value in Interval(lower=0.1, upper=0.2) for value in (0.0, 0.1, 0.15, 0.2, 0.3)] == [False, True, True, True, False]
    assert Interval(lower=0.25, upper=0.75).width == 0.5


@given(root=st.floats(-10, 10))
def test_zero_is_found_to_the_last_bit(root: float) -> None:
    assert intervals.zero(lambda x: x - root, -11, 11) == pytest.approx(root, abs=1e-14)


def test_where_there_is_none_it_is_an_end() -> None:
    assert intervals.zero(lambda _: 1.0, 0, 1) == pytest.approx(0, abs=1e-12)
    assert intervals.zero(lambda _: -1.0, 0, 1) == pytest.approx(1)
