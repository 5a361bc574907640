"""A live copy of a resource: list once, watch for ever, survive everything in between."""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from slipway_operator import errors, metrics
from slipway_operator.cluster import client as client_
from slipway_operator.cluster import comparison
from slipway_operator.cluster.resources import Object, Resource

Key: TypeAlias = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""
OnChange: TypeAlias = Callable[[Object | None, Object | None], None]
"""Called with (old, new): old is None for a new object, new is None for a deleted one. Sync and cheap; must not change them."""
Change: TypeAlias = tuple[Object | None, Object | None]
"""(old, new) as above."""
Transform: TypeAlias = Callable[[Object], Object]
IndexKeys: TypeAlias = Callable[[Object], Iterable[Hashable]]

MISSING_KIND_WAIT_S = 15.0
BACKOFF_LIMIT_S = 10.0
"""Longest wait between two tries to reach the API server: nothing tells when it is back, and one request in ten seconds harms nobody."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_COMPACT = json.JSONEncoder(separators=(",", ":"))

_log = logging.getLogger(__name__)


def slim(obj: Object) -> Object:
    """The default transform: without managedFields and kubectl's last-applied annotation. Changes ``obj`` in place."""
    metadata = obj["metadata"]
    metadata.pop("managedFields", None)
    (metadata.get("annotations") or {}).pop(_LAST_APPLIED, None)
    return obj


def slim_but_owned(manager: str) -> Transform:
    """As ``slim``, but the managedFields entry of the applies by ``manager`` stays, its fields as text: a tree would be ten times the size."""

    def slimmed(obj: Object) -> Object:
        entry = comparison.own_entry(obj, manager=manager)
        slim(obj)
        if entry is not None:
            kept = {key: entry[key] for key in ("manager", "operation", "apiVersion")}
            obj["metadata"]["managedFields"] = [kept | {"fieldsV1": _COMPACT.encode(entry["fieldsV1"])}]
        return obj

    return slimmed


class Informer:
    """Keeps ``cache`` equal to the API server and tells ``on_change`` what moved.

    After a lost watch it watches on from where it was. When that history is gone it lists again and compares: what vanished
    meanwhile gives an ``on_change(old, None)``, what is unchanged (equal resourceVersion) gives nothing. The objects in the cache
    are shared: read, never write.
    """

    def __init__(
        self,
        client: client_.ApiClient,
        resource: Resource,
        *,
        on_change: OnChange,
        namespace: str | None = None,
        label_selector: str | None = None,
        transform: Transform = slim,
        index: IndexKeys | None = None,
        backoff_limit_s: float = BACKOFF_LIMIT_S,
        meters: metrics.Metrics = metrics.DEFAULT,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        """Set after the first complete list, or when the server has said that it does not know the kind."""
        self._clock: Callable[[], float] = lambda: 0.0
        """The loop's, once there is one: metrics may be read on another thread."""
        self.last_contact = 0.0
        """``loop.time()`` of the last list, event or bookmark; 0.0 before the first. For a watchdog: older than 150 s is ill."""
        self.resource_version = ""
        """How far the cache is: every change up to this version is in it; empty before the first list."""
        self._client = client
        self._on_change = on_change
        self._namespace = namespace
        self._label_selector = label_selector
        self._transform = transform
        self._objects: dict[Key, Object] = {}
        self.cache: Mapping[Key, Object] = MappingProxyType(self._objects)
        self._index = _Index(index)
        self._watching = False
        """Whether ``resource_version`` is a place to watch from."""
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._retry = _Retry(limit_s=backoff_limit_s)
        self._said_missing = False
        self._lists = meters.informer_lists.labels(resource.plural)
        self._count = meters.informer_objects.labels(resource.plural)
        meters.watch_silence.labels(resource.plural).set_function(self._silence_s)

    def _silence_s(self) -> float:
        return self._clock() - self.last_contact if self.last_contact else 0.0

    async def run(self) -> None:
        """Keep the cache up to date until cancelled. Never raises for the API server's sake; a missing kind is tried again every 15 s."""
        self._clock = asyncio.get_running_loop().time
        while True:
            wait_s = await self._round()
            await asyncio.sleep(wait_s)

    def get(self, namespace: str, name: str) -> Object | None:
        """The cached object."""
        return self._objects.get((namespace, name))

    def selects(self, obj: Object) -> bool:
        """Whether ``obj`` belongs in the cache by its labels; only selectors of the form ``key=value,key=value`` are understood."""
        labels = obj["metadata"].get("labels") or {}
        wanted = (pair.partition("=") for pair in (self._label_selector or "").split(",") if pair)
        return all(labels.get(key) == value for key, _, value in wanted)

    def by_index(self, key: Hashable) -> tuple[Object, ...]:
        """The objects for which the index function gave ``key``."""
        return tuple(self._objects[one] for one in self._index.keys(key))

    async def caught_up(self, resource_version: str, *, timeout_s: float) -> bool:
        """Wait until the cache holds every change up to ``resource_version``. False when that took too long."""
        return await self.until(lambda: at_least(self.resource_version, resource_version), timeout_s=timeout_s)

    async def until(self, holds: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait until ``holds()``, which is asked after every change of the cache. False when that took too long."""
        if holds():
            return True
        waiter = (holds, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter[1]
        except TimeoutError:
            return False
        finally:
            self._waiting.remove(waiter)
        return True

    async def _round(self) -> float:
        """List if need be, watch until that ends, and say how many seconds to wait before the next round."""
        contact = self.last_contact
        try:
            if not self._watching:
                await self._list()
            began = asyncio.get_running_loop().time()
            await self._watch()
        except errors.NotFound as error:
            self._watching = False
            return self._missing(error)
        except errors.Gone:
            self._watching = False
            return self._retry.after_trouble(progress=self.last_contact > contact)
        except errors.SlipwayError as error:
            wait_s = self._retry.after_trouble(progress=self.last_contact > contact)
            _log.warning("%s; trying again in %.1f s", error, wait_s)
            return wait_s
        lived = asyncio.get_running_loop().time() - began
        return self._retry.after_trouble(progress=self.last_contact > contact) if lived < 1.0 else 0.0

    def _missing(self, error: errors.NotFound) -> float:
        if not self._said_missing:
            _log.warning("%s is not known to the API server (%s); asking again every %.0f s", self.resource.kind, error, MISSING_KIND_WAIT_S)
            self._said_missing = True
        # Of a kind that does not exist there are no objects: an empty cache is the truth, and nobody has to wait for more.
        self.last_contact = asyncio.get_running_loop().time()
        self.synced.set()
        return MISSING_KIND_WAIT_S * random.uniform(0.9, 1.1)  # noqa: S311

    async def _list(self) -> None:
        """Replace the cache. Pages that expire while they are fetched give way to one large answer."""
        try:
            await self._replace(paged=True)
        except errors.Gone:
            await self._replace(paged=False)

    async def _replace(self, *, paged: bool) -> None:
        fresh: dict[Key, Object] = {}
        version = ""
        pages = self._client.pages(self.resource, namespace=self._namespace, label_selector=self._label_selector, paged=paged)
        async for page in pages:
            for obj in page.items:
                fresh[_key(obj)] = self._transform(obj)
            version = page.resource_version
        self._lists.inc()
        changes = _changes(self._objects, fresh)
        for old, new in changes:
            self._store(old, new)
        self._watching = True
        self._said_missing = False
        self._advance(version)
        self.synced.set()
        for old, new in changes:
            self._tell(old, new)
        self._wake()

    async def _watch(self) -> None:
        events = self._client.watch(
            self.resource, resource_version=self.resource_version, namespace=self._namespace, label_selector=self._label_selector
        )
        async with contextlib.aclosing(events):
            async for event in events:
                self._take(event)

    def _take(self, event: client_.WatchEvent) -> None:
        version = event.object["metadata"]["resourceVersion"]
        changes: list[Change] = []
        if event.type != "BOOKMARK":
            old = self._objects.get(_key(event.object))
            new = None if event.type == "DELETED" else self._transform(event.object)
            changes = _change(old, new)
        for change in changes:
            self._store(*change)
        self._advance(version)
        for change in changes:
            self._tell(*change)
        self._wake()

    def _store(self, old: Object | None, new: Object | None) -> None:
        if old is not None:
            self._index.remove(_key(old))
            del self._objects[_key(old)]
        if new is not None:
            self._objects[_key(new)] = new
            self._index.add(_key(new), new)

    def _tell(self, old: Object | None, new: Object | None) -> None:
        try:
            self._on_change(old, new)
        except Exception:  # a bug in a listener must not end the cache that everybody reads
            _log.exception("a listener to %s failed", self.resource.plural)

    def _advance(self, version: str) -> None:
        self.resource_version = version
        self.last_contact = asyncio.get_running_loop().time()
        self._count.set(len(self._objects))

    def _wake(self) -> None:
        for holds, future in self._waiting:
            if not future.done() and holds():
                future.set_result(None)


class _Index:
    """Which cached keys belong to an index key, and back."""

    def __init__(self, function: IndexKeys | None) -> None:
        self._function = function
        self._members: dict[Hashable, dict[Key, None]] = {}
        self._under: dict[Key, tuple[Hashable, ...]] = {}

    def keys(self, key: Hashable) -> Iterable[Key]:
        return self._members.get(key, ())

    def add(self, key: Key, obj: Object) -> None:
        if self._function is None:
            return
        self._under[key] = tuple(self._function(obj))
        for one in self._under[key]:
            self._members.setdefault(one, {})[key] = None

    def remove(self, key: Key) -> None:
        for one in self._under.pop(key, ()):
            members = self._members[one]
            members.pop(key, None)
            if not members:
                del self._members[one]


class _Retry:
    """Waits that double from half a second up to a limit, half of each random, until there is progress again."""

    def __init__(self, *, limit_s: float) -> None:
        self._limit_s = limit_s
        self._failures = 0

    def after_trouble(self, *, progress: bool) -> float:
        self._failures = 1 if progress else self._failures + 1
        wait_s = min(self._limit_s, 0.5 * 2.0 ** min(self._failures - 1, 16))
        return wait_s * random.uniform(0.5, 1.0)  # noqa: S311


def at_least(version: str, wanted: str) -> bool:
    """Whether a resourceVersion is not older than another; an empty one is older than all."""
    return bool(version) and int(version) >= int(wanted)


def _key(obj: Object) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def _changes(old: Mapping[Key, Object], new: Mapping[Key, Object]) -> list[Change]:
    """What leads from one state to another: first what went, then what came or changed."""
    gone = [(old[key], None) for key in old if key not in new]
    return gone + [change for key in new for change in _change(old.get(key), new[key])]


def _change(old: Object | None, new: Object | None) -> list[Change]:
    """Nothing for the same version; two steps for another object under the same name."""
    if old is None or new is None:
        return [(old, new)] if old is not new else []
    before, after = old["metadata"], new["metadata"]
    if before["resourceVersion"] == after["resourceVersion"]:
        return []
    return [(old, new)] if before["uid"] == after["uid"] else [(old, None), (None, new)]
