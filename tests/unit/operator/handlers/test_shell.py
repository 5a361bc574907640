"""kopf as a guest: what its end may and may not take with it."""

import asyncio
import concurrent.futures
import contextlib
import itertools
import threading
from typing import Any

import kopf
import pytest

from slipway_operator.handlers import app


async def test_kopf_is_started_again_when_it_ends_and_takes_none_of_our_tasks_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    stop, home = asyncio.Event(), asyncio.get_running_loop()

    async def ends(operator: Any, *, home: asyncio.AbstractEventLoop, over: "concurrent.futures.Future[None]") -> None:
        """As kopf does: cancel everything on the loop, then fail."""
        starts.append(1)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        if len(starts) == 1:
            raise RuntimeError("409")
        home.call_soon_threadsafe(stop.set)
        await asyncio.wrap_future(over)

    monkeypatch.setattr(app, "shell", ends)
    monkeypatch.setattr(app, "Forever", lambda: iter((0.0, 0.0, 0.0)))

    watching = asyncio.create_task(app.watch(None, stop=stop))  # type: ignore[arg-type]
    younger = home.create_task(stop.wait())
    async with asyncio.timeout(10):
        await watching

    assert (len(starts), await younger) == (2, True)


def test_kopf_is_ten_seconds_late_at_most_after_the_api_server_was_away() -> None:
    waits = list(itertools.islice(app.Forever(), 100))

    assert (waits[:2], max(waits)) == ([0.5, 1], 10)


async def test_a_probe_is_answered_by_our_loop() -> None:
    home = asyncio.get_running_loop()

    assert await asyncio.to_thread(asyncio.run, app.at(home, lambda: "fresh")) == "fresh"


async def test_a_probe_fails_with_what_our_loop_found() -> None:
    def ill() -> str:
        raise kopf.PermanentError("no word from the API server")

    with pytest.raises(kopf.PermanentError, match="no word"):
        await asyncio.to_thread(asyncio.run, app.at(asyncio.get_running_loop(), ill))


async def test_kopf_ends_when_everything_on_our_loop_is_cancelled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the end of asyncio.run: a thread that lived on would keep the process from ending."""
    began, ended = threading.Event(), threading.Event()

    async def runs(operator: Any, *, home: asyncio.AbstractEventLoop, over: "concurrent.futures.Future[None]") -> None:
        began.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.wrap_future(over)
                ended.set()

    monkeypatch.setattr(app, "shell", runs)
    ours = asyncio.all_tasks()
    watching = asyncio.create_task(app.watch(None, stop=asyncio.Event()))  # type: ignore[arg-type]
    await asyncio.to_thread(began.wait)
    for task in asyncio.all_tasks() - ours - {watching}:
        task.cancel()
    watching.cancel()
    await asyncio.wait({watching})

    assert await asyncio.to_thread(ended.wait, 2)
