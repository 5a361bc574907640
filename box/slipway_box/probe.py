"""Questions that tell whether a component is up, each answered within two seconds."""

import http.client
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slipway_box.certificates import Pair

TIMEOUT_S = 2.0


class Probe(Protocol):
    """Anything that can say whether a component is up."""

    def healthy(self) -> bool:
        """Whether it is up now."""


@dataclass(frozen=True)
class Http:
    """Up when GET answers 200."""

    address: str
    port: int
    path: str

    def healthy(self) -> bool:
        """Whether it answers 200 now."""
        return _answers(http.client.HTTPConnection(self.address, self.port, timeout=TIMEOUT_S), self.path)


@dataclass(frozen=True)
class Https:
    """Up when GET over TLS answers 200; verified against ``authority``, with ``client`` as our own certificate if given."""

    address: str
    port: int
    path: str
    authority: Path
    client: Pair | None = None

    def healthy(self) -> bool:
        """Whether it answers 200 now."""
        context = context_for(authority=self.authority, client=self.client)
        return _answers(http.client.HTTPSConnection(self.address, self.port, timeout=TIMEOUT_S, context=context), self.path)


@dataclass(frozen=True)
class Tcp:
    """Up when somebody accepts on the port."""

    address: str
    port: int

    def healthy(self) -> bool:
        """Whether somebody accepts now."""
        with socket.socket() as caller:
            caller.settimeout(TIMEOUT_S)
            return caller.connect_ex((self.address, self.port)) == 0


@dataclass(frozen=True)
class UnixSocket:
    """Up when somebody accepts on the socket."""

    path: Path

    def healthy(self) -> bool:
        """Whether somebody accepts now."""
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(TIMEOUT_S)
            return caller.connect_ex(str(self.path)) == 0


def context_for(*, authority: Path, client: Pair | None) -> ssl.SSLContext:
    """A TLS client that trusts ``authority`` alone."""
    context = ssl.create_default_context(cafile=str(authority))
    if client:
        context.load_cert_chain(client.certificate, client.key)
    return context


def _answers(connection: http.client.HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
