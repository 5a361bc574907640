"""Whether an experiment may settle its plan by its own first units, and read harm from the moment at which it did.

Beside each cell are the same runs with a plan that was fixed before the first unit, looked at as often.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.experiments import looks, units
from bench.experiments.looks import Booleans, Floats, Totals
from bench.experiments.units import Split
from bench.guardrails.false_rollbacks import most
from bench.operator import figures
from bench.operator.figures import Figure
from slipway_statistics import plan, settle
from slipway_statistics.settle import Effect
from slipway_statistics.sums import Sums

ALPHA = 0.05
_AT_ONCE = 100
_EACH = 20
"""Units of each arm between two looks: few, so that the first look after settling comes at once."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What units do."""

    rate: float
    share: float
    """The least effect that matters, as a share of the rate."""

    looks: int
    lag_looks: float | None = None
    """Mean time from a unit's first request to its conversion, of which a window has four; None: at once."""

    def generate(self, split: Split, *, runs: int, random: np.random.Generator) -> Totals:
        """Equal arms."""
        if self.lag_looks is None:
            return units.proportion(split, rate=self.rate, runs=runs, random=random)
        return units.to_date(split, rate=self.rate, lag_looks=self.lag_looks, window=round(4 * self.lag_looks), runs=runs, random=random)

    @property
    def planned(self) -> int:
        """By who knows the rate beforehand."""
        return plan.units_per_arm(plan.of_proportion(self.rate, effect=0), effect=self.share * self.rate, alpha=ALPHA)


CELLS = {
    "p .1": Cell(rate=0.1, share=0.3, looks=500),
    "p .1, outcomes to date": Cell(rate=0.1, share=0.3, looks=500, lag_looks=60),
    "p .002": Cell(rate=0.002, share=0.5, looks=2000),
}


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Of many runs of equal arms: with a harm and with a win, by a plan that was settled and by one that was fixed."""

    harms: int
    wins: int
    harms_of_a_fixed_plan: int
    wins_of_a_fixed_plan: int
    smallest_plan: float
    largest_plan: float
    """Settled, over the fixed one: the first and the last of a hundred."""


def counted(name: str, split: Split, *, runs: int, seed: int) -> Counted:
    """Play equal arms."""
    cell = CELLS[name]
    random, parts, over = np.random.default_rng(seed), [], []
    for begins in range(0, runs, _AT_ONCE):
        totals = cell.generate(split, runs=min(_AT_ONCE, runs - begins), random=random)
        at, planned = settled(totals, share=cell.share)
        known = np.arange(totals.m.shape[1]) >= at[:, None]
        ours = looks.series(totals, planned=np.where(known, planned[:, None], math.inf), alpha=ALPHA)
        theirs = looks.series(totals, planned=cell.planned, alpha=ALPHA)
        parts.append([_runs(known & ours.harms), _runs(known & ours.wins), _runs(theirs.harms), _runs(theirs.wins)])
        over += (planned[np.isfinite(planned)] / cell.planned).tolist()
    harms, wins, harms_fixed, wins_fixed = (sum(column) for column in zip(*parts, strict=True))
    return Counted(
        harms=harms,
        wins=wins,
        harms_of_a_fixed_plan=harms_fixed,
        wins_of_a_fixed_plan=wins_fixed,
        smallest_plan=figures.quantile(over, 0.01),
        largest_plan=figures.quantile(over, 0.99),
    )


def settled(totals: Totals, *, share: float) -> tuple[Floats, Floats]:
    """By run: the first look at which the plan can be settled, and that plan; infinite where it never can. By the package's own functions."""
    n, good = (values.sum(axis=(2, 3)) for values in (totals.units, totals.m))
    at, planned = np.full(len(n), math.inf), np.full(len(n), math.inf)
    for run in range(len(n)):
        enough = good[run] >= settle.LEAST_EVENTS
        if enough.any():
            look = int(enough.argmax())
            heap = Sums(units=int(n[run, look]), totals=(int(good[run, look]), 0), products=(int(good[run, look]), 0, 0))
            found = settle.primary("Proportion", heap, effect=Effect(size=share, scale="Relative"), alpha=ALPHA)
            if found is not None:
                at[run], planned[run] = look, found.planned_units_per_arm
    return at, planned


def rows(runs: int) -> Iterator[Figure]:
    """Harms and wins apart, each with half of alpha."""
    limit = most(runs, ALPHA / 2)
    for seed, (name, split) in enumerate((name, split) for name in CELLS for split in ("50/50", "ramp")):
        found = counted(name, splits(name)[split], runs=runs, seed=2800 + seed)
        row = f"{split}, {name}, settled by the first ten events"
        yield figures.at_most(f"{row}: false harms", found.harms, f"of {runs}", limit=limit)
        yield figures.at_most(f"{row}: false wins", found.wins, f"of {runs}", limit=limit)
        yield figures.stated(f"{split}, {name}, planned before: false harms, looked at as often", found.harms_of_a_fixed_plan, f"of {runs}")
        yield figures.stated(f"{split}, {name}, planned before: false wins, looked at as often", found.wins_of_a_fixed_plan, f"of {runs}")
        yield figures.stated(f"{row}: plan over the right one (1 of 100)", found.smallest_plan, "")
        yield figures.stated(f"{row}: plan over the right one (99 of 100)", found.largest_plan, "")


def splits(name: str) -> dict[str, Split]:
    """Half and half, and a ramp of 2 %, 20 % and a half beside a control of the same size; base rates fall by half on the ramp."""
    made = CELLS[name].looks
    steps = [(made // 4, 1), (made // 4, 8), (made - 2 * (made // 4), _EACH)]
    came, begins = np.zeros((made, len(steps), 2)), 0
    for stratum, (length, arm) in enumerate(steps):
        came[begins : begins + length, stratum] = (_EACH, arm)
        begins += length
    return {"50/50": units.even(looks=made, each=_EACH), "ramp": Split(units=came, level=np.linspace(1.4, 0.7, made))}


def _runs(that: Booleans) -> int:
    return int(that.any(axis=1).sum())
