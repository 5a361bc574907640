"""Sees every version of everything in a namespace, straight from the API server."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from slipway_operator.cluster import client, resources
from slipway_operator.cluster.resources import Object, Resource

WATCHED: Final = (
    resources.MODEL_DEPLOYMENTS,
    resources.EXPERIMENTS,
    resources.INFERENCE_SERVICES,
    resources.CONFIG_MAPS,
    resources.SERVICES,
    resources.CONTROLLER_REVISIONS,
    resources.HORIZONTAL_POD_AUTOSCALERS,
    resources.POD_DISRUPTION_BUDGETS,
    resources.DEPLOYMENTS,
)


@dataclass(frozen=True)
class Version:
    """One event of one object; resource versions of different kinds are comparable, for all come from one etcd."""

    at: int
    type: str
    object: Object


@dataclass
class Scene:
    """All that happened in one namespace."""

    history: dict[tuple[str, str], list[Version]] = field(default_factory=lambda: defaultdict(list))
    """(plural, name) → versions, oldest first."""

    _last: float = 0.0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, plural: str, version: Version) -> None:
        """Something happened."""
        self.history[plural, version.object["metadata"]["name"]].append(version)
        self._last = asyncio.get_running_loop().time()
        self.nudge()

    def nudge(self) -> None:
        """Make everybody who waits look again."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def live(self, resource: Resource, name: str) -> Object | None:
        """The newest version seen, unless that is a deletion."""
        return self.at(resource, name, at=None)

    def at(self, resource: Resource, name: str, *, at: int | None) -> Object | None:
        """The object as it was at a resource version."""
        known = [version for version in self.history.get((resource.plural, name), ()) if at is None or version.at <= at]
        return None if not known or known[-1].type == "DELETED" else known[-1].object

    def all(self, resource: Resource) -> list[Object]:
        """The live objects of a kind."""
        named = (self.live(resource, name) for plural, name in sorted(self.history) if plural == resource.plural)
        return [obj for obj in named if obj is not None]

    async def until(self, holds: Callable[[], bool], *, within_s: float) -> bool:
        """Wait until ``holds()``, which is asked whenever something happened."""
        try:
            async with asyncio.timeout(within_s):
                while not holds():
                    await self._something()
        except TimeoutError:
            return holds()
        return True

    async def quiet(self, *, for_s: float) -> None:
        """Wait until nothing has happened for a while."""
        now = asyncio.get_running_loop().time
        while (left_s := self._last + for_s - now()) > 0:  # noqa: ASYNC110 - what is waited for is time without news
            await asyncio.sleep(left_s)

    async def _something(self) -> None:
        await self._news.wait()


class Witness:
    """The scenes of all namespaces."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self._scenes: dict[str, Scene] = {}

    def scene(self, namespace: str) -> Scene:
        """What happens in a namespace; ask before anything does."""
        return self._scenes.setdefault(namespace, Scene())

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator["Witness"]:
        """Watch from now on; a watch that breaks breaks the block."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._watch(resource, await self._now(resource))) for resource in WATCHED]
            yield self
            for task in tasks:
                task.cancel()

    async def _now(self, resource: Resource) -> str:
        return (await self._api.list(resource)).resource_version

    async def _watch(self, resource: Resource, version: str) -> None:
        async for event in self._api.watch(resource, resource_version=version):
            meta = event.object["metadata"]
            if event.type != "BOOKMARK" and meta.get("namespace") in self._scenes:
                self._scenes[meta["namespace"]].add(resource.plural, Version(int(meta["resourceVersion"]), event.type, event.object))
        raise AssertionError(f"the witness lost sight of {resource.plural}")
