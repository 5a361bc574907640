"""An experiment as the ModelDeployment sees it whose units it divides."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from slipway_operator.api.v1alpha1.experiment import (
    ERROR_RATE,
    LATENCY,
    WAITING,
    ArmModel,
    DecisionStatus,
    ExperimentSpec,
    ExperimentStatus,
    ExperimentTarget,
)
from slipway_operator.state.slots import Allocation


@dataclass(frozen=True, kw_only=True)
class TrialArm:
    """One arm beside control."""

    name: str
    model: ArmModel
    capacity_percent: int
    """Share of the requests that it must have pods for."""

    stopped: bool = False


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """Who won, and may become the stable revision."""

    arm: str
    at: str
    model_digest: str
    """Of the spec.model that it was compared under: it wins only while Git still says the same."""


@dataclass(frozen=True, kw_only=True)
class Division:
    """How the units are divided now."""

    seed: str
    stratum: int
    allocation: Allocation
    """Slots by group: arms by name, and ``experiment.WAITING``."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What an Experiment's spec and status ask of its target."""

    name: str
    uid: str
    admitted_at: str
    ledger_name: str
    header: str
    control: str
    """The arm that stable serves."""

    control_revision: str
    stable_replicas: int
    arms: tuple[TrialArm, ...]
    division: Division | None
    """None before the first step and while it is suspended."""

    promotion: Promotion | None
    over: bool
    """Whether it asks for nothing any more."""

    latency_margin: float | None
    """0.1: how much higher the 95th percentile may be, where a guardrail looks at it."""

    counted: bool
    """Whether a guardrail looks at what routers count."""

    @classmethod
    def of(cls, *, name: str, namespace: str, uid: str, spec: ExperimentSpec, status: ExperimentStatus) -> Self | None:
        """None while its turn has not come."""
        if status.admitted_at is None or status.target is None or status.ledger_name is None:
            return None
        known = {arm.name: arm for arm in status.arms}
        decided = status.decision
        promotion = _promotion(decided, status.target)
        guardrails = {metric.name: metric for metric in spec.metrics if metric.source == "Router"}
        latency = guardrails.get(LATENCY)
        return cls(
            name=name,
            uid=uid,
            admitted_at=status.admitted_at,
            ledger_name=f"{namespace}/{status.ledger_name}",
            header=spec.assignment.unit.header,
            control=spec.control.name,
            control_revision=status.target.revision,
            stable_replicas=status.target.replicas,
            arms=tuple(
                TrialArm(
                    name=arm.name,
                    model=arm.model,
                    capacity_percent=known[arm.name].capacity_percent if arm.name in known else 0,
                    stopped=arm.name in known and known[arm.name].stopped,
                )
                for arm in spec.treatments
                if arm.model is not None
            ),
            division=None if spec.suspend else _division(status),
            promotion=promotion,
            over=decided is not None and (decided.done or promotion is None),
            latency_margin=latency.margin_percent / 100 if latency and latency.margin_percent else None,
            counted=bool(guardrails.keys() & {ERROR_RATE, LATENCY}),
        )

    @property
    def order(self) -> tuple[str, str]:
        """Of several whose turn has come, through caches that were late, the least goes first."""
        return self.admitted_at, self.uid


def _promotion(decided: DecisionStatus | None, target: ExperimentTarget) -> Promotion | None:
    if decided is None or decided.action != "Promote" or decided.arm is None:
        return None
    return Promotion(arm=decided.arm, at=decided.at, model_digest=target.model_digest)


def _division(status: ExperimentStatus) -> Division | None:
    traffic = status.traffic
    if traffic is None:
        return None
    return Division(seed=traffic.seed, stratum=traffic.stratum, allocation=Allocation(tuple((run.before, run.group) for run in traffic.slots)))


def current(trials: Iterable[Trial]) -> Trial | None:
    """The one that divides the target's units, or is about to."""
    return min((trial for trial in trials if not trial.over), key=lambda trial: trial.order, default=None)


def last_promotion(trials: Iterable[Trial]) -> Trial | None:
    """The one that promoted an arm last."""
    return max((trial for trial in trials if trial.promotion), key=lambda trial: trial.promotion.at if trial.promotion else "", default=None)


def without(allocation: Allocation, groups: frozenset[str]) -> Allocation:
    """With the slots of these groups waiting."""
    runs: list[tuple[int, str]] = []
    for end, group in allocation.runs:
        owner = WAITING if group in groups else group
        if runs and runs[-1][1] == owner:
            runs.pop()
        runs.append((end, owner))
    return Allocation(tuple(runs))
