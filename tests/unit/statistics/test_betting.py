import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import betting
from slipway_statistics.betting import UNKNOWN, Bernstein, Prior, Share
from slipway_statistics.intervals import Interval

SHARES = st.tuples(st.integers(0, 400), st.floats(0, 1)).map(lambda given: Share(units=given[0], conversions=round(given[0] * given[1])))
STRATA = st.lists(st.tuples(SHARES, SHARES), min_size=1, max_size=3)


def chance(successes: int, *, of: int, p: float) -> float:
    return math.comb(of, successes) * p**successes * (1 - p) ** (of - successes)


@pytest.mark.parametrize("p", [0.002, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("units", [1, 7, 60])
def test_evidence_against_the_truth_is_one_on_average(units: int, p: float) -> None:
    """A martingale that starts at 1: its mean over all outcomes stays 1."""
    mean = math.fsum(chance(s, of=units, p=p) * math.exp(betting.log_evidence(Share(units=units, conversions=s), p=p)) for s in range(units + 1))
    assert mean == pytest.approx(1)


@pytest.mark.parametrize("prior", [UNKNOWN, Prior.around(0.002), Prior.around(0.3, conversions=30)])
@pytest.mark.parametrize("p", [0.002, 0.1, 0.5])
def test_the_truth_is_ever_outside_less_often_than_alpha(p: float, prior: Prior) -> None:
    """Whatever the prior. Exactly, for 400 looks, one after each unit: the law of all paths that were never outside, from look to look."""
    alpha, going = 0.05, {0: 1.0}
    for units in range(1, 401):
        moved: dict[int, float] = {}
        for conversions, mass in going.items():
            moved[conversions] = moved.get(conversions, 0.0) + mass * (1 - p)
            moved[conversions + 1] = moved.get(conversions + 1, 0.0) + mass * p
        going = {s: mass for s, mass in moved.items() if betting.log_evidence(Share(units=units, conversions=s), p=p, prior=prior) < -math.log(alpha)}
    outside = 1 - sum(going.values())
    assert 0 <= outside < alpha


@given(share=SHARES, alpha=st.floats(0.001, 0.3))
def test_ends_are_where_the_evidence_is_one_over_alpha(share: Share, alpha: float) -> None:
    found = betting.proportion(share, alpha=alpha)
    for end, certain in ((found.lower, share.conversions == 0), (found.upper, share.conversions == share.units)):
        if certain:
            assert end == (0 if share.conversions == 0 and end < 0.5 else 1)
        else:
            assert betting.log_evidence(share, p=end) == pytest.approx(-math.log(alpha), abs=1e-6)


@given(control=SHARES, treatment=SHARES)
def test_the_difference_against_a_grid(control: Share, treatment: Share) -> None:
    """Every pair of shares on a grid that has too little evidence against it has its difference in the interval; and the ends are near such pairs."""
    if not control.units or not treatment.units:
        return
    found = betting.difference([(control, treatment)], alpha=0.05)
    grid = [number / 60 for number in range(61)]
    ours, theirs = ([betting.log_evidence(share, p=p) for p in grid] for share in (treatment, control))
    kept = [p - q for p, mine in zip(grid, ours, strict=True) for q, other in zip(grid, theirs, strict=True) if mine + other < math.log(20)]
    assert all(found.lower - 1e-9 <= one <= found.upper + 1e-9 for one in kept)
    if kept:
        assert (found.lower, found.upper) == pytest.approx((min(kept), max(kept)), abs=2.1 / 60)


def test_the_weights_of_strata_are_harmonic() -> None:
    """With much data the interval is around Σhδ/Σh: strata of 1:1 and 1:3 units with differences of 0.1 and 0.2."""
    strata = [
        (Share(units=10**8, conversions=10**7), Share(units=10**8, conversions=2 * 10**7)),
        (Share(units=3 * 10**8, conversions=9 * 10**7), Share(units=10**8, conversions=5 * 10**7)),
    ]
    found = betting.difference(strata, alpha=0.05)
    assert (found.lower + found.upper) / 2 == pytest.approx((0.5 * 0.1 + 0.75 * 0.2) / 1.25, abs=1e-4)
    assert 0 < found.width < 0.001


@given(strata=STRATA, seed=st.integers(0, 2**32))
def test_no_point_with_little_evidence_against_it_has_its_difference_outside(strata: list[tuple[Share, Share]], seed: int) -> None:
    found, draw = betting.difference(strata, alpha=0.05), np.random.default_rng(seed)
    weights = [a.units * b.units / max(1, a.units + b.units) for a, b in strata]
    if not sum(weights):
        assert found == Interval(lower=-1, upper=1)
        return
    for _ in range(50):
        points = [tuple(draw.beta(0.5 + one.conversions, 0.5 + one.units - one.conversions) for one in pair) for pair in strata]
        against = math.fsum(
            betting.log_evidence(share, p=p)
            for pair, at in zip(strata, points, strict=True)
            for share, p in zip(pair, at, strict=True)
            if both_seen(pair)
        )
        if against < math.log(20):
            delta = math.fsum(weight * (b - a) for weight, (a, b) in zip(weights, points, strict=True)) / sum(weights)
            assert found.lower - 1e-9 <= delta <= found.upper + 1e-9


def both_seen(pair: tuple[Share, Share]) -> bool:
    return pair[0].units > 0 and pair[1].units > 0


@given(strata=STRATA)
def test_arms_may_be_swapped(strata: list[tuple[Share, Share]]) -> None:
    swapped = [(b, a) for a, b in strata]
    here, there = betting.difference(strata, alpha=0.05), betting.difference(swapped, alpha=0.05)
    assert (here.lower, here.upper) == pytest.approx((-there.upper, -there.lower), abs=1e-9)
    assert betting.log_e(strata) == pytest.approx(betting.log_e(swapped), abs=1e-9)


@pytest.mark.parametrize("p", [0.02, 0.3])
def test_an_e_value_is_one_on_average_at_most(p: float) -> None:
    units = 40
    mean = math.fsum(
        chance(a, of=units, p=p)
        * chance(b, of=units, p=p)
        * math.exp(betting.log_e([(Share(units=units, conversions=a), Share(units=units, conversions=b))]))
        for a in range(units + 1)
        for b in range(units + 1)
    )
    assert 0 < mean <= 1


@given(control=SHARES, treatment=SHARES)
def test_an_e_value_and_an_interval_of_one_stratum_say_the_same(control: Share, treatment: Share) -> None:
    """Zero is outside at an alpha exactly when the e-value is 1/alpha."""
    found = betting.log_e([(control, treatment)])
    if found > 0.01 and control.units and treatment.units:
        outside, inside = (betting.difference([(control, treatment)], alpha=math.exp(-found) * factor) for factor in (1.001, 0.999))
        assert 0 not in outside
        assert 0 in inside


def test_an_e_value_of_hand() -> None:
    """Of one unit each, one converted: B(½,3/2)·B(3/2,½)/B(½,½)² over (½)² is (½·½)/¼ = 1. The second stratum is empty."""
    found = betting.log_e(
        [(Share(units=1, conversions=0), Share(units=1, conversions=1)), (Share(units=0, conversions=0), Share(units=0, conversions=0))]
    )
    assert found == pytest.approx(0, abs=1e-12)


def test_who_knows_about_how_many_convert_pays_less() -> None:
    """By as much as the docstring says; and a prior that is wrong tenfold still has the truth inside."""
    share = Share(units=50_000, conversions=100)
    unknown, near, far = (betting.proportion(share, alpha=0.05, prior=prior) for prior in (UNKNOWN, Prior.around(0.002), Prior.around(0.02)))
    assert (unknown.width / 2, near.width / 2) == pytest.approx((0.0008, 0.0006), abs=5e-5)
    assert 0.002 in far
    assert far.width > near.width
    strata = [(share, Share(units=50_000, conversions=170))]
    assert betting.difference(strata, alpha=0.05, prior=Prior.around(0.002)).lower > betting.difference(strata, alpha=0.05).lower
    assert betting.log_e(strata, prior=Prior.around(0.002)) > betting.log_e(strata)


@pytest.mark.parametrize(("rate", "conversions"), [(0.0, 10.0), (1.0, 10.0), (0.1, 0.0)])
def test_a_share_that_cannot_be_expected(rate: float, conversions: float) -> None:
    with pytest.raises(ValueError, match="a share is expected above 0 and below 1"):
        Prior.around(rate, conversions=conversions)


def test_shares_that_differ_are_told_apart() -> None:
    strata = [(Share(units=20_000, conversions=40), Share(units=20_000, conversions=120))]
    assert betting.difference(strata, alpha=0.05).lower > 0
    assert betting.log_e(strata) > math.log(1000)


VALUES = st.lists(st.floats(0, 1), max_size=60)


@given(values=VALUES)
def test_bernstein_as_written_in_the_paper(values: list[float]) -> None:
    """Theorem 2 and equations 14 and 15 word by word, with 4(x - mean)² and ψ/4."""
    alpha, means, variances = 0.05, [0.5], [0.25]
    for t in range(1, len(values) + 1):
        means.append((0.5 + sum(values[:t])) / (t + 1))
        variances.append((0.25 + sum((x - mean) ** 2 for x, mean in zip(values[:t], means[1:], strict=True))) / (t + 1))
    bets = [min(0.5, math.sqrt(2 * math.log(2 / alpha) / (variances[t - 1] * t * math.log(t + 1)))) for t in range(1, len(values) + 1)]
    state = Bernstein(alpha=alpha)
    for value in values:
        state = state.after(value)
    if not values:
        assert state.interval == Interval(lower=0, upper=1)
        return
    cost = sum(4 * (x - mean) ** 2 * (-math.log(1 - bet) - bet) / 4 for x, mean, bet in zip(values, means, bets, strict=False))
    middle, reach = sum(bet * x for bet, x in zip(bets, values, strict=True)) / sum(bets), (math.log(2 / alpha) + cost) / sum(bets)
    assert (state.interval.lower, state.interval.upper) == pytest.approx((max(0, middle - reach), min(1, middle + reach)), abs=1e-12)


@given(values=VALUES)
def test_bets_reject_what_their_capital_says(values: list[float]) -> None:
    """Capital as in equation 26, mean by mean: outside the interval one of the two has made 40 for an alpha of 0.05, inside neither."""
    alpha, means, variances = 0.05, [0.5], [0.25]
    for t in range(1, len(values) + 1):
        means.append((0.5 + sum(values[:t])) / (t + 1))
        variances.append((0.25 + sum((x - mean) ** 2 for x, mean in zip(values[:t], means[1:], strict=True))) / (t + 1))
    found = betting.bets(values, alpha=alpha)
    for m in (0.01, 0.1, 0.25, 0.5, 0.8, 0.97):
        up, down = 1.0, 1.0
        for t, x in enumerate(values, 1):
            bet = math.sqrt(2 * math.log(2 / alpha) / (variances[t - 1] * t * math.log(t + 1)))
            up *= 1 + min(bet, 0.5 / m) * (x - m)
            down *= 1 - min(bet, 0.5 / (1 - m)) * (x - m)
        made = max(up, down) * alpha / 2
        if abs(math.log(made)) > 1e-9:
            assert (m in found) == (made < 1)


@pytest.mark.parametrize(("value", "expected"), [(0.0, (0.0, 0.15)), (1.0, (0.85, 1.0))])
def test_values_that_are_all_the_same(value: float, expected: tuple[float, float]) -> None:
    found = betting.bets([value] * 50, alpha=0.05)
    assert expected[0] <= found.lower <= found.upper <= expected[1]
    assert value in found


def test_bounded_values_are_covered_at_every_look_and_narrowed_down() -> None:
    """Heavy at 0, as revenue brought to 0 to 1 is. 200 paths: of a test that keeps 0.05, 19 or more are outside once in a hundred times."""
    draw, outside, width = np.random.default_rng(41), 0, []
    for _ in range(200):
        values = np.where(draw.random(600) < 0.1, draw.beta(2, 5, 600), 0.0)
        state, missed = Bernstein(alpha=0.05), False
        for value in values.tolist():
            state = state.after(value)
            missed |= 0.1 * 2 / 7 not in state.interval
        outside += missed
        width.append(state.interval.width)
    assert outside <= 18
    assert max(width) < 0.12


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_an_alpha_that_is_none(alpha: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        betting.proportion(Share(units=10, conversions=5), alpha=alpha)
    with pytest.raises(ValueError, match="above 0 and below 1"):
        betting.difference([(Share(units=10, conversions=5), Share(units=10, conversions=5))], alpha=alpha)


@pytest.mark.parametrize(("units", "conversions"), [(5, 6), (5, -1), (-1, 0)])
def test_counts_that_cannot_be(units: int, conversions: int) -> None:
    with pytest.raises(ValueError, match="cannot have converted"):
        Share(units=units, conversions=conversions)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan])
def test_values_outside_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="brought to 0 to 1 first"):
        betting.bets([0.5, value], alpha=0.05)
