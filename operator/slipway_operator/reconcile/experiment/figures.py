"""What Prometheus is told of an Experiment: numbers of its spec and status, as kube-state-metrics tells of objects.

An object has at most 25 series, 2 for each arm, and for each arm beside control 6 and one for each guardrail: 37 with two arms and two guardrails,
162 with the most arms and metrics that a spec may have.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, get_args

from slipway_operator.api.v1alpha1.experiment import ArmStatus, ExperimentSpec, ExperimentStatus, Interval, Verdict
from slipway_operator.reconcile.experiment import divisions
from slipway_operator.state.slots import SLOTS

OBJECT_LABELS: Final = ("namespace", "experiment", "model")
"""Of every series: the Experiment, and the ModelDeployment whose units it divides."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Series of one name."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    """Beside those of the object."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One series of an object."""

    family: Family
    labels: tuple[str, ...] = ()
    """Values of the family's own labels."""

    value: float


VERDICT: Final = Family(name="slipway_experiment_verdict", help="1 for the verdict that there is, 0 for the others", labels=("verdict",))
CONDITION: Final = Family(
    name="slipway_experiment_condition",
    help="1 for each condition as it is, until the experiment is over",
    labels=("condition", "status", "reason"),
)
STARTED: Final = Family(name="slipway_experiment_started_timestamp_seconds", help="When every ready router had the first step")
DECIDED: Final = Family(name="slipway_experiment_decided_timestamp_seconds", help="When it was decided, and what", labels=("action",))
LOOK_INTERVAL: Final = Family(name="slipway_experiment_look_interval_seconds", help="Time between two looks, as the spec has it")
LAST_LOOK: Final = Family(
    name="slipway_experiment_last_look_timestamp_seconds", help="When the last look was carried out, or looks became due; absent while none are"
)
WINDOW: Final = Family(name="slipway_experiment_window_seconds", help="How long after a unit's first exposure the primary counts")
RATIO_P: Final = Family(name="slipway_experiment_sample_ratio_p_value", help="Probability of so uneven a split were all well; the least of all looks")
RATIO_LOSS: Final = Family(
    name="slipway_experiment_sample_ratio_detectable_loss_ratio", help="Smallest loss of an arm's exposures that would have been seen by now"
)
UNITS: Final = Family(name="slipway_experiment_arm_units", help="Units that met the arm first", labels=("arm",))
SHARE: Final = Family(name="slipway_experiment_arm_share_ratio", help="Part of the target's units that the arm has now", labels=("arm",))
HARMFUL: Final = Family(name="slipway_experiment_arm_harmful", help="1 for an arm that was found harmful", labels=("arm",))
STOPPED: Final = Family(
    name="slipway_experiment_arm_stopped_timestamp_seconds", help="Since when an arm that was taken out has no units", labels=("arm",)
)
EFFECT: Final = Family(name="slipway_experiment_arm_effect", help="Arm less control, in the primary's own unit", labels=("arm", "metric"))
EFFECT_LOWER: Final = Family(
    name="slipway_experiment_arm_effect_lower", help="Lower end of its interval, which holds at every look", labels=("arm", "metric")
)
EFFECT_UPPER: Final = Family(
    name="slipway_experiment_arm_effect_upper", help="Upper end of its interval, which holds at every look", labels=("arm", "metric")
)
LIFT: Final = Family(name="slipway_experiment_arm_lift_ratio", help="The primary's effect as a part of control's value", labels=("arm", "metric"))
CROSSED: Final = Family(
    name="slipway_experiment_guardrail_crossed", help="1 for a guardrail that the arm is worse than by more than its margin", labels=("arm", "metric")
)

FAMILIES: Final = (
    VERDICT,
    CONDITION,
    STARTED,
    DECIDED,
    LOOK_INTERVAL,
    LAST_LOOK,
    WINDOW,
    RATIO_P,
    RATIO_LOSS,
    UNITS,
    SHARE,
    HARMFUL,
    STOPPED,
    EFFECT,
    EFFECT_LOWER,
    EFFECT_UPPER,
    LIFT,
    CROSSED,
)
"""All that there are."""


def figures(spec: ExperimentSpec | None, status: ExperimentStatus) -> Iterator[Figure]:
    """Every series of an Experiment but LAST_LOOK, which the status does not know. ``spec`` is None where this version cannot read it."""
    for verdict in get_args(Verdict):
        yield Figure(family=VERDICT, labels=(verdict,), value=verdict == (status.verdict or "Pending"))
    if status.decision is None or not status.decision.done:
        for condition in status.conditions:
            yield Figure(family=CONDITION, labels=(condition.type, condition.status, condition.reason), value=1)
    yield from _times(status)
    yield from _sample_ratio(status)
    if spec is not None:
        yield Figure(family=LOOK_INTERVAL, value=spec.analysis.interval_seconds)
        yield Figure(family=WINDOW, value=spec.primary.window_s)
        yield from _arms(spec, status)


def seconds(time: str) -> float:
    """A time of the status in seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()


def _times(status: ExperimentStatus) -> Iterator[Figure]:
    if status.started_at is not None:
        yield Figure(family=STARTED, value=seconds(status.started_at))
    if status.decision is not None:
        yield Figure(family=DECIDED, labels=(status.decision.action,), value=seconds(status.decision.at))


def _sample_ratio(status: ExperimentStatus) -> Iterator[Figure]:
    found = status.sample_ratio
    if found is None:
        return
    yield Figure(family=RATIO_P, value=float(found.p))
    if found.detectable_loss_percent is not None:
        yield Figure(family=RATIO_LOSS, value=float(found.detectable_loss_percent) / 100)


def _arms(spec: ExperimentSpec, status: ExperimentStatus) -> Iterator[Figure]:
    # A division that is suspended stays in the status, and divides nobody.
    division = divisions.allocated(status.traffic) if status.traffic is not None and not spec.suspend else None
    for arm in status.arms:
        yield Figure(family=UNITS, labels=(arm.name,), value=arm.units)
        if division is not None:
            yield Figure(family=SHARE, labels=(arm.name,), value=division.count(arm.name) / SLOTS)
        if arm.name != spec.control.name:
            yield from _treatment(spec, status, arm)


def _treatment(spec: ExperimentSpec, status: ExperimentStatus, arm: ArmStatus) -> Iterator[Figure]:
    guardrails = {metric.name for metric in spec.metrics if metric.role == "Guardrail"}
    yield Figure(family=HARMFUL, labels=(arm.name,), value=arm.verdict == "Harmful")
    if (stopped_at := _stopped_at(status, arm)) is not None:
        yield Figure(family=STOPPED, labels=(arm.name,), value=seconds(stopped_at))
    for found in arm.metrics:
        if found.metric == spec.primary.name:
            yield from _effect(arm, found)
        elif found.metric in guardrails:
            yield Figure(family=CROSSED, labels=(arm.name, found.metric), value=found.state == "Crossed")


def _effect(arm: ArmStatus, found: Interval) -> Iterator[Figure]:
    labels = (arm.name, found.metric)
    for family, text in ((EFFECT, found.estimate), (EFFECT_LOWER, found.lower), (EFFECT_UPPER, found.upper)):
        yield Figure(family=family, labels=labels, value=float(text))
    if found.relative_percent is not None:
        yield Figure(family=LIFT, labels=labels, value=float(found.relative_percent) / 100)


def _stopped_at(status: ExperimentStatus, arm: ArmStatus) -> str | None:
    """When the last stratum ended in which an arm had slots that was taken out: with the next stratum, or with the decision.

    Of an arm that had lost its pods before, that is when it lost them.
    """
    if not arm.stopped:
        return None
    since = status.decision.at if status.decision is not None else None
    for stratum in reversed(status.strata):
        if any(group.arm == arm.name for group in stratum.slots):
            break
        since = stratum.since
    return since
