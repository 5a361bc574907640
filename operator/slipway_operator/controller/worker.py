"""The worker: takes a key, observes, plans, applies, writes the status."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from slipway_operator import errors, logs, metrics
from slipway_operator.api import conditions, metadata
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentStatus
from slipway_operator.cluster import apply, client, events, observe, resources
from slipway_operator.cluster.resources import Object, Reference
from slipway_operator.controller import queue, store
from slipway_operator.controller.store import Key
from slipway_operator.reconcile import failure, modeldeployment
from slipway_operator.render import revision as revision_objects
from slipway_operator.render import routes
from slipway_operator.state.observed import Observed
from slipway_operator.state.plan import Done, Plan, Stalled, Wait

CONTROLLER: Final = "modeldeployment"
PASS_TIMEOUT_S: Final = 60.0
"""For one pass: a request that hangs must not hold its worker for ever."""

UNTOLD_FAILURES: Final = 8
"""Failures in a row (about two seconds) before the status speaks of one that should pass by itself: one lost connection is not worth a write."""

log = logging.getLogger("slipway.controller")


@dataclass(frozen=True)
class Trouble:
    """How a pass that raised is told and when it is tried again."""

    reason: str
    retry_s: float | None
    """None: with a backoff, the queue's own by default."""

    backoff: queue.Backoff | None = None
    told_at: int = UNTOLD_FAILURES
    """Failures in a row after which the status speaks of it, where there is a backoff."""


REFUSED: Final = queue.Backoff(base_s=2.0, limit_s=300.0)
"""What was refused will be refused again, unless a webhook was out of order for a moment."""


# Order matters: the first class that fits decides.
_TROUBLES: Final[tuple[tuple[type[Exception], Trouble], ...]] = (
    (errors.NameTaken, Trouble(conditions.NAME_TAKEN, retry_s=15.0)),
    (errors.ApplyFight, Trouble(conditions.APPLY_FIGHT, retry_s=300.0)),
    (errors.QuotaExceeded, Trouble(conditions.QUOTA_EXCEEDED, retry_s=60.0)),
    (errors.Invalid, Trouble(conditions.REJECTED, retry_s=None, backoff=REFUSED, told_at=0)),
    (errors.Forbidden, Trouble(conditions.FORBIDDEN, retry_s=60.0)),
    (errors.NotFound, Trouble(conditions.DEPENDENCY_MISSING, retry_s=30.0)),
    (errors.ApiError, Trouble(conditions.API_UNAVAILABLE, retry_s=None)),
    (TimeoutError, Trouble(conditions.API_UNAVAILABLE, retry_s=None)),
)


class Worker:
    """Reconciles ModelDeployments, several keys at a time, one key never twice at once."""

    def __init__(
        self,
        *,
        keys: queue.WorkQueue[Key],
        objects: store.Store,
        observer: observe.Observer,
        applier: apply.Applier,
        api: client.ApiClient,
        recorder: events.Recorder,
        resync_s: float,
        gone: Callable[[str], None],
        meters: metrics.Metrics = metrics.DEFAULT,
    ) -> None:
        """``gone`` is called with the namespace of an object whose deletion nobody told us of."""
        self._keys = keys
        self._gone = gone
        self._objects = objects
        self._observer = observer
        self._applier = applier
        self._api = api
        self._recorder = recorder
        self._resync_s = resync_s
        self._meters = meters
        self._passes = itertools.count(1)

    async def run(self, *, workers: int) -> None:
        """Work until the queue is shut down."""
        self._meters.max_concurrent_reconciles.labels(CONTROLLER).set(workers)
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            try:
                key = await self._keys.get()
            except queue.ShutDown:
                return
            logs.current_object.set("/".join(key))
            logs.current_reconcile.set(f"{next(self._passes):08x}")
            try:
                await self._one(key)
            except asyncio.CancelledError:
                # Leadership went in the middle of a pass: whoever leads next, we perhaps, starts it again.
                self._keys.add(key)
                raise
            finally:
                self._keys.done(key)

    async def _one(self, key: Key) -> None:
        body = self._objects.get(key)
        if body is None:
            self._keys.drop(key)
            return
        with self._meters.reconcile_time.labels(CONTROLLER).time(), self._meters.active_workers.labels(CONTROLLER).track_inprogress():
            result = await self._guarded(key, body)
        self._meters.reconcile_total.labels(CONTROLLER, result).inc()

    async def _guarded(self, key: Key, body: Object) -> str:
        """One pass; whatever it raises ends here, as a condition and a later try. Returns the result's name for the metric."""
        observed: Observed | None = None
        try:
            async with asyncio.timeout(PASS_TIMEOUT_S):
                if not await self._applier.settled(body["metadata"]["uid"]):
                    # Deciding on caches older than our own writes would undo them.
                    return self._later(key)
                self._keys.looking(key)
                if (current := self._objects.get(key)) is None:
                    self._keys.drop(key)
                    return "success"
                body = current
                known = self._known(body)
                observed = await self._observer.observe(body)
                planned = modeldeployment.plan(observed)
                if _weighty(observed, planned, known=known) and not await self._still_so(body, _grounds(observed, planned), known=known):
                    return self._later(key)
                await self._carry_out(body, planned, known=known)
        except Exception as error:
            self._meters.reconcile_errors.labels(CONTROLLER).inc()
            await self._troubled(key, body, observed, error)
            return "error"
        return self._again(key, planned)

    def _known(self, body: Object) -> Mapping[Reference, Object]:
        """What the caches have of its children, its Deployments among them; asked before a decision, so that it is no newer than that is."""
        meta = body["metadata"]
        return {resources.reference(child): child for child in self._observer.children(meta["namespace"], meta["name"])}

    async def _still_so(self, body: Object, grounds: Iterable[Reference] = (), *, known: Mapping[Reference, Object] | None = None) -> bool:
        """Ask the server whether the object, and what a step is decided from besides, are as they were known.

        Each cache is as old as its own watch: put together they may show a world that never was. And children may be missing because the object was
        deleted: kopf holds events back for a moment, and after a lost watch it tells of no deletion.
        """
        meta = body["metadata"]
        live = await self._live(resources.reference(body))
        if live is None:
            self._objects.remove(body)
            self._gone(meta["namespace"])
            return False
        self._objects.put(live)
        if _version(live) != _version(body):
            return False
        return all([_version(await self._live(one)) == _version((known or {}).get(one)) for one in grounds])

    async def _live(self, reference: Reference) -> Object | None:
        try:
            return await self._api.get(resources.by_kind(reference.api_version, reference.kind), reference.name, namespace=reference.namespace)
        except errors.NotFound as error:
            if error.kind_missing:
                raise
            return None

    def _later(self, key: Key) -> str:
        self._keys.retry(key)
        return "requeue"

    def _again(self, key: Key, planned: Plan) -> str:
        self._keys.forget(key)
        match planned.outcome:
            case Wait(seconds):
                self._keys.add_after(key, delay_s=seconds)
                return "requeue_after"
            case Stalled(_, seconds) if seconds is not None:
                self._keys.add_after(key, delay_s=seconds)
                return "requeue_after"
            case Done() | Stalled():
                self._keys.add_after(key, delay_s=self._resync_s, priority=queue.Priority.RESYNC)
        return "success"

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

    async def _write_status(self, body: Object, status: ModelDeploymentStatus) -> None:
        rendered = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        meta = {name: body["metadata"][name] for name in ("name", "namespace", "uid")}
        wanted = {"apiVersion": metadata.API_VERSION, "kind": "ModelDeployment", "metadata": meta, "status": rendered}
        written = await self._applier.apply_status(wanted, live=self._objects.get((meta["namespace"], meta["name"])) or body)
        if written is not None:
            self._objects.put(written)

    def _tell(self, body: Object, told: tuple[Any, ...]) -> None:
        for event in told:
            self._recorder.emit(body, type=event.type, reason=event.reason, message=event.message)

    async def _troubled(self, key: Key, body: Object, observed: Observed | None, error: Exception) -> None:
        trouble = next((trouble for kind, trouble in _TROUBLES if isinstance(error, kind)), None)
        if _passing(error):
            trouble = None
            await self._look_for(body, error)
        elif trouble is None:
            log.exception("reconcile failed: this is a bug in Slipway, please report it")
        else:
            log.warning("reconcile failed: %s", error)
        if trouble is not None and observed is not None and (trouble.retry_s is not None or self._keys.failures(key) >= trouble.told_at):
            await self._tell_trouble(body, observed, reason=trouble.reason, message=_sentence(error))
        if trouble is None or trouble.retry_s is None:
            self._keys.retry(key, backoff=trouble.backoff if trouble else None)
        else:
            self._keys.forget(key)
            self._keys.add_after(key, delay_s=trouble.retry_s)

    async def _look_for(self, body: Object, error: Exception) -> None:
        """After something was not found: was it the object itself, its deletion unnoticed?"""
        if isinstance(error, errors.NotFound):
            with contextlib.suppress(errors.SlipwayError, TimeoutError):
                await self._still_so(body)

    async def _tell_trouble(self, body: Object, observed: Observed, *, reason: str, message: str) -> None:
        try:
            await self._write_status(body, failure.status_after(observed, reason=reason, message=message))
        except (errors.SlipwayError, TimeoutError) as error:
            log.info("the status could not be written either: %s", error)
            return
        self._tell(body, failure.warning(observed, reason=reason, message=message))


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


def _version(obj: Object | None) -> str | None:
    return obj["metadata"]["resourceVersion"] if obj is not None else None


def _passing(error: Exception) -> bool:
    """Whether the next pass will see another world: an edit came between, another operator leads, or a namespace or a namesake's children go."""
    match error:
        case errors.NameTaken():
            return error.passing
        case errors.NotFound():
            return not error.kind_missing
        case _:
            return isinstance(error, errors.Conflict | errors.NamespaceTerminating | errors.NotLeading)


def _sentence(error: Exception) -> str:
    """What went wrong, for the status of the object."""
    if isinstance(error, errors.NotFound):
        return f"This cluster does not know a kind that Slipway writes. InferenceService comes with KServe: install it, 0.20 or newer. ({error})"
    if isinstance(error, TimeoutError):
        return f"The pass took longer than {PASS_TIMEOUT_S:.0f} s and was given up."
    return f"{error}."


def owner_key(child: Mapping[str, Any]) -> Key | None:
    """The ModelDeployment whose label a child carries; KServe copies the label on to its own Deployments and pods."""
    name = (child["metadata"].get("labels") or {}).get(metadata.MODELDEPLOYMENT_LABEL)
    return (child["metadata"]["namespace"], name) if name else None
