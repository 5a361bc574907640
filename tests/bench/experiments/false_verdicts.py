"""How often an arm that is no different is called better or worse.

Wins and harms are counted apart: each has half of alpha. Beside the test, in the same runs, is a z-test at 0.05 that adds all units up and is looked
at as often.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from bench.experiments import looks, units
from bench.experiments.looks import Totals
from bench.experiments.units import Split
from bench.guardrails.false_rollbacks import most
from bench.operator import figures
from bench.operator.figures import Figure

ALPHA = 0.05
PLANNED = 10_000
_AT_ONCE = 250

Generate = Callable[[Split, int, np.random.Generator], Totals]

METRICS: Mapping[str, Generate] = {
    "p .1": lambda split, runs, random: units.proportion(split, rate=0.1, runs=runs, random=random),
    "p .002": lambda split, runs, random: units.proportion(split, rate=0.002, runs=runs, random=random),
    "capped heavy tail": lambda split, runs, random: units.revenue(split, runs=runs, random=random),
    "ratio": lambda split, runs, random: units.errors(split, runs=runs, random=random),
    "mean with a covariate": lambda split, runs, random: units.spending(split, runs=runs, random=random, correlation=0.7),
    "p .1, outcomes to date": lambda split, runs, random: units.to_date(split, rate=0.1, lag_looks=6, window=24, runs=runs, random=random),
}

SPLITS: Mapping[str, Callable[[], Split]] = {"50/50": units.even, "ramp": units.ramp}


def many(generate: Generate, split: Split, *, runs: int, seed: int) -> Iterator[Totals]:
    """So many runs, some at a time for the memory's sake."""
    random = np.random.default_rng(seed)
    for begins in range(0, runs, _AT_ONCE):
        yield generate(split, min(_AT_ONCE, runs - begins), random)


def counted(generate: Generate, split: Split, *, runs: int, seed: int) -> tuple[int, int, int]:
    """Runs with a win, with harm, and with anything by the naive test."""
    wins = harms = naive = 0
    for totals in many(generate, split, runs=runs, seed=seed):
        found = looks.series(totals, planned=PLANNED, alpha=ALPHA)
        wins += int(found.wins.any(axis=1).sum())
        harms += int(found.harms.any(axis=1).sum())
        naive += int(looks.naive(totals).sum())
    return wins, harms, naive


def rows(runs: int) -> Iterator[Figure]:
    """Every cell, judged by what chance allows."""
    limit, nominal = most(runs, ALPHA / 2), most(runs, ALPHA)
    for seed, (split, metric) in enumerate((split, metric) for split in SPLITS for metric in METRICS):
        wins, harms, naive = counted(METRICS[metric], SPLITS[split](), runs=runs, seed=2000 + seed)
        name = f"{split}, {metric}"
        yield figures.at_most(f"{name}: false wins", wins, f"of {runs}", limit=limit)
        yield figures.at_most(f"{name}: false harms", harms, f"of {runs}", limit=limit)
        yield Figure(name=f"{name}: by a z-test at each look", value=naive, unit=f"of {runs}", goal=f"> {nominal}: must fail", ok=naive > nominal)


def reasons(runs: int) -> Iterator[Figure]:
    """Why it is done as it is: the same runs done otherwise."""
    right = wrong = 0
    random = np.random.default_rng(2100)
    for begins in range(0, runs, _AT_ONCE):
        part = units.revenue(units.lopsided(), runs=min(_AT_ONCE, runs - begins), random=random, capped=False)
        right += int(looks.series(part, planned=PLANNED, alpha=ALPHA).harms.any(axis=1).sum())
        wrong += int(looks.series(part, planned=PLANNED, alpha=ALPHA, own_variance=True).harms.any(axis=1).sum())
    name = "2 % arm, heavy tail without a cap: false harms"
    yield figures.at_most(name, right, f"of {runs}", limit=most(runs, ALPHA / 2))
    limit = most(runs, ALPHA)
    yield Figure(name=f"{name} with each arm's own variance", value=wrong, unit=f"of {runs}", goal=f"> {limit}: must fail", ok=wrong > limit)
    fewer = max(1, runs // 20)
    half = units.revenue(units.lopsided(looks=100, each=100), runs=fewer, random=np.random.default_rng(2103), capped=False, effect=-0.5)
    seen = int(looks.series(half, planned=PLANNED, alpha=ALPHA).harms.any(axis=1).sum())
    goal = f">= {math.floor(0.95 * fewer)}"
    yield Figure(
        name="the same, half as much in the arm: seen by 10,000 of its units", value=seen, unit=f"of {fewer}", goal=goal, ok=seen >= 0.95 * fewer - 1
    )
    growing = units.to_date(units.all_at_once(), rate=0.1, lag_looks=60, window=200, runs=runs, random=np.random.default_rng(2102))
    harms = int(looks.series(growing, planned=PLANNED, alpha=ALPHA).harms.any(axis=1).sum())
    yield figures.at_most("everybody comes at once, outcomes to date: false harms", harms, f"of {runs}", limit=most(runs, ALPHA / 2))
    by_z = int(looks.naive(growing).sum())
    yield Figure(
        name="everybody comes at once: by a z-test at each look", value=by_z, unit=f"of {runs}", goal=f"> {limit}: must fail", ok=by_z > limit
    )
    better = units.proportion(units.ramp(), rate=0.1, runs=runs, random=np.random.default_rng(2101), effect=0.01)
    by_weight, by_units = (
        looks.series(better, planned=PLANNED, alpha=ALPHA, by_population=by_population).wins.any(axis=1).mean() for by_population in (False, True)
    )
    yield figures.stated("ramp, p .1 with a tenth more: power", by_weight, "")
    goal = f"< {by_weight:.3f}: must be less"
    yield Figure(
        name="the same with strata weighed by their units", value=round(float(by_units), 3), unit="", goal=goal, ok=bool(by_units < by_weight)
    )
