"""Applications for granian's RSGI: what it hands them, bodies that have a limit, and ``/metrics``."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from slipway_service import meters

JSON = ("content-type", "application/json")
CLOSE = ("connection", "close")

Headers: TypeAlias = list[tuple[str, str]]


class TooLong(Exception):
    """A body is longer than it may be, and was not read to its end."""


class Truncated(Exception):
    """A body ends before its end: the client went away in the middle of it."""


class Incoming(Protocol):
    """What granian says of a request."""

    method: str
    path: str
    query_string: str
    headers: Any


class Connection(Protocol):
    """What granian lets us do about a request."""

    async def __call__(self) -> bytes:
        """All of the body."""
        ...

    def __aiter__(self) -> Any:
        """The body, in pieces."""
        ...

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer."""
        ...


async def body(connection: Connection, length: str | None, *, most: int) -> bytes:
    """The body of a request, at most ``most`` bytes; ``length`` is its content-length. TooLong, Truncated."""
    try:
        if length is not None:  # hyper has seen to it that it is a number, and the only one
            if int(length) > most:
                raise TooLong
            return await connection()
        parts, size = [], 0
        async for part in connection:
            size += len(part)
            if size > most:
                raise TooLong
            parts.append(part)
        return b"".join(parts)
    except (RuntimeError, OSError):  # granian's ProtocolError
        raise Truncated from None


class Metrics:
    """``/metrics``, on a port of its own so that clients cannot reach it."""

    def __init__(self, text: Callable[[], bytes], *, elsewhere: Mapping[str, Any]) -> None:
        self._text = text
        self._elsewhere = msgspec.json.encode(elsewhere)
        """The body of the 404 at every other path."""

    async def __rsgi__(self, scope: Incoming, connection: Connection) -> None:
        """One request."""
        if scope.path == "/metrics" and scope.method in ("GET", "HEAD"):
            connection.response_bytes(200, [("content-type", meters.CONTENT_TYPE)], self._text())
        else:
            connection.response_bytes(404, [JSON], self._elsewhere)
