"""First passes: the operator, the bare script and the plain kopf operator, each with an API server of its own that holds the same objects."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.operator import contenders, figures, world, writes
from bench.operator.figures import Figure
from bench.operator.sizes import Sizes
from bench.operator.world import Followed, Requests, World
from slipway_operator.cluster import resources

NAMESPACE = "shop"
EDIT_EVERY_S = 0.25


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One contender's run."""

    seconds: float
    calls: int
    writes: int
    cpu_s: float
    """Processor time of the contender itself."""

    server_cpu_s: float
    """Processor time of the API server and etcd meanwhile."""

    passes: float = 0.0

    @property
    def whole_cpu_s(self) -> float:
        """Processor time of all: what the machine has to do, however busy it is with other things."""
        return self.cpu_s + self.server_cpu_s


@dataclass
class Latencies:
    """Seconds from an edit to its child, one an edit."""

    seconds: list[float] = field(default_factory=list)

    def rows(self, when: str, *, p99_limit_ms: float) -> Iterator[Figure]:
        """p50 and p99."""
        yield figures.stated(f"edit to child {when}, p50", figures.quantile(self.seconds, 0.5) * 1000, "ms")
        yield figures.at_most(f"edit to child {when}, p99", figures.quantile(self.seconds, 0.99) * 1000, "ms", limit=p99_limit_ms)


async def first_passes(at: World, *, count: int) -> Timed:
    """The operator, from starting the process."""
    async with prepared(at, count=count) as scene, counted(at) as account:
        async with contenders.operator(at.kubeconfig) as operator:
            ended = await scene.ended(count)
            cpu_s, server_cpu_s = operator.cpu_s, account.server_cpu_s
            await operator.at_rest()
            passes = await operator.passes()
        asked = await account.asked()
    return Timed(seconds=ended - operator.began, calls=asked.calls, writes=asked.writes, cpu_s=cpu_s, server_cpu_s=server_cpu_s, passes=passes)


async def bare(at: World, *, count: int) -> Timed:
    """The script, with the requests worked out beforehand."""
    async with prepared(at, count=count) as scene:
        file = at.kubeconfig.parent / "writes.jsonl"
        writes.write_requests(file, await at.deployments(NAMESPACE))
        async with counted(at) as account:
            before, began = contenders.children_cpu_s(), world.now()
            await contenders.bare(at.kubeconfig, file)
            seconds = await scene.ended(count) - began
            cpu_s, server_cpu_s, asked = contenders.children_cpu_s() - before, account.server_cpu_s, await account.asked()
    return Timed(seconds=seconds, calls=asked.calls, writes=asked.writes, cpu_s=cpu_s, server_cpu_s=server_cpu_s)


async def plain_kopf(at: World, *, count: int) -> Timed:
    """The plain kopf operator, from starting the process."""
    async with prepared(at, count=count) as scene, counted(at) as account, contenders.plain_kopf(at.kubeconfig) as operator:
        seconds = await scene.ended(count) - operator.began
        cpu_s, server_cpu_s = operator.cpu_s, account.server_cpu_s
        await asyncio.sleep(2.0)  # its last annotations
        asked = await account.asked()
    return Timed(seconds=seconds, calls=asked.calls, writes=asked.writes, cpu_s=cpu_s, server_cpu_s=server_cpu_s)


@dataclass(frozen=True, kw_only=True)
class Account:
    """What the API server and etcd have done since the block began."""

    at: World
    before: Requests
    servers: tuple[int, ...]
    servers_cpu_s: float

    @property
    def server_cpu_s(self) -> float:
        """Their processor time."""
        return sum(contenders.cpu_s(server) for server in self.servers) - self.servers_cpu_s

    async def asked(self) -> Requests:
        """What was asked of them."""
        return (await self.at.requests()).since(self.before)


@contextlib.asynccontextmanager
async def counted(at: World) -> AsyncIterator[Account]:
    """Keep an account of the block."""
    servers = contenders.serving(at.kubeconfig)
    yield Account(at=at, before=await at.requests(), servers=servers, servers_cpu_s=sum(contenders.cpu_s(server) for server in servers))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A namespace full of new ModelDeployments, as the benchmark watches it."""

    deployments: Followed
    events: Followed

    async def ended(self, count: int) -> float:
        """Wait for the status of every object and an Event about each; returns the loop's time."""
        await self.deployments.all_observed(count)
        return await self.events.all_there(count)


@contextlib.asynccontextmanager
async def prepared(at: World, *, count: int) -> AsyncIterator[Scene]:
    """The scene before anybody has looked at it."""
    await at.make_namespace(NAMESPACE)
    await at.make(world.names(count), namespace=NAMESPACE)
    async with (
        world.following(at, resources.MODEL_DEPLOYMENTS, namespace=NAMESPACE) as deployments,
        world.following(at, resources.EVENTS, namespace=NAMESPACE) as events,
    ):
        yield Scene(deployments=deployments, events=events)


async def edits_while_starting(at: World, *, count: int) -> Latencies:
    """Edits of objects picked at random while the first passes are under way."""
    latencies = Latencies()
    async with (
        prepared(at, count=count) as scene,
        world.following(at, resources.HORIZONTAL_POD_AUTOSCALERS, namespace=NAMESPACE) as children,
        contenders.operator(at.kubeconfig),
    ):
        await scene.deployments.all_observed(count // 20)
        async with asyncio.TaskGroup() as group:
            while len(scene.deployments.observed) < count * 0.9:
                name = random.choice(world.names(count))  # noqa: S311
                group.create_task(_edited(at, name, children, latencies))
                await asyncio.sleep(EDIT_EVERY_S)
    return latencies


async def edits_at_rest(at: World, *, objects: int, edits: int) -> Latencies:
    """Edits of an operator with nothing else to do, one after another."""
    latencies = Latencies()
    async with world.following(at, resources.HORIZONTAL_POD_AUTOSCALERS, namespace=NAMESPACE) as children:
        for _ in range(edits):
            await _edited(at, random.choice(world.names(objects)), children, latencies)  # noqa: S311
            await asyncio.sleep(0.05)
    return latencies


async def _edited(at: World, name: str, children: Followed, latencies: Latencies) -> None:
    latencies.seconds.append(await edited(at, name, children))


async def edited(at: World, name: str, children: Followed) -> float:
    """Edit replicas.max; seconds from before the request until the HorizontalPodAutoscaler has it."""
    most = random.randint(3, 1000)  # noqa: S311
    began = world.now()
    await at.edit(name, namespace=NAMESPACE, most=most)

    def shown() -> bool:
        return any(child["spec"]["maxReplicas"] == most for key, child in children.informer.cache.items() if key[1].startswith(f"{name}-"))

    assert await children.informer.until(shown, timeout_s=world.PATIENCE_S), f"the edit of {name} does not arrive"
    return world.now() - began


def rows(sizes: Sizes, directory: Path) -> Iterator[Figure]:
    """All contenders, by turns; of each the best turn counts, for a machine that is busy with something else only ever makes it slower."""
    count = sizes.objects
    turns: dict[str, list[Timed]] = {name: [] for name in _CONTENDERS}
    for turn in range(sizes.rounds):
        for name in _CONTENDERS:
            turns[name].append(_on_a_plane(directory / f"{name}-{turn}".replace(" ", "-"), name, count=count))
    ours, floor, plain = (_best(turns[name]) for name in ("operator", "bare", "plain kopf"))
    twice = _best([_on_a_plane(directory / f"twice-{turn}", "operator", count=2 * count) for turn in range(sizes.rounds)])
    yield figures.stated(f"first passes of {count} objects", ours.seconds, "s")
    yield figures.stated(f"bare script, the same {floor.writes} writes", floor.seconds, "s")
    yield figures.at_most("first passes / bare script", ours.seconds / floor.seconds, "x", limit=1.5)
    yield figures.stated(
        "first passes / bare script in processor time of all, API server and etcd included", ours.whole_cpu_s / floor.whole_cpu_s, "x"
    )
    yield figures.at_most(f"time({2 * count}) / time({count})", twice.seconds / ours.seconds, "x", limit=2.3)
    yield figures.stated(f"time({2 * count}) / time({count}) in processor time of all", twice.whole_cpu_s / ours.whole_cpu_s, "x")
    yield figures.stated("passes for an object", ours.passes / count, "")
    yield figures.stated("API calls for an object", ours.calls / count, "")
    yield figures.stated("processor time for an object", ours.cpu_s / count * 1000, "ms")
    yield figures.stated(f"plain kopf operator, {count} objects", plain.seconds, "s")
    yield figures.stated("plain kopf: API calls for an object", plain.calls / count, "")
    yield figures.stated("plain kopf: processor time for an object", plain.cpu_s / count * 1000, "ms")
    yield figures.below("time / plain kopf's", ours.seconds / plain.seconds, "x", limit=1.0)
    yield figures.stated("time / plain kopf's in processor time of all", ours.whole_cpu_s / plain.whole_cpu_s, "x")
    yield figures.below("API calls / plain kopf's", ours.calls / plain.calls, "x", limit=1.0)


def kserve_rows(sizes: Sizes, directory: Path) -> Iterator[Figure]:
    """With KServe's manager and webhooks, for information."""
    if not sizes.with_kserve:
        return
    with world.plane(directory / "kserve", with_kserve=True) as plane:
        timed = asyncio.run(_measured(plane.kubeconfig, "operator", count=sizes.with_kserve))
    yield figures.stated(f"first passes of {sizes.with_kserve} objects with KServe's manager and webhooks on", timed.seconds, "s")


def _best(turns: list[Timed]) -> Timed:
    return min(turns, key=lambda timed: timed.seconds)


def _on_a_plane(directory: Path, contender: str, *, count: int) -> Timed:
    with world.plane(directory, with_kserve=False) as plane:
        return asyncio.run(_measured(plane.kubeconfig, contender, count=count))


async def _measured(kubeconfig: Path, contender: str, *, count: int) -> Timed:
    async with world.entered(kubeconfig) as at:
        return await _CONTENDERS[contender](at, count=count)


_CONTENDERS: dict[str, Callable[..., Coroutine[Any, Any, Timed]]] = {"bare": bare, "operator": first_passes, "plain kopf": plain_kopf}
