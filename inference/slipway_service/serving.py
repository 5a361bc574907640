"""How a service of granian's listens, and how it ends."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from typing import Protocol

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

_BACKLOG = 1024


class Drained(Protocol):
    """An application that can be asked to end."""

    def drain(self) -> None:
        """From now on: not ready, and every answer is the last one on its connection."""
        ...

    async def idle(self) -> None:
        """Wait until no request is under way."""
        ...


def keep_what_is_loaded() -> None:
    """Modules stay until the end. A full collection that looked through them took 15 to 30 ms, for which requests waited."""
    gc.collect()
    gc.freeze()


@contextlib.asynccontextmanager
async def listening(app: object, host: str, port: int) -> AsyncIterator[None]:
    """granian in this process and this event loop: one process has half the memory of a parent and a worker.

    OSError: the address cannot be had, another process has it, as a rule.
    """
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    await asyncio.sleep(0)
    if serving.done():
        _began(serving, host, port)
    try:
        yield
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        await serving


def _began(serving: asyncio.Task[None], host: str, port: int) -> None:
    try:
        serving.result()
    except RuntimeError as error:  # granian's, for whatever the system refuses
        raise OSError(f"cannot listen on {host}:{port}: {error}") from error


async def until_drained(app: Drained, stop: asyncio.Event, *, drain_s: float, grace_s: float) -> None:
    """Wait for ``stop``; then let everybody learn for ``drain_s`` that ``app`` ends; then wait for ``grace_s`` at most until it is idle."""
    await stop.wait()
    app.drain()
    await asyncio.sleep(drain_s)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace_s):
            await app.idle()
