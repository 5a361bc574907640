"""What a look at an Experiment leads to: arms that are stopped, promoted, given more units; or nothing."""

import math
from collections.abc import Mapping
from typing import Final

from slipway_operator.api import conditions, metadata
from slipway_operator.api.v1alpha1.experiment import (
    Action,
    DecisionStatus,
    ProposalStatus,
)
from slipway_operator.reconcile.experiment import checks, designs, divisions, looks, scenes, telling
from slipway_operator.reconcile.summary import Verdict, failed, passed, short
from slipway_operator.state import observed as targets
from slipway_operator.state.experiment import Plan
from slipway_operator.state.plan import Wait
from slipway_statistics import verdict as statistics
from slipway_statistics.adaptive import Moves
from slipway_statistics.experiment import Design


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


def follow(scene: scenes.Scene, target: targets.Observed, said: statistics.Look, design: Design, moves: Moves | None) -> Plan:
    """What a look leads to; the order is the policy."""
    decision = scene.spec.decision
    beside = {conditions.RECORDED: passed(conditions.LEDGER_ANSWERS, "The ledger keeps every look."), conditions.TRUSTED: _trusted(said)}
    harmful = {name: telling.harm(arm) for name, arm in said.arms.items() if arm.verdict == "Harmful"}
    if harmful and decision.on_harm == "RollBack":
        return stop(scene, harmful, beside=beside)
    if harmful:
        return _held(_without_win(scene, harmful), beside, "an arm is harmful")
    if (held := scenes.held(scene.status)) is not None:
        # Somebody is to decide, and not the next look that sees it otherwise.
        return _on(scene, {**beside, conditions.DECIDED: held})
    if said.verdict == "Unhealthy":
        return _on(scene, beside) if not _time_is_over(scene) else _given_up(scene, said, beside)
    if (proposed := _proposed(scene, said)) is not None:
        return _proposal(scene, target, proposed, beside)
    if said.verdict == "NoPracticalEffect":
        return _without_effect(scene, target, said, design, beside)
    if said.verdict == "Inconclusive":
        if decision.on_inconclusive == "Hold":
            return _held(scene, beside, "the time is over and nothing is clear")
        return conclude(scene, "KeepControl", arm=None, why="The time is over and nothing is clear.", beside=beside)
    return _climbed(scene, target, said, beside) if moves is None else _reshared(scene, target, moves, beside)


def _time_is_over(scene: scenes.Scene) -> bool:
    started = scene.status.started_at
    return started is not None and scenes.seconds_since(started, scene.observed.now) >= scene.spec.analysis.max_duration_seconds


def _given_up(scene: scenes.Scene, said: statistics.Look, beside: Mapping[str, Verdict]) -> Plan:
    """Data that cannot be believed never become what can, and others wait for the units."""
    why = f"The time is over and the data cannot be believed: {telling.because(said.findings)}."
    return conclude(scene, "KeepControl", arm=None, why=why, beside=beside)


def _on(scene: scenes.Scene, beside: Mapping[str, Verdict]) -> Plan:
    return scenes.planned(scene, scenes.dividing(scene), beside=beside, outcome=Wait(scenes.rest_s(scene, scene.spec.analysis.interval_seconds)))


def _held(scene: scenes.Scene, beside: Mapping[str, Verdict], why: str) -> Plan:
    told = failed(
        conditions.HELD,
        f"Held, because {why}: annotate the object with {metadata.EXPERIMENT_ANNOTATION}='promote <arm>' or 'rollback', or delete it.",
    )
    return _on(scene, {**beside, conditions.DECIDED: told})


def stop(scene: scenes.Scene, harmful: Mapping[str, str], *, beside: Mapping[str, Verdict]) -> Plan:
    """Harmful arms lose their units; with the last of them the experiment is over."""
    arms = tuple(arm.model_copy(update={"stopped": True, "verdict": "Harmful"}) if arm.name in harmful else arm for arm in scene.status.arms)
    scene = _without_win(scene, harmful).with_status(arms=arms)
    why = "; ".join(f"{name}: {sentence}" for name, sentence in harmful.items())
    left = [arm for arm in arms if arm.name != scene.spec.control.name and not arm.stopped]
    traffic = scene.status.traffic
    if not left or traffic is None:
        return conclude(scene, "RollBack", arm=None, why=f"Every arm was harmful. {why}.", beside=beside)
    scene = scenes.divided(scene, step=traffic.step, out=frozenset(arm.name for arm in arms if arm.stopped) | scenes.without_slots(scene))
    told = failed(conditions.ROUTING, f"Stopped {why}.")
    return scenes.planned(
        scene, told, beside=beside, outcome=Wait(scenes.FOLLOW_S), events=(scenes.event(conditions.ARM_STOPPED, told.message, "Warning"),)
    )


def _without_win(scene: scenes.Scene, harmful: Mapping[str, str]) -> scenes.Scene:
    """Harm takes a win back that waits for time or consent."""
    proposal = scene.status.proposal
    return scene.with_status(proposal=None, winning_since=None) if proposal is None or proposal.arm in harmful else scene


def _proposed(scene: scenes.Scene, said: statistics.Look) -> ProposalStatus | None:
    """Who is to be promoted: the winner of this look, or who won at an earlier one and waits for time or consent."""
    known = scene.status.proposal
    if said.winner is None:
        return known
    if known is not None and (known.arm == said.winner or scene.status.winning_since is not None):
        return known
    sequence = (scene.observed.journal.sequence if scene.observed.journal else 0) + 1
    seen = {
        "experiment": scenes.full_name(scene),
        "arm": said.winner,
        "sequence": sequence,
        "findings": [finding.reason for finding in said.findings],
    }
    figures = [interval.model_dump() for arm in scene.status.arms if arm.name == said.winner for interval in arm.metrics]
    return ProposalStatus(arm=said.winner, digest=looks.digest(seen | {"metrics": figures}), sequence=sequence)


def _proposal(scene: scenes.Scene, target: targets.Observed, proposed: ProposalStatus, beside: Mapping[str, Verdict]) -> Plan:
    decision, status = scene.spec.decision, scene.status
    scene = scene.with_status(proposal=proposed, verdict="Winning")
    if decision.on_win == "KeepControl":
        return conclude(scene, "KeepControl", arm=proposed.arm, why=f"Arm {proposed.arm} won; spec.decision.onWin keeps control.", beside=beside)
    if decision.confirm_seconds and status.traffic is not None:
        if status.winning_since is None:
            scene = scenes.divided(scene.with_status(winning_since=scene.now), step=status.traffic.step, out=scenes.without_slots(scene))
            told = passed(conditions.DIVIDING, f"Arm {proposed.arm} won, and keeps its share for a fresh estimate.")
            return scenes.planned(
                scene, told, beside=beside, outcome=Wait(scenes.FOLLOW_S), events=(scenes.event(conditions.EXPERIMENT_STEP, told.message),)
            )
        if scenes.seconds_since(status.winning_since, scene.observed.now) < decision.confirm_seconds:
            return _on(scene, beside)
    if decision.approval == "Manual" and scene.observed.approved != proposed.digest:
        told = failed(
            conditions.AWAITS_APPROVAL,
            f"Arm {proposed.arm} won at look {proposed.sequence}: annotate the object with {metadata.APPROVE_ANNOTATION}={proposed.digest} to promote"
            " it.",
        )
        return _on(scene, {**beside, conditions.DECIDED: told})
    return promote(scene, target, proposed.arm, why=f"Arm {proposed.arm} won at look {proposed.sequence}.{_afresh(scene, proposed)}", beside=beside)


def _afresh(scene: scenes.Scene, proposed: ProposalStatus) -> str:
    """What the time after the win says, where there was one."""
    traffic, sums = scene.status.traffic, scene.observed.sums
    if scene.status.winning_since is None or traffic is None or sums is None:
        return ""
    design = designs.design(scene.spec, designs.by_name(scene.status.metrics))
    found = looks.fresh(design, sums, arm=proposed.arm, stratum=str(traffic.stratum))
    said = f"{design.primary.name} {found}, an interval for one reading" if found else "too few of them to say anything"
    return f" By units that came after that and had no part in it: {said}."


def promote(scene: scenes.Scene, target: targets.Observed, arm: str, *, why: str, beside: Mapping[str, Verdict]) -> Plan:
    """The arm becomes stable, unless spec.model was changed meanwhile."""
    if not scenes.unchanged(scene, target):
        changed = f"{why} spec.model of ModelDeployment {scene.spec.target_ref.name} was changed meanwhile and is what follows."
        return conclude(scene, "KeepControl", arm=arm, why=changed, beside=beside)
    return conclude(scene, "Promote", arm=arm, why=why, beside=beside)


def control_gone(scene: scenes.Scene) -> Plan:
    """There is nothing left to compare with."""
    why = f"ModelDeployment {scene.spec.target_ref.name} serves another revision than the control."
    return conclude(scene, "KeepControl", arm=None, why=why)


def _without_effect(scene: scenes.Scene, target: targets.Observed, said: statistics.Look, design: Design, beside: Mapping[str, Verdict]) -> Plan:
    wanted = scene.spec.decision.on_no_effect
    why = "Whatever the effect is, it is smaller than matters."
    if wanted == "Hold":
        return _held(scene, beside, "whatever the effect is, it is smaller than matters")
    if wanted == "KeepControl":
        return conclude(scene, "KeepControl", arm=None, why=why, beside=beside)
    if scene.spec.decision.approval == "Manual":
        return _held(scene, beside, "whatever the effect is, it is smaller than matters, and a promotion waits for consent")
    shown = [name for name, arm in said.arms.items() if all(state == "Shown" for state in arm.guardrails.values())]
    if not shown:
        return _on(scene, beside)
    return promote(scene, target, max(shown, key=lambda name: telling.shrunk(said.arms[name], design)), why=why, beside=beside)


def _climbed(scene: scenes.Scene, target: targets.Observed, said: statistics.Look, beside: Mapping[str, Verdict]) -> Plan:
    """The next step of the ramp, once this one has lasted long enough to have seen harm and the arms have pods for it."""
    traffic, spec = scene.status.traffic, scene.spec
    if traffic is None or traffic.step >= len(spec.steps) or traffic.since is None:
        return _on(scene, beside)
    held = scenes.seconds_since(traffic.since, scene.observed.now) >= spec.steps[traffic.step - 1].hold_seconds
    if not held or not all(arm.could_see_harm for arm in said.arms.values()):
        return _on(scene, beside)
    percent = divisions.capacity_percent(spec, spec.steps[traffic.step].percent)
    scene = scene.with_status(
        arms=tuple(
            arm.model_copy(update={"capacity_percent": percent}) if arm.name != spec.control.name and not arm.stopped else arm
            for arm in scene.status.arms
        )
    )
    ready = checks.arms_ready(target, scenes.pods_wanted(scene))
    if ready.status != "True":
        return scenes.planned(scene, scenes.dividing(scene), beside=beside, outcome=Wait(min(scenes.ARMS_LOOK_S, spec.analysis.interval_seconds)))
    scene = scenes.divided(scene, step=traffic.step + 1, out=scenes.without_slots(scene))
    return scenes.planned(
        scene,
        scenes.dividing(scene),
        beside=beside,
        outcome=Wait(scenes.FOLLOW_S),
        events=(scenes.event(conditions.EXPERIMENT_STEP, scenes.step_told(scene)),),
    )


def _reshared(scene: scenes.Scene, target: targets.Observed, moves: Moves, beside: Mapping[str, Verdict]) -> Plan:
    """A bandit's next shares, once these have lasted long enough and the arms have pods for them."""
    traffic, spec = scene.status.traffic, scene.spec
    if traffic is None or traffic.since is None or scenes.without_slots(scene) - scenes.stopped_arms(scene):
        return _on(scene, beside)
    if traffic.stratum + len(spec.treatments) - 1 >= scenes.MOST_STRATA:
        # What is left is for arms that have to be stopped.
        return _on(scene, beside)
    over = scenes.seconds_since(traffic.since, scene.observed.now) >= spec.shares_follow.update_seconds
    if not over or moves.lacks is not None or moves.next_shares == moves.shares:
        return _on(scene, beside)
    arms = tuple(
        arm.model_copy(update={"capacity_percent": math.ceil(100 * moves.next_shares[arm.name])})
        if arm.name != spec.control.name and arm.name in moves.next_shares
        else arm
        for arm in scene.status.arms
    )
    scene = scene.with_status(arms=arms)
    if checks.arms_ready(target, scenes.pods_wanted(scene)).status != "True":
        return scenes.planned(scene, scenes.dividing(scene), beside=beside, outcome=Wait(min(scenes.ARMS_LOOK_S, spec.analysis.interval_seconds)))
    scene = scenes.divided(scene, step=traffic.step, shares=moves.next_shares)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in moves.next_shares.items())
    return scenes.planned(
        scene,
        scenes.dividing(scene),
        beside=beside,
        outcome=Wait(scenes.FOLLOW_S),
        events=(scenes.event(conditions.EXPERIMENT_STEP, f"Shares: {shares}."),),
    )


REASONS: Final[Mapping[Action, str]] = {
    "Promote": conditions.ARM_PROMOTED,
    "RollBack": conditions.ARM_ROLLED_BACK,
    "KeepControl": conditions.CONTROL_KEPT,
}


def conclude(scene: scenes.Scene, action: Action, *, arm: str | None, why: str, beside: Mapping[str, Verdict] | None = None) -> Plan:
    """Decided. Units go back at once, unless the winner takes them over."""
    message = short(why)
    decision = DecisionStatus(action=action, arm=arm, at=scene.now, message=message)
    scene = scene.with_status(decision=decision, traffic=scene.status.traffic if action == "Promote" else None, summary=message)
    told = failed(conditions.ROUTING, f"{message} Routers follow.")
    event = scenes.event(REASONS[action], message, "Warning" if action == "RollBack" else "Normal")
    return scenes.planned(
        scene, told, beside={**(beside or {}), conditions.DECIDED: passed(REASONS[action], message)}, outcome=Wait(scenes.FOLLOW_S), events=(event,)
    )
