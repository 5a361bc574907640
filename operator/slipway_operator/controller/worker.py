"""The worker over ModelDeployments: observes, plans, applies, writes the status."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from slipway_operator.api import metadata
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentStatus
from slipway_operator.cluster import observe, resources
from slipway_operator.cluster.resources import Object, Reference
from slipway_operator.controller import store
from slipway_operator.controller.passes import Attempt, Passes
from slipway_operator.controller.store import Key
from slipway_operator.reconcile import failure, modeldeployment
from slipway_operator.render import revision as revision_objects
from slipway_operator.render import routes
from slipway_operator.state.observed import Observed
from slipway_operator.state.plan import Outcome, Plan
from slipway_operator.state.trial import Trial

CONTROLLER: Final = "modeldeployment"


class Worker(Passes[Observed]):
    """Reconciles ModelDeployments."""

    controller = CONTROLLER
    resource = resources.MODEL_DEPLOYMENTS

    def __init__(
        self,
        *,
        observer: observe.Observer,
        trials: observe.Trials,
        relearn: Callable[[str], Awaitable[None]],
        **shared: Any,
    ) -> None:
        """``trials``: experiments as far as they are known; ``relearn`` asks the server for those of a namespace. ``shared``: as of Passes."""
        super().__init__(**shared)
        self._observer = observer
        self._trials = trials
        self._relearn = relearn

    async def _attempt(self, attempt: Attempt[Observed]) -> Outcome | None:
        body = attempt.body
        # Asked before the decision, so that they are no newer than that is.
        known, compared = self._observer.known(*store.key_of(body)), self._compared(body)
        observed = attempt.observed = await self._observer.observe(body)
        planned = modeldeployment.plan(observed)
        if _weighty(observed, planned, known=known):
            if not await self._still_so(body, _grounds(observed, planned), known=known):
                return None
            if _concerns_experiments(observed, planned, known=known) and not await self._still_compared(body, compared):
                return None
        await self._carry_out(body, planned, known=known.parts)
        return planned.outcome

    def _status_after(self, observed: Observed, *, reason: str, message: str) -> Any:
        return failure.status_after(observed, reason=reason, message=message)

    def _compared(self, body: Object) -> Mapping[str, Trial]:
        """The experiments of a ModelDeployment, without the figures that every look changes."""
        return {trial.uid: trial for trial in self._trials(*store.key_of(body))}

    async def _still_compared(self, body: Object, compared: Mapping[str, Trial]) -> bool:
        """Ask the server whether its experiments are as they were known: one that is not known is one that nobody seems to want."""
        await self._relearn(body["metadata"]["namespace"])
        return self._compared(body) == compared

    async def _carry_out(self, body: Object, planned: Plan, *, known: Mapping[Reference, Object]) -> None:
        for child in planned.objects:
            await self._applier.apply(child, known=known.get(resources.reference(child)))
        namespace = body["metadata"]["namespace"]
        for scale in planned.scales:
            patch = {"spec": {"replicas": scale.replicas}}
            await self._api.merge_patch(resources.DEPLOYMENTS, scale.deployment, patch, namespace=namespace, subresource="scale")
        if planned.prune:
            await self._prune(body, planned)
        if planned.status is not None:
            await self._write_status(body, planned.status)
        self._tell(body, planned.events)

    async def _prune(self, body: Object, planned: Plan) -> None:
        meta = body["metadata"]
        live = [child for child in self._observer.children(meta["namespace"], meta["name"]) if child["metadata"]["name"] not in planned.spared]
        await self._applier.prune(live, keep=_wanted(planned), owner_uid=meta["uid"])


def _weighty(observed: Observed, planned: Plan, *, known: observe.Known) -> bool:
    """Whether an object that was looked after before gets or loses children, its revisions change their roles, or its units hands."""
    if observed.status.observed_generation is None or planned.status is None or not (planned.objects or planned.prune):
        return False
    if _redivides(observed, planned):
        return True
    return _there(observed, known) != _wanted(planned) or _roles(observed.status) != _roles(planned.status)


def _redivides(observed: Observed, planned: Plan) -> bool:
    wanted = planned.status.traffic if planned.status else None
    return wanted is not None and (observed.table is None or observed.table.division.epoch != wanted.epoch)


def _wanted(planned: Plan) -> set[Reference]:
    """The children that there should be."""
    return {resources.reference(child) for child in planned.objects}


def _there(observed: Observed, known: observe.Known) -> set[Reference]:
    """The children that there are."""
    return {reference for reference, child in known.parts.items() if observe.owned_by(child, observed.identity.uid)}


def _concerns_experiments(observed: Observed, planned: Plan, *, known: observe.Known) -> bool:
    """Whether an experiment has a say in where requests go, or had one; and whether something is taken away that one might need."""
    groups = observed.table.division.split.groups if observed.table else None
    if observed.trial is not None or groups is not None or any(entry.role == "Arm" for entry in observed.status.revisions):
        return True
    leaving = _there(observed, known) - _wanted(planned)
    return planned.prune and observed.routers is not None and any(part.name not in planned.spared for part in leaving)


def _grounds(observed: Observed, planned: Plan) -> Iterator[Reference]:
    """What a step is decided from, the object itself aside: what says where requests go, and who is to serve, or has no pods to."""
    namespace, name = observed.identity.namespace, observed.identity.name
    if observed.routers is not None:
        yield resources.CONFIG_MAPS.reference(namespace, routes.table_name(name))
    else:
        yield resources.SERVICES.reference(namespace, name)
    for revision in _moving(observed, planned):
        yield resources.DEPLOYMENTS.reference(namespace, revision_objects.deployment_name(revision))
        yield resources.INFERENCE_SERVICES.reference(namespace, revision)


def _moving(observed: Observed, planned: Plan) -> Iterator[str]:
    """The revision that the Service moves to, those that get their first units, and arms that lose theirs for want of pods.

    Who is refused or stopped is in trouble as a rule, and so changes all the time: its units wait for nothing.
    """
    serving = planned.status.revision if planned.status else None
    if serving is not None and serving != observed.selected:
        yield serving
    split = observed.table.division.split if observed.table else None
    before = {name for name, _ in split.revisions} if split else set()
    wanted = {run.revision for run in planned.status.traffic.slots} if planned.status and planned.status.traffic else before
    yield from sorted(wanted - before)
    if split is not None and split.groups is not None and observed.trial is not None and observed.trial.division is not None:
        dividing = {group for _, group in observed.trial.division.allocation.runs}
        yield from (revision for group, revision in split.groups.revisions if group in dividing and revision not in wanted)


def _roles(status: ModelDeploymentStatus) -> frozenset[tuple[str, str]]:
    return frozenset((entry.name, entry.role) for entry in status.revisions)


def owner_key(child: Mapping[str, Any]) -> Key | None:
    """The ModelDeployment whose label a child carries; KServe copies the label on to its own Deployments and pods."""
    name = (child["metadata"].get("labels") or {}).get(metadata.MODELDEPLOYMENT_LABEL)
    return (child["metadata"]["namespace"], name) if name else None
