"""The test of the test, for experiments: a short version of ``python -m bench.experiments``, with seeds of its own."""

import dataclasses
import math

import numpy as np
import pytest

from bench.experiments import adapting, false_verdicts, guardrails, looks, power, routed, settled, speed, split, stopping, units, whole
from bench.experiments.looks import ARM, CONTROL, Totals
from bench.guardrails.false_rollbacks import most
from bench.guardrails.traffic import Truth
from slipway_statistics import analysis, strata
from slipway_statistics.experiment import Design, Metric
from slipway_statistics.sums import Sums
from slipway_testing import yardstick

RUNS = 120
METRIC = Metric(name="x", kind="Proportion", role="Primary", planned_units_per_arm=false_verdicts.PLANNED, minimum_effect=1)
DESIGN = Design(arms=("control", "arm"), metrics=(METRIC,))


@pytest.mark.parametrize("splitting", ["50/50", "ramp"])
@pytest.mark.parametrize("name", false_verdicts.METRICS)
def test_the_simulation_tests_as_the_package_does(name: str, splitting: str) -> None:
    """Estimate, standard error, information, boundary and both verdicts, at looks from the first to the last."""
    totals = false_verdicts.METRICS[name](false_verdicts.SPLITS[splitting](), 3, np.random.default_rng(11))
    series = looks.series(totals, planned=false_verdicts.PLANNED)
    metric = dataclasses.replace(METRIC, kind="Ratio" if totals.ratio else "Proportion" if totals.counts else "Mean")
    compared = 0
    for run in range(3):
        for look in (0, 3, 59, 60, 75, 130, 199):
            arms = _arms(totals, run, look)
            found = analysis.analyse(metric, arms, arm="arm", design=DESIGN, theta=strata.theta(arms.values()))
            if found is None or found.expected_events == 0:
                assert not series.error[run, look] > 0, "nothing varied: the package has a floor there, with which nothing is decided"
                continue
            expected = (series.estimate[run, look], series.error[run, look], series.u[run, look], series.boundary[run, look])
            assert (found.estimate, found.standard_error, found.information, found.boundary) == pytest.approx(expected, rel=1e-6, abs=1e-12)
            if metric.kind != "Mean":
                enough = found.expected_events >= 10
                assert bool(series.harms[run, look]) == (enough and found.upper < 0)
            compared += 1
    assert compared >= 9


def _arms(totals: Totals, run: int, look: int) -> dict[str, dict[str, Sums]]:
    return {
        name: {str(stratum): totals.sums(run, look, stratum, arm) for stratum in range(totals.units.shape[2])}
        for name, arm in (("control", CONTROL), ("arm", ARM))
    }


@pytest.mark.parametrize("splitting", false_verdicts.SPLITS)
@pytest.mark.parametrize("name", ["p .1", "p .002", "ratio", "capped heavy tail", "p .1, outcomes to date", "mean with a covariate"])
def test_wrong_verdicts_are_as_rare_as_they_are_said_to_be(name: str, splitting: str) -> None:
    """Wins and harms apart, each with half of alpha; the z-test at each look is wrong in more than three times as many."""
    wins, harms, naive = false_verdicts.counted(false_verdicts.METRICS[name], false_verdicts.SPLITS[splitting](), runs=RUNS, seed=12)
    limit = most(RUNS, 0.025)
    assert wins <= limit
    assert harms <= limit
    assert naive > most(RUNS, 0.05)


def test_a_small_arm_needs_the_variance_of_both() -> None:
    right, wrong = [row for row in false_verdicts.reasons(60) if "2 % arm" in row.name]
    assert right.ok
    assert wrong.value > most(60, 0.05)


@pytest.mark.parametrize("name", guardrails.CELLS)
def test_guardrails_of_the_simulation_are_those_of_the_package(name: str) -> None:
    """The one-sided interval, at looks from early to late."""
    totals = guardrails.CELLS[name](3, np.random.default_rng(16))
    series = looks.series(totals, planned=guardrails.PLANNED, alpha=guardrails.ALPHA, one_sided=True)
    guardrail = dataclasses.replace(
        METRIC,
        kind="Ratio" if totals.ratio else "Proportion",
        role="Guardrail",
        margin=0.005,
        minimum_effect=None,
        planned_units_per_arm=guardrails.PLANNED,
    )
    design = dataclasses.replace(DESIGN, metrics=(dataclasses.replace(METRIC, name="primary"), guardrail), guardrail_alpha=guardrails.ALPHA)
    for run, look in [(0, 20), (1, 60), (2, 199)]:
        arms = _arms(totals, run, look)
        found = analysis.analyse(guardrail, arms, arm="arm", design=design, theta=0)
        assert found is not None
        assert (found.lower, found.upper) == pytest.approx((series.lower[run, look], series.upper[run, look]), rel=1e-6)


def test_guardrails_say_what_they_may() -> None:
    """At the margin exactly: called worse or shown to be within, each in one of a hundred at most; with a z-test at each look in many more."""
    for name in ("errors of 1 %, margin .005, 50/50", "errors of 1 %, margin .005, ramp"):
        crossed, shown, naive = guardrails.said(name, runs=250, seed=17)
        assert max(crossed, shown) <= most(250, guardrails.ALPHA)
        assert naive > most(250, 2 * guardrails.ALPHA)


def test_what_a_guardrail_costs_is_enough() -> None:
    """At the number of units that the plan says, four of five arms that are no worse are shown to be so."""
    found = list(guardrails.shown_in_time(250))
    assert [row.ok for row in found] == [True, True]


def test_routers_guardrails_say_what_they_may_over_a_ramp() -> None:
    """Worse by exactly the margin of either: neither called worse nor shown to be within. Five points more errors are seen in every ramp."""
    at_the_margins = [routed.play(routed.CELLS["at both margins, stalls of 3 s"], random=np.random.default_rng(seed)) for seed in range(20)]
    assert sum(one.crossed for one in at_the_margins) + sum(one.shown for one in at_the_margins) <= most(20, 0.02)
    assert sum(one.naive for one in at_the_margins) > most(20, 0.02)
    assert all(routed.play(Truth(more_errors=0.05), random=np.random.default_rng(seed)).crossed for seed in range(5))


def test_an_arm_that_is_faster_and_fails_less_is_shown() -> None:
    """A tenth of the latencies, no errors beside 2 %; half a point of margin."""
    better = Truth(more_errors=-0.02, slower=0.1, spread=30)
    played = [routed.play(better, random=np.random.default_rng(seed)) for seed in range(5)]
    assert [(one.crossed, one.both_shown) for one in played] == [(False, True)] * 5


@pytest.mark.parametrize("splitting", ["50/50", "ramp"])
@pytest.mark.parametrize("name", settled.CELLS)
def test_a_plan_that_is_settled_on_the_way_is_wrong_no_more_often(name: str, splitting: str) -> None:
    found = settled.counted(name, settled.splits(name)[splitting], runs=100, seed=19)
    assert max(found.harms, found.wins) <= most(100, 0.025)
    assert found.smallest_plan < found.largest_plan / 1.5, "it is another plan in every run"


def test_a_plan_is_settled_at_the_tenth_event() -> None:
    """By hand from the heap at that look: n = 2 · 2.8016² p(1 - p) n/(n - 1)/(0.3 p)²."""
    totals = settled.CELLS["p .1"].generate(settled.splits("p .1")["50/50"], runs=5, random=np.random.default_rng(20))
    at, planned = settled.settled(totals, share=0.3)
    for run in range(5):
        good = totals.m[run].sum(axis=(1, 2))
        look = int(at[run])
        assert good[look] >= 10 > (good[look - 1] if look else 0)
        n = totals.units[run, look].sum()
        p = good[look] / n
        assert planned[run] == math.ceil(2 * 2.80158522**2 * p * (1 - p) * n / (n - 1) / (0.3 * p) ** 2)


def test_whole_bandits_end_rightly() -> None:
    """By ``adaptive.look`` itself: an arm that is better by five points wins, one half as good is stopped, and below the floor nothing wins."""
    better, worse = (
        [adapting.play(random=np.random.default_rng(seed), rates=dict.fromkeys(adapting.ARMS, 0.1) | more) for seed in range(3)]
        for more in ({"two": 0.15}, {"one": 0.05})
    )
    assert [one.look.said.winner for one in better] == ["two"] * 3
    assert [one.look.said.arms["one"].verdict for one in worse] == ["Harmful"] * 3
    low = dataclasses.replace(adapting.RULES, floor=0.05)
    played = adapting.play(random=np.random.default_rng(0), rates=dict.fromkeys(adapting.ARMS, 0.1) | {"two": 0.15}, rules=low)
    assert [finding.reason for finding in played.look.said.findings] == ["MaxDuration", "FloorTooLow"]
    assert played.look.moves.shares["two"] > 0.8


def test_strata_by_information_find_what_strata_by_size_do_not() -> None:
    right, wrong = [row.value for row in false_verdicts.reasons(60)][-2:]
    assert right > wrong + 0.2


def test_power_and_size_are_the_published_ones() -> None:
    rows = list(power.rows(400))
    assert [row.name for row in rows if not row.ok] == []


def test_a_covariate_halves_what_it_explains() -> None:
    """A correlation of 0.7 leaves 1 - 0.49 of the variance, so of the squared standard error."""
    totals = units.spending(units.even(looks=20), runs=50, random=np.random.default_rng(13), correlation=0.7)
    plain = dataclasses.replace(totals, xx=np.zeros_like(totals.xx))
    ratio = (looks.series(totals, planned=2000).error / looks.series(plain, planned=2000).error)[:, -1] ** 2
    assert ratio.mean() == pytest.approx(0.51, abs=0.02)


def users(random: np.random.Generator, n: int) -> "list[np.ndarray[tuple[int], np.dtype[np.int64]]]":
    """With an error rate of their own, who sent 1 to 20 requests before and send 1 to 20 now: errors and requests, and those before."""
    rate = random.beta(1, 4, n)
    d, v = random.integers(1, 21, n), random.integers(1, 21, n)
    return [random.binomial(d, rate), d, random.binomial(v, rate), v]


def ratio_with_covariate(random: np.random.Generator, *, n: int = 500) -> Sums:
    columns = users(random, n)
    products = tuple(int((columns[i] * columns[j]).sum()) for i in range(4) for j in range(i, 4))
    return Sums(units=n, totals=tuple(int(column.sum()) for column in columns), products=products)


def test_the_covariate_of_a_ratio_takes_out_what_users_are_like() -> None:
    """400 comparisons of equals: the errors are as large as they say (z varies by 1), and smaller by what a correlation over 200,000 users says."""
    random = np.random.default_rng(18)
    m, d, u, v = users(random, 200_000)
    explained = np.corrcoef(m - m.sum() / d.sum() * d, u - u.sum() / v.sum() * v)[0, 1] ** 2
    assert explained > 0.25
    scores, left = [], []
    for _ in range(400):
        control, arm = {"1": ratio_with_covariate(random)}, {"1": ratio_with_covariate(random)}
        plain = strata.compare(control, arm, kind="Ratio")
        found = strata.compare(control, arm, kind="Ratio", theta=strata.theta([control, arm]))
        assert plain is not None
        assert found is not None
        scores.append(found.estimate / found.standard_error)
        left.append((found.standard_error / plain.standard_error) ** 2)
    assert np.std(scores) == pytest.approx(1, abs=0.1)
    assert np.mean(left) == pytest.approx(1 - explained, abs=0.02)


def test_harm_to_date_exposes_fewer() -> None:
    by_date, by_window = stopping.exposed(rate=0.1, effect=-0.5, runs=60, seed=14)
    assert max(by_date) < 15_000
    assert min(by_window) > 144_000


@pytest.mark.parametrize(("part", "published", "slack"), [(1.0, 1.3, 0.15), (0.5, 2.2, 0.5)])
def test_stopping_early_flatters(part: float, published: float, slack: float) -> None:
    raw, shrunk, over = stopping.flattered(part, runs=500, seed=15)
    assert raw == pytest.approx(published, abs=slack)
    assert shrunk < raw - 0.2
    assert over <= 0.025


def test_whole_experiments_end_rightly() -> None:
    """Eight of each kind, by the package itself; errors are few enough for the guardrail to be shown in time."""
    alike = dict.fromkeys(whole.ARMS, 0.1)
    found = [
        whole.play(random=np.random.default_rng(seed), rates=rates, errors=dict.fromkeys(whole.ARMS, 0.005)).verdict
        for rates in (alike, alike | {"one": 0.03}, alike | {"two": 0.15})
        for seed in range(8)
    ]
    assert found.count("Harmful") == found.count("Winning") == 8
    assert set(found[8:16]) == {"Harmful"}
    assert set(found[16:]) == {"Winning"}


def test_a_look_is_cheap() -> None:
    """Five arms, ten metrics, three strata. The bench has the goal of 5 ms, half the yardstick's; this is for what would be several times slower."""
    assert yardstick.multiples(lambda: speed.took_ms(looks=1)[0]) < 3
    assert yardstick.multiples(lambda: speed.bandit_took_ms(looks=1)[0], tries=3) < 12


def test_rows_of_the_bench() -> None:
    """Every part tells what it is to tell; few runs, so nothing is judged here."""
    rows = [
        row
        for part in (
            false_verdicts.rows,
            false_verdicts.reasons,
            guardrails.rows,
            routed.rows,
            settled.rows,
            power.rows,
            stopping.rows,
            split.rows,
            whole.rows,
            adapting.rows,
        )
        for row in part(3)
    ]
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    assert not any(math.isnan(row.value) for row in rows if row.goal is not None and "flatter" not in row.name and "seen at a win" not in row.name)
