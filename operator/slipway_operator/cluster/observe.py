"""Gathering what a decision needs: from the caches, and from Triton where a revision is on its way."""

import asyncio
import collections
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, TypeVar

import pydantic

from slipway_operator import settings as settings_
from slipway_operator.api import metadata
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus, Rollout
from slipway_operator.cluster import diagnosis, informer, resources, triton
from slipway_operator.cluster import routers as routers_
from slipway_operator.cluster.recent import Recent
from slipway_operator.cluster.resources import Object, Reference
from slipway_operator.render import revision as revision_objects
from slipway_operator.render import router as router_objects
from slipway_operator.render import routes as route_objects
from slipway_operator.render import service as service_objects
from slipway_operator.state import trial as trials_
from slipway_operator.state.observed import Identity, Observed, Routers, Workload
from slipway_operator.state.revision import Revision
from slipway_operator.state.routes import RouteTable, TableError
from slipway_operator.state.trial import Trial

_SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
_PREDICTOR_POD: Final = revision_objects.deployment_name("") + "-"

Read = TypeVar("Read", bound=pydantic.BaseModel)
"""A spec or a status of one of the kinds."""

Trials: TypeAlias = Callable[[str, str], Iterable[Trial]]
"""Gives the experiments of a ModelDeployment, by its namespace and name."""

Troubles: TypeAlias = dict[str, str]
"""By namespace: what keeps its router from being there."""

ASKED_PODS: Final = 10
"""Most pods of one revision that are asked in one pass."""


@dataclass(frozen=True, kw_only=True)
class Caches:
    """The informers, all indexed by (namespace, name of the ModelDeployment)."""

    inference_services: informer.Informer
    config_maps: informer.Informer
    services: informer.Informer
    controller_revisions: informer.Informer
    autoscalers: informer.Informer
    disruption_budgets: informer.Informer
    deployments: informer.Informer
    pods: informer.Informer
    endpoint_slices: informer.Informer
    """The API server's own copies the labels of a Service to its slices, so these too are found by label."""

    def all(self) -> tuple[informer.Informer, ...]:
        """Every informer."""
        return (
            self.inference_services,
            self.config_maps,
            self.services,
            self.controller_revisions,
            self.autoscalers,
            self.disruption_budgets,
            self.deployments,
            self.pods,
            self.endpoint_slices,
        )


@dataclass(frozen=True)
class Known:
    """The parts of a ModelDeployment as the caches had them at one moment."""

    name: str
    parts: Mapping[Reference, Object]

    def has(self, part: Reference, live: Object | None) -> bool:
        """Whether that part is known as the server has it. One whose labels somebody took away no cache shows: it counts as none, and is mended."""
        known = self.parts.get(part)
        if known is None and live is not None and not self._shows(live):
            return True
        return resources.version(known) == resources.version(live)

    def _shows(self, live: Object) -> bool:
        labels = live["metadata"].get("labels") or {}
        return labels.get(metadata.MANAGED_BY_LABEL) == metadata.MANAGED_BY and labels.get(metadata.MODELDEPLOYMENT_LABEL) == self.name


class Observer:
    """Turns live objects into the frozen value that a plan is made from."""

    def __init__(
        self,
        *,
        caches: Caches,
        models: triton.Triton,
        routers: routers_.Routers,
        troubles: Mapping[str, str],
        settings: settings_.Settings,
        trials: Trials = lambda namespace, name: (),
    ) -> None:
        self._caches = caches
        self._models = models
        self._asked_routers = routers
        self._troubles = troubles
        self._settings = settings
        self._trials = trials
        self._reached: Recent[tuple[str, str], float] = Recent(limit=50_000)
        """By uid and router: since when, on the loop's clock, the stable Service is known to have a ready pod of the router for an endpoint."""

    async def observe(self, body: Object) -> Observed:
        """Everything about the ModelDeployment ``body``."""
        identity = identity_of(body)
        spec, spec_error = spec_of(body, ModelDeploymentSpec)
        status = status_of(body, ModelDeploymentStatus)
        revisions = self._revisions(identity)
        table = self._table(identity)
        routers = await self._routers(identity, spec, table) if self._settings.router_image else None
        followed = table if table and routers and routers.follow(table.digest) else None
        trials = tuple(self._trials(identity.namespace, identity.name))
        trial = trials_.current(trials)
        # Units of an experiment meet an arm at the first router that has the division; a rollout's step waits for the last.
        counting = table if table and table.division.split.groups else followed
        counted = await self._counted(identity, spec, counting, trial) if counting and routers else routers_.NOTHING
        return Observed(
            identity=identity,
            spec=spec,
            spec_error=spec_error,
            status=status,
            revisions=revisions,
            workloads=await self._workloads(identity),
            selected=table.division.split.stable if table else self._selector(identity).get(service_objects.REVISION_SELECTOR),
            table=table,
            routers=routers,
            counts=counted.revisions,
            edges=counted.edges,
            compared=counted.compared,
            trial=trial,
            promotion=trials_.last_promotion(trials),
            command=(body["metadata"].get("annotations") or {}).get(metadata.ROLLOUT_ANNOTATION),
            endpoints=self._endpoints(identity),
            runtimes=self._settings.runtimes,
            transformer_image=self._settings.transformer_image,
            drain_s=self._settings.drain_seconds,
            route_s=self._settings.route_seconds,
            poll_s=self._settings.poll_seconds,
            now=datetime.now(UTC).replace(microsecond=0),
        )

    def children(self, namespace: str, name: str) -> tuple[Object, ...]:
        """What carries the label of a ModelDeployment and may be its own: what pruning looks at."""
        caches = self._caches
        kinds = (
            caches.inference_services,
            caches.config_maps,
            caches.services,
            caches.controller_revisions,
            caches.autoscalers,
            caches.disruption_budgets,
            caches.deployments,
        )
        return tuple(obj for kind in kinds for obj in kind.by_index((namespace, name)))

    def known(self, namespace: str, name: str) -> Known:
        """The same, to be held against the server later."""
        return Known(name, {resources.reference(child): child for child in self.children(namespace, name)})

    def _ours(self, cache: informer.Informer, identity: Identity) -> tuple[Object, ...]:
        return tuple(obj for obj in cache.by_index((identity.namespace, identity.name)) if owned_by(obj, identity.uid))

    def _revisions(self, identity: Identity) -> tuple[Revision, ...]:
        records = (obj for obj in self._ours(self._caches.controller_revisions, identity) if not _terminating(obj))
        read = (_recorded(record) for record in records)
        return tuple(sorted((revision for revision in read if revision), key=lambda revision: -revision.number))

    def _selector(self, identity: Identity) -> Mapping[str, str]:
        """Of the stable Service."""
        live = self._caches.services.get(identity.namespace, identity.name)
        if live is None or not owned_by(live, identity.uid) or _terminating(live):
            return {}
        return (live.get("spec") or {}).get("selector") or {}

    def _table(self, identity: Identity) -> RouteTable | None:
        live = self._caches.config_maps.get(identity.namespace, route_objects.table_name(identity.name))
        if live is None or not owned_by(live, identity.uid) or _terminating(live):
            return None
        try:
            return RouteTable.parse((live.get("data") or {}).get(route_objects.KEY, ""))
        except TableError:
            return None

    async def _routers(self, identity: Identity, spec: ModelDeploymentSpec | None, table: RouteTable | None) -> Routers:
        """The router's ready pods, and which table each acts on."""
        name = _router_name(identity, spec)
        own = router_objects.dedicated_name(identity.name)
        selected = self._selector(identity).get(metadata.ROUTER_LABEL)
        # The Service is followed by its endpoints, and these by the nodes; what they lead to may not go before.
        leaving = selected if selected != name else own if name != own and self._leads_to(identity, own) else None
        deployment = self._caches.deployments.get(identity.namespace, name)
        pods = [pod for pod in self._caches.pods.by_index(router_key(identity.namespace, name)) if not _terminating(pod)]
        ready = [pod for pod in pods if _ready(pod) and _address(pod)]
        digests = await asyncio.gather(*(self._digest(pod, identity, table) for pod in ready)) if table else [None for _ in ready]
        return Routers(
            name=name,
            addressed=selected == name,
            announced=self._announced(identity.namespace, name) >= {pod["metadata"]["name"] for pod in ready},
            reached_s=self._reached_s(identity, name),
            leaving=leaving,
            lingering=own if name != own and self._caches.pods.by_index(router_key(identity.namespace, own)) else None,
            image=self._settings.router_image or "",
            ledger=self._settings.ledger_url,
            replicas=self._settings.router_replicas,
            tokens=(deployment["metadata"].get("annotations") or {}).get(metadata.TOKENS_ANNOTATION) if deployment and _settled(deployment) else None,
            digests={pod["metadata"]["name"]: digest for pod, digest in zip(ready, digests, strict=True)},
            trouble=None if ready and (deployment is None or _settled(deployment)) else self._trouble(identity.namespace, name, pods),
        )

    async def _counted(self, identity: Identity, spec: ModelDeploymentSpec | None, table: RouteTable, trial: Trial | None) -> routers_.Counted:
        """What the routers counted while revisions share the units, and what they say of a shadow."""
        split = table.division.split
        rules = spec.traffic.rollout if spec and not split.groups else None
        watched = rules is not None or (trial is not None and trial.counted)
        sharing = tuple(name for name, _ in split.revisions) if watched and len(split.revisions) > 1 else None
        if sharing is None and table.shadow is None:
            return routers_.NOTHING
        margin = _latency_margin(rules, trial if split.groups else None)
        return await self._asked_routers.counts(
            self._router_addresses(identity, spec),
            namespace=identity.namespace,
            model=identity.name,
            epoch=table.division.epoch,
            sharing=sharing,
            margin=margin,
            shadow=table.shadow.revision if table.shadow else None,
        )

    def _router_addresses(self, identity: Identity, spec: ModelDeploymentSpec | None) -> list[str]:
        pods = self._caches.pods.by_index(router_key(identity.namespace, _router_name(identity, spec)))
        return [address for pod in pods if answers(pod) and (address := _address(pod))]

    async def _digest(self, pod: Object, identity: Identity, table: RouteTable) -> str | None:
        return await self._asked_routers.digest(
            pod_uid=pod["metadata"]["uid"],
            address=_address(pod) or "",
            namespace=identity.namespace,
            model=identity.name,
            expected=table.digest,
        )

    def _trouble(self, namespace: str, router: str, pods: Iterable[Object]) -> str | None:
        deployment = self._caches.deployments.get(namespace, router)
        failures = diagnosis.diagnose(model="", service=None, deployment=deployment, pods=pods, repositories=())
        return self._troubles.get(namespace) or next((failure.message for failure in failures), None)

    def _endpoints(self, identity: Identity) -> Mapping[str, int]:
        """Ready endpoints of the stable Service, by revision."""
        return collections.Counter(pod.rpartition(_PREDICTOR_POD)[0] for pod, ready in self._endpoint_pods(identity) if ready)

    def _leads_to(self, identity: Identity, router: str) -> bool:
        """Whether the stable Service has an endpoint that is a pod of the router, ready or not."""
        return any(pod.startswith(f"{router}-") for pod, _ in self._endpoint_pods(identity))

    def _reached_s(self, identity: Identity, router: str) -> float:
        """Seconds since a look first found a ready pod of the router among the endpoints of the stable Service; 0 where there is none."""
        key, now = (identity.uid, router), asyncio.get_running_loop().time()
        if not any(ready and pod.startswith(f"{router}-") for pod, ready in self._endpoint_pods(identity)):
            self._reached.forget(key)
            return 0.0
        since = self._reached.get(key)
        if since is None:
            self._reached.put(key, since := now)
        return now - since

    def _announced(self, namespace: str, router: str) -> frozenset[str]:
        """Names of a router's pods that Kubernetes' controller of endpoints knows to be ready."""
        pieces = self._caches.endpoint_slices.by_index(router_key(namespace, router))
        own = [piece for piece in pieces if _service_of(piece) == router_objects.pods_service_name(router)]
        return frozenset(pod for piece in own for pod, ready in _pods_of(piece) if ready)

    def _announced_model_pods(self, identity: Identity, *, revision: str) -> frozenset[str]:
        """Names of a revision's pods that Kubernetes' controller of endpoints knows to be ready. Routers learn of pods by it, and it can be a minute
        late after the API server was away."""
        pieces = self._caches.endpoint_slices.by_index((identity.namespace, identity.name))
        own = [piece for piece in pieces if _service_of(piece) == revision_objects.deployment_name(revision)]
        return frozenset(pod for piece in own for pod, ready in _pods_of(piece) if ready)

    def _endpoint_pods(self, identity: Identity) -> Iterator[tuple[str, bool]]:
        """The pod of each endpoint of the stable Service, and whether it is ready; KServe's own Services carry our label too: told apart by name."""
        for piece in self._caches.endpoint_slices.by_index((identity.namespace, identity.name)):
            if _service_of(piece) == identity.name:
                yield from _pods_of(piece)

    async def _workloads(self, identity: Identity) -> Mapping[str, Workload]:
        services = [obj for obj in self._ours(self._caches.inference_services, identity) if not _terminating(obj)]
        pods = self._caches.pods.by_index((identity.namespace, identity.name))
        by_revision = _grouped(pods)
        looked_at = await asyncio.gather(
            *(self._workload(identity, service, by_revision.get(service["metadata"]["name"], ())) for service in services)
        )
        return {service["metadata"]["name"]: workload for service, workload in zip(services, looked_at, strict=True)}

    async def _workload(self, identity: Identity, service: Object, pods: Iterable[Object]) -> Workload:
        name = service["metadata"]["name"]
        deployment = self._caches.deployments.get(identity.namespace, revision_objects.deployment_name(name))
        current = [pod for pod in pods if not _terminating(pod)]
        spec, status = (deployment or {}).get("spec") or {}, (deployment or {}).get("status") or {}
        repositories = await self._repositories(current)
        announced = self._announced_model_pods(identity, revision=name)
        heard = sum(_ready(pod) and pod["metadata"]["name"] in announced for pod in current)
        available = int(status.get("availableReplicas") or 0)
        return Workload(
            stopped=revision_objects.STOP_ANNOTATION in (service["metadata"].get("annotations") or {}),
            settled=_settled(deployment),
            replicas=spec.get("replicas"),
            # Of pods that are not seen yet nothing is known, but that the Deployment counts them.
            available=min(available, heard) if current else available,
            loading=any(_running(pod) and not _ready(pod) for pod in current),
            failures=diagnosis.diagnose(model=identity.name, service=service, deployment=deployment, pods=current, repositories=repositories),
        )

    async def _repositories(self, pods: list[Object]) -> tuple[triton.Repository, ...]:
        """Triton's own word on pods that run and are not ready."""
        addresses = [address for pod in pods if _running(pod) and not _ready(pod) and (address := _address(pod))]
        answers = await asyncio.gather(*(self._models.repository(address) for address in addresses[:ASKED_PODS]))
        return tuple(answer for answer in answers if answer is not None)


def _latency_margin(rules: Rollout | None, trial: Trial | None) -> float | None:
    """0.2: requests are called slow by a 95th percentile that is 20 % higher; None where no guardrail looks at that."""
    if trial is not None:
        return trial.latency_margin
    guardrails = rules.guardrails if rules else ()
    percent = next((guardrail.max_increase_percent for guardrail in guardrails if guardrail.metric == "LatencyP95"), None)
    return percent / 100 if percent else None


def _router_name(identity: Identity, spec: ModelDeploymentSpec | None) -> str:
    own = spec is not None and spec.traffic.router == "Dedicated"
    return router_objects.dedicated_name(identity.name) if own else router_objects.SHARED


def _service_of(piece: Object) -> str | None:
    """The Service that an EndpointSlice belongs to."""
    found: str | None = (piece["metadata"].get("labels") or {}).get(_SERVICE_NAME_LABEL)
    return found


def _pods_of(piece: Object) -> Iterator[tuple[str, bool]]:
    """The pod of each endpoint of an EndpointSlice, and whether it is ready."""
    for endpoint in piece.get("endpoints") or ():
        yield str((endpoint.get("targetRef") or {}).get("name", "")), bool((endpoint.get("conditions") or {}).get("ready"))


def router_key(namespace: str, router: str) -> tuple[str, str, str]:
    """By which the pods of a router are found in a cache."""
    return ("router", namespace, router)


def owned_by(obj: Object, uid: str) -> bool:
    """Whether the object's controller is the one with ``uid``: labels can be copied, an owner reference is ours alone."""
    references = obj["metadata"].get("ownerReferences") or ()
    return any(reference.get("controller") and reference.get("uid") == uid for reference in references)


def identity_of(body: Object) -> Identity:
    """Which object it is."""
    meta = body["metadata"]
    return Identity(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        generation=int(meta.get("generation", 0)),
        deleting=_terminating(body),
    )


def spec_of(body: Object, kind: type[Read]) -> tuple[Read | None, str]:
    """The spec as this version reads it; None, and why, where it does not fit."""
    try:
        return kind.model_validate(body.get("spec") or {}), ""
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("spec", *first["loc"]))
        return None, f"{where}: {first['msg'].removeprefix('Value error, ')}."


def status_of(body: Object, kind: type[Read]) -> Read:
    """The status as this version reads it; one that it cannot read is worth no more than none, since all of it can be found again."""
    try:
        return kind.model_validate(body.get("status") or {})
    except pydantic.ValidationError:
        return kind()


def _recorded(record: Object) -> Revision | None:
    try:
        return Revision.recorded(name=record["metadata"]["name"], number=int(record["revision"]), data=record["data"])
    except (KeyError, TypeError, pydantic.ValidationError):
        return None


def _settled(deployment: Object | None) -> bool:
    if deployment is None or _terminating(deployment):
        return False
    spec, status = deployment.get("spec") or {}, deployment.get("status") or {}
    seen = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation", 0))
    return seen and int(status.get("updatedReplicas") or 0) == int(status.get("replicas") or 0) == int(spec.get("replicas") or 0)


def _grouped(pods: Iterable[Object]) -> dict[str, list[Object]]:
    grouped: dict[str, list[Object]] = {}
    for pod in pods:
        revision = (pod["metadata"].get("labels") or {}).get(metadata.REVISION_LABEL)
        if revision:
            grouped.setdefault(revision, []).append(pod)
    return grouped


def _terminating(obj: Object) -> bool:
    return obj["metadata"].get("deletionTimestamp") is not None


def answers(pod: Object | None) -> bool:
    """Whether a pod takes requests."""
    return pod is not None and not _terminating(pod) and _ready(pod)


def _running(pod: Object) -> bool:
    return bool((pod.get("status") or {}).get("phase") == "Running")


def _ready(pod: Object) -> bool:
    found: Iterable[Mapping[str, Any]] = (pod.get("status") or {}).get("conditions") or ()
    return any(condition.get("type") == "Ready" and condition.get("status") == "True" for condition in found)


def _address(pod: Object) -> str | None:
    address = (pod.get("status") or {}).get("podIP")
    return str(address) if address else None
