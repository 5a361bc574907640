import asyncio
from collections.abc import AsyncIterator

import pytest

from slipway_box.controlplane import ControlPlane
from slipway_operator import metrics
from slipway_operator.cluster import resources
from slipway_operator.cluster.client import ApiClient
from slipway_operator.cluster.events import Recorder
from slipway_operator.cluster.resources import Object

from .conftest import PATIENCE_S, Follow


@pytest.fixture
async def recorder(client: ApiClient, meters: metrics.Metrics) -> AsyncIterator[Recorder]:
    recorder = Recorder(client, instance="test", meters=meters)
    task = asyncio.ensure_future(recorder.run())
    yield recorder
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_repeats_are_one_event_with_a_count(recorder: Recorder, owner: Object, follow: Follow) -> None:
    events = await follow(resources.EVENTS)

    def shown() -> list[tuple[str, str, int]]:
        return sorted((one["reason"], one["note"], (one.get("series") or {}).get("count", 1)) for one in events.informer.cache.values())

    recorder.emit(owner, type="Warning", reason="RolloutPaused", message="latency is up")
    await events.until(lambda: shown() == [("RolloutPaused", "latency is up", 1)])
    for _ in range(3):
        recorder.emit(owner, type="Warning", reason="RolloutPaused", message="latency is up")
    recorder.emit(owner, type="Normal", reason="RolloutDone", message="all of it")
    await events.until(lambda: shown() == [("RolloutDone", "all of it", 1), ("RolloutPaused", "latency is up", 4)])


async def test_kubectl_describes_the_object_with_its_events(recorder: Recorder, owner: Object, plane: ControlPlane, follow: Follow) -> None:
    events = await follow(resources.EVENTS)
    recorder.emit(owner, type="Normal", reason="RevisionReady", message="ranker-1a2b answers")
    await events.until(lambda: len(events.informer.cache) == 1)
    described = plane.kubectl("describe", "modeldeployment", "ranker", "--namespace", owner["metadata"]["namespace"])
    assert described.split("Events:")[1].splitlines()[3].split() == [
        "Normal", "RevisionReady", "0s", "slipway.dev/operator", "ranker-1a2b", "answers",
    ]  # fmt: skip


async def test_an_event_that_cannot_be_sent_troubles_nobody(client: ApiClient, owner: Object, meters: metrics.Metrics) -> None:
    recorder = Recorder(client, instance="test", meters=meters)
    recorder.emit({**owner, "metadata": owner["metadata"] | {"namespace": "no-such"}}, type="Normal", reason="Lost", message="x")
    async with asyncio.timeout(PATIENCE_S):
        await recorder.flush()
    assert meters.events.labels("failed")._value.get() == 1
