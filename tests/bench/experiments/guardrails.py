"""How often a guardrail says what is not so, how soon it stops an arm, and what it takes to show that one is within the margin.

The arm is worse by exactly its margin. It may be called worse by more in one of a hundred experiments, and be shown to be within in another.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from bench.experiments import looks, units
from bench.experiments.looks import Booleans, Totals
from bench.experiments.units import Split
from bench.guardrails.false_rollbacks import most
from bench.operator import figures
from bench.operator.figures import Figure
from slipway_statistics import plan

ALPHA = 0.01
PLANNED = 10_000
_AT_ONCE = 250
_Z = 2.326
# One in twenty is told from one in fifty by so many runs.
_ENOUGH_TO_FAIL = 1000

# What each cell may get worse by: half a point of a proportion, a tenth of a point of a rare one; of a ratio nothing, so that users may stay alike.
_MARGINS = {"errors of 1 %, margin .005, 50/50": 0.005, "errors of 1 %, margin .005, ramp": 0.005, "errors of .2 %, margin .001, 50/50": 0.001}

CELLS: Mapping[str, Callable[[int, np.random.Generator], Totals]] = {
    "errors of 1 %, margin .005, 50/50": lambda runs, random: units.proportion(units.even(), rate=0.01, effect=0.005, runs=runs, random=random),
    "errors of 1 %, margin .005, ramp": lambda runs, random: units.proportion(units.ramp(), rate=0.01, effect=0.005, runs=runs, random=random),
    "errors of .2 %, margin .001, 50/50": lambda runs, random: units.proportion(units.even(), rate=0.002, effect=0.001, runs=runs, random=random),
    "errors per request, no margin, ramp": lambda runs, random: units.errors(units.ramp(), runs=runs, random=random),
}


def said(name: str, *, runs: int, seed: int) -> tuple[int, int, int]:
    """Runs in which it was crossed, in which it was shown to be within, and in which a z-test at each look says either."""
    random = np.random.default_rng(seed)
    crossed = shown = naive = 0
    margin = _MARGINS.get(name, 0.0)
    for begins in range(0, runs, _AT_ONCE):
        totals = CELLS[name](min(_AT_ONCE, runs - begins), random)
        found = looks.series(totals, planned=PLANNED, alpha=ALPHA, one_sided=True)
        # Ten events more in the arm, if the margin were used up; where there is none, ten events.
        enough = totals.units[..., looks.ARM].sum(axis=2) * margin >= looks.MINIMUM_EVENTS if margin else found.ready
        crossed += int((found.ready & (found.lower > margin)).any(axis=1).sum())
        shown += int((enough & (found.upper < margin)).any(axis=1).sum())
        naive += int((found.ready & enough & (np.abs(found.estimate - margin) > _Z * found.error)).any(axis=1).sum())
    return crossed, shown, naive


def rows(runs: int) -> Iterator[Figure]:
    """False alarms and false comfort; then how soon the truth is told."""
    limit, both = most(runs, ALPHA), most(runs, 2 * ALPHA)
    for seed, name in enumerate(CELLS):
        crossed, shown, naive = said(name, runs=runs, seed=2600 + seed)
        yield figures.at_most(f"{name}: crossed", crossed, f"of {runs}", limit=limit)
        yield figures.at_most(f"{name}: shown", shown, f"of {runs}", limit=limit)
        by_z = f"{name}: either by a z-test at each look"
        if runs >= _ENOUGH_TO_FAIL:
            yield Figure(name=by_z, value=naive, unit=f"of {runs}", goal=f"> {both}: must fail", ok=naive > both)
        else:
            yield figures.stated(by_z, naive, f"of {runs}")
    for share, each in ((0.01, 5), (0.1, 10), (0.5, 20)):
        split = Split(units=np.broadcast_to([[[round(each * (1 - share) / share), each]]], (200, 1, 2)).astype(float), level=np.ones(200))
        worse = units.proportion(split, rate=0.05, effect=0.05, runs=runs, random=np.random.default_rng(2610))
        found = looks.series(worse, planned=1000, alpha=0.05, one_sided=True)
        stopped = figures.quantile(_treated(found.ready & (found.lower > 0), each=each), 0.5)
        yield figures.stated(f"errors of 5 % become 10 %, alpha .05, {share:g} of the units: treated until stopped (median)", stopped, "units")
    yield from shown_in_time(runs)


def shown_in_time(runs: int) -> Iterator[Figure]:
    """An arm that is no worse, at the number of units that ``plan`` says: one look at that number, as it is planned for."""
    for margin in (0.005, 0.002):
        n = plan.units_to_show(plan.of_proportion(0.01, effect=0), margin=margin, alpha=ALPHA)
        split = Split(units=np.full((1, 1, 2), float(n)), level=np.ones(1))
        alike = units.proportion(split, rate=0.01, runs=runs, random=np.random.default_rng(2620))
        share = float((looks.series(alike, planned=n, alpha=ALPHA, one_sided=True).upper < margin).mean())
        slack = 2.576 * 0.4 / math.sqrt(runs) + 0.01
        goal = f"0.8 ± {slack:.3f}"
        yield Figure(name=f"margin {margin:g}: shown at {n:,} units an arm", value=round(share, 3), unit="", goal=goal, ok=abs(share - 0.8) <= slack)


def _treated(that: Booleans, *, each: int) -> list[float]:
    return [math.inf if look is None else float(each * (look + 1)) for look in looks.first(that)]
