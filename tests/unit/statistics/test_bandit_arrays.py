"""A short version of the bandit's part of ``python -m bench.experiments``, and what makes its arrays the package."""

import math

import numpy as np
import pytest

from bench.experiments import arrays, bandits
from bench.guardrails.false_rollbacks import most
from slipway_statistics import analysis, bandit
from slipway_statistics.bandit import Bandit, Rewards, Rules, Scores
from slipway_statistics.experiment import Design, Metric
from slipway_statistics.sums import Sums


@pytest.mark.parametrize("arms", [2, 3, 5])
def test_arrays_find_the_best_as_the_package_does(arms: int) -> None:
    draw = np.random.default_rng(71)
    units = np.floor(10 ** draw.uniform(0, 5, (40, arms)))
    conversions = np.floor(units * draw.beta(0.3, 2, (40, arms)))
    units[0] = conversions[0] = 0
    found = arrays.beta(units, conversions)
    for run in range(40):
        expected = bandit.beta([Rewards.of_conversions(n, s) for n, s in zip(units[run], conversions[run], strict=True)])
        assert found[run] == pytest.approx(expected, abs=1e-9)


def test_arrays_move_shares_and_score_as_the_package_does() -> None:
    """Whole bandits, batch by batch: shares, sums of scores, and whether zero is excluded."""
    draw, rules, runs, outside = np.random.default_rng(72), Rules(floor=0.1, step=0.2), 8, 0
    shares, seen, converted, scores = np.full((runs, 2), 0.5), np.zeros((runs, 2)), np.zeros((runs, 2)), arrays.Scores.of(runs)
    states, theirs = [Bandit.of(2)] * runs, [Scores(control=0, treatment=1)] * runs
    for _ in range(25):
        first = draw.binomial(100, shares[:, 0])
        units = np.stack([first, 100 - first], axis=1).astype(float)
        conversions = draw.binomial(units.astype(int), (0.05, 0.25)).astype(float)
        scores.add(units, conversions, shares=shares)
        seen, converted = seen + units, converted + conversions
        enough = ((seen >= 100) & (converted >= 10)).all(axis=1)
        if enough.any():
            aim = arrays.floored(arrays.beta(seen[enough], converted[enough]), floor=0.1)
            shares[enough] = arrays.toward(aim, shares=shares[enough], step=0.2)
        excluded = scores.excluded(alpha=0.05, planned=2500)
        for run in range(runs):
            batch = [Rewards.of_conversions(n, s) for n, s in zip(units[run], conversions[run], strict=True)]
            theirs[run] = theirs[run].after(batch, shares=states[run].shares)
            states[run] = states[run].after(batch, rules=rules, best=bandit.beta)
            assert shares[run] == pytest.approx(states[run].shares, abs=1e-9)
            assert (scores.units[run], scores.total[run], scores.squares[run]) == pytest.approx(
                (theirs[run].units, theirs[run].total, theirs[run].squares)
            )
            assert excluded[run] == (0 not in theirs[run].interval(alpha=0.05, planned=2500))
            outside += bool(excluded[run])
    assert 0 < outside < 25 * runs


def test_arrays_compare_batches_as_the_package_compares_strata() -> None:
    """Whether the second arm is worse, and by what: batches of a bandit that gives it a tenth to a half."""
    draw, runs = np.random.default_rng(79), 6
    metric = Metric(name="x", kind="Proportion", role="Primary", planned_units_per_arm=1500, minimum_effect=1)
    design = Design(arms=("0", "1"), metrics=(metric,))
    found, harmed = arrays.Strata.of(runs), 0
    kept: list[dict[str, dict[str, Sums]]] = [{"0": {}, "1": {}} for _ in range(runs)]
    for batch in range(40):
        first = draw.binomial(60, draw.uniform(0.5, 0.98, runs))
        units = np.stack([first, 60 - first], axis=1).astype(float)
        conversions = draw.binomial(units.astype(int), (0.3, 0.15)).astype(float)
        found.add(units, conversions)
        says = found.harmed(alpha=0.05, planned=1500)
        for run in range(runs):
            for arm in (0, 1):
                n, good = int(units[run, arm]), int(conversions[run, arm])
                kept[run][str(arm)][str(batch)] = Sums(units=n, totals=(good, 0), products=(good, 0, 0))
            one = analysis.analyse(metric, kept[run], arm="1", design=design, theta=0)
            assert one is not None
            expected = (one.estimate * found.information[run], (one.standard_error * found.information[run]) ** 2, one.expected_events)
            assert (found.weighed[run], found.variance[run], found.expected[run]) == pytest.approx(expected)
            assert says[run] == (one.expected_events >= 10 and one.upper < 0)
            harmed += bool(says[run])
    assert 0 < harmed < 40 * runs


def test_harm_of_a_bandit_is_seen_batch_by_batch_and_not_where_there_is_none() -> None:
    assert bandits.adapted((0.10, 0.05), floor=0.1, runs=60, seed=80, batches=60).by_strata.mean() > 0.8
    assert bandits.adapted((0.05, 0.05), floor=0.1, runs=100, seed=81, batches=60).by_strata.sum() <= most(100, 0.025)


def test_after_a_bandit_with_a_floor_of_a_tenth_a_verdict_may_be_given() -> None:
    found = bandits.adapted((0.05, 0.05), floor=0.1, runs=100, seed=73, batches=60)
    assert found.by_scores.sum() <= most(100, 0.05)
    assert found.by_peeking.sum() > 2 * most(100, 0.05)


def test_a_verdict_is_given_where_there_is_something() -> None:
    assert bandits.adapted((0.05, 0.10), floor=0.1, runs=60, seed=74, batches=60).by_scores.mean() > 0.8


def test_days_are_saved_as_published() -> None:
    assert all(figure.ok for figure in bandits.days_saved(60))


def test_a_bandit_loses_less_than_equal_shares() -> None:
    """5 % and 8 %, 6,000 units: equal shares lose 90 conversions."""
    assert bandits.adapted((0.05, 0.08), floor=0.05, runs=60, seed=75, batches=60).lost.mean() < 60


def test_a_half_life_loses_less_where_rates_swap() -> None:
    forever, forgetting = (
        bandits.adapted((0.05, 0.10), floor=0.05, runs=60, seed=78, batches=100, swapped_after=50, half_life=each).lost.mean()
        for each in (math.inf, 2000)
    )
    assert forgetting < forever * 0.9


def test_regret_grows_as_a_logarithm_and_slower_than_that_of_ucb1() -> None:
    thompson, ucb1 = (bandits._regret(rule, 20, horizon=10_000, seed=76).mean(axis=1) for rule in ("thompson", "ucb1"))
    least = math.log(10) * 0.1 / (0.4 * math.log(0.4 / 0.5) + 0.6 * math.log(0.6 / 0.5))
    assert thompson[1] - thompson[0] < 2 * least < ucb1[1] - ucb1[0]


@pytest.mark.parametrize("delay", [1, 100])
def test_regret_among_changing_items_is_as_published(delay: int) -> None:
    """A fiftieth of their million steps, in which the beginning weighs more: within twice of a fiftieth of their regret."""
    lost = bandits._chapelle(8, horizon=20_000, delay=delay, seed=77).mean()
    assert bandits.PUBLISHED[delay] / 100 < lost < bandits.PUBLISHED[delay] / 25
