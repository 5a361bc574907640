"""How long an experiment will take and what it would see, from its spec and what is known of its metrics (``slipway_statistics.plan``)."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slipway_operator.api.v1alpha1.experiment import ERROR_RATE, LATENCY, ExperimentSpec, Metric
from slipway_operator.cli.experiment.looks import Unanswerable
from slipway_operator.reconcile.experiment import designs
from slipway_statistics import boundary, plan, settle
from slipway_statistics import experiment as statistics
from slipway_statistics.plan import RampStep, Spread

DAY_S: Final = 86_400.0
POWERS_AT: Final = (1.0, 1.5, 2.0)
"""Times the planned units, at which the power is told."""

EFFECTS: Final = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Times the least effect that matters, in the table of effects against days."""

_SLOWER_THAN_P95: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Known:
    """What somebody knows before the experiment."""

    units_per_day: float
    """*New* units: who comes again brings nothing."""

    baseline: float | None = None
    """Control's value of the primary."""

    deviation: float | None = None
    """Standard deviation of the primary between units, in its own unit: of a Mean, and of a Ratio (value less ratio times denominator, over the mean
    denominator). A Proportion has its own."""

    correlation: float | None = None
    """Of the primary with what the unit did before (CUPED)."""

    guardrails: Mapping[str, float] = field(default_factory=dict)
    """By guardrail: the share of units or requests that is bad; of latency-p95 the share of control's requests that take longer than its 95th
    percentile and the margin."""

    deviations: Mapping[str, float] = field(default_factory=dict)
    """By guardrail: its standard deviation between units, where it is a Mean or a Ratio."""

    requests_per_unit: float = 1.0

    lifts: Mapping[str, float] = field(default_factory=dict)
    """Of a bandit, by arm: the share of control's value by which the arm's is larger, 0.05 for 5 %; below 0 where it is smaller."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a guardrail costs: how long until an arm that is no worse is shown to be so. A win waits for the dearest."""

    guardrail: str
    alpha: float
    """Of one arm, one-sided; of what routers count also of one step of the ramp."""

    units_per_arm: int | None = None
    """With probability 0.8 at that look."""

    requests_per_arm: int | None = None
    """Of what routers count, in the last step: if requests had nothing to do with each other. Users and stalls make it more."""

    days: float | None = None
    missing: str | None = None
    """Why nothing can be said."""


@dataclass(frozen=True, kw_only=True)
class Power:
    """Probability that the planned effect has won by then."""

    times: float
    units_per_arm: int
    days: float
    power: float


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What another least effect that matters would take."""

    times: float
    effect: float
    relative: float | None
    """As a share of the baseline."""

    units_per_arm: int
    expected_days: float
    longest_days: float


@dataclass(frozen=True, kw_only=True)
class Sized:
    """The whole plan. An arm's units are those at an equal split; another split needs the same information, and days are of the split of the ramp."""

    primary: str
    kind: str
    arms: int
    baseline: float
    minimum_effect: float
    alpha: float
    """Of one arm, two-sided."""

    units_per_day: float
    units_per_arm: int
    """At which a decision is expected."""

    mean_units: int
    """On average, if the effect is the least one that matters."""

    expected_days: float
    longest_days: float
    """Until the last of twice as many units, or of those that a guardrail needs, had its window; the spec's shortest time at least."""

    minimum_days: float
    """That the spec asks for at least."""

    maximum_days: float
    """After which the spec ends it."""

    fits: bool
    """Whether the longest is within the maximum."""

    at_maximum: Power
    """What is reached by the end that the spec sets. ``times`` is of the planned units."""

    smallest_effect: float
    """Seen with probability 0.8 by twice the planned units."""

    powers: tuple[Power, ...]
    guardrails: tuple[Cost, ...]
    effects: tuple[Effect, ...]


def size(spec: ExperimentSpec, known: Known) -> Sized:
    """Plan an experiment of mode Test.

    Raises:
        Unanswerable: something has to be known that is not, or no experiment could be like that.

    """
    with unanswerable(spec):
        return _Plan(spec, known).sized()


@contextlib.contextmanager
def unanswerable(spec: ExperimentSpec) -> Iterator[None]:
    """What no experiment could be, as an answer to who asked for it."""
    try:
        yield
    except settle.NoBaseline as error:
        raise Unanswerable(f"spec.metrics[{spec.primary.name}].minimumEffect: {error}") from error
    except ValueError as error:
        raise Unanswerable(f"there is no such plan: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What is planned for: the least effect of the primary that matters."""

    baseline: float
    """Control's value."""

    effect: float
    """Its size, in the metric's unit."""

    spread: Spread
    """With an effect of this size, in the direction that is better."""

    alpha: float
    """Of one arm, two-sided."""

    units_per_arm: int


def aim(spec: ExperimentSpec, known: Known) -> Aim:
    """What an experiment of either mode is planned for, as the operator settles it (``designs``).

    Raises:
        Unanswerable: something has to be known that is not.
        ValueError: no experiment could be like that.

    """
    design = designs.design(spec, {})
    alpha, baseline = design.alpha_of(design.primary), _primary_baseline(spec, known)
    given = settle.Baseline(value=baseline, spread=Spread(control=1, arm=1))
    effect = settle.absolute(_effect(spec.primary), of=given, kind=_kind(spec.primary))
    spread = spread_of(spec, known, baseline=baseline, effect=effect)
    units = plan.units_per_arm(spread, effect=effect, alpha=alpha, power=float(spec.analysis.power))
    return Aim(baseline=baseline, effect=effect, spread=spread, alpha=alpha, units_per_arm=units)


class _Plan:
    """A spec and what is known, with what both are asked for again and again."""

    def __init__(self, spec: ExperimentSpec, known: Known) -> None:
        self._spec = spec
        self._known = known
        self._design = designs.design(spec, {})
        self._ramp = ramp(spec)
        self._window_s = float(spec.primary.window_s)
        aimed = aim(spec, known)
        self._alpha, self._baseline, self._effect = aimed.alpha, aimed.baseline, aimed.effect
        self._spread, self._units = aimed.spread, aimed.units_per_arm

    def sized(self) -> Sized:
        spec, units = self._spec, self._units
        costs = tuple(self._costs())
        mean = plan.mean_units(2 * units, planned=units, spread=self._spread, effect=self._effect, alpha=self._alpha)
        shortest = spec.analysis.min_duration_seconds / DAY_S
        dearest = max((cost.days for cost in costs if cost.days is not None), default=0.0)
        maximum = spec.analysis.max_duration_seconds / DAY_S
        longest = max(shortest, self._days(2 * units), dearest)
        return Sized(
            primary=spec.primary.name,
            kind=_kind(spec.primary),
            arms=len(spec.arms),
            baseline=self._baseline,
            minimum_effect=self._effect,
            alpha=self._alpha,
            units_per_day=self._known.units_per_day,
            units_per_arm=units,
            mean_units=math.ceil(mean),
            expected_days=max(shortest, self._days(mean), dearest),
            longest_days=longest,
            minimum_days=shortest,
            maximum_days=maximum,
            fits=longest <= maximum,
            at_maximum=self._power(self._units_by(spec.analysis.max_duration_seconds), days=maximum),
            smallest_effect=plan.smallest_effect(2 * units, planned=units, spread=self._spread, alpha=self._alpha),
            powers=tuple(self._power(times * units, days=self._days(times * units)) for times in POWERS_AT),
            guardrails=costs,
            effects=tuple(self._effects()),
        )

    def _power(self, units: float, *, days: float) -> Power:
        found = plan.power(units, planned=self._units, spread=self._spread, effect=self._effect, alpha=self._alpha)
        return Power(times=units / self._units, units_per_arm=math.floor(units), days=days, power=found)

    def _days(self, units: float, *, window_s: float | None = None) -> float:
        window_s = self._window_s if window_s is None else window_s
        return plan.duration_s(units, ramp=self._ramp, units_per_second=self._known.units_per_day / DAY_S, window_s=window_s) / DAY_S

    def _units_by(self, seconds: float) -> float:
        """Units an arm whose window is over by then, at an equal split: the inverse of ``plan.duration_s``, by halves."""
        low, high = 0.0, 2.0
        while self._days(high) * DAY_S <= seconds:
            low, high = high, 2 * high
        while high - low > 0.5:
            middle = (low + high) / 2
            low, high = (middle, high) if self._days(middle) * DAY_S <= seconds else (low, middle)
        return low

    def _effects(self) -> Iterator[Effect]:
        shortest = self._spec.analysis.min_duration_seconds / DAY_S
        for times in EFFECTS:
            effect = times * self._effect
            try:
                spread = spread_of(self._spec, self._known, baseline=self._baseline, effect=effect)
            except ValueError:  # a share beyond 0 or 1
                continue
            units = plan.units_per_arm(spread, effect=effect, alpha=self._alpha, power=float(self._spec.analysis.power))
            mean = plan.mean_units(2 * units, planned=units, spread=spread, effect=effect, alpha=self._alpha)
            yield Effect(
                times=times,
                effect=effect,
                relative=effect / self._baseline if self._baseline > 0 else None,
                units_per_arm=units,
                expected_days=max(shortest, self._days(mean)),
                longest_days=max(shortest, self._days(2 * units)),
            )

    def _costs(self) -> Iterator[Cost]:
        given = {metric.name for metric in self._spec.metrics if metric.role == "Guardrail"}
        for name in (*self._known.guardrails, *self._known.deviations):
            if name not in given:
                raise Unanswerable(f"{name} is no guardrail of this experiment; it has {', '.join(sorted(given)) or 'none'}")
        for metric in self._spec.metrics:
            if metric.role == "Guardrail":
                yield self._routed(metric) if metric.source == "Router" else self._by_outcomes(metric)

    def _by_outcomes(self, metric: Metric) -> Cost:
        alpha, margin = self._alpha_of(metric), float(metric.margin or 0)
        level, deviation = self._known.guardrails.get(metric.name), self._known.deviations.get(metric.name)
        missing = None
        if margin <= 0:
            missing = "a guardrail with a margin of 0 is never shown to be kept by an arm that is as good; give it a margin"
        elif metric.type == "Proportion" and level is None:
            missing = f"give the share of units with --guardrail-baseline {metric.name}=SHARE"
        elif metric.type != "Proportion" and deviation is None:
            missing = f"give the standard deviation between units with --guardrail-deviation {metric.name}=NUMBER"
        if missing is not None:
            return Cost(guardrail=metric.name, alpha=alpha, missing=missing)
        spread = (
            plan.of_proportion(level or 0.0, effect=0)
            if metric.type == "Proportion"
            else Spread(control=(deviation or 0) ** 2, arm=(deviation or 0) ** 2)
        )
        units = plan.units_to_show(spread, margin=margin, alpha=alpha)
        return Cost(guardrail=metric.name, alpha=alpha, units_per_arm=units, days=self._days(units, window_s=float(metric.window_s)))

    def _routed(self, metric: Metric) -> Cost:
        """Requests of the last step alone: each step is counted anew. Their boundary is tightest at a number of its own."""
        alpha = self._design.alpha_of_stratum(self._metric(metric), strata=designs.parts_of_alpha(self._spec))
        level = self._known.guardrails.get(metric.name)
        if level is None:
            what = "bad requests" if metric.name == ERROR_RATE else "control's requests that take longer than its 95th percentile and the margin"
            return Cost(guardrail=metric.name, alpha=alpha, missing=f"give the share of {what} with --guardrail-baseline {metric.name}=SHARE")
        if metric.name == LATENCY:
            if not 0 <= level < _SLOWER_THAN_P95:
                raise Unanswerable(f"--guardrail-baseline {metric.name}: a share above the 95th percentile and more is from 0 to 0.05, not {level:g}")
            slow = _SLOWER_THAN_P95
            spread, margin = Spread(control=slow * (1 - slow), arm=level * (1 - level)), slow - level
        else:
            spread, margin = plan.of_proportion(level, effect=0), float(metric.margin or 0)
        if margin <= 0:
            return Cost(
                guardrail=metric.name, alpha=alpha, missing="a margin of 0 is never shown to be kept by an arm that is as good; give it a margin"
            )
        requests = plan.units_to_show(spread, margin=margin, alpha=alpha, planned=boundary.PLANNED_REQUESTS)
        before = math.fsum(step.hold_s for step in self._ramp[:-1])
        last = plan.duration_s(requests / self._known.requests_per_unit, ramp=self._ramp[-1:], units_per_second=self._known.units_per_day / DAY_S)
        return Cost(guardrail=metric.name, alpha=alpha, requests_per_arm=requests, days=(before + last) / DAY_S)

    def _metric(self, metric: Metric) -> statistics.Metric:
        return next(one for one in self._design.metrics if one.name == metric.name)

    def _alpha_of(self, metric: Metric) -> float:
        return self._design.alpha_of(self._metric(metric))


def _primary_baseline(spec: ExperimentSpec, known: Known) -> float:
    metric = spec.primary
    if known.baseline is not None:
        return known.baseline
    if metric.baseline is not None:
        return float(metric.baseline)
    raise Unanswerable(f"what is control's {metric.name} now? Give it with --baseline (0.10 is 10 %), or as baseline of the metric in the spec")


def spread_of(spec: ExperimentSpec, known: Known, *, baseline: float, effect: float) -> Spread:
    """Variances of the primary's units with an effect of this size, in the direction that is better."""
    metric = spec.primary
    signed = effect if metric.direction == "Up" else -effect
    if metric.type == "Proportion":
        spread = plan.of_proportion(baseline, effect=signed)
    elif known.deviation is None:
        raise Unanswerable(f"{metric.name} is a {metric.type}: give the standard deviation between units with --deviation")
    else:
        spread = Spread(control=known.deviation**2, arm=known.deviation**2)
    if known.correlation is None:
        return spread
    if metric.cuped is None:
        raise Unanswerable(f"{metric.name} has no cuped, so --correlation changes nothing; leave it out, or add cuped to the metric")
    return spread.with_covariate(known.correlation)


def ramp(spec: ExperimentSpec) -> tuple[RampStep, ...]:
    """The steps as shares of all new units, for one of the arms: control has what the last step leaves it, from the first step on."""
    control = 1 - spec.steps[-1].percent / 100
    return tuple(RampStep(control=control, arm=step.percent / 100 / len(spec.treatments), hold_s=float(step.hold_seconds)) for step in spec.steps)


def _effect(metric: Metric) -> settle.Effect:
    least = metric.minimum_effect
    if least is None:
        raise ValueError(f"metric {metric.name} has no minimumEffect")
    if least.absolute is not None:
        return settle.Effect(size=float(least.absolute), scale="Absolute")
    return settle.Effect(size=float(least.relative_percent or 0) / 100, scale="Relative")


def _kind(metric: Metric) -> Any:
    return metric.type or "Ratio"
