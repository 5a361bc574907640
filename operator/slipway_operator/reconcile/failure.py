"""The status of a pass that could not be applied."""

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.condition import Condition
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentStatus
from slipway_operator.reconcile import summary
from slipway_operator.reconcile.summary import Verdict
from slipway_operator.state import experiment
from slipway_operator.state.observed import Observed
from slipway_operator.state.plan import Event


def status_after(observed: Observed, *, reason: str, message: str) -> ModelDeploymentStatus:
    """The last known status, with what went wrong in place of Accepted.

    The generation counts as observed only where retrying cannot help: kstatus readers must see a stall at once, and must go on waiting while a
    retry may still succeed.
    """
    generation = observed.identity.generation
    final = reason in conditions.STALLING_REASONS
    concerns = {conditions.ACCEPTED: summary.failed(reason, message)} | _as_before(observed.status.conditions)
    return observed.status.model_copy(
        update={
            "observed_generation": generation if final else observed.status.observed_generation,
            "conditions": summary.summarize(concerns, previous=observed.status.conditions, generation=generation, now=observed.now),
        }
    )


def _as_before(known: tuple[Condition, ...]) -> dict[str, Verdict]:
    """What a failed write says nothing about: whether something serves."""
    kept = {conditions.MODEL_READY, conditions.ROUTED, conditions.AVAILABLE}
    return {
        condition.type: Verdict(status=condition.status, reason=condition.reason, message=condition.message)
        for condition in known
        if condition.type in kept
    }


def warning(observed: Observed | experiment.Observed, *, reason: str, message: str) -> tuple[Event, ...]:
    """An event when the failure is new."""
    known = any(condition.reason == reason and condition.message == message for condition in observed.status.conditions)
    return () if known or reason not in conditions.STALLING_REASONS else (Event(type="Warning", reason=reason, message=message),)
