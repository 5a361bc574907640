"""An operator that has settled: what it writes, how fast it follows an edit, what it holds in memory, who takes over from it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from bench.operator import contenders, figures, speed, world
from bench.operator.contenders import Operator
from bench.operator.figures import Figure
from bench.operator.sizes import Sizes
from bench.operator.speed import NAMESPACE
from bench.operator.world import World
from slipway_operator.cluster import resources

BATCH = 50
"""Objects that live at the same time in the churn."""

WARM_UP = 500
"""Cycles before the first look at the memory."""

DEFAULT_LEASE_S = 15.0


def rows(sizes: Sizes, directory: Path) -> Iterator[Figure]:
    """Edits during start-up, then everything else at rest, on one API server."""
    with world.plane(directory / "rest", with_kserve=False) as plane, asyncio.Runner() as runner:
        measured = _measured(plane.kubeconfig, sizes)
        while (figure := runner.run(_next(measured))) is not None:
            yield figure


async def _next(measured: AsyncIterator[Figure]) -> Figure | None:
    return await anext(measured, None)


async def _measured(kubeconfig: Path, sizes: Sizes) -> AsyncIterator[Figure]:
    async with world.entered(kubeconfig) as at:
        starting = await speed.edits_while_starting(at, count=sizes.objects)
        for figure in starting.rows(f"during start-up of {sizes.objects}", p99_limit_ms=2000):
            yield figure
        for part in (_at_rest, _takeovers, _restart, _memory):
            async for figure in part(at, sizes):
                yield figure


async def _at_rest(at: World, sizes: Sizes) -> AsyncIterator[Figure]:
    async with contenders.operator(at.kubeconfig) as operator:
        await settled(operator, sizes)
        async for figure in _quiet(at, operator, sizes):
            yield figure
        idle = await speed.edits_at_rest(at, objects=sizes.objects, edits=sizes.edits)
        for figure in idle.rows("at rest", p99_limit_ms=250):
            yield figure


async def settled(operator: Operator, sizes: Sizes) -> None:
    """Wait until a freshly started operator knows every object and does nothing any more."""
    await operator.warm(sizes.objects)
    await operator.at_rest()


async def _quiet(at: World, operator: Operator, sizes: Sizes) -> AsyncIterator[Figure]:
    """Writes of an operator at rest, by its own count and by the API server's."""
    own, server = await operator.writes(), await at.requests()
    passes, cpu_s = await operator.passes(), operator.cpu_s
    await asyncio.sleep(sizes.quiet_s)
    passes, cpu_s = await operator.passes() - passes, operator.cpu_s - cpu_s
    window = f"in {sizes.quiet_s:g} s at rest"
    yield figures.at_most(f"writes {window}, by the operator's count", await operator.writes() - own, "", limit=0)
    yield figures.at_most(f"writes {window}, by the API server's count", (await at.requests()).since(server).writes, "", limit=0)
    yield figures.stated(f"passes {window}", passes, "")
    yield figures.stated("processor time at rest", 100 * cpu_s / sizes.quiet_s, "%")


async def _takeovers(at: World, sizes: Sizes) -> AsyncIterator[Figure]:
    leases = [sizes.short_lease_s, *([DEFAULT_LEASE_S] if sizes.default_lease else [])]
    for lease_s in leases:
        for number, limit in ((signal.SIGTERM, 3.0), (signal.SIGKILL, lease_s + 3.0)):
            took = await _takeover(at, sizes, lease_s=lease_s, number=number)
            yield figures.at_most(f"takeover after {number.name}, lease {lease_s:g} s", took, "s", limit=limit)


async def _takeover(at: World, sizes: Sizes, *, lease_s: float, number: signal.Signals) -> float:
    """Seconds from the signal until the successor has carried out an edit made right after it."""
    async with (
        contenders.operator(at.kubeconfig, lease_s=lease_s) as leader,
        world.following(at, resources.HORIZONTAL_POD_AUTOSCALERS, namespace=NAMESPACE) as children,
    ):
        await settled(leader, sizes)
        async with contenders.operator(at.kubeconfig, lease_s=lease_s) as successor:
            await successor.warm(sizes.objects)
            await asyncio.sleep(2.0)
            began = world.now()
            leader.send(number)
            await asyncio.sleep(0.02)
            edit_s = await speed.edited(at, "model-7", children)
            took = world.now() - began
            assert edit_s < took
            return took


async def _restart(at: World, sizes: Sizes) -> AsyncIterator[Figure]:
    """A restart finds everything as it left it: what it sends all the same."""
    before = await at.requests()
    async with contenders.operator(at.kubeconfig) as operator:
        await settled(operator, sizes)
        asked = (await at.requests()).since(before)
        yield figures.stated("no-op writes for an object after a restart", asked.writes / sizes.objects, "")


async def _memory(at: World, sizes: Sizes) -> AsyncIterator[Figure]:
    """The operator with all objects, and while objects come and go beside them."""
    async with contenders.operator(at.kubeconfig) as operator:
        await settled(operator, sizes)
        yield figures.at_most(f"memory at {sizes.objects} objects", operator.resident_mib, "MiB", limit=150)
        yield figures.stated("memory, at its highest until then", operator.peak_mib, "MiB")
        await at.make_namespace("churn")
        await _churn(at, cycles=min(WARM_UP, sizes.cycles // 3))
        await operator.at_rest()
        before = operator.resident_mib
        await _churn(at, cycles=sizes.cycles)
        await operator.at_rest()
        growth = 100 * (operator.resident_mib / before - 1)
        yield figures.at_most(f"growth over {sizes.cycles} objects made and deleted", growth, "%", limit=5)


async def _churn(at: World, *, cycles: int) -> None:
    for first in range(0, cycles, BATCH):
        names = world.names(min(BATCH, cycles - first), prefix=f"c{first}")
        async with world.following(at, resources.MODEL_DEPLOYMENTS, namespace="churn") as followed:
            await at.make(names, namespace="churn")
            await followed.all_observed(len(names))
            await at.empty("churn")
