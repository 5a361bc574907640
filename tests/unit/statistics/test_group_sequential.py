import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import group_sequential

FRACTIONS = st.lists(st.integers(1, 1000), min_size=1, max_size=8, unique=True).map(lambda found: tuple(one / max(found) for one in sorted(found)))


@pytest.mark.parametrize(
    ("looks", "expected"),
    # Armitage, McPherson and Rowe 1969, table 2: a z-test at 0.05, repeated.
    [(1, 0.050), (2, 0.083), (3, 0.107), (4, 0.126), (5, 0.142), (10, 0.193), (20, 0.248), (50, 0.320)],
)
def test_a_z_test_that_is_repeated(looks: int, expected: float) -> None:
    crossed = group_sequential.crossing([1.959964] * looks, fractions=group_sequential.equal(looks))
    assert sum(crossed) == pytest.approx(expected, abs=0.0006)


@pytest.mark.parametrize(
    ("looks", "pocock", "obrien_fleming"),
    # Jennison and Turnbull, Group Sequential Methods, tables 2.1 and 2.3, two-sided 0.05.
    [(1, 1.960, 1.960), (2, 2.178, 1.977), (3, 2.289, 2.004), (4, 2.361, 2.024), (5, 2.413, 2.040), (10, 2.555, 2.087)],
)
def test_constants(looks: int, pocock: float, obrien_fleming: float) -> None:
    assert group_sequential.pocock(looks) == pytest.approx([pocock] * looks, abs=0.0006)
    scale = [math.sqrt(looks / number) for number in range(1, looks + 1)]
    assert group_sequential.obrien_fleming(looks) == pytest.approx([obrien_fleming * one for one in scale], abs=0.0006 * scale[0])


def test_boundaries_of_lan_and_demets() -> None:
    """As printed for five looks of O'Brien and Fleming's type in M. A. Proschan, Lan and Wittes, Statistical Monitoring of Clinical Trials, 2006."""
    found = group_sequential.lan_demets(group_sequential.equal(5), alpha=0.05)
    assert found == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=0.0006)


@given(fractions=FRACTIONS, alpha=st.floats(0.001, 0.3))
def test_all_looks_together_spend_alpha(fractions: tuple[float, ...], alpha: float) -> None:
    crossed = group_sequential.crossing(group_sequential.lan_demets(fractions, alpha=alpha), fractions=fractions)
    assert sum(crossed) == pytest.approx(alpha, abs=1e-8)


@given(fractions=FRACTIONS, alpha=st.floats(0.001, 0.3))
def test_what_comes_later_does_not_change_what_was(fractions: tuple[float, ...], alpha: float) -> None:
    whole = group_sequential.lan_demets(fractions, alpha=alpha)
    assert all(group_sequential.lan_demets(fractions[:number], alpha=alpha) == whole[:number] for number in range(1, len(fractions)))


@pytest.mark.parametrize("drift", [0.0, 1.959964 + 0.841621])
def test_the_integration_against_paths(drift: float) -> None:
    """400,000 Brownian motions, looked at at unequal times: within four standard errors at each look."""
    fractions, boundaries, paths = np.array([0.15, 0.3, 0.7, 1.0]), np.array([2.8, 2.2, 2.1, 2.0]), 400_000
    steps = np.diff(fractions, prepend=0.0)
    score = np.cumsum(np.random.default_rng(31).normal(drift * steps, np.sqrt(steps), (paths, 4)), axis=1)
    over = np.abs(score / np.sqrt(fractions)) >= boundaries
    first = [(over[:, number] & ~over[:, :number].any(axis=1)).mean() for number in range(4)]
    found = group_sequential.crossing(boundaries.tolist(), fractions=fractions.tolist(), drift=drift)
    assert found == pytest.approx(first, abs=4 * math.sqrt(0.25 / paths))


@pytest.mark.parametrize("early", [0.05, 0.5, 0.95, 0.999])
def test_two_looks_against_an_integral_of_their_own(early: float) -> None:
    """Over z at the first look, the chance of going on at the second: a plain sum of 200,000 terms."""
    first, second, drift = 2.5, 2.0, 1.5
    z = (np.arange(200_000) + 0.5) / 200_000 * 2 * first - first
    mean, left = drift + math.sqrt(early) * (z - drift * math.sqrt(early)), math.sqrt(1 - early)
    inside = np.array([math.erf((second - m) / left / math.sqrt(2)) + math.erf((second + m) / left / math.sqrt(2)) for m in mean]) / 2
    density = np.exp(-((z - drift * math.sqrt(early)) ** 2) / 2) / math.sqrt(2 * math.pi)
    going_on = float((density * inside).mean() * 2 * first)
    assert 1 - sum(group_sequential.crossing([first, second], fractions=(early, 1.0), drift=drift)) == pytest.approx(going_on, abs=1e-9)


def test_the_power_of_one_look_is_that_of_a_fixed_test() -> None:
    assert sum(group_sequential.crossing([1.959964], fractions=[1.0], drift=1.959964 + 0.841621)) == pytest.approx(0.8, abs=1e-5)


def test_where_nothing_can_be_spent_nothing_crosses() -> None:
    found = group_sequential.look(50.0, fractions=(0.01,), alpha=0.05)
    assert (found.boundary, found.spent, found.crossed) == (math.inf, 0.0, False)


def test_a_look() -> None:
    found = group_sequential.look(-2.7, fractions=(0.2, 0.4, 0.6), alpha=0.05)
    assert (found.fraction, found.boundary, found.spent) == pytest.approx((0.6, 2.680, group_sequential.spending(0.6, alpha=0.05)), abs=0.0006)
    assert found.crossed
    assert not group_sequential.look(2.67, fractions=(0.2, 0.4, 0.6), alpha=0.05).crossed


@given(fraction=st.floats(0.05, 1.0), alpha=st.floats(0.001, 0.3))
def test_spending_grows_to_alpha(fraction: float, alpha: float) -> None:
    assert group_sequential.spending(1.0, alpha=alpha) == pytest.approx(alpha)
    assert group_sequential.spending(fraction * 0.99, alpha=alpha) < group_sequential.spending(fraction, alpha=alpha)


@pytest.mark.parametrize("fractions", [(), (0.0,), (0.5, 0.5), (0.5, 0.5005), (0.5, 0.4), (0.5, 1.01), (math.nan,)])
def test_fractions_that_are_none(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascending shares of the planned information"):
        group_sequential.lan_demets(fractions, alpha=0.05)


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_an_alpha_that_is_none(alpha: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        group_sequential.pocock(5, alpha=alpha)


@pytest.mark.parametrize("boundaries", [[2.0], [2.0, -1.0], [2.0, math.nan]])
def test_every_look_has_a_boundary(boundaries: list[float]) -> None:
    with pytest.raises(ValueError, match="each of 2 looks has one boundary"):
        group_sequential.crossing(boundaries, fractions=(0.5, 1.0))


def test_no_look_is_no_test() -> None:
    with pytest.raises(ValueError, match="at least one look"):
        group_sequential.equal(0)
