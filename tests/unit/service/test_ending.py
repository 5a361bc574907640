"""How a service learns that it should end, and how it does."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from slipway_service import serving, signals


class App:
    """Writes down what it is asked; idle when it is told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = asyncio.Event()

    def drain(self) -> None:
        """Write it down."""
        self.asked.append("drain")

    async def idle(self) -> None:
        """Write it down, and wait."""
        self.asked.append("idle")
        await self.over.wait()


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signals are as they were afterwards."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_a_service(number: signal.Signals) -> None:
    told = signals.ending()
    assert not told.is_set()
    os.kill(os.getpid(), number)
    await asyncio.wait_for(told.wait(), 5)
    for handled in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(handled)


async def test_nothing_is_drained_before_it_is_asked_for() -> None:
    app, stop = App(), asyncio.Event()
    ending = asyncio.create_task(serving.until_drained(app, stop, drain_s=0.0, grace_s=60.0))
    for _ in range(5):
        await asyncio.sleep(0)
    assert app.asked == []
    stop.set()
    app.over.set()
    await asyncio.wait_for(ending, 5)
    assert app.asked == ["drain", "idle"]


async def test_readiness_is_gone_for_a_while_before_anybody_is_waited_for() -> None:
    app, stop = App(), asyncio.Event()
    stop.set()
    ending = asyncio.create_task(serving.until_drained(app, stop, drain_s=60.0, grace_s=60.0))
    for _ in range(5):
        await asyncio.sleep(0)
    assert app.asked == ["drain"]
    ending.cancel()


async def test_who_takes_too_long_is_given_up() -> None:
    app, stop = App(), asyncio.Event()
    stop.set()
    await asyncio.wait_for(serving.until_drained(app, stop, drain_s=0.0, grace_s=0.001), 5)
    assert app.asked == ["drain", "idle"]


async def test_nothing_is_served_where_a_port_is_taken() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        listening = serving.listening(App(), "127.0.0.1", port)
        with pytest.raises(OSError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: .*already in use"):
            await listening.__aenter__()
