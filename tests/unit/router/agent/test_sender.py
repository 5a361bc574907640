"""Exposures on their way to a ledger that is not always well, over real connections; the time is the test's."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from slipway_router.agent import sender as sender_
from slipway_router.agent.exposures import Exposures
from slipway_router.agent.sender import Sender
from slipway_testing.fake_nginx import eventually

Judge = Callable[[web.Request, list[str]], web.Response]


def well(_: web.Request, units: list[str]) -> web.Response:
    return web.json_response({"accepted": len(units), "duplicates": 0, "refused": []})


def busy(status: int, **headers: str) -> Judge:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _, __: web.json_response({"error": "full", "reason": "full"}, status=status, headers=named)


class Ledger:
    """Answers batches in turn as ``next`` says, and well afterwards."""

    def __init__(self) -> None:
        self.next: list[Judge] = []
        self.batches: list[list[str]] = []
        """Units of the batches that came, whatever was answered."""
        self.authorizations: list[str | None] = []
        self.bodies: list[int] = []
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=2**20)
        app.router.add_post("/v1/exposures", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
        self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-ndjson"
        body = await request.read()
        units = [json.loads(line)["unit"] for line in body.splitlines()]
        self.batches.append(units)
        self.bodies.append(len(body))
        self.authorizations.append(request.headers.get("Authorization"))
        return (self.next.pop(0) if self.next else well)(request, units)


class Clock:
    """Sleeps are written down, and end at once but where the clock is the real one."""

    def __init__(self) -> None:
        self.real = False
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(seconds if self.real else 0)

    @property
    def backoffs(self) -> list[float]:
        return [seconds for seconds in self.slept if seconds != sender_.BATCH_S]


class World:
    """A spool, a ledger, and who carries from one to the other."""

    def __init__(self, folder: Path, *, file_bytes: int = 10**7, files: int = 2) -> None:
        self.folder = folder
        self.ledger = Ledger()
        self.clock = Clock()
        self.token_file: Path | None = None
        self.exposures = Exposures(folder / "x", file_bytes=file_bytes, files=files)
        self.sender = self.another()
        self._running: asyncio.Task[None] | None = None

    def another(self) -> Sender:
        """As after a restart of the agent."""
        url, position = self.ledger.url, self.folder / "x.position"
        self.sender = Sender(self.exposures, url=url, token_file=self.token_file, position_file=position, sleep=self.clock.sleep)
        return self.sender

    async def put(self, *numbers: int, padding: str = "") -> None:
        self.exposures.put([{"unit": f"ü-{number}", "padding": padding} for number in numbers], lost=0)
        await self.exposures.flush()

    def start(self) -> None:
        self._running = asyncio.create_task(self.another().run())

    async def kill(self) -> None:
        if self._running:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
        self._running = None

    async def sent(self, *numbers: int) -> None:
        """Wait until nothing waits, and these batches came, each unit in one."""
        await eventually(lambda: not self.sender.waiting and self.position)
        assert sorted(unit for batch in self.ledger.batches for unit in batch) == sorted(f"ü-{number}" for number in numbers)

    @property
    def position(self) -> Any:
        path = self.folder / "x.position"
        return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.ledger.start()
    yield made
    await made.kill()
    await made.ledger.stop()


def tallies(sender: Sender) -> tuple[int, dict[str, int], int, int, int]:
    return sender.sent, sender.refused, sender.failures, sender.unsent, sender.waiting


async def test_what_is_there_is_sent_and_what_comes_then(world: World) -> None:
    await world.put(1, 2)
    world.start()
    await world.sent(1, 2)
    await world.put(3)
    await world.put(4)
    await eventually(lambda: world.sender.sent == 4)
    assert tallies(world.sender) == (4, {}, 0, 0, 0)
    assert set(world.clock.slept) == {sender_.BATCH_S}


async def test_batches_are_bounded_in_lines_and_in_bytes(world: World) -> None:
    await world.put(*range(2500))
    world.start()
    await eventually(lambda: world.sender.sent == 2500)
    assert [len(batch) for batch in world.ledger.batches] == [1000, 1000, 500]
    await world.put(*range(300), padding="x" * 4000)
    await eventually(lambda: world.sender.sent == 2800)
    assert sum(map(len, world.ledger.batches)) == 2800
    assert max(world.ledger.bodies) <= sender_.MOST_BYTES
    assert len(world.ledger.batches) == 6


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503, 307])
async def test_a_batch_that_was_not_taken_is_sent_again_and_again(world: World, status: int) -> None:
    await world.put(1, 2)
    world.ledger.next = [busy(status, location="/v1/exposures")] * 8
    world.start()
    await eventually(lambda: world.sender.sent == 2)
    assert world.ledger.batches == [["ü-1", "ü-2"]] * 9
    assert tallies(world.sender) == (2, {}, 8, 0, 0)
    doubled = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert all(full / 2 <= waited <= full for waited, full in zip(world.clock.backoffs, doubled, strict=True))


@pytest.mark.parametrize(
    ("after", "waits"), [("7", (7, 7)), ("30", (30, 30)), ("86400", (30, 30)), ("0", (0, 0.25)), ("soon", (0, 0.25)), ("-1", (0, 0.25))]
)
async def test_the_ledger_may_say_how_long(world: World, after: str, waits: tuple[float, float]) -> None:
    await world.put(1)
    world.ledger.next = [busy(429, retry_after=after)]
    world.start()
    await eventually(lambda: world.sender.sent == 1)
    (waited,) = world.clock.backoffs
    assert waits[0] <= waited <= waits[1]


async def test_a_ledger_that_is_away_costs_nothing(world: World) -> None:
    world.start()
    await world.ledger.stop()
    await world.put(1)
    await eventually(lambda: world.sender.failures >= 3)
    await world.put(2)
    assert world.sender.waiting == 2
    await world.ledger.start()
    await world.sent(1, 2)
    assert world.sender.sent == 2


async def test_an_answer_that_is_none_is_no_answer(world: World) -> None:
    """Somebody else listens at that address, and finds everything well."""
    await world.put(1)
    world.ledger.next = [lambda *_: web.Response(text="<h1>It works!</h1>"), lambda *_: web.json_response([]), lambda *_: web.json_response({})]
    world.start()
    await eventually(lambda: world.sender.sent == 1)
    assert tallies(world.sender) == (1, {}, 3, 0, 0)


def refusing(*indices: int, status: int = 200) -> Judge:
    refused = [{"index": index, "reason": "arm" if index else "experiment", "error": f"of {index}"} for index in indices]
    return lambda _, units: web.json_response({"accepted": len(units) - len(indices), "duplicates": 0, "refused": refused}, status=status)


async def test_what_the_ledger_refuses_is_counted_and_done_with(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.put(1, 2, 3)
    world.ledger.next = [refusing(0, 2), refusing(0, status=422)]
    with caplog.at_level(logging.WARNING):
        world.start()
        await world.sent(1, 2, 3)
        await world.put(4)
        await world.sent(1, 2, 3, 4)
    assert tallies(world.sender) == (1, {"experiment": 2, "arm": 1}, 0, 0, 0)
    assert [record.message for record in caplog.records] == ["the ledger refuses 2 of 3 exposures, the first because of 0"]


@pytest.mark.parametrize("status", [400, 413])
async def test_one_line_that_cannot_be_read_does_not_hold_up_the_others(world: World, status: int) -> None:
    def picky(_: web.Request, units: list[str]) -> web.Response:
        return web.json_response({"error": "no", "reason": "body"}, status=status) if "ü-5" in units else well(_, units)

    await world.put(*range(8))
    world.ledger.next = [picky] * 100
    world.start()
    await eventually(lambda: world.sender.sent == 7)
    assert tallies(world.sender) == (7, {"body": 1}, 0, 0, 0)
    assert world.ledger.batches[-1] == ["ü-6", "ü-7"]


async def test_the_token_is_read_anew_and_never_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.token_file = world.folder / "token"
    await world.put(1)
    world.start()
    await eventually(lambda: world.sender.failures >= 2)
    assert world.ledger.batches == []
    world.token_file.write_text("secret-1\n")
    await eventually(lambda: world.sender.sent == 1)
    world.token_file.write_text("secret-2")
    world.ledger.next = [busy(401)]
    await world.put(2)
    await eventually(lambda: world.sender.sent == 2)
    assert world.ledger.authorizations == ["Bearer secret-1", "Bearer secret-2", "Bearer secret-2"]
    assert str(world.token_file) in caplog.text
    assert "secret-" not in caplog.text


async def test_a_killed_sender_goes_on_where_it_was(world: World) -> None:
    await world.put(*range(1500))
    world.ledger.next = [well, busy(503, retry_after="5")]
    world.clock.real = True
    world.start()
    await eventually(lambda: len(world.ledger.batches) == 2 and world.position)
    await world.kill()
    world.start()
    await eventually(lambda: world.sender.waiting == 0 and world.sender.sent)
    assert [len(batch) for batch in world.ledger.batches] == [1000, 500, 500]
    assert world.sender.sent == 500


@pytest.mark.parametrize("text", ["", "{", "[]", '{"file": 7}', '{"file": "x", "offset": "y"}', '{"file": "0123456789abcdef", "offset": 7}'])
async def test_a_position_that_is_none_costs_sending_again(world: World, text: str) -> None:
    (world.folder / "x.position").write_text(text)
    await world.put(1, 2)
    world.start()
    await eventually(lambda: world.sender.sent == 2)
    assert tallies(world.sender) == (2, {}, 0, 0, 0)


async def test_exposures_that_the_files_had_no_room_for_are_counted(tmp_path: Path) -> None:
    """Of three files of ten lines each."""
    world = World(tmp_path, file_bytes=10 * len('{"unit":"ü-100","padding":""}\n'.encode()), files=2)
    await world.ledger.start()
    await world.ledger.stop()
    world.start()
    await world.put(*range(100, 105))
    await eventually(lambda: world.sender.failures)
    for number in range(105, 142):
        await world.put(number)
    assert (world.exposures.dropped, world.sender.waiting) == (20, 42)
    await world.ledger.start()
    await eventually(lambda: world.sender.waiting == 0)
    # The batch of five was on its way when its lines went; of the other 37 there were 22 left.
    assert tallies(world.sender)[0] == 27
    assert world.sender.unsent == 15
    assert world.ledger.batches[0] == [f"ü-{number}" for number in range(100, 105)]
    assert sorted(unit for batch in world.ledger.batches[1:] for unit in batch) == [f"ü-{number}" for number in range(120, 142)]
    await world.kill()
    await world.ledger.stop()


async def test_finishing_sends_what_is_left_without_waiting(world: World) -> None:
    world.clock.real = True
    world.ledger.next = [busy(503, retry_after="30")]
    await world.put(1)
    world.start()
    await eventually(lambda: world.ledger.batches)
    await world.put(2)
    await asyncio.wait_for(world.sender.finish(), 2.0)
    assert world.ledger.batches == [["ü-1"], ["ü-1"], ["ü-2"]]
    assert tallies(world.sender) == (2, {}, 1, 0, 0)


async def test_finishing_with_nothing_to_send(world: World) -> None:
    world.start()
    await asyncio.wait_for(world.sender.finish(), 2.0)


async def test_finishing_without_a_ledger_takes_as_long_as_it_is_given(world: World) -> None:
    await world.ledger.stop()
    await world.put(1)
    world.start()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(world.sender.finish(), 0.2)
    assert world.sender.waiting == 1


async def test_a_disk_that_does_not_take_the_position_costs_nothing(world: World) -> None:
    (world.folder / "x.position.new").mkdir()
    await world.put(1)
    world.start()
    await eventually(lambda: world.sender.sent == 1)
    await world.put(2)
    await eventually(lambda: world.sender.sent == 2)
    assert world.ledger.batches == [["ü-1"], ["ü-2"]]


def test_waits_are_spread() -> None:
    """Many routers find the same ledger away at the same moment."""
    waits = [sender_._wait_s(5, after_s=0.0) for _ in range(200)]
    assert min(waits) < 2.4
    assert max(waits) > 3.6
