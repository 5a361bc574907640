"""Passes over objects of one kind: take a key, look, carry out; whatever goes wrong becomes a condition and a later try."""

import abc
import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from slipway_operator import errors, logs, metrics
from slipway_operator.api import conditions, metadata
from slipway_operator.cluster import apply, client, events, observe, resources
from slipway_operator.cluster.resources import Object, Reference, version
from slipway_operator.controller import queue, store
from slipway_operator.controller.store import Key
from slipway_operator.reconcile import failure
from slipway_operator.state import experiment
from slipway_operator.state import observed as observed_
from slipway_operator.state.plan import Done, Event, Outcome, Stalled, Wait

PASS_TIMEOUT_S: Final = 60.0
"""For one pass: a request that hangs must not hold its worker for ever."""

UNTOLD_FAILURES: Final = 8
"""Failures in a row (about two seconds) before the status speaks of one that should pass by itself: one lost connection is not worth a write."""

log = logging.getLogger("slipway.controller")

Seen = TypeVar("Seen", observed_.Observed, experiment.Observed)
"""What a pass decides from."""


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
    (errors.LedgerError, Trouble(conditions.LEDGER_UNAVAILABLE, retry_s=5.0)),
    (errors.ApiError, Trouble(conditions.API_UNAVAILABLE, retry_s=None)),
    (TimeoutError, Trouble(conditions.API_UNAVAILABLE, retry_s=None)),
)


class Attempt(Generic[Seen]):
    """One pass, as far as it came."""

    def __init__(self, body: Object) -> None:
        self.body = body
        self.observed: Seen | None = None


class Passes(abc.ABC, Generic[Seen]):
    """Reconciles objects of one kind, several keys at a time, one key never twice at once."""

    controller: str
    """Name for metrics."""

    resource: resources.Resource

    def __init__(
        self,
        *,
        keys: queue.WorkQueue[Key],
        objects: store.Store,
        applier: apply.Applier,
        api: client.ApiClient,
        recorder: events.Recorder,
        resync_s: float,
        gone: Callable[[str], None],
        wrote: Callable[[Object], None] = lambda body: None,
        meters: metrics.Metrics = metrics.DEFAULT,
    ) -> None:
        """``gone`` is called with the namespace of an object whose deletion nobody told us of; ``wrote`` with each object whose status we changed, or
        that was found changed: a watch that tells others of it may have died.
        """
        self._keys = keys
        self._gone = gone
        self._wrote = wrote
        self._objects = objects
        self._applier = applier
        self._api = api
        self._recorder = recorder
        self._resync_s = resync_s
        self._meters = meters
        self._passes = itertools.count(1)

    @abc.abstractmethod
    async def _attempt(self, attempt: Attempt[Seen]) -> Outcome | None:
        """Look, decide and carry out; None: the world is not what it seemed to be, look again soon."""

    @abc.abstractmethod
    def _status_after(self, observed: Seen, *, reason: str, message: str) -> Any:
        """The status that tells of a pass that could not be carried out, a pydantic model."""

    async def _vanished(self, key: Key) -> None:
        """The object is gone."""

    async def run(self, *, workers: int) -> None:
        """Work until the queue is shut down."""
        self._meters.max_concurrent_reconciles.labels(self.controller).set(workers)
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
            await self._let_go(key)
            return
        with self._meters.reconcile_time.labels(self.controller).time(), self._meters.active_workers.labels(self.controller).track_inprogress():
            result = await self._guarded(key, body)
        self._meters.reconcile_total.labels(self.controller, result).inc()

    async def _guarded(self, key: Key, body: Object) -> str:
        """One pass; whatever it raises ends here, as a condition and a later try. Returns the result's name for the metric."""
        attempt: Attempt[Seen] = Attempt(body)
        try:
            async with asyncio.timeout(PASS_TIMEOUT_S):
                if not await self._applier.settled(body["metadata"]["uid"]):
                    # Deciding on caches older than our own writes would undo them.
                    return self._later(key)
                self._keys.looking(key)
                if (current := self._objects.get(key)) is None:
                    return await self._let_go(key)
                attempt.body = current
                outcome = await self._attempt(attempt)
        except Exception as error:
            self._meters.reconcile_errors.labels(self.controller).inc()
            await self._troubled(key, attempt, error)
            return "error"
        return self._again(key, outcome) if outcome is not None else self._later(key)

    async def _let_go(self, key: Key) -> str:
        try:
            await self._vanished(key)
        except errors.SlipwayError as error:
            log.warning("what the object left behind could not be seen to: %s", error)
            self._keys.retry(key)
            return "error"
        self._keys.drop(key)
        return "success"

    def _later(self, key: Key) -> str:
        self._keys.retry(key)
        return "requeue"

    def _again(self, key: Key, outcome: Outcome) -> str:
        self._keys.forget(key)
        match outcome:
            case Wait(seconds):
                self._keys.add_after(key, delay_s=seconds)
                return "requeue_after"
            case Stalled(_, seconds) if seconds is not None:
                self._keys.add_after(key, delay_s=seconds)
                return "requeue_after"
            case Done() | Stalled():
                self._keys.add_after(key, delay_s=self._resync_s, priority=queue.Priority.RESYNC)
        return "success"

    async def _still_so(self, body: Object, grounds: Iterable[Reference] = (), *, known: observe.Known | None = None) -> bool:
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
        if self._objects.put(live):
            self._wrote(live)
        if version(live) != version(body):
            return False
        return known is None or all([known.has(one, await self._live(one)) for one in dict.fromkeys(grounds)])

    async def _live(self, reference: Reference) -> Object | None:
        try:
            return await self._api.get(resources.by_kind(reference.api_version, reference.kind), reference.name, namespace=reference.namespace)
        except errors.NotFound as error:
            if error.kind_missing:
                raise
            return None

    async def _write_status(self, body: Object, status: Any) -> None:
        rendered = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        meta = {name: body["metadata"][name] for name in ("name", "namespace", "uid")}
        wanted = {"apiVersion": metadata.API_VERSION, "kind": self.resource.kind, "metadata": meta, "status": rendered}
        live = self._objects.get((meta["namespace"], meta["name"])) or body
        if _decided_from(live) != _decided_from(body):
            raise errors.Conflict(f"{self.resource.kind} {meta['namespace']}/{meta['name']} was edited while its status was decided")
        written = await self._applier.apply_status(wanted, live=live)
        if written is not None:
            self._objects.put(written)
            self._wrote(written)

    def _tell(self, body: Object, told: Iterable[Event]) -> None:
        for event in told:
            self._recorder.emit(body, type=event.type, reason=event.reason, message=event.message)

    async def _troubled(self, key: Key, attempt: Attempt[Seen], error: Exception) -> None:
        trouble = next((trouble for kind, trouble in _TROUBLES if isinstance(error, kind)), None)
        if _passing(error):
            trouble = None
            await self._look_for(attempt.body, error)
        elif trouble is None:
            log.exception("reconcile failed: this is a bug in Slipway, please report it")
        else:
            log.warning("reconcile failed: %s", error)
        if trouble is not None and attempt.observed is not None and (trouble.retry_s is not None or self._keys.failures(key) >= trouble.told_at):
            await self._tell_trouble(attempt.body, attempt.observed, reason=trouble.reason, message=_sentence(error))
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

    async def _tell_trouble(self, body: Object, observed: Seen, *, reason: str, message: str) -> None:
        try:
            await self._write_status(body, self._status_after(observed, reason=reason, message=message))
        except (errors.SlipwayError, TimeoutError) as error:
            log.info("the status could not be written either: %s", error)
            return
        self._tell(body, failure.warning(observed, reason=reason, message=message))


def _decided_from(body: Object) -> tuple[Any, Any]:
    """What of an object a status follows from: its spec, by generation, and the status before. Labels and the like may change meanwhile."""
    return body["metadata"].get("generation"), body.get("status")


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
