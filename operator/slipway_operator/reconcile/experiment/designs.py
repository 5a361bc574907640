"""From the spec to what is tested: the ledger's definition, what is settled once, and the design of a look."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from slipway_operator.api.v1alpha1.experiment import LATENCY, ExperimentSpec, Metric, MetricStatus
from slipway_operator.state.experiment import Sums
from slipway_statistics import experiment as statistics
from slipway_statistics import settle
from slipway_statistics.adaptive import Reward
from slipway_statistics.bandit import Rules
from slipway_statistics.experiment import Design

_UNKNOWN_EFFECT: Final = 1e-12
"""In place of a least effect that is not known yet: no interval is that small."""

_DIGITS: Final = 12
_LARGEST_CAP: Final = 1e9
"""The ledger takes no value above it, and none as a cap."""

_MOST_UNITS: Final = 10**15
"""No plan is for more: a status holds no whole number beyond 2**63, and who asks for the millionth part of a unit's spread gets to neither."""

_BETTER: Final[Mapping[str, Any]] = {"Up": "Higher", "Down": "Lower"}


def definition(spec: ExperimentSpec, *, settled: Mapping[str, MetricStatus]) -> dict[str, Any]:
    """What the ledger is to measure; it takes a cap once, when it is known."""
    return {
        "service": spec.target_ref.name,
        "arms": [arm.name for arm in spec.arms],
        "metrics": [_defined(metric, settled.get(metric.name)) for metric in spec.metrics if metric.source == "Outcomes"],
    }


def _defined(metric: Metric, settled: MetricStatus | None) -> dict[str, Any]:
    written: dict[str, Any] = {"name": metric.name, "type": metric.type, "windowSeconds": metric.window_s}
    if metric.denominator:
        written["denominator"] = metric.denominator
    if settled is not None and settled.cap is not None:
        written["cap"] = float(settled.cap)
    if metric.cuped:
        written["cuped"] = {"days": metric.cuped.days}
    return written


def uncapped(spec: ExperimentSpec, settled: Mapping[str, MetricStatus]) -> tuple[Metric, ...]:
    """Metrics that are to be cut off, nobody knows yet where."""
    known = {name for name, status in settled.items() if status.cap is not None}
    return tuple(metric for metric in spec.metrics if metric.cap_percentile is not None and metric.name not in known)


def flat(spec: ExperimentSpec, known: Mapping[str, MetricStatus], sums: Sums) -> tuple[Metric, ...]:
    """Metrics that cannot be cut off: so few units have any of it that their percentile is 0, or below, and nothing would be left."""
    return tuple(metric for metric in uncapped(spec, known) if sums.quantiles.get(metric.name, math.inf) <= 0)


def by_name(metrics: tuple[MetricStatus, ...]) -> dict[str, MetricStatus]:
    """What is settled, by metric."""
    return {metric.name: metric for metric in metrics}


def settled(spec: ExperimentSpec, known: Mapping[str, MetricStatus], sums: Sums) -> tuple[MetricStatus, ...]:
    """What is known once and for all, with what this look settles."""
    return tuple(_settled(spec, metric, known.get(metric.name) or MetricStatus(name=metric.name), sums) for metric in spec.metrics)


def _settled(spec: ExperimentSpec, metric: Metric, known: MetricStatus, sums: Sums) -> MetricStatus:
    if metric.source == "Router":
        return known
    if metric.cap_percentile is not None and known.cap is None:
        # The plan is made of capped values, which the ledger has from the next look on.
        found = sums.quantiles.get(metric.name)
        return known if found is None or found <= 0 else known.model_copy(update={"cap": _text(min(found, _LARGEST_CAP))})
    if known.planned_units_per_arm is not None:
        return known
    if metric.role == "Primary":
        return _primary(spec, metric, known, sums)
    if metric.role == "Guardrail" and metric.margin is not None and float(metric.margin) > 0:
        units = settle.guardrail(_kind(metric), _heap(metric, sums), margin=float(metric.margin), alpha=_alpha(spec, metric))
        return known if units is None else known.model_copy(update={"planned_units_per_arm": min(units, _MOST_UNITS)})
    return known


def _primary(spec: ExperimentSpec, metric: Metric, known: MetricStatus, sums: Sums) -> MetricStatus:
    if metric.baseline is not None:
        of: Any = settle.of_rate(float(metric.baseline))
    else:
        of = _heap(metric, sums)
    try:
        found = settle.primary(_kind(metric), of, effect=_effect(metric), alpha=_alpha(spec, metric), power=float(spec.analysis.power))
    except settle.NoBaseline:
        return known
    if found is None:
        return known
    planned = min(found.planned_units_per_arm, _MOST_UNITS)
    return known.model_copy(update={"planned_units_per_arm": planned, "minimum_effect": _text(found.minimum_effect)})


def _effect(metric: Metric) -> settle.Effect:
    least = metric.minimum_effect
    if least is None:
        raise ValueError(f"metric {metric.name} is no primary")
    if least.absolute is not None:
        return settle.Effect(size=float(least.absolute), scale="Absolute")
    return settle.Effect(size=float(least.relative_percent or 0) / 100, scale="Relative")


def _heap(metric: Metric, sums: Sums) -> Any:
    return settle.pooled(sums.open.get(metric.name, {}))


def _alpha(spec: ExperimentSpec, metric: Metric) -> float:
    whole = design(spec, {})
    return whole.alpha_of(next(one for one in whole.metrics if one.name == metric.name))


def _kind(metric: Metric) -> Any:
    return metric.type or "Ratio"


def design(spec: ExperimentSpec, known: Mapping[str, MetricStatus]) -> Design:
    """What a look is taken by. Until the plan is settled the primary may not speak anyway: that takes the events by which it is."""
    return Design(
        arms=tuple(arm.name for arm in spec.arms),
        metrics=tuple(_metrics(spec, known)),
        alpha=float(spec.analysis.alpha),
        minimum_units_per_arm=spec.analysis.min_units_per_arm,
        minimum_duration_s=spec.analysis.min_duration_seconds,
        maximum_duration_s=spec.analysis.max_duration_seconds,
        maximum_in_two_arms=1.0 if spec.mode == "Bandit" else 0.01,
    )


def _metrics(spec: ExperimentSpec, known: Mapping[str, MetricStatus]) -> Iterator[statistics.Metric]:
    primary = known.get(spec.primary.name)
    planned = (primary.planned_units_per_arm if primary else None) or spec.analysis.min_units_per_arm
    for metric in spec.metrics:
        own = known.get(metric.name)
        least = own.minimum_effect if own else None
        yield statistics.Metric(
            name=metric.name,
            kind=_kind(metric),
            role=metric.role,
            planned_units_per_arm=(own.planned_units_per_arm if own else None) or planned,
            better=_BETTER[metric.direction],
            minimum_effect=(float(least) if least else _UNKNOWN_EFFECT) if metric.role == "Primary" else None,
            margin=(0.0 if metric.name == LATENCY and metric.source == "Router" else float(metric.margin or 0))
            if metric.role == "Guardrail"
            else None,
            alpha=float(metric.alpha) if metric.alpha else None,
            source=metric.source,
        )


def bandit(spec: ExperimentSpec) -> tuple[Rules, Reward]:
    """How far shares may go, and by what the best arm is told."""
    asked = spec.shares_follow
    rules = Rules(
        floor=asked.floor_percent / 100,
        step=asked.step_percent / 100,
        half_life=float(asked.half_life_units) if asked.half_life_units else None,
        least_units=min(Rules().least_units, spec.analysis.min_units_per_arm),
    )
    return rules, "Beta" if spec.primary.type == "Proportion" else "Normal"


def most_strata(spec: ExperimentSpec) -> int:
    """Divisions that an experiment may have: its steps, a win's fresh estimate, and one more for each arm but the last that is stopped on the way; or
    a bandit's updates."""
    if spec.mode == "Bandit":
        return max(1, spec.analysis.max_duration_seconds // spec.shares_follow.update_seconds)
    return len(spec.steps) + bool(spec.decision.confirm_seconds) + len(spec.treatments) - 1


def strata_to_come(spec: ExperimentSpec, *, elapsed_s: float) -> int:
    """Divisions that it may still need besides those that pods make which go and come: of a bandit the updates of the time that is left and the arms
    that may be stopped, of a ramp as many as ever."""
    if spec.mode != "Bandit":
        return most_strata(spec)
    left_s = max(0.0, spec.analysis.max_duration_seconds - elapsed_s)
    return int(left_s // spec.shares_follow.update_seconds) + len(spec.treatments) - 1


def parts_of_alpha(spec: ExperimentSpec) -> int:
    """Over how many parts a guardrail that routers count shares its alpha: one for each of ``most_strata``, one for all others."""
    return most_strata(spec) + 1


def alpha_of_stratum(spec: ExperimentSpec, whole: Design, metric: statistics.Metric, *, number: int) -> float:
    """What the look at the routers' counts of one arm may err in the stratum of that number, from 1.

    How often pods of an arm go and come back nobody knows beforehand, and each time begins a stratum, a test of its own. Those beyond ``most_strata``
    have one part together: the j-th of them a share of 1 / (j (j + 1)), and 1/2 + 1/6 + 1/12 + … is 1.
    """
    part, beyond = whole.alpha_of_stratum(metric, strata=parts_of_alpha(spec)), number - most_strata(spec)
    return part / (beyond * (beyond + 1)) if beyond > 0 else part


def _text(number: float) -> str:
    return f"{number:.{_DIGITS}g}"
