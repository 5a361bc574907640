"""The revisions beside those that serve: a shadow, which sees copies of requests, and a fallback, which answers when the others do not."""

from dataclasses import dataclass
from typing import Final

from slipway_operator.api.v1alpha1.modeldeployment import Fallback, ModelDeploymentSpec, ModelSource, RevisionStatus, ShadowStatus
from slipway_operator.reconcile import births
from slipway_operator.state import routes
from slipway_operator.state.observed import Observed
from slipway_operator.state.revision import Revision


@dataclass(frozen=True, kw_only=True)
class Understudies:
    """Who stands by, and what routers are told of it."""

    shadow: Revision | None = None
    fallback: Revision | None = None
    shadowing: routes.Shadow | None = None
    falling_back: routes.Fallback | None = None

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """Those that need pods."""
        return tuple(revision for revision in (self.shadow, self.fallback) if revision is not None)


NOBODY: Final = Understudies()


def cast(observed: Observed, spec: ModelDeploymentSpec, *, serving: Revision | None, aim: Revision | None) -> Understudies:
    """Who stands by while ``serving`` serves and ``aim`` is on its way to. Neither is anybody's understudy, and only routers can ask one."""
    if observed.routers is None:
        return NOBODY
    busy = frozenset(revision.name for revision in (serving, aim) if revision)
    if spec.suspend:
        return _frozen(observed, busy=busy)
    traffic = spec.traffic
    shadow = _free(_of_model(observed, spec, traffic.shadow.model, born_before=1), busy) if traffic.shadow else None
    fallback = _free(_fallback(observed, spec, traffic.fallback, busy=busy), busy) if traffic.fallback else None
    return Understudies(
        shadow=shadow,
        fallback=fallback,
        shadowing=routes.Shadow(revision=shadow.name, percent=traffic.shadow.percent) if shadow and traffic.shadow else None,
        falling_back=fallback.name if fallback else _response(traffic.fallback),
    )


def _frozen(observed: Observed, *, busy: frozenset[str]) -> Understudies:
    """As it is: decisions wait."""
    if observed.table is None:
        return NOBODY
    shadowing, falling_back = observed.table.shadow, observed.table.fallback
    shadow = _free(observed.revision(shadowing.revision), busy) if shadowing else None
    fallback = _free(observed.revision(falling_back), busy) if isinstance(falling_back, str) else None
    return Understudies(
        shadow=shadow,
        fallback=fallback,
        shadowing=shadowing if shadow else None,
        falling_back=falling_back if fallback or not isinstance(falling_back, str) else None,
    )


def _free(revision: Revision | None, busy: frozenset[str]) -> Revision | None:
    return revision if revision is not None and revision.name not in busy else None


def _of_model(observed: Observed, spec: ModelDeploymentSpec, model: ModelSource, *, born_before: int) -> Revision:
    """The revision of another model with this spec's settings."""
    return births.revision_of(observed, spec.model_copy(update={"model": model}), born_before=born_before)


def _fallback(observed: Observed, spec: ModelDeploymentSpec, asked: Fallback, *, busy: frozenset[str]) -> Revision | None:
    if asked.model is not None:
        return _of_model(observed, spec, asked.model, born_before=2)
    return _previous(observed, busy=busy) if asked.revision == "Previous" else None


def _previous(observed: Observed, *, busy: frozenset[str]) -> Revision | None:
    """The revision that served before: the one that gives way in this pass, or else the one that stands by, or else who served last."""
    refused = {entry.revision for entry in observed.status.refused}
    served = [entry for entry in observed.status.revisions if entry.served and entry.name not in busy | refused]
    known = [(entry, revision) for entry in served if (revision := observed.revision(entry.name)) is not None]
    return max(known, key=lambda one: _lately(*one))[1] if known else None


def _lately(entry: RevisionStatus, revision: Revision) -> tuple[bool, bool, str, int]:
    return entry.role == "Stable", entry.role == "Fallback", entry.since, revision.number


def _response(asked: Fallback | None) -> routes.FixedResponse | None:
    if asked is None or asked.response is None:
        return None
    return routes.FixedResponse(status=asked.response.status, content_type=asked.response.content_type, body=asked.response.body)


def shadow_status(observed: Observed, understudies: Understudies) -> ShadowStatus | None:
    """How the shadow compares; as it was told before, where no router says anything at the moment."""
    if understudies.shadowing is None:
        return None
    name, found, before = understudies.shadowing.revision, observed.compared, observed.status.shadow
    if found is None or found.revision != name:
        return before if before is not None and before.revision == name else None
    if not found.answers:
        return ShadowStatus(revision=name, compared=0, failed=found.failed)
    return ShadowStatus(
        revision=name,
        compared=found.answers,
        failed=found.failed,
        agreement=f"{found.agreed / found.answers:.3f}",
        mean_absolute_difference=f"{found.absolute_difference:.3g}",
        milliseconds_difference=f"{found.seconds_difference * 1000:.1f}",
    )
