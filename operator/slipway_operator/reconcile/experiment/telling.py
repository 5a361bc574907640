"""Sentences about an experiment: what is known, and what happens next."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from slipway_operator.api.v1alpha1.experiment import ExperimentSpec, ExperimentStatus, Metric
from slipway_operator.reconcile.experiment import divisions
from slipway_operator.reconcile.summary import short
from slipway_statistics import verdict as statistics
from slipway_statistics.analysis import Analysis
from slipway_statistics.experiment import Design
from slipway_statistics.verdict import Finding

REASONS: Final[Mapping[str, str]] = {
    "PrimaryHarm": "the primary metric is worse than in control, by outcomes to date",
    "GuardrailCrossed": "it is worse by more than the margin of a guardrail",
    "SampleRatio": "the arms did not get the units of their slots, so units went missing in one of them",
    "BrokenJoin": "too many units were seen in two arms",
    "NoOutcomes": "no outcome came in for too long",
    "CapUnresolved": "it is not known yet where values are cut off",
    "TooFewUnits": "there are fewer units with closed windows than the minimum",
    "TooFewConversions": "there are too few expected events to compare",
    "MinDuration": "it has not lasted as long as it should",
    "GuardrailSilent": "no unit of any arm has had a guardrail, so nobody may be sending it under this name",
    "GuardrailNotShown": "it is not known yet whether a guardrail is within its margin",
    "FloorTooLow": "shares of the bandit may fall so low that nothing is called better",
    "NotClear": "the interval of the primary metric has zero in it",
    "Better": "the interval of the primary metric is on the better side of zero",
    "WithinMinimumEffect": "the interval of the primary metric is inside ± the minimum effect",
    "MaxDuration": "the time is over",
    "ArmsStopped": "no arm is left",
}


def because(findings: tuple[Finding, ...]) -> str:
    """Reasons as one sentence without its full stop."""
    return ", ".join(sentence(finding.reason, finding.about) for finding in findings)


def sentence(reason: str, about: Sequence[str] = ()) -> str:
    """One of them, without its full stop; a reason that is not known here says itself."""
    told = REASONS.get(reason, reason)
    return f"{told} ({', '.join(about)})" if about else told


def harm(arm: statistics.Arm) -> str:
    """Why an arm is harmful."""
    return because(arm.findings)


def shrunk(arm: statistics.Arm, design: Design) -> float:
    """How much better an arm is on the primary, by the careful estimate."""
    found = arm.closed.get(design.primary.name)
    return design.primary.sign * found.shrunk if found is not None else 0.0


def summary(
    spec: ExperimentSpec, status: ExperimentStatus, *, said: statistics.Look, design: Design, flat: Sequence[Metric] = (), now: datetime
) -> str:
    """What is known, and what happens next; ``flat``: metrics that cannot be cut off where the spec asks for it."""
    parts = [f"{said.verdict}: {because(said.findings)}." if said.findings else f"{said.verdict}."]
    if said.winner is not None and (found := said.arms[said.winner].closed.get(design.primary.name)) is not None:
        parts.append(_at_least(said.winner, design, found))
    primary = next((metric for metric in status.metrics if metric.name == spec.primary.name), None)
    if said.verdict in ("Collecting", "InsufficientData") and (primary is None or primary.minimum_effect is None):
        parts.append("The least effect that matters is not known yet: it follows from more units, or from control's value being above 0.")
    parts += [_cannot_be_cut(metric) for metric in flat]
    parts.append(_next(spec, status, said, now=now))
    return short(" ".join(part for part in parts if part))


def _at_least(arm: str, design: Design, found: Analysis) -> str:
    if found.at_least is None:
        return ""
    return (
        f"{arm} changes {design.primary.name} by at least {found.at_least:+.3g}; {found.estimate:+.3g} was seen when it stopped, which tends to be"
        f" high, {found.shrunk:+.3g} is the careful estimate."
    )


def _cannot_be_cut(metric: Metric) -> str:
    return (
        f"Percentile {metric.cap_percentile} of {metric.name} is not above 0: cutting off there would leave nothing, so it decides nothing."
        " Begin another experiment with a higher capPercentile, or without one."
    )


def _next(spec: ExperimentSpec, status: ExperimentStatus, said: statistics.Look, *, now: datetime) -> str:
    traffic = status.traffic
    if status.decision is not None or traffic is None or said.verdict == "Unhealthy":
        return ""
    if traffic.step < len(spec.steps):
        step = spec.steps[traffic.step - 1]
        upper = spec.steps[traffic.step].percent
        if traffic.since is not None and (now - datetime.fromisoformat(traffic.since)).total_seconds() < step.hold_seconds:
            return f"Step {traffic.step} of {len(spec.steps)}, {traffic.percent} % of the units; {upper} % follow when its time is over."
        if divisions.next_step_asked_for(spec, status):
            return f"Step {traffic.step} of {len(spec.steps)}, {traffic.percent} % of the units; {upper} % follow when the arms have pods for it."
        return f"Step {traffic.step} of {len(spec.steps)}, {traffic.percent} % of the units; {upper} % follow when harm could have been seen."
    return ""
