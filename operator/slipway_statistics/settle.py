"""What has to be known of a metric before an experiment may say anything, found once and kept: how many units to plan for, and what its least effect
that matters is in the metric's unit, where somebody said "5 %".

Nobody looks at arms here: all of them are one heap, and what is found from it is the same whatever the arms do to each other. So an experiment may
settle this by its own first units, at the first look at which the heap says enough, and read harm at that very look. What was settled goes into the
status and is never found again: a plan that followed the data would make the interval tightest wherever chance is largest.
"""

import math
from dataclasses import dataclass
from typing import Literal

from slipway_statistics import plan, sums
from slipway_statistics.experiment import Arms
from slipway_statistics.plan import Spread
from slipway_statistics.strata import Kind
from slipway_statistics.sums import Sums

LEAST_EVENTS = 10
"""Events of the heap below which its rate is a guess: at ten it is known to a third."""

LEAST_UNITS = 100
"""Units below which a mean is a guess (``Design.minimum_units_per_arm``)."""

# A mean this many standard errors or fewer above zero may be none: as of a lift (``strata``).
_ENOUGH_TO_DIVIDE = 4.0


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How large an effect or a margin is, as somebody says it."""

    size: float
    """Above 0."""

    scale: Literal["Relative", "Absolute"]
    """Relative: a share of the baseline, 0.05 is 5 %. Absolute: in the metric's unit."""

    def __post_init__(self) -> None:
        if not 0 < self.size < math.inf:
            raise ValueError(f"an effect that matters is above 0 and finite, not {self.size}")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What a unit brings while nobody asks which arm it is in."""

    value: float
    """In the metric's unit."""

    spread: Spread
    """The same variance in both arms."""

    standard_error: float = 0.0
    """Of the value; 0 where somebody gave it."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Of the primary; as ``Metric`` takes it."""

    minimum_effect: float
    """Absolute, in the metric's unit."""

    planned_units_per_arm: int


class NoBaseline(ValueError):
    """An effect relative to nothing; more units may show that there is something, or the effect is given in the metric's unit."""


def pooled(arms: Arms) -> Sums | None:
    """Sums of all arms and strata together, control among them; None where there are none yet.

    Raises:
        ValueError: some are of a mean and others of a ratio.

    """
    parts = [part for strata in arms.values() for part in strata.values()]
    return sums.merge(parts) if parts else None


def of_rate(rate: float) -> Baseline:
    """Of a proportion that somebody knows from before.

    Raises:
        ValueError: it is not above 0 and below 1.

    """
    return Baseline(value=rate, spread=plan.of_proportion(rate, effect=0))


def baseline(heap: Sums | None, *, kind: Kind, least_events: float = LEAST_EVENTS, least_units: int = LEAST_UNITS) -> Baseline | None:
    """Value and variance of a unit, of all arms and strata together.

    The variance is of all units around one mean: where a base rate moved from stratum to stratum, or arms differ, that is a little more than within
    them, so a little more is planned for.

    Args:
        heap: ``pooled``, of closed windows or of outcomes to date.
        kind: what is measured.
        least_events: of a proportion or a ratio (``Sums.events``).
        least_units: of a mean.

    Returns:
        None while there is too little, and where nothing varied.

    """
    if heap is None or heap.moments is None or heap.units < 2 or heap.moments.value_value <= 0:
        return None
    if heap.units < least_units if kind == "Mean" else heap.events < least_events:
        return None
    spread = plan.of_units(heap)
    return Baseline(value=heap.moments.value, spread=spread, standard_error=math.sqrt(spread.control / heap.units))


def absolute(effect: Effect, *, of: Baseline, kind: Kind) -> float:
    """The effect in the metric's unit: 5 % of a baseline of 0.1 is 0.005.

    Raises:
        NoBaseline: it is relative to a value that is 0 or below; of a mean also where it may be, by four standard errors.

    """
    if effect.scale == "Absolute":
        return effect.size
    reach = _ENOUGH_TO_DIVIDE * of.standard_error if kind == "Mean" else 0.0
    if of.value <= reach:
        raise NoBaseline(
            f"{100 * effect.size:g} % of a baseline of {of.value:.4g} ± {reach:.4g} is no effect: it is not known to be above 0; "
            "give the effect in the metric's unit"
        )
    return effect.size * of.value


def primary(kind: Kind, of: Sums | Baseline | None, *, effect: Effect, alpha: float, power: float = 0.8) -> Settled | None:
    """Settle the primary.

    A rate of 0.1, 10 % of it, alpha 0.05 and power 0.8: an effect of 0.01 and ⌈2.8016² · 2 · 0.09/0.0001⌉ = 14,128 units an arm.

    Args:
        kind: what is measured.
        of: ``pooled``, or a baseline that is known from before.
        effect: the least one that matters.
        alpha: of an arm, two-sided (``Design.alpha_of``): the experiment's over the arms beside control.
        power: of a test with a fixed end at that many units (``plan.units_per_arm``).

    Returns:
        None while nothing can be settled: fewer than ten events, of a mean fewer than a hundred units, or nothing that varied.

    Raises:
        NoBaseline: as ``absolute`` does; asked again with more units it may be known.
        ValueError: alpha or power is no probability.

    """
    known = _known(of, kind=kind)
    if known is None:
        return None
    size = absolute(effect, of=known, kind=kind)
    return Settled(minimum_effect=size, planned_units_per_arm=plan.units_per_arm(known.spread, effect=size, alpha=alpha, power=power))


def guardrail(kind: Kind, of: Sums | Baseline | None, *, margin: float, alpha: float, power: float = 0.8) -> int | None:
    """Units an arm to plan for in a guardrail that outcomes tell of: until one that is no worse is shown to be so (``plan.units_to_show``).

    Args:
        kind: what is measured.
        of: ``pooled``, or a baseline that is known from before.
        margin: how much worse it may be, absolute (``absolute``).
        alpha: of an arm, one-sided (``Design.alpha_of``).
        power: probability that it is shown at that look.

    Returns:
        None while nothing can be settled, as of the primary.

    Raises:
        ValueError: the margin is 0, which is never shown to be kept (plan such a guardrail as the primary); or alpha or power is no probability.

    """
    known = _known(of, kind=kind)
    return None if known is None else plan.units_to_show(known.spread, margin=margin, alpha=alpha, power=power)


def _known(of: Sums | Baseline | None, *, kind: Kind) -> Baseline | None:
    return of if isinstance(of, Baseline) else baseline(of, kind=kind)
