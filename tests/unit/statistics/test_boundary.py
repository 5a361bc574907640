import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import boundary

ALPHAS = st.floats(1e-6, 0.4)


@pytest.mark.parametrize(
    ("requests", "expected"),
    # By hand for alpha 1/600: u = 13.92587 · requests / 1000.
    [(0, math.inf), (100, 4.594063), (1000, 3.889187), (100_000, 4.319811)],
)
def test_the_boundary(requests: int, expected: float) -> None:
    assert boundary.boundary(requests, alpha=0.01 / 6) == pytest.approx(expected, abs=1e-6)


@given(alpha=ALPHAS, requests=st.integers(1, 10**7))
def test_the_boundary_is_above_that_of_a_single_look(alpha: float, requests: int) -> None:
    """Φ(-b) ≤ exp(-b²/2)/2, so one look at the boundary must have a smaller chance than alpha."""
    assert math.erfc(boundary.boundary(requests, alpha=alpha) / math.sqrt(2)) / 2 <= alpha


@given(alpha=st.floats(1e-6, 0.05), requests=st.integers(1, 10**6), factor=st.floats(0.1, 0.99))
def test_a_smaller_error_moves_the_boundary_away(alpha: float, requests: int, factor: float) -> None:
    assert boundary.boundary(requests, alpha=alpha * factor) > boundary.boundary(requests, alpha=alpha)


@pytest.mark.parametrize("alpha", [0.0, -0.1, 0.5, 1.0, math.nan])
def test_what_is_no_error_probability_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"above 0 and below 0\.5"):
        boundary.boundary(10, alpha=alpha)


def test_alpha_is_shared_over_guardrails_and_steps() -> None:
    assert boundary.alpha_of_one(0.01, guardrails=2, steps=3) == pytest.approx(0.01 / 6)


@pytest.mark.parametrize(("probability", "guardrails", "steps"), [(0.01, 0, 3), (0.01, 2, 0), (0.5, 2, 3), (0.0, 2, 3)])
def test_alpha_has_something_to_be_shared_over(probability: float, guardrails: int, steps: int) -> None:
    with pytest.raises(ValueError, match=r"alpha is shared|above 0 and below"):
        boundary.alpha_of_one(probability, guardrails=guardrails, steps=steps)


@pytest.mark.parametrize(
    ("t", "freedom", "tail"),
    # Upper tails of Student's t from printed tables.
    [(2.132, 4, 0.05), (4.604, 4, 0.005), (7.173, 4, 0.001), (2.764, 10, 0.01), (4.144, 10, 0.001), (2.390, 60, 0.01), (3.232, 60, 0.001)],
)
def test_a_t_weighs_what_its_tail_says_or_little_less(t: float, freedom: float, tail: float) -> None:
    z = boundary.normal_of_t(t, freedom=freedom)
    assert tail * 0.99 < math.erfc(z / math.sqrt(2)) / 2 < tail * 1.13


@given(z=st.floats(-12, 12), freedom=st.floats(1, 1000))
def test_there_and_back(z: float, freedom: float) -> None:
    assert boundary.normal_of_t(boundary.t_of_normal(z, freedom=freedom), freedom=freedom) == pytest.approx(z, abs=1e-6)


@given(t=st.floats(0.01, 50), freedom=st.floats(0.5, 100), more=st.floats(1.1, 10))
def test_more_groups_make_the_same_t_weigh_more_but_never_more_than_itself(t: float, freedom: float, more: float) -> None:
    assert 0 < boundary.normal_of_t(t, freedom=freedom) < boundary.normal_of_t(t, freedom=freedom * more) < t


@pytest.mark.parametrize("freedom", [0.0, -1.0])
def test_without_freedom_nothing_weighs_and_nothing_is_far_enough(freedom: float) -> None:
    assert boundary.normal_of_t(1e9, freedom=freedom) == 0
    assert boundary.t_of_normal(4.0, freedom=freedom) == math.inf
    assert boundary.t_of_normal(-4.0, freedom=freedom) == -math.inf


@pytest.mark.parametrize(("z", "freedom"), [(math.inf, 10.0), (50.0, 1.0)])
def test_what_no_float_holds_is_infinite(z: float, freedom: float) -> None:
    assert boundary.t_of_normal(z, freedom=freedom) == math.inf


def test_infinite_stays_infinite() -> None:
    assert boundary.normal_of_t(-math.inf, freedom=3) == -math.inf
