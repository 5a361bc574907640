"""Guardrails that routers count, in whole ramps: how often an arm is stopped that is no worse than it may be, and whether one that is gets stopped.

Each step of the ramp is a stratum that starts from nothing, with its part of alpha. Control has the same slots from the first step to the last; those
that wait are served by the same revision, and routers count them with it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from bench.guardrails import looks, traffic
from bench.guardrails.false_rollbacks import most
from bench.guardrails.looks import Booleans, Floats, Series
from bench.guardrails.rollouts import MARGIN, NAIVE_REQUESTS, REAL_MARGIN
from bench.guardrails.traffic import Truth
from bench.operator import figures
from bench.operator.figures import Figure
from slipway_statistics import boundary
from slipway_statistics.experiment import Design, Metric
from slipway_statistics.ratios import ENOUGH_GROUPS_TO_SHOW

RAMP = ((0.02, 180), (0.2, 180), (0.5, 180))
"""Share of the arm, and seconds; a look every 2 s."""

ERRORS = Metric(name="errors", kind="Ratio", role="Guardrail", source="Router", better="Lower", planned_units_per_arm=1, margin=0.005)
LATENCY = Metric(name="latency", kind="Ratio", role="Guardrail", source="Router", better="Lower", planned_units_per_arm=1, margin=0.0)
DESIGN = Design(
    arms=("control", "v8"),
    metrics=(Metric(name="conversion", kind="Proportion", role="Primary", planned_units_per_arm=1000, minimum_effect=0.01), ERRORS, LATENCY),
)

_BASE = 0.02
# Of the answers that are not errors anyway so many become errors that it is half a point more in all.
_AT_THE_MARGIN = 0.005 / (1 - _BASE)

CELLS: Mapping[str, Truth] = {
    "alike": Truth(error_rate=_BASE),
    "alike, stalls of 3 s": Truth(error_rate=_BASE, stall_s=3),
    "at both margins": Truth(error_rate=_BASE, more_errors=_AT_THE_MARGIN, slower=REAL_MARGIN),
    "at both margins, few users have all the errors": Truth(error_rate=0.05, spread=0.03, more_errors=0.005 / 0.95, slower=REAL_MARGIN),
    "at both margins, stalls of 3 s": Truth(error_rate=_BASE, more_errors=_AT_THE_MARGIN, slower=REAL_MARGIN, stall_s=3),
}


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """What was said of an arm in a ramp that nobody stopped."""

    crossed: bool
    shown: bool
    """Of either guardrail, at any look of any stratum."""

    both_shown: bool
    """At the last look, so that the arm may win."""

    naive: bool
    """Whether a z-test per request says at any look that it is worse, with the same alpha."""


def play(truth: Truth, *, random: np.random.Generator) -> Ramp:
    """One ramp."""
    strata = [_stratum(truth, share=share, seconds=seconds, random=random) for share, seconds in RAMP]
    every = [(series, metric) for pair in strata for series, metric in zip(pair, DESIGN.guardrails, strict=True)]
    naive = NormalDist().inv_cdf(1 - _alpha(ERRORS))
    return Ramp(
        crossed=any(bool(one.crossed.any()) for one, _ in every),
        shown=any(bool(_shown(one, metric=metric).any()) for one, metric in every),
        both_shown=all(bool(_shown(one, metric=metric)[-1]) for one, metric in every[-2:]),
        naive=any(bool(((one.naive_z >= naive) & (one.requests >= NAIVE_REQUESTS)).any()) for one, _ in every),
    )


def rows(runs: int) -> Iterator[Figure]:
    """At the margins nothing may be said, neither that it is worse nor that it is not; of an arm that is alike, not that it is worse."""
    limit = most(runs, DESIGN.guardrail_alpha)
    for seed, (name, truth) in enumerate(CELLS.items()):
        played = [play(truth, random=np.random.default_rng(one)) for one in np.random.SeedSequence(2700 + seed).spawn(runs)]
        yield figures.at_most(f"routers, {name}: crossed", sum(one.crossed for one in played), f"of {runs}", limit=limit)
        shown = sum(one.shown for one in played)
        if name.startswith("alike"):
            yield figures.stated(f"routers, {name}: both shown at the end", sum(one.both_shown for one in played), f"of {runs}")
        else:
            yield figures.at_most(f"routers, {name}: shown", shown, f"of {runs}", limit=limit)
        by_z = sum(one.naive for one in played)
        yield Figure(name=f"routers, {name}: by a z-test per request", value=by_z, unit=f"of {runs}", goal=f"> {limit}: must fail", ok=by_z > limit)
    fewer = max(1, runs // 10)
    worse = Truth(error_rate=_BASE, more_errors=0.05)
    stopped = sum(play(worse, random=np.random.default_rng(one)).crossed for one in np.random.SeedSequence(2750).spawn(fewer))
    yield Figure(name="routers, 5 points more errors: crossed", value=stopped, unit=f"of {fewer}", goal=f"{fewer}", ok=stopped == fewer)


def _stratum(truth: Truth, *, share: float, seconds: int, random: np.random.Generator) -> tuple[Series, Series]:
    seen = traffic.requests(truth, share=share, seconds=seconds, random=random)
    phase = int(random.integers(looks.BLOCK_S))
    return (
        looks.errors(seen, phase=phase, max_increase=ERRORS.margin or 0.0, alpha=_alpha(ERRORS)),
        looks.latencies(seen, phase=phase, max_increase=MARGIN, alpha=_alpha(LATENCY)),
    )


def _alpha(metric: Metric) -> float:
    return DESIGN.alpha_of_stratum(metric, strata=len(RAMP))


def _shown(series: Series, *, metric: Metric) -> Booleans:
    """The upper end is below the margin where the statistic is as far below it as it must be above it to cross; and the margin, used up, is ten
    events (of latencies, which have none, a twentieth of the requests)."""
    line: Floats = np.array([boundary.boundary(int(n), alpha=_alpha(metric)) if n else math.inf for n in series.requests])
    enough = series.requests * (metric.margin or 0.05) >= DESIGN.minimum_conversions
    found: Booleans = enough & (series.groups >= ENOUGH_GROUPS_TO_SHOW) & (-series.z >= line)
    return found
