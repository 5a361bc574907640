"""How a new revision takes over by steps: what the routers counted says whether it gets more, or nothing any more.

The live table says which step it is: a crash between writing it and writing the status then ends in the same world. The status adds since when.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.modeldeployment import (
    Guardrail,
    GuardrailStatus,
    ModelDeploymentSpec,
    RefusedRevision,
    Rollout,
    RolloutStatus,
    RolloutStep,
)
from slipway_operator.state.observed import Observed
from slipway_operator.state.plan import Event
from slipway_operator.state.revision import Revision
from slipway_operator.state.routes import Split
from slipway_operator.state.slots import SLOTS, Allocation
from slipway_statistics import boundary, decision, ratios
from slipway_statistics.counts import Counts

TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
LOOK_S: Final = 2.0
"""Seconds between two looks at what the routers counted."""

VERBS: Final = ("promote", "pause", "resume", "retry", "rollback")
_DETECT_FIRST: Final = 0.1
_DETECT_LATER: Final = 0.02
_REFUSED_LIMIT: Final = 8
_MESSAGE_LIMIT: Final = 512
_SLOTS_A_PERCENT: Final = SLOTS // 100

Verb: TypeAlias = Literal["promote", "pause", "resume", "retry", "rollback"]
_NOTHING: Final = Counts()


@dataclass(frozen=True, kw_only=True)
class Course:
    """Where a rollout goes from here."""

    split: Split
    wanted: int
    """Ready pods that the new revision needs now."""

    finished: bool = False
    """Whether it takes everything in this pass."""

    status: RolloutStatus | None = None
    refused: tuple[RefusedRevision, ...] = ()
    handled: str | None = None
    why_refused: str | None = None
    """Why the revision that the spec asks for is not tried; None where it is."""

    events: tuple[Event, ...] = ()
    message: str = ""
    """What it waits for, in a sentence."""

    @property
    def looks(self) -> bool:
        """Whether counts are to be looked at again soon."""
        return self.status is not None and self.status.step > 0


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """What a course is decided from."""

    observed: Observed
    rules: Rollout
    stable: Revision
    desired: Revision
    full: int
    """Ready pods that the new revision needs to take everything."""

    verb: Verb | None
    refused: tuple[RefusedRevision, ...]

    @property
    def live(self) -> Split:
        """The split that routers are told."""
        return self.observed.table.division.split if self.observed.table else Split.whole(self.stable.name)

    @property
    def before(self) -> RolloutStatus | None:
        """What the status says of this revision's rollout."""
        known = self.observed.status.rollout
        return known if known is not None and known.revision == self.desired.name else None

    @property
    def step(self) -> int:
        """Which step is live, from 1; 0 before the first."""
        if self.live.candidate != self.desired.name or self.live.allocation is None:
            return 0
        share = self.live.allocation.count(self.desired.name)
        return max(1, sum(1 for step in self.rules.steps if step.percent * _SLOTS_A_PERCENT <= share))

    @property
    def stable_replicas(self) -> int:
        """Pods that the serving revision had when this began."""
        begun = self.before.stable_replicas if self.before and self.step else 0
        return begun or self.observed.workload(self.stable.name).replicas or 1

    def capacity(self, percent: int) -> int:
        """Ready pods that a share needs: as many as that share of the serving revision's, one at least, no more than for everything."""
        return min(self.full, max(1, math.ceil(self.stable_replicas * percent / 100)))


def course(observed: Observed, spec: ModelDeploymentSpec, *, stable: Revision | None, desired: Revision | None, full: int) -> Course | None:
    """Where the rollout goes; None where a new revision takes over at once, or there is nothing to take over from."""
    rules = spec.traffic.rollout
    if observed.routers is None or rules is None or stable is None or desired is None:
        return None
    verb, handled = _told(observed)
    refused = tuple(entry for entry in observed.status.refused if not (verb == "retry" and entry.revision == desired.name))
    scene = _Scene(observed=observed, rules=rules, stable=stable, desired=desired, full=full, verb=verb, refused=refused)
    decided = _suspended(scene) if spec.suspend else _course(scene)
    # A promotion that waits for pods is not carried out yet.
    done = verb != "promote" or decided.finished
    return dataclasses.replace(decided, handled=handled if done else observed.status.handled)


def _told(observed: Observed) -> tuple[Verb | None, str | None]:
    """The verb of the annotation, where it was not carried out yet; and what then counts as carried out."""
    command = (observed.command or "").strip()[:128]
    if not command or command == observed.status.handled:
        return None, observed.status.handled
    word = command.split()[0].lower()
    return next((verb for verb in VERBS if verb == word), None), command


def _suspended(scene: _Scene) -> Course:
    """Decisions are frozen, and so is the split."""
    return Course(split=scene.live, wanted=scene.capacity(_percent(scene)), status=scene.observed.status.rollout, refused=scene.refused)


def _course(scene: _Scene) -> Course:
    whole = Split.whole(scene.stable.name)
    if scene.desired == scene.stable:
        return Course(split=whole, wanted=scene.full, refused=scene.refused)
    why = next((entry.message for entry in scene.refused if entry.revision == scene.desired.name), None)
    if why is not None:
        return Course(split=whole, wanted=1, refused=scene.refused, why_refused=why)
    if scene.live.candidate not in (None, scene.desired.name):
        # A third model: units go back first, and the next pass begins anew.
        return Course(split=whole, wanted=1, refused=scene.refused)
    if scene.verb == "promote":
        return _finished(scene)
    if scene.verb == "rollback":
        return _rolled_back(scene, "somebody asked for it")
    if scene.step == 0:
        return _begun(scene)
    if not scene.observed.workload(scene.desired.name).available:
        return Course(
            split=whole,
            wanted=scene.capacity(scene.rules.steps[0].percent),
            refused=scene.refused,
            events=(_event("Warning", f"Revision {scene.desired.name} has no ready pod left: its units go back until it has."),),
        )
    return _watched(scene)


def _begun(scene: _Scene) -> Course:
    first = scene.rules.steps[0]
    wanted = scene.capacity(first.percent)
    if not scene.observed.workload(scene.desired.name).ready(wanted) or not scene.observed.followed:
        return Course(split=Split.whole(scene.stable.name), wanted=wanted, refused=scene.refused)
    return _stepped(scene, 1)


def _stepped(scene: _Scene, step: int) -> Course:
    """Give the new revision the share of a step."""
    percent = scene.rules.steps[step - 1].percent
    live = scene.live.allocation or Allocation.whole(scene.stable.name)
    allocation = live.moved({scene.desired.name: percent * _SLOTS_A_PERCENT}, base=scene.stable.name)
    message = f"Step {step} of {len(scene.rules.steps)}: {percent} % of the units get revision {scene.desired.name}."
    return Course(
        split=Split(stable=scene.stable.name, candidate=scene.desired.name, allocation=allocation),
        wanted=scene.capacity(percent),
        status=_status(scene, step=step, reason="Starting", paused=_paused(scene)),
        refused=scene.refused,
        events=(_event("Normal", message),),
        message="the routers take the step up",
    )


def _watched(scene: _Scene) -> Course:
    """A step that is live, or about to be."""
    step, observed = scene.step, scene.observed
    if not observed.followed:
        return _held(scene, reason="Starting", message="the routers take the step up", since=None)
    since = _since(scene)
    looks = dict(_looks(scene))
    found = decision.decide(
        {guardrail.metric: look for guardrail, look in looks.items()},
        held_s=(observed.now - since).total_seconds(),
        hold_s=scene.rules.steps[step - 1].hold_seconds,
        detect=_detect(scene.rules.steps[step - 1], first=step == 1),
    )
    told = tuple(_guardrail_status(guardrail, look) for guardrail, look in looks.items() if look is not None)
    match found:
        case decision.RollBack(guardrails=broken):
            return _failed(scene, _broken(looks, broken), since=since, told=told)
        case decision.Hold(reason=reason) if reason != "HoldTime" and _overdue(scene, since):
            return _failed(scene, f"step {step} took longer than its deadline: {_lacking(found)}", since=since, told=told)
        case decision.Hold(reason=reason):
            return _held(scene, reason=reason, message=_lacking(found), since=since, told=told)
        case decision.Pass():
            return _passed(scene, since=since, told=told)


def _passed(scene: _Scene, *, since: datetime, told: tuple[GuardrailStatus, ...]) -> Course:
    """The step is over: the next one, or everything, once there are pods for it."""
    if _paused(scene):
        return _held(scene, reason="Paused", message="somebody paused it", since=since, told=told)
    last = scene.step == len(scene.rules.steps)
    wanted = scene.full if last else scene.capacity(scene.rules.steps[scene.step].percent)
    if not scene.observed.workload(scene.desired.name).ready(wanted):
        message = f"the next step needs {wanted} ready pods"
        return dataclasses.replace(_held(scene, reason="Scaling", message=message, since=since, told=told), wanted=wanted)
    return _finished(scene) if last else _stepped(scene, scene.step + 1)


def _finished(scene: _Scene) -> Course:
    if not scene.observed.workload(scene.desired.name).ready(scene.full):
        waiting = _held(scene, reason="Scaling", message=f"taking over needs {scene.full} ready pods", since=None)
        return dataclasses.replace(waiting, wanted=scene.full)
    return Course(split=Split.whole(scene.desired.name), wanted=scene.full, finished=True, refused=scene.refused)


def _failed(scene: _Scene, why: str, *, since: datetime, told: tuple[GuardrailStatus, ...]) -> Course:
    if scene.rules.on_failure == "RollBack":
        return _rolled_back(scene, why)
    status = _status(scene, step=scene.step, reason="GuardrailBroken", paused=True, since=since, told=told)
    return Course(split=scene.live, wanted=scene.capacity(_percent(scene)), status=status, refused=scene.refused, message=why)


def _rolled_back(scene: _Scene, why: str) -> Course:
    message = f"Revision {scene.desired.name} was rolled back at {_percent(scene)} %: {why}."[:_MESSAGE_LIMIT]
    entry = RefusedRevision(revision=scene.desired.name, at=scene.observed.now.strftime(TIME_FORMAT), message=message)
    return Course(
        split=Split.whole(scene.stable.name),
        wanted=1,
        refused=(entry, *scene.refused)[:_REFUSED_LIMIT],
        why_refused=message,
        events=(Event(type="Warning", reason=conditions.ROLLED_BACK, message=message),),
    )


def _held(scene: _Scene, *, reason: str, message: str, since: datetime | None, told: tuple[GuardrailStatus, ...] = ()) -> Course:
    """The split stays as it is."""
    step = scene.step
    return Course(
        split=scene.live,
        wanted=scene.capacity(_percent(scene)),
        status=_status(scene, step=step, reason=reason, paused=_paused(scene), since=since, told=told),
        refused=scene.refused,
        message=message,
    )


def _paused(scene: _Scene) -> bool:
    if scene.verb in ("pause", "resume"):
        return scene.verb == "pause"
    return scene.before.paused if scene.before else False


def _percent(scene: _Scene) -> int:
    allocation = scene.live.allocation
    share = allocation.count(scene.desired.name) if allocation and scene.live.candidate == scene.desired.name else 0
    return share // _SLOTS_A_PERCENT


def _since(scene: _Scene) -> datetime:
    """Since when every router has had the live step: as the status says, if it speaks of this step, or else now."""
    before = scene.before
    if before is None or before.since is None or before.step != scene.step:
        return scene.observed.now
    return datetime.fromisoformat(before.since)


def _overdue(scene: _Scene, since: datetime) -> bool:
    allowed_s = scene.rules.steps[scene.step - 1].hold_seconds + scene.rules.progress_deadline_seconds
    return (scene.observed.now - since).total_seconds() > allowed_s


def _detect(step: RolloutStep, *, first: bool) -> float:
    return float(step.detect) if step.detect is not None else _DETECT_FIRST if first else _DETECT_LATER


def _looks(scene: _Scene) -> Iterator[tuple[Guardrail, ratios.Look | None]]:
    observed, rules = scene.observed, scene.rules
    candidate = observed.counts.get(scene.desired.name, _NOTHING)
    stable = observed.counts.get(scene.stable.name, _NOTHING)
    for guardrail in rules.guardrails:
        alpha = boundary.alpha_of_one(float(rules.false_rollback_probability), guardrails=len(rules.guardrails), steps=len(rules.steps))
        if guardrail.metric == "ErrorRate":
            yield guardrail, ratios.look(candidate, stable, outcome="bad", max_increase=float(guardrail.max_increase or 0), alpha=alpha)
        elif observed.edges is not None:
            yield guardrail, ratios.look(candidate, stable, outcome="slow", max_increase=0.0, alpha=alpha)
        else:
            yield guardrail, None


def _guardrail_status(guardrail: Guardrail, look: ratios.Look) -> GuardrailStatus:
    return GuardrailStatus(
        metric=guardrail.metric,
        requests=look.candidate_requests,
        estimate=_short(look.estimate),
        lower=_short(look.lower),
        upper=_short(look.upper),
        limit=_short(look.max_increase),
        detectable=_short(min(1.0, look.detectable)),
    )


def _short(number: float) -> str:
    """Three places, so that a look that found little new writes no status."""
    return f"{number:.3f}"


def _broken(looks: Mapping[Guardrail, ratios.Look | None], names: tuple[str, ...]) -> str:
    return "; ".join(_sentence(guardrail, look) for guardrail, look in looks.items() if guardrail.metric in names and look is not None)


def _sentence(guardrail: Guardrail, look: ratios.Look) -> str:
    rates = f"{look.candidate_rate:.1%} of {look.candidate_requests} requests against {look.stable_rate:.1%} of {look.stable_requests}"
    if guardrail.metric == "ErrorRate":
        return f"ErrorRate: {rates} failed, {guardrail.max_increase} more are allowed"
    return f"LatencyP95: {rates} were slow, the 95th percentile may be {guardrail.max_increase_percent} % higher"


def _lacking(hold: decision.Hold) -> str:
    names = " and ".join(hold.guardrails)
    return {
        "HoldTime": "its time is not over",
        "NothingToCompare": f"{names}: there is nothing to compare yet",
        "TooFewGroups": f"{names}: too few different units were seen",
        "TooLittleTraffic": f"{names}: too little traffic to have seen a fault of the size that the step is to detect",
    }[hold.reason]


def _status(
    scene: _Scene, *, step: int, reason: str, paused: bool, since: datetime | None = None, told: tuple[GuardrailStatus, ...] = ()
) -> RolloutStatus:
    steps = len(scene.rules.steps)
    percent = scene.rules.steps[step - 1].percent if step else 0
    return RolloutStatus(
        revision=scene.desired.name,
        step=step,
        steps=steps,
        percent=percent,
        summary=f"{step}/{steps} {percent}% {'Paused' if paused else reason}",
        reason=reason,
        since=since.strftime(TIME_FORMAT) if since else None,
        paused=paused,
        stable_replicas=scene.stable_replicas,
        guardrails=told,
    )


def _event(kind: Literal["Normal", "Warning"], message: str) -> Event:
    return Event(type=kind, reason=conditions.ROLLOUT_STEP, message=message)
