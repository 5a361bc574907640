"""Reading our own writes: a cache that is older than what we wrote last is not to be decided from."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slipway_operator import errors
from slipway_operator.cluster import client as client_
from slipway_operator.cluster import informer as informer_
from slipway_operator.cluster import resources
from slipway_operator.cluster.recent import Recent
from slipway_operator.cluster.resources import Object, Reference, Resource

_FORGOTTEN_AFTER_S = 120.0
"""A write that no cache has shown by now never will be shown: it is outside the cache's selector, or the server lost it."""


@dataclass(frozen=True, kw_only=True)
class _Pending:
    """A write that a cache may not show yet."""

    informer: informer_.Informer
    shown: Callable[[], bool]
    since: float


class OwnWrites:
    """Which of our writes the caches may not show yet, and reads that wait for them.

    ``wait_s``: how long such a read waits before it asks the server.
    """

    def __init__(self, client: client_.ApiClient, *, informers: Mapping[Resource, informer_.Informer], wait_s: float) -> None:
        self._client = client
        self._informers = informers
        self._wait_s = wait_s
        self._pending: Recent[Reference, _Pending] = Recent(limit=50_000)
        self._of_owner: Recent[str, frozenset[Reference]] = Recent(limit=20_000)

    def wrote(self, reference: Reference, *, version: str, owner_uid: str) -> None:
        """The server has stored our write at ``version``."""
        informer = self._informer(reference)
        if informer:
            self._expect(reference, informer, owner_uid, lambda: informer_.at_least(informer.resource_version, version))

    def deleted(self, reference: Reference, *, uid: str, owner_uid: str) -> None:
        """The server has accepted our deletion of the object with ``uid``."""
        informer = self._informer(reference)
        if informer is None:
            return

        def shown() -> bool:
            cached = informer.get(reference.namespace, reference.name)
            return cached is None or cached["metadata"]["uid"] != uid or "deletionTimestamp" in cached["metadata"]

        self._expect(reference, informer, owner_uid, shown)

    def forget(self, reference: Reference, *, uid: str) -> None:
        """The object is gone, and with it what was written for it as an owner."""
        for written in (reference, *(self._of_owner.get(uid) or ())):
            self._pending.forget(written)
        self._of_owner.forget(uid)

    async def settled(self, owner_uid: str) -> bool:
        """Wait until the caches show every write made for this owner. False when one does not in time."""
        now = asyncio.get_running_loop().time
        ends = now() + self._wait_s
        for reference in self._of_owner.get(owner_uid) or ():
            if not await self._shown(reference, timeout_s=max(0.0, ends - now())):
                return False
        self._of_owner.forget(owner_uid)
        return True

    async def cached(self, reference: Reference) -> Object | None:
        """The object as of our last write to it: from the cache, after a wait for it, or from the server. None: not in the cache."""
        informer = self._informer(reference)
        if informer and await self._shown(reference, timeout_s=self._wait_s):
            return informer.get(reference.namespace, reference.name)
        return await self.on_server(reference)

    async def anywhere(self, reference: Reference) -> Object | None:
        """As ``cached``; what is not in the cache is asked of the server, for it need not carry the labels the cache selects by."""
        informer = self._informer(reference)
        if informer and await self._shown(reference, timeout_s=self._wait_s):
            found = informer.get(reference.namespace, reference.name)
            if found is not None:
                return found
        return await self.on_server(reference)

    def overlooked(self, live: Object) -> bool:
        """Whether the cache should hold ``live``, by its labels, and does not."""
        informer = self._informers.get(resources.of(live))
        return (
            informer is not None
            and informer.selects(live)
            and informer.get(live["metadata"].get("namespace") or "", live["metadata"]["name"]) is None
        )

    async def on_server(self, reference: Reference) -> Object | None:
        """The object as the server has it now. NotFound where the kind itself is missing."""
        resource = resources.by_kind(reference.api_version, reference.kind)
        try:
            return await self._client.get(resource, reference.name, namespace=reference.namespace or None)
        except errors.NotFound as error:
            if error.kind_missing:
                raise
            return None

    def _informer(self, reference: Reference) -> informer_.Informer | None:
        return self._informers.get(resources.by_kind(reference.api_version, reference.kind))

    def _expect(self, reference: Reference, informer: informer_.Informer, owner_uid: str, shown: Callable[[], bool]) -> None:
        self._pending.put(reference, _Pending(informer=informer, shown=shown, since=asyncio.get_running_loop().time()))
        self._of_owner.put(owner_uid, (self._of_owner.get(owner_uid) or frozenset()) | {reference})

    async def _shown(self, reference: Reference, *, timeout_s: float) -> bool:
        pending = self._pending.get(reference)
        if pending is None:
            return True
        too_old = asyncio.get_running_loop().time() - pending.since > _FORGOTTEN_AFTER_S
        if not too_old and not await pending.informer.until(pending.shown, timeout_s=timeout_s):
            return False
        if self._pending.get(reference) is pending:
            self._pending.forget(reference)
        return True
