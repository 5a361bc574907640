"""The status of a pass over an Experiment that could not be carried out."""

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.experiment import ExperimentStatus
from slipway_operator.reconcile import summary
from slipway_operator.reconcile.summary import Verdict
from slipway_operator.state.experiment import Observed


def status_after(observed: Observed, *, reason: str, message: str) -> ExperimentStatus:
    """The last known status, with what went wrong in place of the condition that it concerns."""
    generation = observed.identity.generation
    concern = conditions.RECORDED if reason == conditions.LEDGER_UNAVAILABLE else conditions.ACCEPTED
    kept = {
        condition.type: Verdict(status=condition.status, reason=condition.reason, message=condition.message)
        for condition in observed.status.conditions
        if condition.type in (*summary.EXPERIMENT.concerns, *summary.EXPERIMENT.besides)
    }
    found = summary.summarize(
        kept | {concern: summary.failed(reason, message)},
        previous=observed.status.conditions,
        generation=generation,
        now=observed.now,
        outline=summary.EXPERIMENT,
    )
    final = reason in conditions.STALLING_REASONS
    update = {"observed_generation": generation if final else observed.status.observed_generation, "conditions": found}
    return observed.status.model_copy(update=update | {"verdict": observed.status.verdict or "Pending"})
