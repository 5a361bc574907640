"""The worker over ModelDeployments: observes, plans, applies, writes the status."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from slipway_operator.api import metadata
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentStatus
from slipway_operator.cluster import observe, resources
from slipway_operator.cluster.resources import Object, Reference
from slipway_operator.controller.passes import Attempt, Passes
from slipway_operator.controller.store import Key
from slipway_operator.reconcile import failure, modeldeployment
from slipway_operator.render import revision as revision_objects
from slipway_operator.render import routes
from slipway_operator.state.observed import Observed
from slipway_operator.state.plan import Outcome, Plan

CONTROLLER: Final = "modeldeployment"


class Worker(Passes[Observed]):
    """Reconciles ModelDeployments."""

    controller = CONTROLLER
    resource = resources.MODEL_DEPLOYMENTS

    def __init__(self, *, observer: observe.Observer, **shared: Any) -> None:
        """``shared``: as of Passes."""
        super().__init__(**shared)
        self._observer = observer

    async def _attempt(self, attempt: Attempt[Observed]) -> Outcome | None:
        body = attempt.body
        known = self._known(body)
        observed = attempt.observed = await self._observer.observe(body)
        planned = modeldeployment.plan(observed)
        if _weighty(observed, planned, known=known) and not await self._still_so(body, _grounds(observed, planned), known=known):
            return None
        await self._carry_out(body, planned, known=known)
        return planned.outcome

    def _status_after(self, observed: Observed, *, reason: str, message: str) -> Any:
        return failure.status_after(observed, reason=reason, message=message)

    def _known(self, body: Object) -> Mapping[Reference, Object]:
        """What the caches have of its children, its Deployments among them; asked before a decision, so that it is no newer than that is."""
        meta = body["metadata"]
        return {resources.reference(child): child for child in self._observer.children(meta["namespace"], meta["name"])}

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
        keep = {resources.reference(child) for child in planned.objects}
        await self._applier.prune(live, keep=keep, owner_uid=meta["uid"])


def _weighty(observed: Observed, planned: Plan, *, known: Mapping[Reference, Object]) -> bool:
    """Whether an object that was looked after before gets or loses children, or its revisions change their roles."""
    if observed.status.observed_generation is None or planned.status is None:
        return False
    there = {reference for reference, child in known.items() if observe.owned_by(child, observed.identity.uid)}
    return there != {resources.reference(child) for child in planned.objects} or _roles(observed.status) != _roles(planned.status)


def _grounds(observed: Observed, planned: Plan) -> Iterator[Reference]:
    """What a step is decided from, the object itself aside: the table that says where requests go, and the revision that is to serve."""
    namespace = observed.identity.namespace
    if observed.routers is not None:
        yield resources.CONFIG_MAPS.reference(namespace, routes.table_name(observed.identity.name))
    if (revision := _moving_to(observed, planned)) is not None:
        yield resources.DEPLOYMENTS.reference(namespace, revision_objects.deployment_name(revision))
        yield resources.INFERENCE_SERVICES.reference(namespace, revision)


def _roles(status: ModelDeploymentStatus) -> frozenset[tuple[str, str]]:
    return frozenset((entry.name, entry.role) for entry in status.revisions)


def _moving_to(observed: Observed, planned: Plan) -> str | None:
    """The revision that the Service moves to."""
    serving = planned.status.revision if planned.status else None
    return serving if serving != observed.selected else None


def owner_key(child: Mapping[str, Any]) -> Key | None:
    """The ModelDeployment whose label a child carries; KServe copies the label on to its own Deployments and pods."""
    name = (child["metadata"].get("labels") or {}).get(metadata.MODELDEPLOYMENT_LABEL)
    return (child["metadata"]["namespace"], name) if name else None
