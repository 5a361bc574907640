"""Who gets which share: steps of the ramp, arms that are out, and the strata that follow from both."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from slipway_operator.api.v1alpha1.experiment import WAITING, ArmSlots, ExperimentSpec, ExperimentStatus, ExperimentTraffic, GroupRun, StratumStatus
from slipway_operator.reconcile.rollout import TIME_FORMAT
from slipway_operator.state import trial
from slipway_operator.state.slots import SLOTS, Allocation
from slipway_statistics import adaptive

_SLOTS_A_PERCENT: Final = SLOTS // 100


def allocation(spec: ExperimentSpec, *, percent: int, out: frozenset[str]) -> Allocation:
    """The division at a step of the ramp; arms that are ``out`` have none of their slots, and nobody else gets them."""
    share, most = (_slots(spec, of) for of in (percent, spec.steps[-1].percent))
    arms = {arm.name: (0 if arm.name in out else share, most) for arm in spec.treatments}
    return Allocation.in_groups(control=spec.control.name, waiting=WAITING, arms=arms)


def _slots(spec: ExperimentSpec, percent: int) -> int:
    return percent * _SLOTS_A_PERCENT // len(spec.treatments)


def of_shares(spec: ExperimentSpec, shares: Mapping[str, float], *, before: Allocation | None, out: frozenset[str]) -> Allocation:
    """A bandit's division: slots by shares, moving as few as that takes. Slots of arms that are ``out`` and have a share wait."""
    control = spec.control.name
    slots = adaptive.slots(shares, total=SLOTS, floor=spec.shares_follow.floor_percent / 100)
    whole = (before or Allocation.whole(control)).moved({arm.name: slots.get(arm.name, 0) for arm in spec.treatments}, base=control)
    return trial.without(whole, out)


def equal_shares(spec: ExperimentSpec) -> dict[str, float]:
    """What a bandit begins with."""
    return {arm.name: 1 / len(spec.arms) for arm in spec.arms}


def traffic(spec: ExperimentSpec, found: Allocation, *, seed: str, stratum: int, step: int, since: str | None = None) -> ExperimentTraffic:
    """The division as the status has it."""
    treated = sum(found.count(arm.name) for arm in spec.treatments)
    return ExperimentTraffic(
        seed=seed,
        stratum=stratum,
        step=step,
        percent=round(treated / _SLOTS_A_PERCENT),
        since=since,
        slots=tuple(GroupRun(before=end, group=group) for end, group in found.runs),
    )


def allocated(known: ExperimentTraffic) -> Allocation:
    """The division that a status tells of."""
    return Allocation(tuple((run.before, run.group) for run in known.slots))


def stratum(spec: ExperimentSpec, known: ExperimentTraffic, *, now: datetime) -> StratumStatus:
    """What the list of strata remembers of it."""
    found = allocated(known)
    return StratumStatus(
        name=str(known.stratum),
        step=known.step,
        since=now.strftime(TIME_FORMAT),
        slots=tuple(ArmSlots(arm=arm.name, slots=found.count(arm.name)) for arm in spec.arms if found.count(arm.name)),
    )


def capacity_percent(spec: ExperimentSpec, percent: int) -> int:
    """Share of the requests that one arm must have pods for, rounded up."""
    return -(-percent // len(spec.treatments))


def next_step_asked_for(spec: ExperimentSpec, status: ExperimentStatus) -> bool:
    """Whether the next step of the ramp waits for nothing but pods: its time has come, and the arms are to have more."""
    traffic = status.traffic
    if traffic is None or spec.mode == "Bandit" or traffic.step >= len(spec.steps):
        return False
    now, later = (capacity_percent(spec, step.percent) for step in spec.steps[traffic.step - 1 : traffic.step + 1])
    return any(now < later <= arm.capacity_percent and not arm.stopped for arm in status.arms)


def first_capacity_percent(spec: ExperimentSpec) -> int:
    """The same at the beginning."""
    return -(-100 // len(spec.arms)) if spec.mode == "Bandit" else capacity_percent(spec, spec.steps[0].percent)


def seed(spec: ExperimentSpec, *, namespace: str, name: str) -> str:
    """What units are hashed with."""
    return spec.assignment.seed or f"{namespace}/{name}"
