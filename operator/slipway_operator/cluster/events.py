"""Kubernetes Events about our objects: repeats are counted on one Event, floods are cut, failures stay here."""

import asyncio
import datetime
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from slipway_operator import errors, metrics
from slipway_operator.cluster import resources, throttle
from slipway_operator.cluster.recent import Recent
from slipway_operator.cluster.resources import Object, Resource

EventType: TypeAlias = Literal["Normal", "Warning"]

NOTE_LIMIT = 1024
BURST = 25
REFILL_PER_S = 1 / 60
"""Each object may have 25 requests about its Events at once and one more a minute."""
SERIES_QUIET_S = 360.0
"""A repeat after so long a silence starts a new Event, as client-go does."""
_UNSENT_WAIT_S = 15.0
_REMEMBERED = 4096

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """What a recorder needs of an ApiClient."""

    async def create(self, body: Mapping[str, Any]) -> Object:
        """See ApiClient."""

    async def merge_patch(self, resource: Resource, name: str, patch: Mapping[str, Any], *, namespace: str | None = None) -> Object:
        """See ApiClient."""


class _Key(NamedTuple):
    """What makes two Events the same."""

    uid: str
    type: EventType
    reason: str
    message: str


@dataclass(kw_only=True)
class _Series:
    """One Event object on the server and how often it has happened."""

    regarding: Mapping[str, str]
    name: str
    first: datetime.datetime
    last: datetime.datetime
    emitted_at: float
    count: int = 1
    sent: int = 0
    """The count the server has; 0 when it does not have the Event."""


class _Unsent:
    """What is to be told, by object; bounded for each object and in all."""

    def __init__(self) -> None:
        self.some = asyncio.Event()
        self._of_object: dict[str, dict[_Key, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._of_object)

    def all(self) -> tuple[_Key, ...]:
        return tuple(key for keys in self._of_object.values() for key in keys)

    def has_room(self, key: _Key) -> bool:
        keys = self._of_object.get(key.uid)
        return len(self._of_object) < _REMEMBERED if keys is None else key in keys or len(keys) < BURST

    def add(self, key: _Key) -> None:
        self._of_object.setdefault(key.uid, {})[key] = None
        self.some.set()

    def remove(self, key: _Key) -> None:
        keys = self._of_object.get(key.uid, {})
        keys.pop(key, None)
        if not keys:
            self._of_object.pop(key.uid, None)


class Recorder:
    """Sends Events from a task of its own, so that emitting costs a reconcile nothing and cannot fail.

    The same (object, type, reason, message) is one Event whose ``series.count`` grows. Each object has a token bucket.
    """

    def __init__(
        self,
        client: Sink,
        *,
        instance: str,
        controller: str = "slipway.dev/operator",
        clock: Callable[[], float] = time.monotonic,
        meters: metrics.Metrics = metrics.DEFAULT,
    ) -> None:
        self._client = client
        self._instance = instance
        self._controller = controller
        self._clock = clock
        self._series: Recent[_Key, _Series] = Recent(limit=_REMEMBERED)
        self._buckets: Recent[str, throttle.TokenBucket] = Recent(limit=_REMEMBERED)
        self._unsent = _Unsent()
        self._count = {result: meters.events.labels(result) for result in ("sent", "dropped", "failed")}

    def emit(self, owner: Mapping[str, Any], *, type: EventType, reason: str, message: str) -> None:  # noqa: A002
        """Tell about ``owner`` (an object with apiVersion, kind and metadata). Returns at once, never raises."""
        try:
            self._note(owner, _Key(owner["metadata"]["uid"], type, reason, _shortened(errors.clean(message))))
        except Exception:  # whatever is wrong with an Event is not worth a reconcile
            self._count["failed"].inc()
            _log.exception("an event with reason %s cannot be recorded", reason)

    async def run(self) -> None:
        """Send what was emitted, until cancelled."""
        while True:
            await self._unsent.some.wait()
            self._unsent.some.clear()
            await self.flush()
            if self._unsent:  # out of tokens
                asyncio.get_running_loop().call_later(_UNSENT_WAIT_S, self._unsent.some.set)

    async def flush(self) -> None:
        """Send everything that may be sent now; for the end of the process."""
        for key in self._unsent.all():
            series = self._series.get(key)
            if series is None:  # so much happened since that it was forgotten
                self._unsent.remove(key)
                self._count["dropped"].inc()
            elif self._bucket(key.uid).take():
                self._unsent.remove(key)
                await self._send(key, series)

    def _note(self, owner: Mapping[str, Any], key: _Key) -> None:
        if not self._unsent.has_room(key):
            self._count["dropped"].inc()
            return
        now = self._clock()
        series = self._series.get(key)
        if series is None or now - series.emitted_at > SERIES_QUIET_S:
            series = _begun(owner, now=now)
            self._series.put(key, series)
        else:
            series.count += 1
            series.last = _utc_now()
            series.emitted_at = now
        self._unsent.add(key)

    async def _send(self, key: _Key, series: _Series) -> None:
        count = series.count
        try:
            if series.sent:
                await self._send_count(series, count)
            if not series.sent:
                await self._client.create(self._event(key, series, count))
        except errors.SlipwayError as error:
            self._count["failed"].inc()
            _log.warning("an event with reason %s was not sent: %s", key.reason, error)
            return
        series.sent = count
        self._count["sent"].inc()

    async def _send_count(self, series: _Series, count: int) -> None:
        """Raise the count on the server; an Event that has expired there is begun anew, from one."""
        patch = {"series": {"count": count, "lastObservedTime": _micro_time(series.last)}}
        try:
            await self._client.merge_patch(resources.EVENTS, series.name, patch, namespace=series.regarding["namespace"] or "default")
        except errors.NotFound:
            series.sent = 0
            series.first = series.last
            series.name = _name(series.regarding["name"])

    def _event(self, key: _Key, series: _Series, count: int) -> Object:
        event: Object = {
            "apiVersion": resources.EVENTS.api_version,
            "kind": resources.EVENTS.kind,
            "metadata": {"name": series.name, "namespace": series.regarding["namespace"] or "default"},
            "regarding": {name: value for name, value in series.regarding.items() if value},
            "type": key.type,
            "reason": key.reason,
            "action": "Reconcile",
            "note": key.message,
            "eventTime": _micro_time(series.first),
            "reportingController": self._controller,
            "reportingInstance": self._instance[:128],
        }
        if count > 1:
            event["series"] = {"count": count, "lastObservedTime": _micro_time(series.last)}
        return event

    def _bucket(self, uid: str) -> throttle.TokenBucket:
        bucket = self._buckets.get(uid)
        if bucket is None:
            bucket = throttle.TokenBucket(rate_per_s=REFILL_PER_S, burst=BURST, clock=self._clock)
            self._buckets.put(uid, bucket)
        return bucket


def _begun(owner: Mapping[str, Any], *, now: float) -> _Series:
    metadata = owner["metadata"]
    regarding = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "namespace": metadata.get("namespace") or "",
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    happened = _utc_now()
    return _Series(regarding=regarding, name=_name(metadata["name"]), first=happened, last=happened, emitted_at=now)


def _name(owner: str) -> str:
    """A name for an Event about ``owner``; the owner's comes first, so that lists read well."""
    return f"{owner[:200]}.{uuid.uuid4().hex[:16]}"


def _shortened(message: str) -> str:
    """At most as many bytes as the API server takes, cut between characters."""
    encoded = message.encode()
    return message if len(encoded) <= NOTE_LIMIT else encoded[: NOTE_LIMIT - 3].decode(errors="ignore") + "…"


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _micro_time(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
