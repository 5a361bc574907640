"""The revisions that an experiment compares with the one that serves, what they get of the units, and who takes over when one of them won."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pydantic

from slipway_operator.api.v1alpha1.experiment import WAITING, ArmModel
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec, PromotedStatus, Serving
from slipway_operator.reconcile import births
from slipway_operator.state import trial as trials
from slipway_operator.state.observed import Observed
from slipway_operator.state.revision import Revision, model_digest
from slipway_operator.state.routes import Groups, Split
from slipway_operator.state.trial import Trial

DISCARD: Final = "discard"
"""Verb of annotation slipway.dev/rollout: spec.model is to serve, and not what an experiment promoted."""

_BORN_BEFORE: Final = 3
"""Revisions of one pass that are numbered before those of arms: the desired one, a shadow, a fallback."""


@dataclass(frozen=True, kw_only=True)
class Arms:
    """What an experiment needs of its target."""

    trial: Trial | None = None
    revisions: Mapping[str, Revision] = field(default_factory=dict)
    """By arm; without those that were stopped."""

    wanted: Mapping[str, int] = field(default_factory=dict)
    """Ready pods, by name of the revision."""

    winner: Revision | None = None
    """Who is to take over."""


NONE: Final = Arms()


def cast(observed: Observed, spec: ModelDeploymentSpec, *, stable: Revision | None) -> Arms:
    """The arms of the experiment whose turn it is."""
    trial = observed.trial
    if trial is None or stable is None or observed.routers is None:
        return NONE
    control = observed.revision(trial.control_revision) or stable
    revisions: dict[str, Revision] = {}
    for number, arm in enumerate(trial.arms):
        made = of_arm(observed, spec, arm.model, control=control, born_before=_BORN_BEFORE + number)
        if made is not None and not arm.stopped and made != control:
            revisions[arm.name] = made
    winner = revisions.get(trial.promotion.arm) if trial.promotion and _standing(trial.promotion, observed.spec or spec) else None
    if winner == stable:
        return Arms(trial=trial, winner=winner)
    wanted = {revisions[arm.name].name: capacity(trial.stable_replicas, arm.capacity_percent) for arm in trial.arms if arm.name in revisions}
    return Arms(trial=trial, revisions=revisions, wanted=wanted, winner=winner)


def _standing(promotion: trials.Promotion, spec: ModelDeploymentSpec) -> bool:
    return promotion.model_digest == model_digest(spec.model)


def of_arm(observed: Observed, spec: ModelDeploymentSpec, model: ArmModel, *, control: Revision, born_before: int = 0) -> Revision | None:
    """The revision of an arm: its model with everything else as control has it. None where the model does not go with that."""
    try:
        whole = ModelDeploymentSpec.model_validate(
            spec.model_dump()
            | {
                "model": model.beside(control.model).model_dump(),
                "serving": _with_replicas(control.serving, spec.serving).model_dump(),
                "transformer": control.transformer.model_dump() if control.transformer else None,
            }
        )
    except pydantic.ValidationError:
        return None
    return births.revision_of(observed, whole, born_before=born_before)


def _with_replicas(settings: Serving, now: Serving) -> Serving:
    return settings.model_copy(update={"replicas": now.replicas, "revision_history_limit": now.revision_history_limit})


def capacity(replicas: int, percent: int) -> int:
    """Ready pods that a share of the requests needs, where all of them are served by so many: 3 and 50 → 2; one at least."""
    return max(1, math.ceil(replicas * percent / 100))


def split(observed: Observed, arms: Arms, *, stable: str) -> Split | None:
    """How the experiment has the units divided; None where it does not, or not any more.

    Slots of an arm without a ready pod wait: who has them is served by stable, as long as that lasts.
    """
    trial = arms.trial
    if trial is None or trial.division is None:
        return None
    serving = {trial.control: stable, WAITING: stable}
    serving |= {arm: revision.name for arm, revision in arms.revisions.items() if observed.workload(revision.name).available}
    allocation = trials.without(trial.division.allocation, frozenset(group for _, group in trial.division.allocation.runs if group not in serving))
    present = {group for _, group in allocation.runs}
    if not present & arms.revisions.keys():
        return None
    in_order = [group for group in (trial.control, *(arm.name for arm in trial.arms), WAITING) if group in present]
    groups = Groups(experiment=trial.ledger_name, stratum=str(trial.division.stratum), revisions=tuple((group, serving[group]) for group in in_order))
    return Split(stable=stable, groups=groups, allocation=allocation)


def standing(observed: Observed, spec: ModelDeploymentSpec) -> PromotedStatus | None:
    """What stands of the last promotion."""
    known = observed.status.promoted
    if known is None or known.standing != "Serves":
        return known
    if discards(observed):
        return known.model_copy(update={"standing": "Discarded"})
    if model_digest(spec.model) != known.model_digest:
        return known.model_copy(update={"standing": "Superseded"})
    return known


def discards(observed: Observed) -> bool:
    """Whether somebody asks for spec.model, and was not heard yet."""
    command = (observed.command or "").strip()[:128]
    return bool(command) and command != observed.status.handled and command.split()[0].lower() == DISCARD


def effective(spec: ModelDeploymentSpec, promoted: PromotedStatus | None) -> ModelDeploymentSpec:
    """The spec with the model that is to serve."""
    return spec.model_copy(update={"model": promoted.model}) if promoted is not None and promoted.standing == "Serves" else spec


def promoted(observed: Observed, spec: ModelDeploymentSpec, *, serving: Revision | None, before: PromotedStatus | None) -> PromotedStatus | None:
    """What is remembered after this pass: a promotion once its winner serves, whether by this pass or by one whose status was lost."""
    trial = observed.promotion
    if trial is None or trial.promotion is None or serving is None or not _standing(trial.promotion, spec):
        return before
    if before is not None and before.experiment_uid == trial.uid:
        return before
    arm = next((arm for arm in trial.arms if arm.name == trial.promotion.arm), None)
    control = observed.revision(trial.control_revision)
    if arm is None or control is None or of_arm(observed, spec, arm.model, control=control) != serving:
        return before
    return PromotedStatus(
        experiment=trial.name,
        experiment_uid=trial.uid,
        arm=arm.name,
        revision=serving.name,
        model=serving.model,
        model_digest=trial.promotion.model_digest,
        at=trial.promotion.at,
        standing="Serves",
    )
