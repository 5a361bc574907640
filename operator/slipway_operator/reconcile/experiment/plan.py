"""The plan for an Experiment: its place in the queue, its arms, its steps, its looks and what follows from them.

The status is where the division of units stands; the target's reconciler reads it and routes. So every change of hands is one write of one status,
and a crash before or after it ends in the same world.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.experiment import (
    ArmStatus,
    DecisionStatus,
    ExperimentSpec,
    ExperimentStatus,
    ExperimentTarget,
    ExperimentTraffic,
)
from slipway_operator.reconcile import summary
from slipway_operator.reconcile.experiment import checks, commands, designs, divisions, following, looks, scenes, telling
from slipway_operator.reconcile.summary import Verdict, failed, passed
from slipway_operator.state import observed as targets
from slipway_operator.state.experiment import Observed, Plan, Sums
from slipway_operator.state.plan import Done, Stalled, Wait
from slipway_operator.state.revision import model_digest
from slipway_statistics import adaptive
from slipway_statistics import experiment as experiments
from slipway_statistics import record as keeping
from slipway_statistics import verdict as statistics
from slipway_statistics.adaptive import Moves
from slipway_statistics.experiment import Design

_NO_TURN: Final[Mapping[str, Any]] = {"admitted_at": None, "target": None, "traffic": None, "arms": ()}
_NOTHING_SEEN: Final[Mapping[str, Any]] = {
    "verdict": "Pending",
    "metrics": (),
    "units": None,
    "lift": None,
    "sample_ratio": None,
    "look": None,
    "winning_since": None,
    "proposal": None,
}
"""What a look may have found before every router had the first step, by units of another turn."""


def plan(observed: Observed) -> Plan:
    """Decide what follows, from what is. Pure: the same value gives the same plan."""
    if observed.identity.deleting:
        return Plan()
    if observed.status.decision is not None and observed.status.decision.done:
        return _at_rest(observed, observed.status.decision)
    accepted = checks.accepted(observed)
    spec = observed.spec
    if spec is None or accepted.status != "True":
        return _refused(observed, accepted)
    scene = scenes.Scene(observed=observed, spec=spec, status=observed.status)
    if observed.status.decision is not None:
        return _decided(scene, observed.status.decision)
    found = commands.heard(_with_what_git_says(scene, observed.target))
    return _undecided(found) if isinstance(found, scenes.Scene) else found


def _undecided(scene: scenes.Scene) -> Plan:
    """Nothing was decided yet, and nobody has said anything that decides."""
    observed, spec = scene.observed, scene.spec
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
    if not checks.control_serves(scene.status, observed.target):
        return following.control_gone(scene)
    if scene.status.traffic is None:
        return _starting(scene, observed.target)
    return _running(scene, observed.target)


def _refused(observed: Observed, accepted: Verdict) -> Plan:
    """What runs is left as it is: a spec that cannot be carried out says nothing about it. One that has not begun gives its turn back."""
    known = observed.status
    begun = known.started_at is not None or known.decision is not None
    status = known.model_copy(update={"verdict": known.verdict or "Pending", **({} if begun else _NO_TURN)})
    told = scenes.conditions_of(observed, status, {conditions.ACCEPTED: accepted})
    found = status.model_copy(
        update={
            "observed_generation": observed.identity.generation,
            "reason": accepted.reason,
            "summary": summary.short(accepted.message),
            "conditions": told,
        }
    )
    return Plan(status=found, events=scenes.warning(observed, accepted), outcome=Stalled(accepted.reason, seconds=scenes.UNTOLD_LOOK_S))


def _waiting(scene: scenes.Scene, turn: Verdict) -> Plan:
    """Somebody else's turn, or nobody's to divide; whoever ends wakes it. Of two whose turn came at once, one has it; the other's comes again."""
    if scene.status.started_at is None:
        # Another target, or the same one made anew, has another control.
        scene = _without_turn(scene)
    return scenes.planned(scenes.said_by(scene, turn), turn, outcome=Wait(scenes.UNTOLD_LOOK_S) if turn.reason != conditions.QUEUED else Done())


def _suspended(scene: scenes.Scene) -> Plan:
    """The target's reconciler has seen spec.suspend itself; an experiment that has not begun gives its turn back."""
    verdict = failed(conditions.SUSPENDED, "spec.suspend is set: control serves everybody, and nothing is decided.")
    status = scene.status
    if status.started_at is None:
        scene = _without_turn(scene)
    elif status.traffic is not None and status.traffic.since is not None:
        scene = scene.with_status(traffic=status.traffic.model_copy(update={"since": None}))
    return scenes.planned(scenes.said_by(scene, verdict), verdict, outcome=Done())


def _without_turn(scene: scenes.Scene) -> scenes.Scene:
    """Routers may have had its first step: its stratum stays known, and the next one gets another number."""
    return scene.with_status(**_NO_TURN)


def _admitted(scene: scenes.Scene, target: targets.Observed) -> Plan:
    """Its turn: the control is what serves now, and the arms are asked for."""
    still = checks.settled(target)
    control = target.revision(target.selected)
    if still.status != "True" or control is None or target.spec is None:
        return scenes.planned(scenes.said_by(scene, still), still, outcome=Wait(scenes.ARMS_LOOK_S))
    spec, identity = scene.spec, scene.observed.identity
    percent = divisions.first_capacity_percent(spec)
    made = checks.revisions(spec, target, control=control)
    told = failed(conditions.STARTING, "The arms get their pods.")
    strata = scene.status.strata
    scene = scene.with_status(
        **_NOTHING_SEEN,
        admitted_at=scene.now,
        ledger_name=ledger_name(identity.name, identity.uid, after=strata[-1].name if strata else None),
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
    return scenes.planned(scenes.said_by(scene, told), told, outcome=Wait(scenes.ARMS_LOOK_S))


def _with_what_git_says(scene: scenes.Scene, target: targets.Observed | None) -> scenes.Scene:
    """The winner of the experiment before may be written to Git while this one runs, as SpecBehind asks for: the control, by another digest."""
    known = scene.status.target
    control = target.revision(known.revision) if known and target else None
    if known is None or control is None or target is None or target.spec is None:
        return scene
    digest = model_digest(target.spec.model)
    return scene.with_status(target=known.model_copy(update={"model_digest": digest})) if digest == model_digest(control.model) else scene


def ledger_name(name: str, uid: str, *, after: str | None = None) -> str:
    """Of an object, in its namespace at the ledger: a namesake that comes later is another experiment.

    ``after``: the last stratum of a turn that was given back before it began. Units may have met its arms, which need not be those of the next turn;
    they count under the name of that one, and the next has another.
    """
    digits = uid if after is None else hashlib.sha256(f"{uid}/{after}".encode()).hexdigest()
    return f"{name}-{digits[:8]}"


def _starting(scene: scenes.Scene, target: targets.Observed) -> Plan:
    """The arms get their pods, the ledger its definition; then the first step."""
    register = designs.definition(scene.spec, settled=designs.by_name(scene.status.metrics))
    ready = checks.arms_ready(target, scenes.pods_wanted(scene))
    if ready.status != "True" or not target.followed:
        told = ready if ready.status != "True" else failed(conditions.STARTING, "Routers follow the table of the target.")
        return scenes.planned(scenes.said_by(scene, told), told, register=register, outcome=Wait(scenes.ARMS_LOOK_S))
    scene = scenes.divided(scene, step=1)
    told = failed(conditions.ROUTING, "Routers take the first step up.")
    return scenes.planned(
        scenes.said_by(scene, told),
        told,
        register=register,
        outcome=Wait(scenes.FOLLOW_S),
        events=(scenes.event(conditions.EXPERIMENT_STEP, scenes.step_told(scene)),),
    )


def _running(scene: scenes.Scene, target: targets.Observed) -> Plan:
    """A division that is live, or about to be."""
    traffic = scene.status.traffic
    if traffic is None:
        raise ValueError("an experiment that runs has a division")
    out = _out(scene, target)
    if out != scenes.without_slots(scene) and _has_room(scene, traffic, out):
        scene = scenes.divided(scene, step=traffic.step, out=out)
        told = failed(conditions.ROUTING, _pods_changed(scene, out))
        return scenes.planned(
            scenes.said_by(scene, told),
            told,
            outcome=Wait(scenes.FOLLOW_S),
            events=(scenes.event(conditions.EXPERIMENT_STEP, told.message, "Warning" if _without_pods(scene, out) else "Normal"),),
        )
    alarmed = scene.observed.sums is not None or scene.observed.trouble is not None
    if traffic.since is None and not alarmed:
        if not _live(scene, target):
            told = failed(conditions.ROUTING, "Routers take the division up.")
            return scenes.planned(scene, told, outcome=Wait(scenes.FOLLOW_S))
        return _begun(scene)
    if scene.observed.sums is None:
        return _unlooked(scene)
    return _looked(scene, target, scene.observed.sums)


def _has_room(scene: scenes.Scene, traffic: ExperimentTraffic, out: frozenset[str]) -> bool:
    """Whether a stratum is left for pods that went or are back: who is taken out is to be let in again."""
    started = scene.status.started_at
    elapsed_s = scenes.seconds_since(started, scene.observed.now) if started else 0.0
    returns = 0 if out < scenes.without_slots(scene) else 1
    return traffic.stratum + returns + designs.strata_to_come(scene.spec, elapsed_s=elapsed_s) < scenes.MOST_STRATA


def _out(scene: scenes.Scene, target: targets.Observed) -> frozenset[str]:
    """Arms that were stopped, and those without a ready pod."""
    return frozenset(
        arm.name for arm in scene.status.arms if arm.name != scene.spec.control.name and (arm.stopped or not target.workload(arm.revision).available)
    )


def _pods_changed(scene: scenes.Scene, out: frozenset[str]) -> str:
    down = _without_pods(scene, out)
    return scenes.no_pods_told(down) if down else "Every arm has pods again."


def _without_pods(scene: scenes.Scene, out: frozenset[str]) -> list[str]:
    return sorted(out - scenes.stopped_arms(scene))


def _live(scene: scenes.Scene, target: targets.Observed) -> bool:
    """Whether every ready router divides units so; where no arm has slots, whether it divides none."""
    groups = target.table.division.split.groups if target.table else None
    traffic = scene.status.traffic
    if target.table is not None and len(scenes.without_slots(scene)) == len(scene.spec.treatments):
        return groups is None and target.followed
    mine = groups is not None and traffic is not None and groups.stratum == str(traffic.stratum)
    return mine and groups is not None and groups.experiment == scenes.full_name(scene) and target.followed


def _begun(scene: scenes.Scene) -> Plan:
    traffic = scene.status.traffic
    first = scene.status.started_at is None
    scene = scene.with_status(
        started_at=scene.status.started_at or scene.now,
        traffic=traffic.model_copy(update={"since": scene.now}) if traffic else None,
        verdict=scene.status.verdict if scene.status.verdict not in (None, "Pending") else "InsufficientData",
    )
    told = passed(conditions.DIVIDING, scenes.step_told(scene))
    events = (scenes.event(conditions.EXPERIMENT_STARTED, f"The experiment has begun. {scenes.step_told(scene)}"),) if first else ()
    return scenes.planned(scenes.said_by(scene, told), told, outcome=Wait(min(1.0, scene.spec.analysis.interval_seconds)), events=events)


def _unlooked(scene: scenes.Scene) -> Plan:
    """No time for a look yet, or no ledger to take one by: guardrails of the routers are watched all the same."""
    trouble = scene.observed.trouble
    before = scenes.conditions_before(scene.status, conditions.DECIDED)
    told = {kind: verdict for kind, verdict in before.items() if verdict.reason != conditions.COMMAND_REFUSED}
    if trouble is None:
        return scenes.planned(scene, scenes.dividing(scene), beside=told, outcome=Wait(max(scenes.rest_s(scene, scene.observed.look_in_s), 0.05)))
    recorded = {conditions.RECORDED: failed(conditions.LEDGER_UNAVAILABLE, f"{trouble} Units stay where they are, and no look is taken.")}
    broken = looks.crossing(scene.observed, scene.spec, scene.status)
    if broken and scene.spec.decision.on_harm == "RollBack":
        return following.stop(scene, {arm: f"guardrail {' and '.join(names)} crossed" for arm, names in broken.items()}, beside=recorded)
    register = designs.definition(scene.spec, settled=designs.by_name(scene.status.metrics))
    return scenes.planned(
        scene,
        scenes.dividing(scene),
        beside={**told, **recorded},
        register=register,
        outcome=Wait(scenes.rest_s(scene, min(scenes.RETRY_S, scene.spec.analysis.interval_seconds))),
    )


def _looked(scene: scenes.Scene, target: targets.Observed, sums: Sums) -> Plan:
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
    followed = following.follow(scene, target, said, design, moves)
    record = looks.written(scene.observed, before, design=design, by=by, said=said, sums=sums, decision=_told(before, followed.status))
    if moves is not None:
        record["bandit"] = keeping.write(moves)
    status = followed.status
    if status is not None:
        flat = designs.flat(spec, designs.by_name(known), sums)
        sentence = telling.summary(spec, status, said=said, design=design, flat=flat, now=scene.observed.now)
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


def _decided(scene: scenes.Scene, decision: DecisionStatus) -> Plan:
    """On the way to what was decided."""
    decided = _decided_told(decision)
    target = scene.observed.target
    if decision.action == "Promote" and target is not None and not _taken_over(scene, target) and not scenes.unchanged(scene, target):
        meanwhile = f"spec.model of ModelDeployment {scene.spec.target_ref.name} was changed meanwhile and is what follows."
        changed = summary.short(f"{decision.message} {meanwhile}")
        kept = decision.model_copy(update={"action": "KeepControl", "message": changed})
        return scenes.planned(
            scene.with_status(decision=kept, traffic=None, summary=changed),
            failed(conditions.ROUTING, changed),
            beside={conditions.DECIDED: passed(conditions.CONTROL_KEPT, changed)},
            outcome=Wait(scenes.FOLLOW_S),
        )
    if (broken := _broken_meanwhile(scene, target, decision)) is not None:
        return following.conclude(scene, "RollBack", arm=None, why=f"{decision.message} {broken}")
    if not _carried_out(scene, target, decision):
        told = failed(conditions.ROUTING, f"{decision.message} {_what_is_missing(scene, target, decision)}")
        return scenes.planned(scene, told, beside=decided, outcome=Wait(scenes.FOLLOW_S if decision.action != "Promote" else 1.0))
    final = {"Promote": "Won", "RollBack": "RolledBack"}.get(decision.action) or ("Won" if decision.arm else scene.status.verdict)
    scene = scene.with_status(verdict=final, traffic=None, decision=decision.model_copy(update={"done": True}))
    return scenes.planned(scene, passed(conditions.CONCLUDED, decision.message), beside=_concluded_told(decision), outcome=Done(), end=True)


def _at_rest(observed: Observed, decision: DecisionStatus) -> Plan:
    """It is over: nothing of it is to be carried out, so neither its spec nor what the operator could do with one is asked about."""
    told = {conditions.ACCEPTED: summary.SPEC_ACCEPTED, conditions.ADMITTED: passed(conditions.CONCLUDED, decision.message)} | _concluded_told(
        decision
    )
    found = {"observed_generation": observed.identity.generation, "conditions": scenes.conditions_of(observed, observed.status, told)}
    return Plan(status=observed.status.model_copy(update=found), outcome=Done())


def _decided_told(decision: DecisionStatus) -> dict[str, Verdict]:
    return {conditions.DECIDED: passed(following.REASONS[decision.action], decision.message)}


def _concluded_told(decision: DecisionStatus) -> dict[str, Verdict]:
    """The ledger hears of the end before the status says that it is one: whatever it could not be asked before is over."""
    return _decided_told(decision) | {conditions.RECORDED: passed(conditions.LEDGER_ANSWERS, "The ledger has all that it is to have.")}


def _broken_meanwhile(scene: scenes.Scene, target: targets.Observed | None, decision: DecisionStatus) -> str | None:
    """Why a winner that waits for pods for everybody is not to have them after all: a guardrail of the routers, whose test goes on all the while.

    What a person promotes that no look had called the winner is promoted whatever is known of it.
    """
    proposal, handled = scene.status.proposal, scene.status.handled or ""
    by_a_person = handled.lower().startswith("promote") and (proposal is None or proposal.arm != decision.arm)
    if decision.action != "Promote" or by_a_person or scene.spec.decision.on_harm != "RollBack" or target is None or _taken_over(scene, target):
        return None
    names = looks.crossing(scene.observed, scene.spec, scene.status).get(decision.arm or "")
    return f"Before it took over it crossed guardrail {' and '.join(names)}." if names else None


def _taken_over(scene: scenes.Scene, target: targets.Observed) -> bool:
    promoted = target.status.promoted
    return promoted is not None and promoted.experiment_uid == scene.observed.identity.uid


def _carried_out(scene: scenes.Scene, target: targets.Observed | None, decision: DecisionStatus) -> bool:
    """Whether every ready router has what follows; of units that nobody ever divided nothing does."""
    if target is None or not scene.status.strata:
        return True
    split = target.table.division.split if target.table else None
    if split is None or (split.groups is not None and split.groups.experiment == scenes.full_name(scene)) or not target.followed:
        return False
    return decision.action != "Promote" or _taken_over(scene, target)


def _what_is_missing(scene: scenes.Scene, target: targets.Observed | None, decision: DecisionStatus) -> str:
    if decision.action != "Promote" or target is None:
        return "Routers follow."
    ready = next((condition for condition in target.status.conditions if condition.type == conditions.MODEL_READY), None)
    return f"It takes over when it has pods for everybody: {ready.message}" if ready is not None and ready.status != "True" else "Routers follow."
