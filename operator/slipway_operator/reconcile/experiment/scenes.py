"""What passes over an Experiment are decided from, and what any of them ends with: a status with its conditions, and a division of the units."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.experiment import (
    ExperimentSpec,
    ExperimentStatus,
)
from slipway_operator.reconcile import arms as target_arms
from slipway_operator.reconcile import failure, summary
from slipway_operator.reconcile.experiment import checks, divisions
from slipway_operator.reconcile.rollout import TIME_FORMAT
from slipway_operator.reconcile.summary import Verdict, passed
from slipway_operator.state import observed as targets
from slipway_operator.state.experiment import Observed, Plan
from slipway_operator.state.plan import Event, Outcome
from slipway_operator.state.revision import model_digest

FOLLOW_S: Final = 0.25
"""Seconds between two looks at routers that do not follow a division yet."""

ARMS_LOOK_S: Final = 2.0
"""Seconds between two looks at arms that get their pods."""

WATCH_S: Final = 2.0
"""Seconds between two readings of routers' counts, where looks are less often: as often as a rollout reads them."""

RETRY_S: Final = 5.0
"""Seconds after which a ledger that did not answer is asked again, where looks are less often."""

UNTOLD_LOOK_S: Final = 60.0
"""Seconds between two looks at what may change without anybody telling."""

MOST_STRATA: Final = 98
"""The ledger takes a hundred. Pods that come and go make none of those that steps and stopped arms need."""

_NOT_ASKED: Final = passed(conditions.LEDGER_ANSWERS, "There was nothing to ask yet.")

_NOTHING_SEEN: Final = passed(conditions.DATA_SOUND, "No unit was seen yet.")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is decided from."""

    observed: Observed
    spec: ExperimentSpec
    status: ExperimentStatus
    refused: Verdict | None = None
    """What somebody said by annotation, and why it cannot be followed."""

    @property
    def now(self) -> str:
        """As statuses have times."""
        return self.observed.now.strftime(TIME_FORMAT)

    def with_status(self, **update: Any) -> "Scene":
        """With fields of the status that are to be."""
        return dataclasses.replace(self, status=self.status.model_copy(update=update))


def conditions_of(observed: Observed, status: ExperimentStatus, concerns: Mapping[str, Verdict]) -> Any:
    """Concerns that were not judged in this pass stay as they were, and so does what waits for somebody."""
    before = conditions_before(status, conditions.RECORDED, conditions.TRUSTED)
    known = {conditions.RECORDED: _NOT_ASKED, conditions.TRUSTED: _NOTHING_SEEN} | before | dict(concerns)
    told, waits = known.get(conditions.DECIDED), held(status)
    if waits is not None and (told is None or (told.status != "True" and told.reason != conditions.HELD)):
        known[conditions.DECIDED] = waits
    return summary.summarize(
        known, previous=observed.status.conditions, generation=observed.identity.generation, now=observed.now, outline=summary.EXPERIMENT
    )


def held(status: ExperimentStatus) -> Verdict | None:
    """What a Hold of spec.decision left to somebody, until he has said what is to be."""
    found = conditions_before(status, conditions.DECIDED).get(conditions.DECIDED)
    return found if found is not None and found.reason == conditions.HELD else None


def conditions_before(status: ExperimentStatus, *types: str) -> dict[str, Verdict]:
    """What conditions of these types said, where there are any."""
    return {
        condition.type: Verdict(status=condition.status, reason=condition.reason, message=condition.message)
        for condition in status.conditions
        if condition.type in types
    }


def warning(observed: Observed, verdict: Verdict) -> tuple[Event, ...]:
    """An event when something starts to need somebody."""
    return failure.warning(observed, reason=verdict.reason, message=verdict.message) if verdict.status != "True" else ()


def planned(
    scene: Scene, admitted: Verdict, *, outcome: Outcome, beside: Mapping[str, Verdict] | None = None, events: Iterable[Event] = (), **more: Any
) -> Plan:
    """The plan of a pass that the spec allows; reason and summary are those of the conditions, unless a look has said more."""
    refused = {conditions.DECIDED: scene.refused} if scene.refused else {}
    concerns = {conditions.ACCEPTED: summary.SPEC_ACCEPTED, conditions.ADMITTED: admitted, **refused, **(beside or {})}
    status = scene.status.model_copy(
        update={
            "observed_generation": scene.observed.identity.generation,
            "verdict": scene.status.verdict or "Pending",
            "conditions": conditions_of(scene.observed, scene.status, concerns),
        }
    )
    warnings = (told for verdict in concerns.values() for told in warning(scene.observed, verdict))
    return Plan(status=status, events=(*_refusal_told(scene), *events, *warnings), outcome=outcome, **more)


def _refusal_told(scene: Scene) -> Iterator[Event]:
    """Once for each annotation."""
    if scene.refused is not None and scene.status.handled != scene.observed.status.handled:
        yield event(scene.refused.reason, scene.refused.message, "Warning")


def rest_s(scene: Scene, look_in_s: float) -> float:
    """Seconds to the next pass over units that are divided: to the next look, or to the next reading of what guardrails of the routers go by."""
    watched = any(metric.source == "Router" for metric in scene.spec.metrics)
    return min(look_in_s, WATCH_S) if watched else look_in_s


def said_by(scene: Scene, verdict: Verdict) -> Scene:
    """With reason and summary of a verdict."""
    return scene.with_status(reason=verdict.reason, summary=summary.short(verdict.message))


def pods_wanted(scene: Scene) -> Iterator[tuple[str, str, int]]:
    """Arm, revision, and ready pods that its share needs."""
    replicas = scene.status.target.replicas if scene.status.target else 1
    for arm in scene.status.arms:
        if arm.name != scene.spec.control.name and not arm.stopped:
            yield arm.name, arm.revision, target_arms.capacity(replicas, arm.capacity_percent)


def divided(scene: Scene, *, step: int, out: frozenset[str] = frozenset(), shares: Mapping[str, float] | None = None) -> Scene:
    """The next stratum, with the shares of a step; a bandit's with these."""
    spec, identity = scene.spec, scene.observed.identity
    before, strata = scene.status.traffic, scene.status.strata
    if spec.mode == "Bandit":
        playing = shares or _shares(scene)
        allocation = divisions.of_shares(spec, playing, before=divisions.allocated(before) if before else None, out=out & playing.keys())
    else:
        allocation = divisions.allocation(spec, percent=spec.steps[step - 1].percent, out=out)
    traffic = divisions.traffic(
        spec,
        allocation,
        seed=divisions.seed(spec, namespace=identity.namespace, name=identity.name),
        stratum=int(strata[-1].name) + 1 if strata else 1,
        step=step,
    )
    return scene.with_status(traffic=traffic, strata=(*strata, divisions.stratum(spec, traffic, now=scene.observed.now)))


def _shares(scene: Scene) -> dict[str, float]:
    """A bandit's shares as they are, of the arms that take part: those of an arm that was stopped go to all others, those of one that waits for its
    pods are what it had."""
    spec, traffic = scene.spec, scene.status.traffic
    stopped = {arm.name for arm in scene.status.arms if arm.stopped}
    playing = [arm.name for arm in spec.arms if arm.name not in stopped]
    if traffic is None:
        return divisions.equal_shares(spec)
    known = divisions.allocated(traffic)
    slots = {name: known.count(name) or _last_slots(scene, name) for name in playing}
    total = sum(slots.values())
    floor, rest = spec.shares_follow.floor_percent / 100, 1 - len(playing) * spec.shares_follow.floor_percent / 100
    above = {name: max(0.0, count / total - floor) for name, count in slots.items()}
    return {name: floor + (rest * above[name] / sum(above.values()) if any(above.values()) else rest / len(playing)) for name in playing}


def _last_slots(scene: Scene, arm: str) -> int:
    """Of the newest stratum in which it had any."""
    return next((group.slots for stratum in reversed(scene.status.strata) for group in stratum.slots if group.arm == arm), 0)


def step_told(scene: Scene) -> str:
    """What step it is, in a sentence; a second one of arms that wait for pods."""
    traffic = scene.status.traffic
    step, percent = (traffic.step, traffic.percent) if traffic else (0, 0)
    arms = ", ".join(arm.name for arm in scene.status.arms if arm.name != scene.spec.control.name and not arm.stopped)
    told = f"Step {step} of {len(scene.spec.steps)}: {percent} % of the units get {arms}."
    down = sorted(without_slots(scene) - stopped_arms(scene)) if traffic else []
    return f"{told} {no_pods_told(down)}" if down else told


def no_pods_told(arms: Sequence[str]) -> str:
    """That arms have no pods, and what becomes of their units."""
    return f"Arm {' and '.join(arms)} has no ready pod: control serves its units until it has."


def event(reason: str, message: str, kind: Literal["Normal", "Warning"] = "Normal") -> Event:
    """Something worth telling."""
    return Event(type=kind, reason=reason, message=message)


def without_slots(scene: Scene) -> frozenset[str]:
    """Arms that have no slots now."""
    traffic = scene.status.traffic
    having = {run.group for run in traffic.slots} if traffic else set()
    return frozenset(arm.name for arm in scene.spec.treatments if arm.name not in having)


def full_name(scene: Scene) -> str:
    """As the ledger calls it, with its namespace."""
    return f"{scene.observed.identity.namespace}/{scene.status.ledger_name}"


def dividing(scene: Scene) -> Verdict:
    """That routers divide the units; which pods the next step waits for, and that nothing will be promoted, where that is so already."""
    lacking = _lacking(scene)
    waits = f"The next step waits for pods. {lacking}" if lacking else None
    return passed(conditions.DIVIDING, " ".join(told for told in (step_told(scene), waits, _overtaken(scene)) if told))


def _lacking(scene: Scene) -> str | None:
    target = scene.observed.target
    if target is None or not divisions.next_step_asked_for(scene.spec, scene.status):
        return None
    ready = checks.arms_ready(target, pods_wanted(scene))
    return ready.message if ready.status != "True" else None


def _overtaken(scene: Scene) -> str | None:
    target, name = scene.observed.target, scene.spec.target_ref.name
    if target is None or unchanged(scene, target):
        return None
    return f"spec.model of ModelDeployment {name} was changed meanwhile: it follows when this is over, and no arm is promoted."


def unchanged(scene: Scene, target: targets.Observed) -> bool:
    """Whether spec.model of the target is what it was when the turn came."""
    return target.spec is None or scene.status.target is None or model_digest(target.spec.model) == scene.status.target.model_digest


def stopped_arms(scene: Scene) -> frozenset[str]:
    """Arms that were taken out."""
    return frozenset(arm.name for arm in scene.status.arms if arm.stopped)


def seconds_since(then: str, now: datetime) -> float:
    """Seconds from a time of the status to now."""
    return (now - datetime.fromisoformat(then)).total_seconds()
