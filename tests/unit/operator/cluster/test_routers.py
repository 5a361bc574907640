"""What routers are asked about their counts, and who shares an answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from slipway_operator.cluster import routers
from slipway_testing import router as fake

TABLE = json.dumps({"model": "digits", "revisions": [{"name": "stable"}, {"name": "arm"}]})


class Agent:
    """The agent of one router pod, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.bad = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        return web.json_response(fake.counts([TABLE], model="digits", epoch=int(request.query["epoch"]), bad={"arm": self.bad}))


@pytest.fixture
def agent() -> Agent:
    """One that listens where ``asking`` looks for it."""
    return Agent()


@pytest.fixture
async def asking(agent: Agent) -> AsyncIterator[routers.Routers]:
    """Questions to it."""
    served = web.Application()
    served.router.add_get("/v1/counts", agent.answer)
    runner = web.AppRunner(served)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with routers.Routers(port=runner.addresses[0][1]) as started:
        yield started
    await runner.cleanup()


async def counted(asking: routers.Routers, **changes: Any) -> routers.Counted:
    valid: dict[str, Any] = {"namespace": "shop", "model": "digits", "epoch": 3, "sharing": ("stable", "arm"), "margin": None, "shadow": None}
    return await asking.counts(["127.0.0.1"], **(valid | changes))


def bad(found: routers.Counted) -> int:
    return sum(requests for _, requests, _ in found.revisions["arm"].buckets)


async def test_whoever_wants_the_same_counts_at_about_the_same_time_is_given_one_reading(agent: Agent, asking: routers.Routers) -> None:
    """A pass over a ModelDeployment and one over its experiment, at once and one after the other."""
    first, second = await asyncio.gather(counted(asking), counted(asking))
    third = await counted(asking)
    assert len(agent.asked) == 1
    assert first is second is third


async def test_what_is_said_of_a_shadow_is_always_of_now(agent: Agent, asking: routers.Routers) -> None:
    """It is read every half minute: one that was read just before would stand for so long."""
    await counted(asking, shadow="arm")
    await counted(asking, shadow="arm")
    assert len(agent.asked) == 2


async def test_counts_are_read_again_after_a_while(agent: Agent, asking: routers.Routers, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    assert bad(await counted(asking)) == 0
    agent.bad, begun = 1.0, loop.time
    monkeypatch.setattr(loop, "time", lambda: begun() + routers.COUNTED_S)
    assert bad(await counted(asking)) == 64_000
    assert len(agent.asked) == 2


@pytest.mark.parametrize("changes", [{"epoch": 4}, {"sharing": ("stable", "another")}, {"margin": 0.2}, {"shadow": "arm"}, {"model": "letters"}])
async def test_another_question_is_asked(agent: Agent, asking: routers.Routers, changes: dict[str, Any]) -> None:
    await counted(asking)
    await counted(asking, **changes)
    assert len(agent.asked) == 2


async def test_who_is_cancelled_takes_the_answer_from_nobody(agent: Agent, asking: routers.Routers) -> None:
    hasty, patient = asyncio.create_task(counted(asking)), asyncio.create_task(counted(asking))
    await asyncio.sleep(0)
    hasty.cancel()
    assert (await patient).revisions["arm"].requests == 64_000
    assert hasty.cancelled()
    assert len(agent.asked) == 1


async def test_one_reading_of_latencies_moves_the_edges_once(agent: Agent, asking: routers.Routers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow is what the reading before says; had both passes read, the second would go by what the first saw."""
    assert (await counted(asking, margin=0.2)).edges is None
    assert (await counted(asking, margin=0.2)).edges is None
    loop, begun = asyncio.get_running_loop(), asyncio.get_running_loop().time
    monkeypatch.setattr(loop, "time", lambda: begun() + routers.COUNTED_S)
    edges = (await counted(asking, margin=0.2)).edges
    assert edges
    assert agent.asked[-1]["edge.stable"] == str(edges.stable)
