"""The keeper: sees to it that a namespace with ModelDeployments has its shared router, and one without has none."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from slipway_operator import errors, logs, metrics
from slipway_operator.api import metadata
from slipway_operator.cluster import apply, client, observe, resources
from slipway_operator.cluster.resources import Object
from slipway_operator.controller import queue, store
from slipway_operator.render import router as router_objects

Namespace: TypeAlias = str

CONTROLLER: Final = "router"
PASS_TIMEOUT_S: Final = 60.0
RETRY: Final = queue.Backoff(base_s=0.5, limit_s=60.0)
PARTS: Final = (
    (resources.DEPLOYMENTS, router_objects.SHARED),
    (resources.SERVICES, router_objects.pods_service_name(router_objects.SHARED)),
    (resources.POD_DISRUPTION_BUDGETS, router_objects.SHARED),
    (resources.ROLE_BINDINGS, router_objects.SHARED),
    (resources.SERVICE_ACCOUNTS, router_objects.SHARED),
)
"""What a router is made of, in the order in which it goes."""

log = logging.getLogger("slipway.router")


class Keeper:
    """One worker over namespaces. The Namespace itself is the owner of what it makes, which no ModelDeployment could be: the others would lose it."""

    def __init__(
        self,
        *,
        keys: queue.WorkQueue[Namespace],
        objects: store.Store,
        applier: apply.Applier,
        api: client.ApiClient,
        image: str,
        replicas: int,
        ledger: str | None,
        troubles: observe.Troubles,
        tell: Callable[[Namespace], None],
        resync_s: float,
        meters: metrics.Metrics = metrics.DEFAULT,
    ) -> None:
        """``tell`` is called when ``troubles`` has news about a namespace."""
        self._keys = keys
        self._objects = objects
        self._applier = applier
        self._api = api
        self._image = image
        self._replicas = replicas
        self._ledger = ledger
        self._troubles = troubles
        self._tell = tell
        self._resync_s = resync_s
        self._meters = meters

    async def run(self) -> None:
        """Work until the queue is shut down."""
        while True:
            try:
                namespace = await self._keys.get()
            except queue.ShutDown:
                return
            logs.current_object.set(namespace)
            try:
                await self._one(namespace)
            except asyncio.CancelledError:
                self._keys.add(namespace)
                raise
            finally:
                self._keys.done(namespace)

    async def _one(self, namespace: Namespace) -> None:
        result = "success"
        with self._meters.reconcile_time.labels(CONTROLLER).time():
            try:
                async with asyncio.timeout(PASS_TIMEOUT_S):
                    await self._reconcile(namespace)
            except (errors.NotFound, errors.NamespaceTerminating):
                # The namespace goes, and everything in it.
                self._keys.drop(namespace)
                self._note(namespace, None)
            except (errors.Conflict, errors.NotLeading):
                self._keys.retry(namespace)
                result = "requeue"
            except Exception as error:
                log.warning(
                    "the router of namespace %s could not be seen to: %s", namespace, error, exc_info=not isinstance(error, errors.SlipwayError)
                )
                self._note(namespace, f"{error}")
                self._keys.retry(namespace, backoff=RETRY)
                result = "error"
            else:
                self._note(namespace, None)
                self._keys.forget(namespace)
                self._keys.add_after(namespace, delay_s=self._resync_s, priority=queue.Priority.RESYNC)
        self._meters.reconcile_total.labels(CONTROLLER, result).inc()

    async def _reconcile(self, namespace: Namespace) -> None:
        owner = await self._api.get(resources.NAMESPACES, namespace)
        if owner["metadata"].get("deletionTimestamp"):
            return
        uid = owner["metadata"]["uid"]
        await self._applier.settled(uid)
        router = router_objects.Router(
            name=router_objects.SHARED,
            namespace=namespace,
            owner=_reference(owner),
            image=self._image,
            replicas=self._replicas,
            ledger=self._ledger,
        )
        stands = await self._applier.fresh(resources.DEPLOYMENTS, namespace=namespace, name=router.name) is not None
        if (stands and self._objects.count(namespace)) or await self._inhabited(namespace):
            for body in router_objects.objects(router):
                await self._applier.apply(body)
        else:
            await self._applier.prune(await self._there(namespace), keep=(), owner_uid=uid)

    async def _inhabited(self, namespace: Namespace) -> bool:
        """Ask the server whether there really is a ModelDeployment, before its router goes or comes: we may not have heard of it, or of its end."""
        return bool((await self._api.list(resources.MODEL_DEPLOYMENTS, namespace=namespace)).items)

    async def _there(self, namespace: Namespace) -> Iterable[Object]:
        found = [await self._applier.fresh(kind, namespace=namespace, name=name) for kind, name in PARTS]
        return [body for body in found if body is not None]

    def _note(self, namespace: Namespace, trouble: str | None) -> None:
        if self._troubles.get(namespace) == trouble:
            return
        if trouble is None:
            del self._troubles[namespace]
        else:
            self._troubles[namespace] = trouble
        self._tell(namespace)


def _reference(namespace: Object) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "name": namespace["metadata"]["name"],
        "uid": namespace["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def router_of(child: Object | None) -> Namespace | None:
    """The namespace whose shared router an object is a part of."""
    meta = (child or {}).get("metadata") or {}
    labels = meta.get("labels") or {}
    shared = labels.get(metadata.ROUTER_LABEL) == router_objects.SHARED and metadata.MODELDEPLOYMENT_LABEL not in labels
    return str(meta["namespace"]) if shared else None
