"""HTTP/1.1 requests as bytes, most of them wrong, and what comes back for them."""

import contextlib
import http.client
import io
import json
import random
import socket
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The first answer on a connection; ``status`` is 0 where there was none that can be read."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, received: bytes) -> Self:
        """Out of everything that came."""
        if not received.startswith(b"HTTP/1."):
            return cls(status=0, headers={}, body=received)
        response = http.client.HTTPResponse(_Received(received))  # type: ignore[arg-type]
        response.begin()
        return cls(status=response.status, headers={name.lower(): value for name, value in response.getheaders()}, body=response.read())

    @property
    def error(self) -> str:
        """The sentence of a refusal. AssertionError where it is none. Triton repeats what it was asked, even if that is no UTF-8."""
        assert self.headers.get("content-type") == "application/json", self
        error = json.loads(self.body.decode(errors="replace"))["error"]
        assert isinstance(error, str), self
        return error


class _Received:
    """As much of a socket as ``http.client`` wants."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._received)


def sent(address: str, request: bytes, *, finish: bool = False, timeout_s: float = 2.0) -> Answer:
    """What comes back for ``request`` until the connection ends or nothing more comes; with ``finish`` it is all that the client will ever say."""
    received = b""
    with socket.create_connection((address, 80), timeout=timeout_s) as connection, contextlib.suppress(TimeoutError, ConnectionError):
        connection.sendall(request)
        if finish:
            connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            received += piece
    return Answer.of(received)


def mutated(valid: bytes, chance: random.Random) -> bytes:
    """A valid request with a few bytes changed, taken out, put in, repeated or exchanged."""
    data = bytearray(valid)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        kind = chance.randrange(5)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            del data[at : at + chance.randint(1, 8)]
        elif kind == 2:
            data[at:at] = chance.randbytes(chance.randint(1, 8))
        elif kind == 3:
            data[at:at] = data[at : at + chance.randint(1, 40)]
        else:
            other = chance.randrange(len(data))
            data[at], data[other] = data[other], data[at]
        data = data or bytearray(b"x")
    return bytes(data)
