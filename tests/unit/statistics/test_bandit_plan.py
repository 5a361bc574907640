"""Bandits that are played beforehand, against arithmetic, exact sums over all outcomes, and the plan of a test whose shares stand still."""

import dataclasses
import itertools
import math
from random import Random
from statistics import NormalDist, fmean, pvariance

import pytest

from slipway_statistics import bandit_plan, plan
from slipway_statistics.bandit import Rules
from slipway_statistics.bandit_plan import Assumed, Claims, Expected, Outcomes, Run

DAY = 86_400.0
FREE = Rules(floor=0.1, step=1, least_units=1, least_conversions=0)
NEVER = Claims(alpha=0.05, planned=1e6, minimum_effect=1e-9, minimum_units_per_arm=10**9, minimum_duration_s=0)


def assumed(*means: float, deviation: float | None = None, updates: int = 14, units_per_day: float = 1000, window_days: float = 0.0) -> Assumed:
    """Shares move once a day for two weeks, and outcomes are known at once, but for what a test says."""
    arms = tuple(Outcomes(mean=mean, deviation=deviation) for mean in means)
    return Assumed(arms=arms, units_per_second=units_per_day / DAY, update_s=14 * DAY / updates, window_s=window_days * DAY, end_s=14 * DAY)


def expected(world: Assumed, *, rules: Rules = FREE, claims: Claims = NEVER, runs: int = 200) -> Expected:
    return bandit_plan.expect(world, rules=rules, claims=claims, runs=runs, draws=Random(5))  # noqa: S311


def plays(world: Assumed, *, rules: Rules = FREE, runs: int = 30) -> list[Run]:
    draws = Random(7)  # noqa: S311
    return [bandit_plan.play(world, rules=rules, claims=None, draws=draws) for _ in range(runs)]


def test_arms_that_are_alike_have_like_shares() -> None:
    """However far the shares wander, on average nobody has more: within four standard errors of shares from 0.1 to 0.8."""
    found = expected(assumed(0.1, 0.1, 0.1))
    for moment in found.moments:
        assert moment.shares == pytest.approx((1 / 3,) * 3, abs=4 * 0.35 / math.sqrt(200))
    assert {moment.wrong_leads for moment in found.moments} == {None}
    assert (found.lost.bandit, found.lost.even_split, found.lost.floors) == (0, 0, 0)


@pytest.mark.parametrize("floor", [0.05, 0.1, 0.2])
def test_floors_bound_every_share_of_every_run(floor: float) -> None:
    shares = [share for run in plays(assumed(0.1, 0.2, 0.1, 0.1), rules=dataclasses.replace(FREE, floor=floor)) for of in run.shares for share in of]
    assert min(shares) >= floor - 1e-9
    assert max(shares) == pytest.approx(1 - 3 * floor)


def test_no_share_moves_by_more_than_the_step() -> None:
    for run in plays(assumed(0.1, 0.2, 0.1), rules=dataclasses.replace(FREE, step=0.07)):
        for before, after in itertools.pairwise(run.shares):
            assert max(abs(new - old) for new, old in zip(after, before, strict=True)) <= 0.07 + 1e-9


def test_less_is_lost_than_by_an_even_split_and_no_less_than_floors_take() -> None:
    """14,000 units at 0.10 and 0.13: half of them lose 0.03 each, and a tenth always does."""
    lost = expected(assumed(0.1, 0.13)).lost
    assert (lost.even_split, lost.floors) == pytest.approx((14_000 * 0.5 * 0.03, 14_000 * 0.1 * 0.03))
    assert lost.floors < lost.bandit - 4 * lost.bandit_error
    assert lost.bandit + 4 * lost.bandit_error < lost.even_split


def test_the_better_arm_comes_to_lead() -> None:
    found = expected(assumed(0.1, 0.13))
    wrong = [moment.wrong_leads or 0.0 for moment in found.moments]
    assert 0.02 < wrong[1] < 0.5
    assert wrong[-1] < 0.02
    assert found.most == pytest.approx(0.81)
    assert found.best_has_most.by_end > 0.95
    assert found.best_has_most.half_s is not None
    assert found.best_has_most.most_s is not None
    assert DAY <= found.best_has_most.half_s <= found.best_has_most.most_s


def test_where_less_is_better_the_lower_arm_comes_to_lead() -> None:
    down = expected(dataclasses.replace(assumed(0.13, 0.1), sign=-1))
    assert down.moments[-1].shares[1] > 0.8
    assert expected(dataclasses.replace(assumed(13, 10, deviation=20), sign=-1)).moments[-1].shares[1] > 0.8


def _exact_share(first: float, second: float, *, units: int) -> float:
    """Mean of floor + (1 - 2 floors) P(the second is better) over all outcomes of so many units an arm, P by a normal posterior of each."""

    def weights(rate: float) -> list[float]:
        return [math.comb(units, count) * rate**count * (1 - rate) ** (units - count) for count in range(units + 1)]

    def posterior(count: int) -> tuple[float, float]:
        a, b = 1 + count, 1 + units - count
        return a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))

    total = 0.0
    for (one, weight), (other, of_other) in itertools.product(enumerate(weights(first)), enumerate(weights(second))):
        (mean, variance), (other_mean, other_variance) = posterior(one), posterior(other)
        total += weight * of_other * NormalDist().cdf((other_mean - mean) / math.sqrt(variance + other_variance))
    return 0.1 + 0.8 * total


def test_the_first_move_is_the_exact_mean_over_all_outcomes() -> None:
    """60 units an arm at 0.4 and 0.5, where a Beta is a normal to a hundredth."""
    found = expected(assumed(0.4, 0.5, updates=2, units_per_day=120 / 7), runs=1000)
    assert found.moments[0].shares == (0.5, 0.5)
    assert found.moments[1].shares[1] == pytest.approx(_exact_share(0.4, 0.5, units=60), abs=0.01 + 4 * 0.25 / math.sqrt(1000))


def test_nothing_moves_before_a_window_is_over() -> None:
    """A window of two and a half days: at the end of the third day the first half day counts."""
    found = expected(assumed(0.1, 0.3, window_days=2.5))
    assert [moment.shares[1] > 0.5 for moment in found.moments[:5]] == [False, False, False, True, True]
    late, soon = found.lost, expected(assumed(0.1, 0.3)).lost
    assert late.bandit > soon.bandit + 4 * (late.bandit_error + soon.bandit_error)


def test_an_arm_with_too_little_moves_nothing() -> None:
    assert expected(assumed(0.1, 0.3), rules=dataclasses.replace(FREE, least_units=10**6)).moments[-1].shares == (0.5, 0.5)


def test_shares_that_stand_still_are_a_test_and_win_as_often_as_its_plan_says() -> None:
    """A floor of a half leaves two arms no choice. Fewer looks than the plan's see the effect a little later."""
    spread = plan.of_proportion(0.1, effect=0.02)
    units = plan.units_per_arm(spread, effect=0.02, alpha=0.05, power=0.8)
    claims = Claims(alpha=0.05, planned=2.0 * units, minimum_effect=0.02, minimum_units_per_arm=100, minimum_duration_s=0)
    world = assumed(0.1, 0.12, updates=42, units_per_day=1.5 * 2 * units / 14)
    found = expected(world, rules=dataclasses.replace(FREE, floor=0.5), claims=claims).verdicts
    power = plan.power(1.5 * units, planned=units, spread=spread, effect=0.02, alpha=0.05)
    assert found is not None
    assert found.best_wins.by_end == pytest.approx(power, abs=0.05 + 4 * 0.5 / math.sqrt(200))
    assert found.another_wins == 0


def test_arms_that_are_alike_seldom_win_and_are_said_to_be_alike() -> None:
    """At 0.05 over all looks at most 26 of 300 may win (99 %). 30 times the plan shows that no effect matters."""
    claims = Claims(alpha=0.05, planned=2000, minimum_effect=0.05, minimum_units_per_arm=100, minimum_duration_s=0)
    found = expected(assumed(0.1, 0.1, units_per_day=4000), claims=claims, runs=300).verdicts
    assert found is not None
    assert (found.best_wins.by_end, found.best_wins.half_s) == (0, None)
    assert found.another_wins <= 26 / 300
    assert found.no_effect > 0.9


def test_nothing_is_said_before_the_least_time_or_with_too_few_units() -> None:
    claims = Claims(alpha=0.05, planned=2000, minimum_effect=0.01, minimum_units_per_arm=100, minimum_duration_s=5 * DAY)
    found = expected(assumed(0.1, 0.3), claims=claims).verdicts
    assert found is not None
    assert (found.best_wins.by_end, found.best_wins.half_s) == (1, 5 * DAY)
    few = expected(assumed(0.1, 0.3), claims=dataclasses.replace(claims, minimum_units_per_arm=14_000)).verdicts
    assert few is not None
    assert few.best_wins.by_end == 0


def test_below_a_floor_of_a_tenth_there_is_no_verdict() -> None:
    assert expected(assumed(0.1, 0.3), rules=dataclasses.replace(FREE, floor=0.05)).verdicts is None


def test_the_same_question_has_the_same_answer() -> None:
    assert expected(assumed(0.1, 0.12, 0.1), runs=20) == expected(assumed(0.1, 0.12, 0.1), runs=20)


@pytest.mark.parametrize(("count", "share"), [(50, 0.03), (50, 0.97), (400, 0.2), (5000, 0.4), (100_000, 0.0001)])
def test_conversions_have_the_mean_and_the_variance_of_a_binomial(count: int, share: float) -> None:
    draws, runs = Random(3), 20_000  # noqa: S311
    drawn = [bandit_plan.binomial(count, share, draws) for _ in range(runs)]
    variance = count * share * (1 - share)
    assert fmean(drawn) == pytest.approx(count * share, abs=4 * math.sqrt(variance / runs))
    # A binomial's excess kurtosis is at most 1/variance: Var(s²) ≈ σ⁴ (2 + 1/σ²)/runs.
    assert pvariance(drawn) == pytest.approx(variance, abs=4 * variance * math.sqrt((2 + 1 / variance) / runs))
    assert 0 <= min(drawn) <= max(drawn) <= count


def test_who_never_or_always_converts() -> None:
    draws = Random(3)  # noqa: S311
    assert [bandit_plan.binomial(100, share, draws) for share in (0, 1)] == [0, 100]
    assert bandit_plan.binomial(0, 0.3, draws) == 0


def test_a_mean_moves_shares_as_a_proportion_of_the_same_mean_and_variance() -> None:
    """Zeros and ones at 0.2 and 0.25 have deviations of 0.4 and 0.43: Normal and Beta see the same."""
    proportion = expected(assumed(0.2, 0.25), runs=400)
    mean = expected(assumed(0.2, 0.25, deviation=0.417), runs=400)
    error = 4 * math.hypot(proportion.lost.bandit_error, mean.lost.bandit_error)
    assert mean.lost.bandit == pytest.approx(proportion.lost.bandit, abs=error)


def test_what_can_be_afforded_is_bounded() -> None:
    for arms, updates in itertools.product((2, 3, 6), (1, 20, 90)):
        world = assumed(*(0.1,) * arms, updates=updates)
        assert 40 <= bandit_plan.affordable_runs(world) <= max(40, min(1000, 40_000 / (updates * arms**1.5) + 1))


def test_a_last_stratum_that_is_cut_off_counts_as_long_as_it_lasts() -> None:
    world = dataclasses.replace(assumed(0.1, 0.2), update_s=10 * DAY)
    assert world.strata == ((0, 10 * DAY), (10 * DAY, 14 * DAY))
    assert expected(world, rules=dataclasses.replace(FREE, floor=0.5)).lost.bandit == pytest.approx(14_000 * 0.5 * 0.1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Outcomes(mean=1.2), "from 0 to 1, not 1.2"),
        (lambda: Outcomes(mean=1.2, deviation=0), "above 0"),
        (lambda: dataclasses.replace(assumed(0.1, 0.2), arms=(Outcomes(mean=0.1), Outcomes(mean=2, deviation=1))), "one metric"),
        (lambda: dataclasses.replace(assumed(0.1, 0.2), units_per_second=0), "above 0"),
        (lambda: expected(assumed(0.1, 0.2), runs=1), "2 runs or more"),
        (lambda: expected(assumed(0.1, 0.2, 0.1), rules=dataclasses.replace(FREE, floor=0.4)), "cannot have at least"),
    ],
)
def test_what_no_bandit_could_be(make: object, said: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=said):
        make()
