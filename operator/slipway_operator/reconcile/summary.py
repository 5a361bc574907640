"""From concerns to conditions: the one place where Ready, Reconciling and Stalled are computed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.condition import Condition, ConditionStatus
from slipway_operator.reconcile.rollout import TIME_FORMAT

MESSAGE_LIMIT = 1024


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one concern says."""

    status: ConditionStatus
    reason: str
    message: str


def passed(reason: str, message: str) -> Verdict:
    """A concern that is as it should be."""
    return Verdict(status="True", reason=reason, message=message)


SPEC_ACCEPTED: Final = passed(conditions.SPEC_ACCEPTED, "The spec can be carried out.")
"""Of either kind."""


def failed(reason: str, message: str) -> Verdict:
    """A concern that is not."""
    return Verdict(status="False", reason=reason, message=message)


NOT_JUDGED = Verdict(status="Unknown", reason=conditions.PROGRESSING, message="Not looked at in this pass.")

# The order in which Ready asks: the first concern that is not True gives Ready its reason and message.
CONCERNS = (conditions.ACCEPTED, conditions.MODEL_READY, conditions.ROUTED, conditions.AVAILABLE)


BESIDES = (conditions.FALLBACK_READY, conditions.SHADOW_READY, conditions.DEGRADED, conditions.SPEC_BEHIND)
"""What Ready does not ask; told only where it was judged."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a kind's conditions are."""

    concerns: tuple[str, ...]
    """In the order in which Ready asks: the first that is not True gives Ready its reason and message."""

    besides: tuple[str, ...]
    """What Ready does not ask; told only where it was judged."""

    ready: str
    """Reason of Ready where all concerns are True; the message is that of the concern ``speaks``."""

    speaks: str


MODEL_DEPLOYMENT = Outline(concerns=CONCERNS, besides=BESIDES, ready=conditions.SERVING, speaks=conditions.MODEL_READY)
EXPERIMENT = Outline(
    concerns=(conditions.ACCEPTED, conditions.ADMITTED, conditions.RECORDED, conditions.TRUSTED),
    besides=(conditions.DECIDED,),
    ready=conditions.RUNNING,
    speaks=conditions.ADMITTED,
)
_HELD = frozenset({conditions.SUSPENDED, conditions.EXPERIMENT_RUNNING, conditions.QUEUED})
"""Reasons for which nobody is on the way to anything, and nobody needs to act."""


def summarize(
    concerns: Mapping[str, Verdict], *, previous: Iterable[Condition], generation: int, now: datetime, outline: Outline = MODEL_DEPLOYMENT
) -> tuple[Condition, ...]:
    """All conditions of an object: Ready, Reconciling and Stalled from the concerns, then the concerns themselves.

    A condition whose status did not change keeps its lastTransitionTime, so that an unchanged world gives an unchanged status.
    """
    judged = {name: concerns.get(name, NOT_JUDGED) for name in outline.concerns}
    verdicts = _derived(judged, outline) | judged | {name: concerns[name] for name in outline.besides if name in concerns}
    before = {condition.type: condition for condition in previous}
    return tuple(_condition(name, verdict, before=before.get(name), generation=generation, now=now) for name, verdict in verdicts.items())


def _derived(judged: Mapping[str, Verdict], outline: Outline) -> dict[str, Verdict]:
    speaks = judged[outline.speaks]
    over = speaks.status == "True" and speaks.reason == conditions.CONCLUDED
    # What was wrong before the end is nobody's to mend any more.
    blocking = None if over else next((verdict for verdict in judged.values() if verdict.status != "True"), None)
    if blocking is None:
        ready = passed(conditions.CONCLUDED if over else outline.ready, speaks.message)
        settled = failed(conditions.SETTLED, "Nothing is left to do.")
        return {conditions.READY: ready, conditions.RECONCILING: settled, conditions.STALLED: settled}
    stalled = blocking.reason in conditions.STALLING_REASONS
    held = blocking.reason in _HELD
    return {
        conditions.READY: failed(blocking.reason, blocking.message),
        conditions.RECONCILING: _flag(not stalled and not held, blocking),
        conditions.STALLED: _flag(stalled, blocking),
    }


def _flag(up: bool, blocking: Verdict) -> Verdict:
    if up:
        return passed(blocking.reason, blocking.message)
    return failed(blocking.reason, "See Ready.")


def _condition(name: str, verdict: Verdict, *, before: Condition | None, generation: int, now: datetime) -> Condition:
    same = before is not None and before.status == verdict.status
    return Condition(
        type=name,
        status=verdict.status,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before and same else now.strftime(TIME_FORMAT),
        reason=verdict.reason,
        message=short(verdict.message),
    )


def short(message: str) -> str:
    """A message as long as a condition may have it."""
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
