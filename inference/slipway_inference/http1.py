"""HTTP/1.1 over kept connections: as much of it as Triton on loopback needs, and no more."""

import asyncio
from dataclasses import dataclass

from slipway_inference.connections import Connection, Connections, Unreachable

_HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    headers: dict[bytes, bytes]
    """Names in lower case."""
    body: bytes


def connections(host: str, port: int, *, most: int) -> Connections[Reply]:
    """To one server. What is asked is a request's head and body."""

    async def opened() -> Connection[Reply]:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, host, port)
        except OSError as cause:
            raise Unreachable(f"nobody listens on {host}:{port}: {type(cause).__name__}") from cause
        return connection

    return Connections(opened, most=most)


class _Connection(Connection[Reply]):
    def __init__(self) -> None:
        super().__init__()
        self._received = bytearray()
        self._head: tuple[int, dict[bytes, bytes], int] | None = None

    def read(self, data: bytes) -> None:
        """See Connection."""
        self._received += data
        if self._head is None:
            self._head = self._read_head()
        if self._head is None:
            return
        status, headers, length = self._head
        if len(self._received) < length:
            return
        if len(self._received) > length or headers.get(b"connection", b"").lower() == b"close":
            self.abort()
        reply = Reply(status, headers, bytes(self._received))
        self._head = None
        self._received.clear()
        self.answered(reply)

    def _read_head(self) -> tuple[int, dict[bytes, bytes], int] | None:
        """Status, headers and the body's length; None while the head is not complete."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            if len(self._received) > _HEAD_BYTES:
                raise Unreachable("an answer's head does not end")
            return None
        first, *lines = bytes(self._received[:end]).split(b"\r\n")
        del self._received[: end + 4]
        try:
            headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
            return int(first.split(b" ", 2)[1]), headers, int(headers[b"content-length"])
        except (KeyError, ValueError, IndexError):
            raise Unreachable("an answer has no status or no length") from None
