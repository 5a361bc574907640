"""The plan for an Experiment: its place in the queue, its arms, its steps, its looks and what follows from them.

The status is where the division of units stands; the target's reconciler reads it and routes. So every change of hands is one write of one status,
and a crash before or after it ends in the same world.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from slipway_operator.api import conditions, metadata
from slipway_operator.api.v1alpha1.experiment import (
    Action,
    ArmStatus,
    DecisionStatus,
    ExperimentSpec,
    ExperimentStatus,
    ExperimentTarget,
    ProposalStatus,
)
from slipway_operator.reconcile import arms as target_arms
from slipway_operator.reconcile import summary
from slipway_operator.reconcile.experiment import checks, designs, divisions, looks, telling
from slipway_operator.reconcile.rollout import TIME_FORMAT
from slipway_operator.reconcile.summary import Verdict, failed, passed
from slipway_operator.state import observed as targets
from slipway_operator.state.experiment import Observed, Plan, Sums
from slipway_operator.state.plan import Done, Event, Outcome, Stalled, Wait
from slipway_operator.state.revision import model_digest
from slipway_statistics import adaptive
from slipway_statistics import experiment as experiments
from slipway_statistics import record as keeping
from slipway_statistics import verdict as statistics
from slipway_statistics.adaptive import Moves
from slipway_statistics.experiment import Design

FOLLOW_S: Final = 0.25
"""Seconds between two looks at routers that do not follow a division yet."""

ARMS_LOOK_S: Final = 2.0
"""Seconds between two looks at arms that get their pods."""

RETRY_S: Final = 5.0
"""Seconds after which a ledger that did not answer is asked again, where looks are less often."""

UNTOLD_LOOK_S: Final = 60.0
"""Seconds between two looks at what may change without anybody telling."""

_MOST_STRATA: Final = 98
"""The ledger takes a hundred. Pods that come and go make none of those that steps and stopped arms need."""

_NOT_ASKED: Final = passed(conditions.LEDGER_ANSWERS, "There was nothing to ask yet.")
_NOTHING_SEEN: Final = passed(conditions.DATA_SOUND, "No unit was seen yet.")


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """What is decided from."""

    observed: Observed
    spec: ExperimentSpec
    status: ExperimentStatus

    @property
    def now(self) -> str:
        return self.observed.now.strftime(TIME_FORMAT)

    def with_status(self, **update: Any) -> "_Scene":
        return dataclasses.replace(self, status=self.status.model_copy(update=update))


def plan(observed: Observed) -> Plan:
    """Decide what follows, from what is. Pure: the same value gives the same plan."""
    if observed.identity.deleting:
        return Plan()
    accepted = checks.accepted(observed)
    spec = observed.spec
    if spec is None or accepted.status != "True":
        status = observed.status if observed.status.verdict else observed.status.model_copy(update={"verdict": "Pending"})
        return _refused(observed, status, accepted)
    scene = _Scene(observed=observed, spec=spec, status=observed.status)
    if observed.status.decision is not None:
        return _decided(scene, observed.status.decision)
    turn = checks.turn(observed, spec)
    if turn.status != "True" or observed.target is None:
        return _waiting(scene, turn)
    if spec.suspend:
        return _suspended(scene)
    if observed.status.started_at is None and observed.status.observed_generation != observed.identity.generation:
        # What was asked for is not what the spec asks for now.
        scene = _without_turn(scene)
    if scene.status.admitted_at is None or scene.status.target is None:
        return _admitted(scene, observed.target)
    if observed.target.selected not in (None, scene.status.target.revision):
        return _concluded(scene, "KeepControl", arm=None, why=f"ModelDeployment {spec.target_ref.name} serves another revision than the control.")
    if scene.status.traffic is None:
        return _starting(scene, observed.target)
    return _running(scene, observed.target)


def _refused(observed: Observed, status: ExperimentStatus, accepted: Verdict) -> Plan:
    """What runs is left as it is: a spec that cannot be carried out says nothing about it."""
    told = _conditions(observed, status, {conditions.ACCEPTED: accepted})
    found = status.model_copy(
        update={"observed_generation": observed.identity.generation, "reason": accepted.reason, "summary": accepted.message, "conditions": told}
    )
    return Plan(status=found, events=_warning(observed, accepted), outcome=Stalled(accepted.reason, seconds=UNTOLD_LOOK_S))


def _conditions(observed: Observed, status: ExperimentStatus, concerns: Mapping[str, Verdict]) -> Any:
    """Concerns that were not judged in this pass stay as they were."""
    before = _before(status, conditions.RECORDED, conditions.TRUSTED)
    known = {conditions.RECORDED: _NOT_ASKED, conditions.TRUSTED: _NOTHING_SEEN} | before | dict(concerns)
    return summary.summarize(
        known, previous=observed.status.conditions, generation=observed.identity.generation, now=observed.now, outline=summary.EXPERIMENT
    )


def _before(status: ExperimentStatus, *types: str) -> dict[str, Verdict]:
    """What conditions of these types said, where there are any."""
    return {
        condition.type: Verdict(status=condition.status, reason=condition.reason, message=condition.message)
        for condition in status.conditions
        if condition.type in types
    }


def _warning(observed: Observed, verdict: Verdict) -> tuple[Event, ...]:
    """An event when something starts to need somebody."""
    known = any(condition.reason == verdict.reason and condition.message == verdict.message for condition in observed.status.conditions)
    stalls = verdict.reason in conditions.STALLING_REASONS and verdict.status != "True"
    return (Event(type="Warning", reason=verdict.reason, message=verdict.message),) if stalls and not known else ()


def _planned(
    scene: _Scene, admitted: Verdict, *, outcome: Outcome, beside: Mapping[str, Verdict] | None = None, events: Iterable[Event] = (), **more: Any
) -> Plan:
    """The plan of a pass that the spec allows; reason and summary are those of the conditions, unless a look has said more."""
    accepted = passed(conditions.SPEC_ACCEPTED, "The spec can be carried out.")
    concerns = {conditions.ACCEPTED: accepted, conditions.ADMITTED: admitted, **(beside or {})}
    status = scene.status.model_copy(
        update={
            "observed_generation": scene.observed.identity.generation,
            "verdict": scene.status.verdict or "Pending",
            "conditions": _conditions(scene.observed, scene.status, concerns),
        }
    )
    warnings = (warning for verdict in concerns.values() for warning in _warning(scene.observed, verdict))
    return Plan(status=status, events=(*events, *warnings), outcome=outcome, **more)


def _said(scene: _Scene, verdict: Verdict) -> _Scene:
    return scene.with_status(reason=verdict.reason, summary=verdict.message)


def _waiting(scene: _Scene, turn: Verdict) -> Plan:
    """Somebody else's turn, or nobody's to divide; whoever ends wakes it. Of two whose turn came at once, one has it; the other's comes again."""
    if turn.reason == conditions.QUEUED and scene.status.started_at is None:
        scene = _without_turn(scene)
    return _planned(_said(scene, turn), turn, outcome=Wait(UNTOLD_LOOK_S) if turn.reason != conditions.QUEUED else Done())


def _suspended(scene: _Scene) -> Plan:
    """The target's reconciler has seen spec.suspend itself; an experiment that has not begun gives its turn back."""
    verdict = failed(conditions.SUSPENDED, "spec.suspend is set: control serves everybody, and nothing is decided.")
    status = scene.status
    if status.started_at is None:
        scene = _without_turn(scene)
    elif status.traffic is not None and status.traffic.since is not None:
        scene = scene.with_status(traffic=status.traffic.model_copy(update={"since": None}))
    return _planned(_said(scene, verdict), verdict, outcome=Done())


def _without_turn(scene: _Scene) -> _Scene:
    """Routers may have had its first step: its stratum stays known, and the next one gets another number."""
    return scene.with_status(admitted_at=None, target=None, traffic=None, arms=())


def _admitted(scene: _Scene, target: targets.Observed) -> Plan:
    """Its turn: the control is what serves now, and the arms are asked for."""
    still = checks.settled(target)
    control = target.revision(target.selected)
    if still.status != "True" or control is None or target.spec is None:
        return _planned(_said(scene, still), still, outcome=Wait(ARMS_LOOK_S))
    spec, identity = scene.spec, scene.observed.identity
    percent = divisions.first_capacity_percent(spec)
    made = checks.revisions(spec, target, control=control)
    told = failed(conditions.STARTING, "The arms get their pods.")
    scene = scene.with_status(
        admitted_at=scene.now,
        ledger_name=ledger_name(identity.name, identity.uid),
        target=ExperimentTarget(
            revision=control.name, model_digest=model_digest(target.spec.model), replicas=target.workload(control.name).replicas or 1
        ),
        arms=tuple(
            ArmStatus(
                name=arm.name,
                revision=made[arm.name].name,
                uri=made[arm.name].model.uri,
                capacity_percent=percent if arm != spec.control else 0,
            )
            for arm in spec.arms
        ),
    )
    return _planned(_said(scene, told), told, outcome=Wait(ARMS_LOOK_S))


def ledger_name(name: str, uid: str) -> str:
    """Of an object, in its namespace at the ledger: a namesake that comes later is another experiment."""
    return f"{name}-{uid[:8]}"


def _starting(scene: _Scene, target: targets.Observed) -> Plan:
    """The arms get their pods, the ledger its definition; then the first step."""
    register = designs.definition(scene.spec, settled=designs.by_name(scene.status.metrics))
    ready = checks.arms_ready(target, _pods(scene))
    if ready.status != "True" or not target.followed:
        told = ready if ready.status != "True" else failed(conditions.STARTING, "Routers follow the table of the target.")
        return _planned(_said(scene, told), told, register=register, outcome=Wait(ARMS_LOOK_S))
    scene = _divided(scene, step=1)
    told = failed(conditions.ROUTING, "Routers take the first step up.")
    return _planned(_said(scene, told), told, register=register, outcome=Wait(FOLLOW_S), events=(_event(conditions.EXPERIMENT_STEP, _step(scene)),))


def _pods(scene: _Scene) -> Iterator[tuple[str, str, int]]:
    """Arm, revision, and ready pods that its share needs."""
    replicas = scene.status.target.replicas if scene.status.target else 1
    for arm in scene.status.arms:
        if arm.name != scene.spec.control.name and not arm.stopped:
            yield arm.name, arm.revision, target_arms.capacity(replicas, arm.capacity_percent)


def _divided(scene: _Scene, *, step: int, out: frozenset[str] = frozenset(), shares: Mapping[str, float] | None = None) -> _Scene:
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


def _shares(scene: _Scene) -> dict[str, float]:
    """A bandit's shares as they are, of the arms that take part: those of an arm that was stopped go to all others."""
    spec, traffic = scene.spec, scene.status.traffic
    stopped = {arm.name for arm in scene.status.arms if arm.stopped}
    playing = [arm.name for arm in spec.arms if arm.name not in stopped]
    known = divisions.allocated(traffic) if traffic else None
    slots = {name: known.count(name) if known else 1 for name in playing}
    total = sum(slots.values())
    floor, rest = spec.shares_follow.floor_percent / 100, 1 - len(playing) * spec.shares_follow.floor_percent / 100
    above = {name: max(0.0, count / total - floor) for name, count in slots.items()}
    return {name: floor + (rest * above[name] / sum(above.values()) if any(above.values()) else rest / len(playing)) for name in playing}


def _step(scene: _Scene) -> str:
    traffic = scene.status.traffic
    step, percent = (traffic.step, traffic.percent) if traffic else (0, 0)
    arms = ", ".join(arm.name for arm in scene.status.arms if arm.name != scene.spec.control.name and not arm.stopped)
    return f"Step {step} of {len(scene.spec.steps)}: {percent} % of the units get {arms}."


def _event(reason: str, message: str, kind: Literal["Normal", "Warning"] = "Normal") -> Event:
    return Event(type=kind, reason=reason, message=message)


def _running(scene: _Scene, target: targets.Observed) -> Plan:
    """A division that is live, or about to be."""
    traffic = scene.status.traffic
    if traffic is None:
        raise ValueError("an experiment that runs has a division")
    if (command := _command(scene)) is not None:
        return command
    out = _out(scene, target)
    if out != _without_slots(scene) and traffic.stratum < _MOST_STRATA - designs.most_strata(scene.spec):
        scene = _divided(scene, step=traffic.step, out=out)
        told = failed(conditions.ROUTING, _pods_changed(scene, out))
        return _planned(_said(scene, told), told, outcome=Wait(FOLLOW_S), events=(_event(conditions.EXPERIMENT_STEP, told.message, "Warning"),))
    if traffic.since is None:
        if not _live(scene, target):
            told = failed(conditions.ROUTING, "Routers take the division up.")
            return _planned(scene, told, outcome=Wait(FOLLOW_S))
        return _begun(scene)
    if scene.observed.sums is None:
        return _unlooked(scene)
    return _looked(scene, target, scene.observed.sums)


def _out(scene: _Scene, target: targets.Observed) -> frozenset[str]:
    """Arms that were stopped, and those without a ready pod."""
    return frozenset(
        arm.name for arm in scene.status.arms if arm.name != scene.spec.control.name and (arm.stopped or not target.workload(arm.revision).available)
    )


def _without_slots(scene: _Scene) -> frozenset[str]:
    traffic = scene.status.traffic
    having = {run.group for run in traffic.slots} if traffic else set()
    return frozenset(arm.name for arm in scene.spec.treatments if arm.name not in having)


def _pods_changed(scene: _Scene, out: frozenset[str]) -> str:
    down = sorted(name for name in out if not any(arm.name == name and arm.stopped for arm in scene.status.arms))
    return f"Arm {' and '.join(down)} has no ready pod: control serves its units until it has." if down else "Every arm has pods again."


def _live(scene: _Scene, target: targets.Observed) -> bool:
    """Whether every ready router divides units so; where no arm has slots, whether it divides none."""
    groups = target.table.division.split.groups if target.table else None
    traffic = scene.status.traffic
    if target.table is not None and len(_without_slots(scene)) == len(scene.spec.treatments):
        return groups is None and target.followed
    mine = groups is not None and traffic is not None and groups.stratum == str(traffic.stratum)
    return mine and groups is not None and groups.experiment == _full_name(scene) and target.followed


def _full_name(scene: _Scene) -> str:
    return f"{scene.observed.identity.namespace}/{scene.status.ledger_name}"


def _begun(scene: _Scene) -> Plan:
    traffic = scene.status.traffic
    first = scene.status.started_at is None
    scene = scene.with_status(
        started_at=scene.status.started_at or scene.now,
        traffic=traffic.model_copy(update={"since": scene.now}) if traffic else None,
        verdict=scene.status.verdict if scene.status.verdict not in (None, "Pending") else "InsufficientData",
    )
    told = passed(conditions.DIVIDING, _step(scene))
    events = (_event(conditions.EXPERIMENT_STARTED, f"The experiment has begun. {_step(scene)}"),) if first else ()
    return _planned(_said(scene, told), told, outcome=Wait(min(1.0, scene.spec.analysis.interval_seconds)), events=events)


def _dividing(scene: _Scene) -> Verdict:
    return passed(conditions.DIVIDING, _step(scene))


def _unlooked(scene: _Scene) -> Plan:
    """No time for a look yet, or no ledger to take one by: guardrails of the routers are watched all the same."""
    trouble = scene.observed.trouble
    told = _before(scene.status, conditions.DECIDED)
    if trouble is None:
        return _planned(scene, _dividing(scene), beside=told, outcome=Wait(max(scene.observed.look_in_s, 0.05)))
    recorded = {conditions.RECORDED: failed(conditions.LEDGER_UNAVAILABLE, f"{trouble} Units stay where they are, and no look is taken.")}
    design = designs.design(scene.spec, designs.by_name(scene.status.metrics))
    broken = looks.crossed(looks.routed(scene.observed, scene.spec, scene.status, design=design))
    if broken and scene.spec.decision.on_harm == "RollBack":
        return _stopped(scene, {arm: f"guardrail {' and '.join(names)} crossed" for arm, names in broken.items()}, beside=recorded)
    register = designs.definition(scene.spec, settled=designs.by_name(scene.status.metrics))
    return _planned(
        scene, _dividing(scene), beside={**told, **recorded}, register=register, outcome=Wait(min(RETRY_S, scene.spec.analysis.interval_seconds))
    )


def _looked(scene: _Scene, target: targets.Observed, sums: Sums) -> Plan:
    """A look, and what follows from it."""
    spec, before = scene.spec, scene.status
    known = designs.settled(spec, designs.by_name(before.metrics), sums)
    design = designs.design(spec, designs.by_name(known))
    by = looks.observed_by(scene.observed, spec, before, sums=sums, design=design)
    said, moves = _taken(spec, design, by)
    scene = scene.with_status(
        metrics=known,
        verdict=said.verdict,
        reason=said.findings[0].reason if said.findings else None,
        lift=looks.lift(design, said),
        units=sum(sum(units.values()) for units in sums.units.values()),
        sample_ratio=looks.sample_ratio(said, alpha=design.sample_ratio_alpha),
        arms=looks.arms(spec, before, sums=sums, said=said, by=by, design=design),
    )
    followed = _follow(scene, target, said, design, moves)
    record = looks.written(scene.observed, before, design=design, by=by, said=said, sums=sums, decision=_told(before, followed.status))
    if moves is not None:
        record["bandit"] = keeping.write(moves)
    status = followed.status
    if status is not None:
        sentence = telling.summary(spec, status, said=said, design=design, now=scene.observed.now)
        status = status.model_copy(update={"summary": sentence})
    return dataclasses.replace(
        followed,
        status=status,
        look=record,
        memory=said.memory,
        register=designs.definition(spec, settled=designs.by_name(known)),
    )


def _taken(spec: ExperimentSpec, design: Design, by: experiments.Observed) -> tuple[statistics.Look, Moves | None]:
    """What the statistics say; and where a bandit's shares go."""
    if spec.mode == "Test":
        return statistics.look(design, by), None
    rules, reward = designs.bandit(spec)
    found = adaptive.look(design, by, rules=rules, reward=reward)
    return found.said, found.moves


def _told(before: ExperimentStatus, after: ExperimentStatus | None) -> dict[str, Any] | None:
    """What a look led to, for the ledger."""
    if after is None:
        return None
    if after.decision is not None:
        return {"action": after.decision.action, "arm": after.decision.arm}
    stopped = [arm.name for arm in after.arms if arm.stopped and not any(old.name == arm.name and old.stopped for old in before.arms)]
    if stopped:
        return {"action": "StopArm", "arm": ", ".join(stopped)}
    strata = [status.traffic.stratum if status.traffic else 0 for status in (before, after)]
    return {"action": "NextStep", "arm": None} if strata[0] != strata[1] else None


def _trusted(said: statistics.Look) -> Verdict:
    reasons = {finding.reason for finding in said.findings} if said.verdict == "Unhealthy" else set()
    if "SampleRatio" in reasons:
        return failed(
            conditions.SAMPLE_RATIO_MISMATCH,
            "The arms did not get the units of their slots, by more than chance explains: exposures of one of them go missing. Nothing is decided."
            " Look for pods or clients of one arm that fail before they are counted, then delete the experiment and begin another one.",
        )
    if "BrokenJoin" in reasons:
        return failed(
            conditions.BROKEN_JOIN,
            "More than one unit in a hundred was seen in two arms, which no step of an experiment does: somebody else sends exposures to the ledger,"
            " or a route table was changed by hand. Nothing is decided.",
        )
    return passed(conditions.DATA_SOUND, "Nothing speaks against the data.")


def _follow(scene: _Scene, target: targets.Observed, said: statistics.Look, design: Design, moves: Moves | None) -> Plan:
    """What a look leads to; the order is the policy."""
    decision = scene.spec.decision
    beside = {conditions.RECORDED: passed(conditions.LEDGER_ANSWERS, "The ledger keeps every look."), conditions.TRUSTED: _trusted(said)}
    harmful = {name: telling.harm(arm) for name, arm in said.arms.items() if arm.verdict == "Harmful"}
    if harmful and decision.on_harm == "RollBack":
        return _stopped(scene, harmful, beside=beside)
    if harmful:
        return _held(scene, beside, "an arm is harmful")
    if said.verdict == "Unhealthy":
        return _on(scene, beside) if not _time_is_over(scene) else _given_up(scene, said, beside)
    if (proposed := _proposed(scene, said)) is not None:
        return _proposal(scene, target, proposed, beside)
    if said.verdict == "NoPracticalEffect":
        return _without_effect(scene, target, said, design, beside)
    if said.verdict == "Inconclusive":
        if decision.on_inconclusive == "Hold":
            return _held(scene, beside, "the time is over and nothing is clear")
        return _concluded(scene, "KeepControl", arm=None, why="The time is over and nothing is clear.", beside=beside)
    return _climbed(scene, target, said, beside) if moves is None else _reshared(scene, target, moves, beside)


def _time_is_over(scene: _Scene) -> bool:
    started = scene.status.started_at
    return started is not None and _seconds_since(started, scene.observed.now) >= scene.spec.analysis.max_duration_seconds


def _given_up(scene: _Scene, said: statistics.Look, beside: Mapping[str, Verdict]) -> Plan:
    """Data that cannot be believed never become what can, and others wait for the units."""
    why = f"The time is over and the data cannot be believed: {telling.because(said.findings)}."
    return _concluded(scene, "KeepControl", arm=None, why=why, beside=beside)


def _on(scene: _Scene, beside: Mapping[str, Verdict]) -> Plan:
    return _planned(scene, _dividing(scene), beside=beside, outcome=Wait(scene.spec.analysis.interval_seconds))


def _held(scene: _Scene, beside: Mapping[str, Verdict], why: str) -> Plan:
    told = failed(
        conditions.HELD,
        f"Held, because {why}: annotate the object with {metadata.EXPERIMENT_ANNOTATION}='promote <arm>' or 'rollback', or delete it.",
    )
    return _on(scene, {**beside, conditions.DECIDED: told})


def _stopped(scene: _Scene, harmful: Mapping[str, str], *, beside: Mapping[str, Verdict]) -> Plan:
    """Harmful arms lose their units; with the last of them the experiment is over."""
    arms = tuple(arm.model_copy(update={"stopped": True, "verdict": "Harmful"}) if arm.name in harmful else arm for arm in scene.status.arms)
    kept = scene.status.proposal if scene.status.proposal and scene.status.proposal.arm not in harmful else None
    scene = scene.with_status(arms=arms, proposal=kept, winning_since=scene.status.winning_since if kept else None)
    why = "; ".join(f"{name}: {sentence}" for name, sentence in harmful.items())
    left = [arm for arm in arms if arm.name != scene.spec.control.name and not arm.stopped]
    traffic = scene.status.traffic
    if not left or traffic is None:
        return _concluded(scene, "RollBack", arm=None, why=f"Every arm was harmful. {why}.", beside=beside)
    scene = _divided(scene, step=traffic.step, out=frozenset(arm.name for arm in arms if arm.stopped) | _without_slots(scene))
    told = failed(conditions.ROUTING, f"Stopped {why}.")
    return _planned(scene, told, beside=beside, outcome=Wait(FOLLOW_S), events=(_event(conditions.ARM_STOPPED, told.message, "Warning"),))


def _proposed(scene: _Scene, said: statistics.Look) -> ProposalStatus | None:
    """Who is to be promoted: the winner of this look, or who won at an earlier one and waits for time or consent."""
    known = scene.status.proposal
    if said.winner is None:
        return known
    if known is not None and (known.arm == said.winner or scene.status.winning_since is not None):
        return known
    sequence = (scene.observed.journal.sequence if scene.observed.journal else 0) + 1
    seen = {"experiment": _full_name(scene), "arm": said.winner, "sequence": sequence, "findings": [finding.reason for finding in said.findings]}
    figures = [interval.model_dump() for arm in scene.status.arms if arm.name == said.winner for interval in arm.metrics]
    return ProposalStatus(arm=said.winner, digest=looks.digest(seen | {"metrics": figures}), sequence=sequence)


def _proposal(scene: _Scene, target: targets.Observed, proposed: ProposalStatus, beside: Mapping[str, Verdict]) -> Plan:
    decision, status = scene.spec.decision, scene.status
    scene = scene.with_status(proposal=proposed, verdict="Winning")
    if decision.on_win == "KeepControl":
        return _concluded(scene, "KeepControl", arm=proposed.arm, why=f"Arm {proposed.arm} won; spec.decision.onWin keeps control.", beside=beside)
    if decision.confirm_seconds and status.traffic is not None:
        if status.winning_since is None:
            scene = _divided(scene.with_status(winning_since=scene.now), step=status.traffic.step, out=_without_slots(scene))
            told = passed(conditions.DIVIDING, f"Arm {proposed.arm} won, and keeps its share for a fresh estimate.")
            return _planned(scene, told, beside=beside, outcome=Wait(FOLLOW_S), events=(_event(conditions.EXPERIMENT_STEP, told.message),))
        if _seconds_since(status.winning_since, scene.observed.now) < decision.confirm_seconds:
            return _on(scene, beside)
    if decision.approval == "Manual" and scene.observed.approved != proposed.digest:
        told = failed(
            conditions.AWAITS_APPROVAL,
            f"Arm {proposed.arm} won at look {proposed.sequence}: annotate the object with {metadata.APPROVE_ANNOTATION}={proposed.digest} to promote"
            " it.",
        )
        return _on(scene, {**beside, conditions.DECIDED: told})
    return _promoted(scene, target, proposed.arm, why=f"Arm {proposed.arm} won at look {proposed.sequence}.{_afresh(scene, proposed)}", beside=beside)


def _afresh(scene: _Scene, proposed: ProposalStatus) -> str:
    """What the time after the win says, where there was one."""
    traffic, sums = scene.status.traffic, scene.observed.sums
    if scene.status.winning_since is None or traffic is None or sums is None:
        return ""
    design = designs.design(scene.spec, designs.by_name(scene.status.metrics))
    found = looks.fresh(design, sums, arm=proposed.arm, stratum=str(traffic.stratum))
    said = f"{design.primary.name} {found}, an interval for one reading" if found else "too few of them to say anything"
    return f" By units that came after that and had no part in it: {said}."


def _promoted(scene: _Scene, target: targets.Observed, arm: str, *, why: str, beside: Mapping[str, Verdict]) -> Plan:
    if not _unchanged(scene, target):
        changed = f"{why} spec.model of ModelDeployment {scene.spec.target_ref.name} was changed meanwhile and is what follows."
        return _concluded(scene, "KeepControl", arm=arm, why=changed, beside=beside)
    return _concluded(scene, "Promote", arm=arm, why=why, beside=beside)


def _unchanged(scene: _Scene, target: targets.Observed) -> bool:
    return target.spec is None or scene.status.target is None or model_digest(target.spec.model) == scene.status.target.model_digest


def _without_effect(scene: _Scene, target: targets.Observed, said: statistics.Look, design: Design, beside: Mapping[str, Verdict]) -> Plan:
    wanted = scene.spec.decision.on_no_effect
    why = "Whatever the effect is, it is smaller than matters."
    if wanted == "Hold":
        return _held(scene, beside, "whatever the effect is, it is smaller than matters")
    if wanted == "KeepControl":
        return _concluded(scene, "KeepControl", arm=None, why=why, beside=beside)
    if scene.spec.decision.approval == "Manual":
        return _held(scene, beside, "whatever the effect is, it is smaller than matters, and a promotion waits for consent")
    shown = [name for name, arm in said.arms.items() if all(state == "Shown" for state in arm.guardrails.values())]
    if not shown:
        return _on(scene, beside)
    return _promoted(scene, target, max(shown, key=lambda name: telling.shrunk(said.arms[name], design)), why=why, beside=beside)


def _climbed(scene: _Scene, target: targets.Observed, said: statistics.Look, beside: Mapping[str, Verdict]) -> Plan:
    """The next step of the ramp, once this one has lasted long enough to have seen harm and the arms have pods for it."""
    traffic, spec = scene.status.traffic, scene.spec
    if traffic is None or traffic.step >= len(spec.steps) or traffic.since is None:
        return _on(scene, beside)
    held = _seconds_since(traffic.since, scene.observed.now) >= spec.steps[traffic.step - 1].hold_seconds
    if not held or not all(arm.could_see_harm for arm in said.arms.values()):
        return _on(scene, beside)
    percent = divisions.capacity_percent(spec, spec.steps[traffic.step].percent)
    scene = scene.with_status(
        arms=tuple(
            arm.model_copy(update={"capacity_percent": percent}) if arm.name != spec.control.name and not arm.stopped else arm
            for arm in scene.status.arms
        )
    )
    ready = checks.arms_ready(target, _pods(scene))
    if ready.status != "True":
        return _planned(scene, _dividing(scene), beside=beside, outcome=Wait(min(ARMS_LOOK_S, spec.analysis.interval_seconds)))
    scene = _divided(scene, step=traffic.step + 1, out=_without_slots(scene))
    return _planned(scene, _dividing(scene), beside=beside, outcome=Wait(FOLLOW_S), events=(_event(conditions.EXPERIMENT_STEP, _step(scene)),))


def _reshared(scene: _Scene, target: targets.Observed, moves: Moves, beside: Mapping[str, Verdict]) -> Plan:
    """A bandit's next shares, once these have lasted long enough and the arms have pods for them."""
    traffic, spec = scene.status.traffic, scene.spec
    if traffic is None or traffic.since is None or traffic.stratum >= _MOST_STRATA or _without_slots(scene) - _stopped_arms(scene):
        return _on(scene, beside)
    over = _seconds_since(traffic.since, scene.observed.now) >= spec.shares_follow.update_seconds
    if not over or moves.lacks is not None or moves.next_shares == moves.shares:
        return _on(scene, beside)
    arms = tuple(
        arm.model_copy(update={"capacity_percent": math.ceil(100 * moves.next_shares[arm.name])})
        if arm.name != spec.control.name and arm.name in moves.next_shares
        else arm
        for arm in scene.status.arms
    )
    scene = scene.with_status(arms=arms)
    if checks.arms_ready(target, _pods(scene)).status != "True":
        return _planned(scene, _dividing(scene), beside=beside, outcome=Wait(min(ARMS_LOOK_S, spec.analysis.interval_seconds)))
    scene = _divided(scene, step=traffic.step, shares=moves.next_shares)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in moves.next_shares.items())
    return _planned(
        scene, _dividing(scene), beside=beside, outcome=Wait(FOLLOW_S), events=(_event(conditions.EXPERIMENT_STEP, f"Shares: {shares}."),)
    )


def _stopped_arms(scene: _Scene) -> frozenset[str]:
    return frozenset(arm.name for arm in scene.status.arms if arm.stopped)


def _seconds_since(then: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(then)).total_seconds()


def _command(scene: _Scene) -> Plan | None:
    """What somebody told the experiment by annotation, once."""
    command, target = (scene.observed.command or "").strip()[:128], scene.observed.target
    if not command or command == scene.status.handled or target is None:
        return None
    scene = scene.with_status(handled=command)
    verb, *words = command.split()
    if verb.lower() == "rollback":
        return _concluded(scene, "RollBack", arm=None, why="Somebody asked for it.")
    named = next((arm.name for arm in scene.status.arms if words and arm.name == words[0] and not arm.stopped), None)
    if verb.lower() == "promote" and named is not None and named != scene.spec.control.name:
        return _promoted(scene, target, named, why="Somebody asked for it.", beside={})
    arms = ", ".join(arm.name for arm in scene.spec.treatments)
    message = f"Annotation {metadata.EXPERIMENT_ANNOTATION} says {command!r}, which is neither 'promote <arm>' with an arm of {arms} nor 'rollback'."
    return _planned(scene, _dividing(scene), outcome=Wait(1.0), events=(_event(conditions.HELD, message, "Warning"),))


_REASONS: Final[Mapping[Action, str]] = {
    "Promote": conditions.ARM_PROMOTED,
    "RollBack": conditions.ARM_ROLLED_BACK,
    "KeepControl": conditions.CONTROL_KEPT,
}


def _concluded(scene: _Scene, action: Action, *, arm: str | None, why: str, beside: Mapping[str, Verdict] | None = None) -> Plan:
    """Decided. Units go back at once, unless the winner takes them over."""
    message = why[:1024]
    decision = DecisionStatus(action=action, arm=arm, at=scene.now, message=message)
    scene = scene.with_status(decision=decision, traffic=scene.status.traffic if action == "Promote" else None, summary=message)
    told = failed(conditions.ROUTING, f"{message} Routers follow.")
    event = _event(_REASONS[action], message, "Warning" if action == "RollBack" else "Normal")
    return _planned(
        scene, told, beside={**(beside or {}), conditions.DECIDED: passed(_REASONS[action], message)}, outcome=Wait(FOLLOW_S), events=(event,)
    )


def _decided(scene: _Scene, decision: DecisionStatus) -> Plan:
    """On the way to what was decided, or at rest there."""
    decided = {conditions.DECIDED: passed(_REASONS[decision.action], decision.message)}
    if decision.done:
        return _planned(scene, passed(conditions.CONCLUDED, decision.message), beside=decided, outcome=Done())
    target = scene.observed.target
    if decision.action == "Promote" and target is not None and not _taken_over(scene, target) and not _unchanged(scene, target):
        changed = f"{decision.message} spec.model of ModelDeployment {scene.spec.target_ref.name} was changed meanwhile and is what follows."[:1024]
        kept = decision.model_copy(update={"action": "KeepControl", "message": changed})
        return _planned(
            scene.with_status(decision=kept, traffic=None, summary=changed),
            failed(conditions.ROUTING, changed),
            beside={conditions.DECIDED: passed(conditions.CONTROL_KEPT, changed)},
            outcome=Wait(FOLLOW_S),
        )
    if not _carried_out(scene, target, decision):
        told = failed(conditions.ROUTING, f"{decision.message} {_what_is_missing(scene, target, decision)}")
        return _planned(scene, told, beside=decided, outcome=Wait(FOLLOW_S if decision.action != "Promote" else 1.0))
    final = {"Promote": "Won", "RollBack": "RolledBack"}.get(decision.action) or ("Won" if decision.arm else scene.status.verdict)
    scene = scene.with_status(verdict=final, traffic=None, decision=decision.model_copy(update={"done": True}))
    return _planned(scene, passed(conditions.CONCLUDED, decision.message), beside=decided, outcome=Done(), end=True)


def _taken_over(scene: _Scene, target: targets.Observed) -> bool:
    promoted = target.status.promoted
    return promoted is not None and promoted.experiment_uid == scene.observed.identity.uid


def _carried_out(scene: _Scene, target: targets.Observed | None, decision: DecisionStatus) -> bool:
    """Whether every ready router has what follows."""
    if target is None:
        return True
    split = target.table.division.split if target.table else None
    if split is None or (split.groups is not None and split.groups.experiment == _full_name(scene)) or not target.followed:
        return False
    return decision.action != "Promote" or (_taken_over(scene, target) and target.status.promoted is not None)


def _what_is_missing(scene: _Scene, target: targets.Observed | None, decision: DecisionStatus) -> str:
    if decision.action != "Promote" or target is None:
        return "Routers follow."
    ready = next((condition for condition in target.status.conditions if condition.type == conditions.MODEL_READY), None)
    return f"It takes over when it has pods for everybody: {ready.message}" if ready is not None and ready.status != "True" else "Routers follow."
