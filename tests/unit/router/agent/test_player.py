"""Playing shadows: against a pod that answers, one that is slow, one that is not there."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from slipway_router.agent import server
from slipway_router.agent.counts import Counts
from slipway_router.agent.shadow.player import Player
from slipway_router.agent.shadow.samples import About, Message, Sample
from slipway_router.agent.shadow.sums import ShadowSums
from slipway_testing.fake_nginx import eventually

KEY = ("ranker", "ranker-7")
ANSWER = b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1.0,2.0]}]}'
OTHER = b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1.0,4.0]}]}'
SAMPLE = Sample(
    about=About(model="ranker", epoch=7, shadow="ranker-7"),
    path="/v2/models/ranker/infer?x=%2F",
    request_id="r-1",
    request=Message(b'{"inputs":[]}', "application/json", 13),
    status=200,
    seconds=0.0,
    answer=Message(ANSWER, "application/json", None),
)


class Pod:
    """A predictor pod on loopback; ``answers`` in order, the last for ever."""

    def __init__(self, *answers: web.Response, after_s: float = 0.0) -> None:
        self._answers = list(answers)
        self._after_s = after_s
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.at_once = 0
        self._now = 0

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        headers = {name: request.headers.get(name, "") for name in ("Content-Type", "x-request-id", "Inference-Header-Content-Length")}
        self.asked.append((request.raw_path, headers, await request.read()))
        try:
            await asyncio.sleep(self._after_s)
        finally:
            self._now -= 1
        given = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return web.Response(status=given.status, headers=given.headers, body=given.body)


@contextlib.asynccontextmanager
async def playing(pod: Pod, *, addresses: list[str] | None = None, **options: Any) -> AsyncIterator[tuple[Player, Counts]]:
    runner = web.ServerRunner(web.Server(pod, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    counts = Counts()
    counts.known({"ranker": 7})
    chosen: dict[str, Any] = {"queue_bytes": 100_000, "concurrency": 2, "timeout_s": 5.0} | options
    chosen.setdefault("pods", lambda _: ["127.0.0.1"] if addresses is None else addresses)
    try:
        async with Player(counts=counts, port=runner.addresses[0][1], **chosen) as player:
            task = asyncio.create_task(player.run())
            try:
                yield player, counts
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    finally:
        await runner.cleanup()


def good(body: bytes = ANSWER) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def without_time(sums: ShadowSums) -> ShadowSums:
    return replace(sums, seconds_difference=0.0)


async def test_a_shadow_is_asked_the_same_and_its_answer_compared() -> None:
    pod = Pod(good(), good(OTHER))
    async with playing(pod, concurrency=1) as (player, counts):
        player.take(SAMPLE)
        player.take(SAMPLE)
        await eventually(lambda: player.sums[KEY].answered == 2)
        epoch = counts.epoch("ranker", 7)
        assert epoch
        for sums in (player.sums[KEY], epoch.shadows["ranker-7"]):
            assert without_time(sums) == ShadowSums(sampled=2, answered=2, agreed=1, absolute_difference=1.0)
            assert 0 < sums.seconds_difference < 5
        assert player.waiting_bytes == 0
    headers = {"Content-Type": "application/json", "x-request-id": "r-1", "Inference-Header-Content-Length": "13"}
    assert pod.asked[0] == ("/v2/models/ranker/infer?x=%2F", headers, b'{"inputs":[]}')


@pytest.mark.parametrize(
    "bad",
    [
        web.Response(status=500, body=ANSWER),
        web.Response(status=302, body=ANSWER, headers={"Location": "/"}),
        good(b"<html>"),
        good(ANSWER + b" " * 3_000_000),
    ],
)
async def test_an_answer_that_cannot_be_compared_is_a_failure(bad: web.Response) -> None:
    async with playing(Pod(bad)) as (player, _):
        player.take(SAMPLE)
        await eventually(lambda: player.sums[KEY].failed)
        assert player.sums[KEY] == ShadowSums(sampled=1, failed=1)


@pytest.mark.parametrize("addresses", [[], ["127.0.0.2"], ["::1"]])
async def test_a_shadow_that_is_not_there_is_a_failure(addresses: list[str]) -> None:
    async with playing(Pod(good()), addresses=addresses) as (player, _):
        player.take(SAMPLE)
        await eventually(lambda: player.sums[KEY].failed)


async def test_a_slow_shadow_fills_its_queue_and_nothing_else() -> None:
    pod = Pod(good(), after_s=60.0)
    async with playing(pod, queue_bytes=10 * SAMPLE.size, timeout_s=0.3) as (player, _):
        for _ in range(100):
            player.take(SAMPLE)
        assert player.waiting_bytes == 10 * SAMPLE.size
        assert player.sums[KEY].dropped == 90
        await eventually(lambda: player.waiting_bytes == 0)
        assert player.sums[KEY] == ShadowSums(sampled=100, failed=10, dropped=90)
        assert pod.at_once == 2


async def test_what_nobody_thought_of_costs_one_sample(caplog: pytest.LogCaptureFixture) -> None:
    strange: list[list[str]] = [["127.0.0.1"]]

    def pods(_: str) -> list[str]:
        return strange.pop()  # fails from the second time on

    async with playing(Pod(good()), concurrency=1, pods=pods) as (player, _):
        for _ in range(3):
            player.take(SAMPLE)
        await eventually(lambda: player.waiting_bytes == 0)
        assert without_time(player.sums[KEY]) == ShadowSums(sampled=3, answered=1, agreed=1)
    assert caplog.text.count("a sample of ranker could not be played") == 2


async def test_without_a_good_answer_there_is_nothing_to_compare_with() -> None:
    pod = Pod(good())
    async with playing(pod) as (player, _):
        player.take(replace(SAMPLE, status=503))
        assert player.sums[KEY] == ShadowSums(sampled=1, dropped=1)
    assert pod.asked == []


async def test_sums_of_what_is_gone_are_dropped() -> None:
    async with playing(Pod(good())) as (player, _):
        player.drop(SAMPLE.about)
        player.known({KEY})
        assert KEY in player.sums
        player.known(set())
        assert player.sums == {}


def written(sample: Sample, **changes: Any) -> bytes:
    """As nginx writes it."""
    head = {
        "model": sample.about.model,
        "epoch": sample.about.epoch,
        "revision": "ranker-1",
        "shadow": sample.about.shadow,
        "requestId": sample.request_id,
        "path": sample.path,
        "contentType": sample.request.content_type,
        "inferenceHeaderLength": sample.request.header_length,
        "status": sample.status,
        "seconds": sample.seconds,
        "answerContentType": sample.answer.content_type,
        "answerInferenceHeaderLength": sample.answer.header_length,
        "requestBytes": len(sample.request.body),
        "answerBytes": len(sample.answer.body),
    }
    line = json.dumps({key: value for key, value in (head | changes).items() if value is not ...})
    return line.encode() + b"\n" + sample.request.body + sample.answer.body


def test_a_sample_is_read_as_nginx_writes_it() -> None:
    binary = replace(SAMPLE, request=Message(b"\n\0\n", "application/octet-stream", None), answer=Message(b"", "text/plain", 0))
    for sample in (SAMPLE, binary):
        assert Sample.read(written(sample)) == sample


@pytest.mark.parametrize("changes", [{"requestBytes": 12}, {"answerBytes": -1}, {"model": ...}, {"path": ...}, {"seconds": "x"}, {"epoch": []}])
def test_a_broken_sample_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"sample|JSON|Expecting|float|int"):
        Sample.read(written(SAMPLE, **changes))


@pytest.mark.parametrize("body", [b"", b"[]\n", b"x"])
def test_what_is_no_sample_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"sample|JSON|Expecting|float|int"):
        Sample.read(body)


@contextlib.asynccontextmanager
async def socket_of(player: Player, folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    runner = server.runner(server.Sampled(player).app())
    await runner.setup()
    await web.UnixSite(runner, folder / "agent.sock").start()
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(folder / "agent.sock"))) as session:
        yield session
    await runner.cleanup()


async def test_samples_come_in_on_a_socket_and_what_has_no_room_is_not_read(tmp_path: Path) -> None:
    async with playing(Pod(good()), queue_bytes=5000) as (player, _), socket_of(player, tmp_path) as nginx:
        large = replace(SAMPLE, request=Message(b"x" * 1_000_000, "application/json", None))
        statuses = []
        for body in (written(SAMPLE), written(large, requestBytes=5), written(SAMPLE, model=...), b"\n" + b"x" * 1_000_000):
            async with nginx.post("http://agent/shadow", data=body) as answer:
                statuses.append(answer.status)
        assert statuses == [202, 202, 400, 400]
        await eventually(lambda: player.sums[KEY].answered)
        assert without_time(player.sums[KEY]) == ShadowSums(sampled=2, answered=1, agreed=1, dropped=1)
