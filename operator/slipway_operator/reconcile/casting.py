"""Which revision plays which role.

The live Service's selector, not the status, says which revision serves: a crash between moving the Service and writing the status then ends in the
same world. The status adds what cannot be seen: since when a revision has its role, and whether it ever served.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec, RevisionRole, RevisionStatus
from slipway_operator.reconcile import arms, births, rollout, understudies
from slipway_operator.reconcile.arms import Arms
from slipway_operator.reconcile.rollout import TIME_FORMAT, Course
from slipway_operator.reconcile.understudies import Understudies
from slipway_operator.state.observed import Observed
from slipway_operator.state.revision import Revision, revision_name


@dataclass(frozen=True, kw_only=True)
class Part:
    """One revision in its role."""

    revision: Revision
    role: RevisionRole
    since: datetime
    served: bool

    @property
    def running(self) -> bool:
        """Whether the role needs pods."""
        return self.role != "Parked"

    def status(self) -> RevisionStatus:
        """The part as the status tells it."""
        return RevisionStatus(
            name=self.revision.name,
            role=self.role,
            since=self.since.strftime(TIME_FORMAT),
            uri=self.revision.model.uri,
            runtime=self.revision.runtime,
            served=self.served,
        )


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Every revision that should exist, and those that matter."""

    parts: tuple[Part, ...]
    """Those that serve first, then who stands by, then Draining, then Parked."""

    dropped: tuple[Revision, ...]
    desired: Revision | None
    """What the spec asks for; while suspended, what is there already."""

    serving: Revision | None
    """What the Service selects after this pass."""

    moved: bool
    """Whether the Service moves in this pass."""

    wanted: int
    """Ready pods that the desired revision needs."""

    held: str | None
    """Name of the revision that the spec asks for and spec.suspend, or an experiment, holds back."""

    course: Course | None
    """Where the rollout goes; None where a revision takes over at once."""

    understudies: Understudies
    """Who stands by."""

    arms: Arms
    """What an experiment compares with the one that serves."""

    def serving_for_s(self, now: datetime) -> float:
        """Seconds since the Service was moved to the revision that serves."""
        return max(((now - part.since).total_seconds() for part in self.parts if part.role == "Stable"), default=0.0)


def cast(observed: Observed, spec: ModelDeploymentSpec) -> Cast:
    """Give every revision its role."""
    stable = observed.revision(observed.selected) or observed.revision(observed.status.revision)
    trial = arms.cast(observed, spec, stable=stable)
    desired = _desired(observed, spec, stable=stable, trial=trial)
    if stable is None and desired is not None and desired.name == observed.selected:
        # Its record was deleted and is about to be written again; what serves did not change.
        stable = desired
    wanted = _wanted_replicas(observed, spec, desired=desired, stable=stable)
    course = rollout.course(observed, spec, stable=stable, desired=desired, full=wanted) if trial.trial is None else None
    if course is not None:
        wanted, moved = course.wanted, course.finished
    else:
        moved = not spec.suspend and desired is not None and desired != stable and observed.workload(desired.name).ready(wanted)
    serving = desired if moved else stable
    refused = course is not None and course.why_refused is not None
    aim = serving if refused else desired
    beside = understudies.cast(observed, spec, serving=serving, aim=aim)
    needed = (*((desired,) if desired else ()), *beside.revisions, *trial.revisions.values())
    known = {revision.name: revision for revision in (*observed.revisions, *needed)}
    roles = _Roles(serving=serving, desired=aim, arms=() if moved else tuple(trial.revisions.values()), beside=beside)
    parts = [part for revision in known.values() if (part := _part(observed, revision, roles=roles, stable=stable))]
    kept = _within_history(parts, limit=spec.serving.revision_history_limit)
    names = {part.revision.name for part in kept}
    return Cast(
        parts=kept,
        dropped=tuple(revision for revision in observed.revisions if revision.name not in names),
        desired=desired,
        serving=serving,
        moved=moved,
        wanted=wanted,
        held=_held(observed, spec, serving=serving, trial=trial),
        course=course,
        understudies=beside,
        arms=trial,
    )


@dataclass(frozen=True, kw_only=True)
class _Roles:
    """Who is what in this pass."""

    serving: Revision | None
    desired: Revision | None
    arms: tuple[Revision, ...]
    beside: Understudies

    def of(self, revision: Revision) -> RevisionRole | None:
        """None: nothing any more."""
        if revision == self.serving:
            return "Stable"
        if revision in self.arms:
            return "Arm"
        if revision == self.desired:
            return "Candidate"
        if revision == self.beside.fallback:
            return "Fallback"
        return "Shadow" if revision == self.beside.shadow else None


def _held(observed: Observed, spec: ModelDeploymentSpec, *, serving: Revision | None, trial: Arms) -> str | None:
    if not spec.suspend and (trial.trial is None or trial.winner is not None):
        return None
    name = revision_name(spec, owner=observed.identity.name)
    return name if serving is None or serving.name != name else None


def _wanted_replicas(observed: Observed, spec: ModelDeploymentSpec, *, desired: Revision | None, stable: Revision | None) -> int:
    """Ready pods that the desired revision needs: the minimum; for a candidate, as many as autoscaling gave the revision whose load it takes over.

    min 2, max 10, stable at 6: the candidate takes over with 6. min 2, max 4, stable at 6: with 4.
    """
    replicas = spec.serving.replicas
    if replicas.max is None or not replicas.autoscaled or stable is None or stable == desired:
        return replicas.min
    carried = observed.workload(stable.name).replicas or 0
    return min(max(replicas.min, carried), replicas.max)


def _desired(observed: Observed, spec: ModelDeploymentSpec, *, stable: Revision | None, trial: Arms) -> Revision | None:
    """The revision to work towards; while suspended, the one that was under way or serves; while an experiment runs, its winner or what serves."""
    if spec.suspend:
        begun = next((entry.name for entry in observed.status.revisions if entry.role == "Candidate"), None)
        return observed.revision(begun) or stable
    if trial.trial is not None:
        return trial.winner or stable
    return births.revision_of(observed, spec)


def _part(observed: Observed, revision: Revision, *, roles: _Roles, stable: Revision | None) -> Part | None:
    """The revision in its role; None for one that is dropped because it never served."""
    before = next((entry for entry in observed.status.revisions if entry.name == revision.name), None)
    # Of revisions that the status does not know, those up to the one that serves did so before the status was lost; later ones were on their way
    # when it could not be written.
    told = before.served if before else roles.of(revision) is None and stable is not None and revision.number <= stable.number
    served = revision == roles.serving or revision.name in _routed_to(observed) or told
    role = roles.of(revision) or _left(observed, revision, before=before)
    # A fallback that never served may have answered all the same, and drains.
    if not served and (role == "Parked" or (role == "Draining" and before is None)):
        return None
    since = _time(before.since) if before and before.role == role else observed.now
    return Part(revision=revision, role=role, since=since, served=served)


def _routed_to(observed: Observed) -> frozenset[str | None]:
    """Revisions that somebody's requests go to, or may have gone to."""
    sharing = {name for name, _ in observed.table.division.split.revisions} if observed.table else set()
    return frozenset({observed.selected, *sharing})


def _left(observed: Observed, revision: Revision, *, before: RevisionStatus | None) -> RevisionRole:
    """What a revision is that has no role any more: it keeps its pods as long as requests may be on their way to it."""
    if before is None:
        return "Draining" if _runs(observed, revision) else "Parked"
    if before.role in {"Stable", "Fallback"} or (before.role in {"Candidate", "Arm"} and revision.name in _routed_to(observed)):
        return "Draining"
    if before.role == "Draining" and not _drained(observed, before):
        return "Draining"
    return "Parked"


def _drained(observed: Observed, before: RevisionStatus) -> bool:
    """Whether nobody sends a draining revision requests any more: some time has passed, and every router has left it."""
    if observed.routers is not None and observed.routers.addressed and not observed.followed:
        return False
    return (observed.now - _time(before.since)).total_seconds() >= observed.drain_s


def _runs(observed: Observed, revision: Revision) -> bool:
    return revision.name in observed.workloads and not observed.workload(revision.name).stopped


def _within_history(parts: list[Part], *, limit: int) -> tuple[Part, ...]:
    """Everything that runs, and the ``limit`` revisions parked last."""
    order: dict[RevisionRole, int] = {"Stable": 0, "Candidate": 1, "Arm": 2, "Fallback": 3, "Shadow": 4, "Draining": 5, "Parked": 6}
    newest_first = sorted(parts, key=lambda part: (order[part.role], -part.since.timestamp(), -part.revision.number))
    return tuple(_kept(newest_first, limit=limit))


def _kept(newest_first: list[Part], *, limit: int) -> Iterator[Part]:
    left = limit
    for part in newest_first:
        if part.running:
            yield part
        elif left > 0:
            left -= 1
            yield part


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
