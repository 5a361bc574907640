"""Redis, as far as reading goes: many keys at once, within a time.

hiredis reads and writes the protocol. Why redis-py's client does not do the rest is said in ``connections``.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, cast
from urllib.parse import unquote, urlsplit

import hiredis

from slipway_inference.connections import Connection, Connections, Unreachable

CONNECTIONS: Final = 32
_PORT: Final = 6379


class Unavailable(Exception):
    """The store did not answer in time, or not with rows. The message has no address: it may hold a password."""


class Store:
    """Use ``get``; ``close`` at the end."""

    def __init__(self, address: str, *, timeout_s: float, password: str = "") -> None:
        """``password``: where ``address`` holds none."""
        self._timeout_s = timeout_s
        self._server = _Server.parse(address, password=password)
        self._connections = Connections(self._server.opened, most=CONNECTIONS)

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """What is at these keys, in their order, with one MGET. Unavailable."""
        found: list[bytes | None] = await self._ask(b"MGET", *keys)
        return found

    async def ping(self) -> None:
        """See that it answers. Unavailable."""
        await self._ask(b"PING")

    async def close(self) -> None:
        """Close what is kept."""
        self._connections.close()

    async def _ask(self, *command: bytes) -> Any:
        try:
            return _checked(await self._connections.ask([_packed(command)], timeout_s=self._timeout_s))
        except TimeoutError:
            raise Unavailable(f"it took longer than {self._timeout_s * 1000:g} ms") from None
        except Unreachable as error:
            raise Unavailable(str(error)) from None


@dataclass(frozen=True, kw_only=True)
class _Server:
    """Where a Redis is, and who asks it."""

    host: str
    port: int
    path: str
    """Of a socket on this machine, in place of host and port."""

    encrypted: bool
    database: int
    user: str
    password: str

    @classmethod
    def parse(cls, address: str, *, password: str) -> Self:
        """Read ``redis://user:password@host:6379/0``, ``rediss://…`` or ``unix:///path``; ValueError for a port or database that is no number."""
        url = urlsplit(address)
        local = url.scheme == "unix"
        return cls(
            host=url.hostname or "localhost",
            port=url.port or _PORT,
            path=unquote(url.path) if local else "",
            encrypted=url.scheme == "rediss",
            database=0 if local else int(url.path.strip("/") or 0),
            user=unquote(url.username or ""),
            password=unquote(url.password or "") or password,
        )

    async def opened(self) -> Connection[Any]:
        """A connection that may be asked: known to the server, and in its database. Unreachable."""
        connection = await self._connected()
        if self.password:
            await _said(connection, b"AUTH", *([self.user.encode()] if self.user else []), self.password.encode())
        if self.database:
            await _said(connection, b"SELECT", b"%d" % self.database)
        return connection

    async def _connected(self) -> Connection[Any]:
        loop = asyncio.get_running_loop()
        try:
            if self.path:
                _, connection = await loop.create_unix_connection(_Connection, self.path)
            else:
                secured = ssl.create_default_context() if self.encrypted else None
                _, connection = await loop.create_connection(_Connection, self.host, self.port, ssl=secured)
        except OSError as error:  # a certificate that is not trusted among them
            raise Unreachable(f"it cannot be connected to: {error.strerror or type(error).__name__}") from None
        return connection


class _Connection(Connection[Any]):
    def __init__(self) -> None:
        super().__init__()
        self._reader = hiredis.Reader(notEnoughData=self)

    def read(self, data: bytes) -> None:
        """See Connection."""
        self._reader.feed(data)
        try:
            answer = self._reader.gets()
        except hiredis.ProtocolError:
            self.abort()
            raise Unreachable("it does not speak Redis' protocol") from None
        if answer is not self:
            self.answered(answer)


async def _said(connection: Connection[Any], *command: bytes) -> None:
    """Tell a new connection something. Unreachable: it is not taken."""
    try:
        _checked(await connection.exchange([_packed(command)]))
    except Unreachable:
        connection.abort()
        raise


def _packed(command: tuple[bytes, ...]) -> bytes:
    return bytes(hiredis.pack_command(cast(Any, command)))  # its types know commands of one word only


def _checked(answer: Any) -> Any:
    """The answer, if it is none of Redis' errors, whose first word says which (WRONGPASS, LOADING, OOM)."""
    if isinstance(answer, hiredis.ReplyError):
        raise Unreachable(f"it answers {str(answer).split(maxsplit=1)[0]}")
    return answer
