"""Processes of a test's own on loopback: a port for one, and what it answers."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slipway_box import ports


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def said(self) -> Any:
        """The JSON of the body."""
        return json.loads(self.body)


def free_port() -> int:
    """A port that nobody listens on, and that nobody else on this machine was or will be given meanwhile."""
    return ports.free(1)[0]


def own_addresses() -> Iterator[str]:
    """Addresses that nobody else on this machine has while this process lives, for servers that cannot choose their port: made of ports that are
    its own."""
    while True:
        (port,) = ports.free(1)
        yield from (f"127.{port // 250}.{port % 250}.{host}" for host in range(1, 255))


def accepts(port: int) -> bool:
    """Whether somebody listens on it."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def asked(
    port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str], *, timeout_s: float
) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own: status, headers and body of what is answered. Underscores in the names of headers are dashes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    with contextlib.closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
