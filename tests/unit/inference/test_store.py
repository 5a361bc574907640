"""How Redis is asked: what goes over the wire, what may come back, and how long it is waited for."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import hiredis
import pytest

from slipway_inference.store import CONNECTIONS, Store, Unavailable

Answered = Callable[[list[bytes]], bytes | None]
"""From a command to what is written; None closes the connection."""


class Redis:
    """Answers commands on loopback, or on a socket of its own, as it is told to."""

    def __init__(self, answered: Answered, *, piece: int = 1_000_000) -> None:
        self.answered = answered
        self.piece = piece
        """Answers come in pieces of so many bytes."""

        self.asked: list[list[bytes]] = []
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def listening(self, path: Path | None = None) -> AsyncIterator[str]:
        """Its address."""
        server = await (asyncio.start_unix_server(self._serve, path) if path else asyncio.start_server(self._serve, "127.0.0.1", 0))
        try:
            yield f"unix://{path}" if path else f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await self.drop()

    async def drop(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        commands = hiredis.Reader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                commands.feed(data)
                while (command := commands.gets()) is not False:
                    self.asked.append(command)
                    await self._answer(self.answered(command), writer)

    async def _answer(self, answer: bytes | None, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            writer.close()
            return
        for start in range(0, len(answer), self.piece):
            writer.write(answer[start : start + self.piece])
            await writer.drain()
            await asyncio.sleep(0)


def rows(command: list[bytes]) -> bytes:
    """The value of key ``a`` is ``<a>``; ``none`` is not there."""
    match command[0]:
        case b"MGET":
            return b"*%d\r\n" % len(command[1:]) + b"".join(
                b"$-1\r\n" if key == b"none" else b"$%d\r\n<%s>\r\n" % (len(key) + 2, key) for key in command[1:]
            )
        case b"PING":
            return b"+PONG\r\n"
        case _:
            return b"+OK\r\n"


@contextlib.asynccontextmanager
async def opened(address: str, *, timeout_s: float = 5.0, password: str = "") -> AsyncIterator[Store]:
    store = Store(address, timeout_s=timeout_s, password=password)
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("piece", [1, 7, 1_000_000])
async def test_rows_come_in_the_order_of_their_keys(piece: int) -> None:
    redis = Redis(rows, piece=piece)
    async with redis.listening() as address, opened(address) as store:
        assert await store.get([b"b", b"none", b"a\r\n"]) == [b"<b>", None, b"<a\r\n>"]
        assert await store.get([b"c"]) == [b"<c>"]
        await store.ping()
    assert redis.connections == 1


@pytest.mark.parametrize(
    ("given", "password", "told"),
    [
        ("", "", []),
        ("", "s3", [[b"AUTH", b"s3"]]),
        (":in%20it@", "other", [[b"AUTH", b"in it"]]),
        ("reader:s3@", "", [[b"AUTH", b"reader", b"s3"]]),
    ],
)
@pytest.mark.parametrize(("database", "selected"), [("", []), ("/0", []), ("/7", [[b"SELECT", b"7"]])])
async def test_a_connection_is_made_known_and_led_to_its_database(
    given: str, password: str, told: list[list[bytes]], database: str, selected: list[list[bytes]]
) -> None:
    redis = Redis(rows)
    async with redis.listening() as address, opened(address.replace("//", f"//{given}") + database, password=password) as store:
        await store.get([b"a"])
    assert redis.asked == [*told, *selected, [b"MGET", b"a"]]


async def test_a_socket_of_this_machine_will_do(tmp_path: Path) -> None:
    redis = Redis(rows)
    async with redis.listening(tmp_path / "redis.sock") as address, opened(address) as store:
        assert await store.get([b"a"]) == [b"<a>"]


@pytest.mark.parametrize("refused", [b"AUTH", b"SELECT", b"MGET"])
async def test_an_error_is_told_by_its_name_alone(refused: bytes) -> None:
    redis = Redis(lambda command: b"-WRONGPASS key 42 of user 7\r\n" if command[0] == refused else rows(command))
    async with redis.listening() as address, opened(f"{address}/1", password="s3") as store:
        with pytest.raises(Unavailable, match=r"^it answers WRONGPASS$"):
            await store.get([b"a"])


async def test_what_speaks_another_protocol_is_no_store() -> None:
    redis = Redis(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n")
    async with redis.listening() as address, opened(address) as store:
        with pytest.raises(Unavailable, match="it does not speak Redis' protocol"):
            await store.get([b"a"])
        with pytest.raises(Unavailable):
            await store.ping()


async def test_nobody_there_is_unavailable_at_once() -> None:
    async with opened("redis://127.0.0.1:9") as store:
        with pytest.raises(Unavailable, match="it cannot be connected to: "):
            await store.get([b"a"])
        with pytest.raises(Unavailable):
            await store.ping()


async def test_a_connection_that_was_closed_while_it_was_kept_is_no_failure() -> None:
    redis = Redis(rows)
    async with redis.listening() as address, opened(address) as store:
        await store.get([b"a"])
        await redis.drop()
        assert await store.get([b"a"]) == [b"<a>"]


async def test_a_store_that_closes_every_time_it_is_asked_is_asked_twice() -> None:
    redis = Redis(rows)
    async with redis.listening() as address, opened(address) as store:
        await store.get([b"a"])
        redis.answered = lambda _: None
        with pytest.raises(Unavailable, match="the connection broke"):
            await store.get([b"b"])
    assert redis.asked[1:] == [[b"MGET", b"b"]] * 2


async def test_an_answer_that_does_not_come_is_not_waited_for_and_taken_by_nobody() -> None:
    redis = Redis(lambda command: b"" if command[1:] == [b"slow"] else rows(command))
    async with redis.listening() as address, opened(address, timeout_s=0.05) as store:
        await store.get([b"a"])
        began = time.monotonic()
        with pytest.raises(Unavailable, match="it took longer than 50 ms"):
            await store.get([b"slow"])
        assert time.monotonic() - began < 1
        assert await store.get([b"b"]) == [b"<b>"]
    assert redis.connections == 2, "the late answer would be taken for the next one's"


async def test_who_has_no_turn_waits_no_longer_than_who_has_one() -> None:
    redis = Redis(lambda _: b"")
    async with redis.listening() as address, opened(address, timeout_s=0.05) as store:
        found = await asyncio.gather(*(store.get([b"a"]) for _ in range(2 * CONNECTIONS)), return_exceptions=True)
    assert {str(error) for error in found} == {"it took longer than 50 ms"}
