"""Bodies that have a limit, and ``/metrics``."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from slipway_service import rsgi
from slipway_service.rsgi import Headers


@dataclass
class Connection:
    """Hands over pieces, and then breaks where it should."""

    pieces: list[bytes] = field(default_factory=list)
    breaks: Exception | None = None
    handed: int = 0
    """Pieces that were taken."""
    said: tuple[int, Headers, bytes] | None = None

    async def __call__(self) -> bytes:
        return b"".join([piece async for piece in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.handed += 1
            yield piece
        if self.breaks:
            raise self.breaks

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Remember it."""
        self.said = (status, headers, body)


@dataclass
class Scope:
    """A request."""

    method: str
    path: str
    query_string: str = ""
    headers: object = None


@pytest.mark.parametrize("length", ["6", None])
async def test_a_body_of_just_the_limit(length: str | None) -> None:
    assert await rsgi.body(Connection([b"abc", b"def"]), length, most=6) == b"abcdef"


async def test_a_body_that_says_it_is_too_long_is_not_read() -> None:
    connection = Connection([b"abc"])
    with pytest.raises(rsgi.TooLong):
        await rsgi.body(connection, "7", most=6)
    assert connection.handed == 0


async def test_a_body_without_a_length_is_read_to_the_limit_only() -> None:
    connection = Connection([b"abc"] * 10)
    with pytest.raises(rsgi.TooLong):
        await rsgi.body(connection, None, most=6)
    assert connection.handed == 3


@pytest.mark.parametrize("length", ["6", None])
@pytest.mark.parametrize("cause", [RuntimeError("protocol"), ConnectionResetError()])
async def test_a_client_that_goes_away(length: str | None, cause: Exception) -> None:
    with pytest.raises(rsgi.Truncated):
        await rsgi.body(Connection([b"abc"], breaks=cause), length, most=6)


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/metrics", (200, [("content-type", "text/plain; version=0.0.4; charset=utf-8")], b"up 1\n")),
        ("HEAD", "/metrics", (200, [("content-type", "text/plain; version=0.0.4; charset=utf-8")], b"up 1\n")),
        ("POST", "/metrics", (404, [("content-type", "application/json")], b'{"error":"not here"}')),
        ("GET", "/", (404, [("content-type", "application/json")], b'{"error":"not here"}')),
    ],
)
async def test_metrics_are_at_one_path(method: str, path: str, said: tuple[int, Headers, bytes]) -> None:
    connection = Connection()
    await rsgi.Metrics(lambda: b"up 1\n", elsewhere={"error": "not here"}).__rsgi__(Scope(method, path), connection)
    assert connection.said == said
