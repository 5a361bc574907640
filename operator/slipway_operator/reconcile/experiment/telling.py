"""Sentences about an experiment: what is known, and what happens next."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from slipway_operator.api.v1alpha1.experiment import ExperimentSpec, ExperimentStatus
from slipway_statistics import verdict as statistics
from slipway_statistics.analysis import Analysis
from slipway_statistics.experiment import Design
from slipway_statistics.verdict import Finding, Reason

_BECAUSE: Final[Mapping[Reason, str]] = {
    "PrimaryHarm": "the primary is worse than control's",
    "GuardrailCrossed": "guardrail {about} is worse by more than its margin",
    "SampleRatio": "arms did not get the units of their slots",
    "BrokenJoin": "too many units were seen in two arms",
    "NoOutcomes": "no outcome came for too long",
    "CapUnresolved": "where to cut {about} off is not known yet",
    "TooFewUnits": "too few units have closed windows",
    "TooFewConversions": "too few events of {about} are to be expected yet",
    "MinDuration": "it has not run as long as it is to",
    "GuardrailNotShown": "{about} is not shown to be within its margin yet",
    "NotClear": "the interval of {about} has zero in it",
    "Better": "{about} is better, and every guardrail is shown to be within its margin",
    "WithinMinimumEffect": "the interval of {about} is inside the least effect that matters",
    "MaxDuration": "the time is over",
    "ArmsStopped": "no arm is left",
}


def because(findings: tuple[Finding, ...]) -> str:
    """Reasons as one sentence without its full stop."""
    return ", ".join(_BECAUSE.get(finding.reason, finding.reason).format(about=" and ".join(finding.about)) for finding in findings)


def harm(arm: statistics.Arm) -> str:
    """Why an arm is harmful."""
    return because(arm.findings)


def shrunk(arm: statistics.Arm, design: Design) -> float:
    """How much better an arm is on the primary, by the careful estimate."""
    found = arm.closed.get(design.primary.name)
    return design.primary.sign * found.shrunk if found is not None else 0.0


def summary(spec: ExperimentSpec, status: ExperimentStatus, *, said: statistics.Look, design: Design, now: datetime) -> str:
    """What is known, and what happens next."""
    parts = [f"{said.verdict}: {because(said.findings)}." if said.findings else f"{said.verdict}."]
    if said.winner is not None and (found := said.arms[said.winner].closed.get(design.primary.name)) is not None:
        parts.append(_at_least(said.winner, design, found))
    primary = next((metric for metric in status.metrics if metric.name == spec.primary.name), None)
    if said.verdict in ("Collecting", "InsufficientData") and (primary is None or primary.minimum_effect is None):
        parts.append("The least effect that matters is not known yet: it follows from more units, or from control's value being above 0.")
    parts.append(_next(spec, status, said, now=now))
    return " ".join(part for part in parts if part)[:1024]


def _at_least(arm: str, design: Design, found: Analysis) -> str:
    if found.at_least is None:
        return ""
    return (
        f"{arm} changes {design.primary.name} by at least {found.at_least:+.3g}; {found.estimate:+.3g} was seen when it stopped, which tends to be"
        f" high, {found.shrunk:+.3g} is the careful estimate."
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
        return f"Step {traffic.step} of {len(spec.steps)}, {traffic.percent} % of the units; {upper} % follow when harm could have been seen."
    return ""
