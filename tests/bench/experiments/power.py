"""How soon an arm that is better is found, against the published figures and against ``plan``."""

import math
from collections.abc import Iterator

import numpy as np

from bench.experiments import looks, units
from bench.experiments.looks import Series, Totals
from bench.operator import figures
from bench.operator.figures import Figure
from slipway_statistics import plan

RATE, EFFECT = 0.1, 0.01
SPREAD = plan.of_proportion(RATE, effect=EFFECT)
PLANNED = plan.units_per_arm(SPREAD, effect=EFFECT)
_AT_ONCE = 500

# Times the units of a fixed test; power; mean units over those of a fixed test.
PUBLISHED = {1.0: (0.52, 0.78), 1.5: (0.75, 0.96), 2.0: (0.88, 1.05)}
# Times the effect; power at 1.5 times the units; mean units.
LARGER = {1.5: (0.99, 0.54), 2.0: (1.0, 0.34)}
# Total units at which the interval is tightest; probability that a test without an effect ever says something, 20,000 units an arm.
NOTHING = {5_000: 0.028, 20_000: 0.022, 40_000: 0.016}


def experiments(*, effect: float, times: float, runs: int, seed: int, each: int = 100) -> Iterator[Totals]:
    """Half and half at 10 %, looked at after every hundred units an arm."""
    split = units.even(looks=math.ceil(times * PLANNED / each), each=each)
    random = np.random.default_rng(seed)
    for begins in range(0, runs, _AT_ONCE):
        yield units.proportion(split, rate=RATE, effect=effect, runs=min(_AT_ONCE, runs - begins), random=random)


def stops(found: Series, *, each: int = 100) -> tuple[list[float], list[float]]:
    """Of every run units an arm until it wins, infinite where it does not; and what the estimate is there."""
    when, seen = [], []
    for run, look in enumerate(looks.first(found.wins)):
        when.append(math.inf if look is None else float(each * (look + 1)))
        seen.append(math.nan if look is None else float(found.estimate[run, look]))
    return when, seen


def rows(runs: int) -> Iterator[Figure]:
    """Power and mean size against what was published, within what so many runs may be off and two points."""
    when = _when(effect=EFFECT, times=2, runs=runs, seed=2200)
    slack = 2.576 * 0.5 / math.sqrt(runs) + 0.02
    for times, (power, mean) in PUBLISHED.items():
        yield from _compared(f".10 → .11, {times:g} times the fixed size", when, times=times, power=power, mean=mean, slack=slack)
        planned = plan.power(times * PLANNED, planned=PLANNED, spread=SPREAD, effect=EFFECT)
        yield figures.stated(f".10 → .11, {times:g} times the fixed size: power by plan", planned, "")
    for larger, (power, mean) in LARGER.items():
        when = _when(effect=larger * EFFECT, times=1.5, runs=runs, seed=2201 + int(2 * larger))
        yield from _compared(f"{larger:g} times the effect, 1.5 times the fixed size", when, times=1.5, power=power, mean=mean, slack=slack)
    for total, published in NOTHING.items():
        ever = np.concatenate([_ever(part, planned=total / 2) for part in _nothing(runs, seed=2210)])
        yield _near(f"no effect, tightest at {total} units: ever outside", float(ever.mean()), published, slack=slack / 2)
    naive = np.concatenate([looks.naive(part) for part in _nothing(runs, seed=2210)])
    yield _near("no effect, z-test at each look: ever outside", float(naive.mean()), 0.43, slack=slack)


def _nothing(runs: int, *, seed: int) -> Iterator[Totals]:
    random = np.random.default_rng(seed)
    for begins in range(0, runs, _AT_ONCE):
        yield units.proportion(units.even(), rate=RATE, runs=min(_AT_ONCE, runs - begins), random=random)


def _ever(part: Totals, *, planned: float) -> looks.Booleans:
    found = looks.series(part, planned=planned)
    return np.asarray((found.wins | found.harms).any(axis=1), np.bool_)


def _when(*, effect: float, times: float, runs: int, seed: int) -> list[float]:
    parts = experiments(effect=effect, times=times, runs=runs, seed=seed)
    return [units_then for part in parts for units_then in stops(looks.series(part, planned=PLANNED))[0]]


def _compared(name: str, when: list[float], *, times: float, power: float, mean: float, slack: float) -> Iterator[Figure]:
    most = times * PLANNED
    yield _near(f"{name}: power", sum(n <= most for n in when) / len(when), power, slack=slack)
    yield _near(f"{name}: mean size", sum(min(n, most) for n in when) / len(when) / PLANNED, mean, slack=slack)


def _near(name: str, value: float, published: float, *, slack: float) -> Figure:
    return Figure(name=name, value=round(value, 3), unit="", goal=f"{published:g} ± {slack:.3f}", ok=abs(value - published) <= slack)
