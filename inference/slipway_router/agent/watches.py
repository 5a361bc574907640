"""A live copy of what matters of some objects: list once, watch for ever, survive everything in between."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from slipway_router.agent import api as api_
from slipway_router.agent.api import Api, Gone, Kind, Object, Unavailable

T = TypeVar("T")

BACKOFF_LIMIT_S = 5.0
"""Longest wait between two tries to reach the API server."""

_log = logging.getLogger(__name__)


class Watch(Generic[T]):
    """Keeps ``kept`` (object name to what ``keep`` made of it) equal to the API server and calls ``on_change`` with each name that moved.

    ``keep`` gives None for an object that is of no interest, as if it were not there. ``on_list`` is called after each full list, when all
    that it moved has been told. All three are sync, cheap and do not raise.
    Nothing else of an object is held: memory is that of the kept values.
    """

    def __init__(
        self,
        api: Api,
        kind: Kind,
        *,
        keep: Callable[[Object], T | None],
        on_change: Callable[[str, T | None], None],
        on_list: Callable[[], None] = lambda: None,
        backoff_limit_s: float = BACKOFF_LIMIT_S,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        """Set after the first complete list."""
        self.lists = 0
        """Full lists so far; climbing means watches do not hold."""
        self._last_contact = 0.0
        self._api = api
        self._keep = keep
        self._on_change = on_change
        self._on_list = on_list
        self._kept: dict[str, T] = {}
        self.kept: Mapping[str, T] = MappingProxyType(self._kept)
        self._version = ""
        """Where to watch on from; empty: list first."""
        self._backoff_limit_s = backoff_limit_s
        self._failures = 0

    def silence_s(self) -> float:
        """Seconds since the API server last said anything about this kind; since the start where it never did."""
        return asyncio.get_running_loop().time() - self._last_contact

    async def run(self) -> None:
        """Keep up to date until cancelled. Never raises for the API server's sake."""
        self._last_contact = asyncio.get_running_loop().time()
        while True:
            wait_s = await self._round()
            await asyncio.sleep(wait_s)

    async def _round(self) -> float:
        """List if need be, watch until that ends, and say how many seconds to wait before the next round."""
        loop = asyncio.get_running_loop()
        contact, began = self._last_contact, loop.time()
        try:
            if not self._version:
                await self._list()
            began = loop.time()
            await self._watch()
        except Gone as error:
            self._version = ""
            _log.info("%s; listing again", error)
        except Unavailable as error:
            wait_s = self._after_trouble(progress=self._last_contact > contact)
            _log.warning("%s; trying again in %.1f s", error, wait_s)
            return wait_s
        else:
            if loop.time() - began >= 1.0:
                return 0.0
        return self._after_trouble(progress=self._last_contact > contact)

    def _after_trouble(self, *, progress: bool) -> float:
        """Doubles from a quarter of a second up to the limit, half of it random, until there is progress again."""
        self._failures = 1 if progress else self._failures + 1
        wait_s = min(self._backoff_limit_s, 0.25 * 2.0 ** min(self._failures - 1, 16))
        return wait_s * random.uniform(0.5, 1.0)  # noqa: S311

    async def _list(self) -> None:
        fresh: dict[str, T] = {}
        version = ""
        async with contextlib.aclosing(self._api.pages(self.kind)) as pages:
            async for page in pages:
                for name, obj in page.objects.items():
                    if (kept := self._kept_of(obj)) is not None:
                        fresh[name] = kept
                version = page.version
        self.lists += 1
        for name in self._kept.keys() - fresh.keys():
            self._store(name, None)
        for name, kept in fresh.items():
            self._store(name, kept)
        self._on_list()
        self._reached(version)
        self.synced.set()

    async def _watch(self) -> None:
        async with contextlib.aclosing(self._api.watch(self.kind, version=self._version)) as events:
            async for event in events:
                self._take(event)

    def _take(self, event: api_.Event) -> None:
        if event.type != "BOOKMARK":
            self._store(event.name, None if event.type == "DELETED" else self._kept_of(event.object))
        self._reached(event.version)

    def _kept_of(self, obj: Object) -> T | None:
        try:
            return self._keep(obj)
        except Exception:  # an object that nobody thought of must not end the watch that all others need
            _log.exception("an object of %s could not be read", self.kind.what)
            return None

    def _store(self, name: str, kept: T | None) -> None:
        if kept == self._kept.get(name):
            return
        if kept is None:
            del self._kept[name]
        else:
            self._kept[name] = kept
        try:
            self._on_change(name, kept)
        except Exception:  # as above
            _log.exception("%s of %s could not be taken", name, self.kind.what)

    def _reached(self, version: str) -> None:
        self._version = version
        self._last_contact = asyncio.get_running_loop().time()
