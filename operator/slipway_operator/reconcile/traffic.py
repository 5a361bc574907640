"""The route table: who gets which share, and what routers have to know besides."""

from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus, SlotRun, TrafficStatus
from slipway_operator.reconcile import arms
from slipway_operator.reconcile.casting import Cast
from slipway_operator.state.observed import Observed
from slipway_operator.state.routes import Division, Limits, RouteTable, Split, UnitRule
from slipway_operator.state.slots import Allocation

_MEBIBYTE = 2**20


def table(observed: Observed, spec: ModelDeploymentSpec, roles: Cast) -> RouteTable:
    """The table as it should be now."""
    limits = spec.traffic.limits
    split = _split(observed, roles)
    division = _division(observed, split, seed=_seed(observed, split))
    return RouteTable(
        namespace=observed.identity.namespace,
        model=observed.identity.name,
        division=division,
        unit=_unit(observed, spec, split),
        limits=Limits(timeout_ms=limits.timeout_milliseconds, body_bytes=limits.body_mebibytes * _MEBIBYTE, pending_per_pod=limits.pending_per_pod),
        shadow=roles.understudies.shadowing,
        fallback=roles.understudies.falling_back,
        tokens=_asked_for(observed, spec),
        http_only=_http_only(observed, division, roles),
    )


def _http_only(observed: Observed, division: Division, roles: Cast) -> tuple[str, ...]:
    """Those with a transformer of all that clients' requests may go to; of one whose record is gone, as the live table has it."""
    fallback = roles.understudies.fallback
    named = {name for name, _ in division.split.revisions} | ({fallback.name} if fallback else set())
    known = {part.revision.name: part.revision.transformer is not None for part in roles.parts}
    before = observed.table.http_only if observed.table else ()
    return tuple(sorted(name for name in named if known.get(name, name in before)))


def _asked_for(observed: Observed, spec: ModelDeploymentSpec) -> bool:
    """Whether routers ask for tokens: from the beginning, or once all of them have some mounted, for one without would turn everybody away."""
    if spec.traffic.tokens is None or observed.routers is None:
        return False
    return observed.selected is None or observed.routers.tokens == spec.traffic.tokens.name or (observed.table is not None and observed.table.tokens)


def _split(observed: Observed, roles: Cast) -> Split:
    if roles.course is not None:
        return roles.course.split
    stable = roles.serving.name if roles.serving else observed.selected
    divided = arms.split(observed, roles.arms, stable=stable) if stable and not roles.moved else None
    return divided or Split.whole(stable)


def _seed(observed: Observed, split: Split) -> str | None:
    """Of the experiment while one divides the units, the object's own right after it; None: as it is."""
    if observed.trial and observed.trial.division and split.groups:
        return observed.trial.division.seed
    left_over = observed.table is not None and observed.table.division.split.groups is not None
    return _own_seed(observed) if left_over else None


def _own_seed(observed: Observed) -> str:
    return f"{observed.identity.namespace}/{observed.identity.name}"


def _unit(observed: Observed, spec: ModelDeploymentSpec, split: Split) -> UnitRule | None:
    if observed.trial and split.groups:
        return UnitRule(header=observed.trial.header.lower(), on_missing="Stable")
    unit = spec.traffic.unit
    return UnitRule(header=unit.header.lower(), on_missing=unit.on_missing) if unit else None


def _division(observed: Observed, split: Split, *, seed: str | None) -> Division:
    """The next one after the live one, or after what the status knows of one that somebody deleted or spoiled."""
    earlier = observed.table.division if observed.table else _remembered(observed.status)
    if earlier is None:
        return Division(seed=seed or _own_seed(observed), epoch=1, split=split)
    return earlier.into(split, seed=seed)


def _remembered(status: ModelDeploymentStatus) -> Division | None:
    known = status.traffic
    if known is None:
        return None
    allocation = Allocation(tuple((run.before, run.revision) for run in known.slots)) if known.slots else None
    return Division(seed=known.seed, epoch=known.epoch, split=Split(stable=status.revision, allocation=allocation))


def told(division: Division) -> TrafficStatus | None:
    """The division as the status tells it; None while nothing serves."""
    if division.split.allocation is None:
        return None
    runs = tuple(SlotRun(before=end, revision=owner) for end, owner in division.split.runs)
    return TrafficStatus(seed=division.seed, epoch=division.epoch, slots=runs)
