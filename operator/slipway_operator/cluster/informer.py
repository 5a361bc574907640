"""A live copy of a resource: list once, watch for ever, survive everything in between."""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeAlias

from slipway_operator import metrics
from slipway_operator.cluster import client as client_
from slipway_operator.cluster.resources import Object, Resource

Key: TypeAlias = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""
OnChange: TypeAlias = Callable[[Object | None, Object | None], None]
"""Called with (old, new): old is None for a new object, new is None for a deleted one. Sync and cheap; must not change them."""
Transform: TypeAlias = Callable[[Object], Object]
IndexKeys: TypeAlias = Callable[[Object], Iterable[Hashable]]


def slim(obj: Object) -> Object:
    """The default transform: without managedFields and kubectl's last-applied annotation."""
    raise NotImplementedError


class Informer:
    """Keeps ``cache`` equal to the API server and tells ``on_change`` what moved.

    After a lost watch it lists again and compares: what vanished meanwhile gives an ``on_change(old, None)``, what is unchanged
    (equal resourceVersion) gives nothing. The objects in the cache are shared: read, never write.
    """

    cache: Mapping[Key, Object]
    synced: asyncio.Event
    """Set after the first complete list."""
    last_contact: float
    """``loop.time()`` of the last list, event or bookmark; 0.0 before the first. For a watchdog: older than 150 s is ill."""
    resource_version: str
    """How far the cache is: every change up to this version is in it; empty before the first list."""

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
        meters: metrics.Metrics = metrics.DEFAULT,
    ) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Keep the cache up to date until cancelled. Never raises for the API server's sake; a missing kind is tried again every 15 s."""
        raise NotImplementedError

    def get(self, namespace: str, name: str) -> Object | None:
        """The cached object."""
        raise NotImplementedError

    def by_index(self, key: Hashable) -> tuple[Object, ...]:
        """The objects for which the index function gave ``key``."""
        raise NotImplementedError

    async def caught_up(self, resource_version: str, *, timeout_s: float) -> bool:
        """Wait until the cache holds every change up to ``resource_version``. False when that took too long."""
        raise NotImplementedError
