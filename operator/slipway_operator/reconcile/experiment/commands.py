"""What somebody tells an Experiment by annotation slipway.dev/experiment: read in every phase until it is decided, followed or refused once."""

import dataclasses

from slipway_operator.api import conditions, metadata
from slipway_operator.reconcile.experiment import checks, following, scenes
from slipway_operator.reconcile.summary import Verdict, failed
from slipway_operator.state.experiment import Plan

_LONGEST = 128


def heard(scene: scenes.Scene) -> Plan | scenes.Scene:
    """The plan that the annotation asks for; without one the scene to go on with, which knows what was refused.

    A rollback is followed in every phase: who waits has no units to give back, and is over all the same. A promotion is the user's word in place of
    the statistics, so it takes an arm that units have met; whether they meet it at this moment, or the experiment is suspended, is no matter.
    """
    command = (scene.observed.command or "").strip()[:_LONGEST]
    if not command:
        return scene
    verb, *words = command.split()
    arm = _arm(scene, words) if verb.lower() == "promote" else None
    new = command != scene.status.handled
    if new and verb.lower() == "rollback":
        return following.conclude(scene.with_status(handled=command), "RollBack", arm=None, why=_asked(command))
    if arm is None:
        return _refused(scene, command, _meaningless(scene, command))
    if not new or not _met(scene):
        return _refused(scene, command, _too_early(scene, command))
    return _promoted(scene.with_status(handled=command), arm, why=_asked(command)) or scene


def _arm(scene: scenes.Scene, words: list[str]) -> str | None:
    """Who is named, of those that can be promoted."""
    stopped = scenes.stopped_arms(scene)
    return next((arm.name for arm in scene.spec.treatments if words and arm.name == words[0] and arm.name not in stopped), None)


def _met(scene: scenes.Scene) -> bool:
    """Whether units may have met the arms of the spec: a step that is out, as long as it is this one's turn and its arms are those of the spec."""
    status, observed = scene.status, scene.observed
    if status.started_at is not None:
        return True
    current = status.observed_generation == observed.identity.generation and not scene.spec.suspend
    return status.traffic is not None and current and checks.turn(observed, scene.spec).status == "True"


def _promoted(scene: scenes.Scene, arm: str, *, why: str) -> Plan | None:
    """None where it has to wait to be heard: the target is not there, or another experiment has it."""
    target = scene.observed.target
    if target is None or checks.turn(scene.observed, scene.spec).status != "True":
        return None
    if not checks.control_serves(scene.status, target):
        return following.control_gone(scene)
    return following.promote(scene, target, arm, why=why, beside={})


def _asked(command: str) -> str:
    return f"Annotation {metadata.EXPERIMENT_ANNOTATION} asked for it: {command}."


def _refused(scene: scenes.Scene, command: str, why: Verdict) -> scenes.Scene:
    return dataclasses.replace(scene.with_status(handled=command), refused=why)


def _meaningless(scene: scenes.Scene, command: str) -> Verdict:
    stopped = scenes.stopped_arms(scene)
    arms = ", ".join(arm.name for arm in scene.spec.treatments if arm.name not in stopped)
    return failed(
        conditions.COMMAND_REFUSED,
        f"Annotation {metadata.EXPERIMENT_ANNOTATION} says {command!r}, which is neither 'promote <arm>' with an arm of {arms} nor 'rollback'.",
    )


def _too_early(scene: scenes.Scene, command: str) -> Verdict:
    return failed(
        conditions.COMMAND_REFUSED,
        f"Annotation {metadata.EXPERIMENT_ANNOTATION} says {command!r}, which came before any unit had met the arm: it has no pods and nothing speaks"
        f" for it. Write its model to spec.model of ModelDeployment {scene.spec.target_ref.name}, or say it again when units are divided"
        f" ('{command} again').",
    )
