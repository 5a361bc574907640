"""One arm on one metric, ready to be shown: an interval, or the reason why there is none."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from slipway_operator.cli.experiment import figures
from slipway_operator.cli.experiment.figures import Scale
from slipway_statistics import analysis, ratios, strata
from slipway_statistics.adaptive import Scored
from slipway_statistics.analysis import Analysis
from slipway_statistics.experiment import Arms, Design, Metric, Observed
from slipway_statistics.strata import Kind
from slipway_statistics.sums import Sums, merge


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Arm minus control in the metric's unit, at one look; both ends hold at every look."""

    control_units: int
    arm_units: int
    """Or requests, of what routers count."""

    control: float
    arm: float
    """Values of both arms, over strata; the estimate of a bandit is no difference of these."""

    estimate: float
    lower: float
    upper: float
    shrunk: float | None
    """The estimate pulled towards zero by what is still unknown; None of what routers count."""

    at_least: float | None
    """The end nearer to zero; None while zero is inside."""

    lift: analysis.Lift | None
    """As a share of control; None while control is too near to zero to divide by, and of what routers count."""

    @property
    def reach(self) -> float:
        """Half of the interval: what the estimate is uncertain by."""
        return (self.upper - self.lower) / 2


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One metric of one arm. Exactly one of ``interval`` and ``missing`` is there."""

    metric: str
    kind: Kind
    role: str
    better: Literal["Higher", "Lower"]
    error: float
    """Probability that the interval is ever wrong: of both ends together, of a guardrail of each end alone."""

    interval: Interval | None = None
    missing: str | None = None
    """Why there is no interval."""

    unresolved: bool = False
    """Whether it is not known yet where values are cut off: then it decides nothing."""

    counted: Literal["Units", "Requests", "Scores"] = "Units"
    """Requests: by routers, in the live stratum alone. Scores: units, weighed by the share that a bandit gave their arm."""

    @property
    def scale(self) -> Scale:
        """How its numbers are shown. What routers count is a share of requests."""
        return figures.SHARE if self.kind == "Proportion" or self.counted == "Requests" else figures.PLAIN

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.better == "Higher" else -1


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """The effect over strata, and what it would be without them."""

    stratified: float
    pooled: float
    """All units of an arm together, whichever stratum they came in. Where base rates and shares move together it is wrong."""

    standard_error: float
    """Of the stratified one."""

    strata: int

    @property
    def differ(self) -> bool:
        """By more than a standard error, or in what is better."""
        return abs(self.pooled - self.stratified) > self.standard_error or self.pooled * self.stratified < 0 < abs(self.pooled)


def compared(metric: Metric, found: Analysis | None, *, arm: str, design: Design, observed: Observed, sums: Arms | None) -> Compared:
    """What a look said of a metric, ready to be shown.

    Args:
        metric: which one.
        found: what the look said.
        arm: of which arm.
        design: of the experiment.
        observed: the look's inputs.
        sums: those that the analysis was made of; None where there were none.

    """
    if metric.source == "Router":
        return _routed(metric, observed.routed.get(metric.name, {}).get(arm), design=design)
    return Compared(
        metric=metric.name,
        kind=metric.kind,
        role=metric.role,
        better=metric.better,
        error=design.alpha_of(metric),
        interval=None if found is None else _interval(found),
        missing=None if found is not None else _missing(metric, arm=arm, design=design, sums=sums),
        unresolved=metric.name in observed.unresolved_caps,
    )


def _interval(found: Analysis) -> Interval:
    return Interval(
        control_units=found.control_units,
        arm_units=found.arm_units,
        control=found.control,
        arm=found.arm,
        estimate=found.estimate,
        lower=found.lower,
        upper=found.upper,
        shrunk=found.shrunk,
        at_least=found.at_least,
        lift=found.lift,
    )


def _routed(metric: Metric, found: ratios.Look | None, *, design: Design) -> Compared:
    """The routers' counts of the live stratum."""
    shown = found is not None and found.comparable and found.enough_groups
    return Compared(
        metric=metric.name,
        kind=metric.kind,
        role=metric.role,
        better=metric.better,
        error=design.alpha_of(metric),
        interval=Interval(
            control_units=found.stable_requests,
            arm_units=found.candidate_requests,
            control=found.stable_rate,
            arm=found.candidate_rate,
            estimate=found.estimate,
            lower=found.lower,
            upper=found.upper,
            shrunk=None,
            at_least=None,
            lift=None,
        )
        if found is not None and shown
        else None,
        missing=None if shown else _uncounted(found),
        counted="Requests",
    )


def _uncounted(found: ratios.Look | None) -> str:
    if found is None or not found.comparable:
        return "routers counted no request of one of the arms in this stratum yet"
    return f"too few users or too short a time to know a standard error: {found.groups:.1f} effective groups of {ratios.ENOUGH_GROUPS}"


def scored(before: Compared, found: Scored | None, *, shrunk: float | None) -> Compared:
    """The primary of a bandit, of which scores and not strata tell: how large an arm's strata are was decided by what was seen before.

    Args:
        before: the same by strata, for units and values of the arms.
        found: the scores.
        shrunk: the estimate pulled towards zero.

    """
    if found is None or before.interval is None:
        missing = before.missing or "no batch was scored: the floor is below 10 %, or no arm had that share yet"
        return dataclasses.replace(before, interval=None, missing=missing, counted="Scores")
    told = dataclasses.replace(
        before.interval,
        estimate=found.estimate,
        lower=found.lower,
        upper=found.upper,
        shrunk=shrunk,
        at_least=found.lower if found.lower > 0 else found.upper if found.upper < 0 else None,
        lift=None,
    )
    return dataclasses.replace(before, interval=told, counted="Scores")


def pooled(metric: Metric, arms: Arms, *, arm: str, control: str) -> Pooled | None:
    """Both estimates of one metric; None while there are fewer than two strata to tell apart, or nothing to compare."""
    ours, theirs = arms.get(arm, {}), arms.get(control, {})
    theta = strata.theta(arms.values())
    apart = strata.compare(theirs, ours, kind=metric.kind, theta=theta)
    count = len({name for one in (ours, theirs) for name, sums in one.items() if sums.units})
    if apart is None or count < 2:
        return None
    together = strata.compare(_one_stratum(theirs), _one_stratum(ours), kind=metric.kind, theta=theta)
    if together is None:
        return None
    return Pooled(stratified=apart.estimate, pooled=together.estimate, standard_error=apart.standard_error, strata=count)


def _one_stratum(found: Mapping[str, Sums]) -> dict[str, Sums]:
    return {"all": merge(found.values())}


def _missing(metric: Metric, *, arm: str, design: Design, sums: Arms | None) -> str:
    """Why nothing can be compared."""
    units = {name: sum(one.units for one in (sums or {}).get(name, {}).values()) for name in (design.control, arm)}
    lacking = [name for name, number in units.items() if not number]
    if lacking:
        return f"no unit of {' and '.join(lacking)} counts for it yet"
    if not any(one.units for name, one in (sums or {}).get(arm, {}).items() if name in (sums or {}).get(design.control, {})):
        return "no stratum has units of both arms"
    if metric.kind == "Ratio":
        return "nothing was counted in its denominator, or nothing that varied"
    return "nothing varied: every unit has the same value" if metric.kind == "Mean" else "there are fewer than three units in a stratum"
