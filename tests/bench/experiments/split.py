"""Whether lost exposures are seen, and how often they are seen where none were lost."""

import math
from collections.abc import Iterator

import numpy as np

from bench.guardrails.false_rollbacks import most
from bench.operator import figures
from bench.operator.figures import Figure
from slipway_statistics import sample_ratio

# What Γ of a hundred thousand counts costs once need not be paid in each run.
_STEP = 100


def first_seen(share: float, *, alpha: float, most_units: int, runs: int, seed: int) -> list[float]:
    """Units until the e-value reaches 1/alpha, looked at after each hundred, where the arm gets this share in place of half; infinite if never."""
    random = np.random.default_rng(seed)
    counts = random.binomial(_STEP, share, (runs, most_units // _STEP)).cumsum(axis=1).tolist()
    return [_first(row, alpha=alpha) for row in counts]


def rows(runs: int) -> Iterator[Figure]:
    """Two thousand runs are some seconds."""
    # Of fewer runs the median is known less well.
    slack = 0.1 * max(1.0, math.sqrt(2000 / runs))
    lost = first_seen(0.95 / 1.95, alpha=0.001, most_units=100_000, runs=runs, seed=2400)
    median = figures.quantile(lost, 0.5)
    goal, ok = f"25,600 ± {100 * slack:.0f} %", abs(median / 25_600 - 1) <= slack
    yield Figure(name="5 % of an arm's units lost: seen after (median)", value=median, unit="units", goal=goal, ok=ok)
    caught = first_seen(0.52, alpha=0.01, most_units=20_000, runs=runs, seed=2401)
    share = sum(map(math.isfinite, caught)) / runs
    yield Figure(name="52/48: caught by 20,000 units", value=round(share, 3), unit="", goal="0.98 ± 0.02", ok=abs(share - 0.98) <= 0.02)
    median = figures.quantile(caught, 0.5)
    yield Figure(
        name="52/48: caught after (median)", value=median, unit="units", goal=f"7,200 ± {100 * slack:.0f} %", ok=abs(median / 7200 - 1) <= slack
    )
    false = sum(map(math.isfinite, first_seen(0.5, alpha=0.01, most_units=20_000, runs=runs, seed=2402)))
    yield figures.at_most("a fair split, alpha .01: false alarms", false, f"of {runs}", limit=most(runs, 0.01))


def _first(counts: list[int], *, alpha: float) -> float:
    bar = -math.log(alpha)
    for place, ours in enumerate(counts):
        total = _STEP * (place + 1)
        if sample_ratio.log_e_value([total - ours, ours], [0.5, 0.5]) >= bar:
            return total
    return math.inf
