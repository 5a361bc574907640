"""What is asked of an Experiment before and while its units are divided, one small check each."""

from collections.abc import Iterable, Iterator

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.experiment import ExperimentSpec, ExperimentStatus
from slipway_operator.reconcile import arms
from slipway_operator.reconcile.summary import SPEC_ACCEPTED, Verdict, failed, passed
from slipway_operator.state import observed as targets
from slipway_operator.state.experiment import Observed, Rival
from slipway_operator.state.revision import Revision


def accepted(observed: Observed) -> Verdict:
    """Whether the spec can be carried out at all."""
    spec, target = observed.spec, observed.target
    if spec is None:
        return failed(
            conditions.SPEC_UNREADABLE,
            f"This operator cannot read the stored object: {observed.spec_error} Change it and apply it again, or run the operator version that"
            " matches its CRD.",
        )
    if not observed.ledger:
        return failed(
            conditions.NO_LEDGER,
            "This operator has no ledger, where exposures and outcomes are kept: install it, and name it in the operator's setting"
            " SLIPWAY_LEDGER_URL.",
        )
    if target is not None and target.routers is None:
        return failed(
            conditions.NO_ROUTERS, "This operator runs without routers, and only they can divide units: name their image in its SLIPWAY_ROUTER_IMAGE."
        )
    if target is not None and observed.status.started_at is None and observed.status.decision is None:
        for verdict in _unfit(spec, target):
            return verdict
    return SPEC_ACCEPTED


def _unfit(spec: ExperimentSpec, target: targets.Observed) -> Iterator[Verdict]:
    control = target.revision(target.selected)
    if control is None or target.spec is None:
        return
    seen: dict[str, str] = {control.name: spec.control.name}
    for arm in spec.treatments:
        made = arms.of_arm(target, target.spec, arm.model, control=control) if arm.model else None
        if made is None:
            yield failed(
                conditions.ARM_UNFIT,
                f"Arm {arm.name}: its model does not go with the settings of ModelDeployment {target.identity.name}: give its inputs and outputs, or"
                " a format that fits. It is served with everything else as control is.",
            )
        elif made.name in seen:
            yield failed(
                conditions.ARM_IS_CONTROL,
                f"Arm {arm.name} is the same as arm {seen[made.name]}, {made.model.uri} at revision {made.name}: there is nothing to compare.",
            )
        else:
            seen[made.name] = arm.name


def revisions(spec: ExperimentSpec, target: targets.Observed, *, control: Revision) -> dict[str, Revision]:
    """The revision of every arm, control among them."""
    found = {spec.control.name: control}
    for arm in spec.treatments:
        made = arms.of_arm(target, target.spec, arm.model, control=control) if arm.model and target.spec else None
        if made is not None:
            found[arm.name] = made
    return found


def turn(observed: Observed, spec: ExperimentSpec) -> Verdict:
    """Whether this experiment may have the target's units now."""
    target = observed.target
    if target is None:
        return failed(
            conditions.TARGET_MISSING, f"There is no ModelDeployment {spec.target_ref.name} in namespace {observed.identity.namespace}: apply it."
        )
    before = _before(observed)
    if before is not None:
        return failed(
            conditions.QUEUED,
            f"Experiment {before.name} {'has' if before.admitted_at else 'is first to have'} the units of ModelDeployment {spec.target_ref.name}:"
            " this one follows when that is over.",
        )
    return passed(conditions.DIVIDING, "It is this experiment's turn.")


def _before(observed: Observed) -> Rival | None:
    mine = observed.status.admitted_at
    others = [rival for rival in observed.rivals if not rival.over and rival.uid != observed.identity.uid]
    holding = _first(rival for rival in others if rival.admitted_at is not None)
    if holding is not None and (mine is None or (holding.admitted_at or "", holding.uid) < (mine, observed.identity.uid)):
        return holding
    if mine is not None:
        return None
    earlier = [rival for rival in others if rival.waits and (rival.created, rival.uid) < (observed.created, observed.identity.uid)]
    return min(earlier, key=lambda rival: (rival.created, rival.uid), default=None)


def _first(rivals: Iterable[Rival]) -> Rival | None:
    return min(rivals, key=lambda rival: (rival.admitted_at or "", rival.uid), default=None)


def settled(target: targets.Observed) -> Verdict:
    """Whether the target stands still, so that its stable revision can be the control."""
    ready = next((condition for condition in target.status.conditions if condition.type == conditions.READY), None)
    name = target.identity.name
    if target.spec is not None and target.spec.suspend:
        return failed(conditions.TARGET_NOT_READY, f"spec.suspend of ModelDeployment {name} is set: nothing changes hands there until it is not.")
    current = target.status.observed_generation == target.identity.generation
    if not current or ready is None or ready.status != "True" or target.selected is None or not target.followed:
        why = f": {ready.message}" if ready is not None and ready.status != "True" else "."
        return failed(conditions.TARGET_NOT_READY, f"ModelDeployment {name} is on its way to what its spec asks for{why}")
    return passed(conditions.DIVIDING, f"ModelDeployment {name} stands still.")


def control_serves(status: ExperimentStatus, target: targets.Observed) -> bool:
    """Whether the target serves the revision that was its stable one when the turn came; so where nothing is known of one of the two."""
    return status.target is None or target.selected in (None, status.target.revision)


def arms_ready(target: targets.Observed, wanted: Iterable[tuple[str, str, int]]) -> Verdict:
    """Whether every arm has the pods that its share needs; ``wanted``: arm, revision, ready pods."""
    for arm, revision, pods in wanted:
        workload = target.workload(revision)
        if workload.ready(pods):
            continue
        if workload.failures:
            gravest = workload.failures[0]
            return failed(gravest.reason, f"Arm {arm}, revision {revision}: {gravest.message.rstrip('.')}. Control goes on serving everybody.")
        return failed(conditions.STARTING, f"Arm {arm}: {workload.available} of {pods} pods of revision {revision} are ready.")
    return passed(conditions.DIVIDING, "Every arm has its pods.")
