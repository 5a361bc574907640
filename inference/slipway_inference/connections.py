"""Kept connections to one server, one request at a time on each.

Own code, because a call through a client library costs more processor time than all else that the transformer does with a request,
which is 80 µs: to Triton through aiohttp 105 µs with 8 calls under way at once, to Redis through redis-py 56 µs with 16. This takes 40 µs and 16 µs.
"""

import abc
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

A = TypeVar("A")
"""What an answer is."""


class Unreachable(Exception):
    """Nobody listens, the connection broke, or what came is no answer; the message says which."""


class _Stale(Unreachable):
    """A kept connection was closed before the first byte of an answer: whoever closed it did not answer."""


class Connection(asyncio.Protocol, abc.ABC, Generic[A]):
    """One request at a time; a protocol's own class reads the answers."""

    def __init__(self) -> None:
        self.usable = True
        self._asked = 0
        self._answer: asyncio.Future[A] | None = None
        self._begun = False
        """Whether anything of the answer has come."""

        self._transport: asyncio.Transport

    @abc.abstractmethod
    def read(self, data: bytes) -> None:
        """Take what came, and call ``answered`` when an answer is whole. Unreachable: it cannot be read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio has it."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    async def exchange(self, parts: Sequence[bytes | memoryview]) -> A:
        """Ask, and wait for the answer. Unreachable. Cancelled, it leaves a connection that is no longer of use."""
        self._answer = asyncio.get_running_loop().create_future()
        self._asked += 1
        self._begun = False
        self._transport.writelines(parts)
        try:
            return await self._answer
        except BaseException:
            self.abort()  # an answer that nobody waits for must not be taken for the next one's
            raise
        finally:
            self._answer = None

    def answered(self, answer: A) -> None:
        """An answer is whole."""
        assert self._answer is not None  # noqa: S101
        self._answer.set_result(answer)

    def data_received(self, data: bytes) -> None:
        """As asyncio has it."""
        if self._answer is None or self._answer.done():
            self.abort()  # nothing was asked
            return
        self._begun = True
        try:
            self.read(data)
        except Unreachable as error:
            self._fail(error)

    def connection_lost(self, error: Exception | None) -> None:
        """As asyncio has it."""
        self.usable = False
        stale = self._asked > 1 and not self._begun
        self._fail(_Stale("a kept connection was closed") if stale else Unreachable(f"the connection broke: {error or 'it was closed'}"))

    def abort(self) -> None:
        """Close at once."""
        self.usable = False
        self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class Connections(Generic[A]):
    """Use ``ask``; ``close`` at the end, which gives up what is under way. At most ``most`` requests are under way, more wait for their turn."""

    def __init__(self, opened: Callable[[], Awaitable[Connection[A]]], *, most: int) -> None:
        """``opened`` makes a connection that can be asked, or raises Unreachable."""
        self._opened = opened
        self._idle: list[Connection[A]] = []
        self._busy: set[Connection[A]] = set()
        self._closed = False
        self._turns = asyncio.Semaphore(most)

    async def ask(self, parts: Sequence[bytes | memoryview], *, timeout_s: float) -> A:
        """Send a request, and wait for the answer. Unreachable, or TimeoutError after ``timeout_s`` seconds, waiting for a turn included.

        A request that a kept connection was too stale for is sent again, once, on a new one: nothing of an answer had come.
        """
        async with asyncio.timeout(timeout_s), self._turns:
            while self._idle:
                connection = self._idle.pop()
                if connection.usable:
                    try:
                        return await self._exchange(connection, parts)
                    except _Stale:
                        break
            return await self._exchange(await self._open(), parts)

    def close(self) -> None:
        """Close every connection. Who waits for an answer, and who asks from now on, gets Unreachable."""
        self._closed = True
        for connection in [*self._idle, *self._busy]:
            connection.abort()
        self._idle.clear()

    async def _open(self) -> Connection[A]:
        if self._closed:
            raise Unreachable("this transformer is ending")
        return await self._opened()

    async def _exchange(self, connection: Connection[A], parts: Sequence[bytes | memoryview]) -> A:
        self._busy.add(connection)
        try:
            answer = await connection.exchange(parts)
        finally:
            self._busy.discard(connection)
        if connection.usable:
            self._idle.append(connection)
        return answer
