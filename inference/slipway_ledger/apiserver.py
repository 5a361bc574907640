"""Asks the cluster's API server whose a token is: HTTP/1.1 over TLS, one connection a review, with the pod's own service account."""

import asyncio
import http.client
import io
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from slipway_ledger import reviews
from slipway_ledger.reviews import Account, Unreviewed

PATIENCE_S = 5.0
"""From the connection to the answer."""
_LONGEST = 262_144
_PIECE = 65_536
_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


@dataclass(frozen=True, kw_only=True)
class ApiServer:
    """Where it is, and how to prove who we are. Files are read at each review: the kubelet writes new ones."""

    server: str
    """``https://host:port``."""
    authority: Path
    """Certificate of the authority that has signed the server's."""
    token: Path
    """Of an account that may create TokenReviews."""
    patience_s: float = PATIENCE_S

    async def review(self, token: str) -> Account | None:
        """Whose token it is; None: it is not good. Unreviewed: the server is away, hangs, or lets us ask nothing."""
        try:
            async with asyncio.timeout(self.patience_s):
                status, body = await self._asked(json.dumps(reviews.question(token)).encode())
        except TimeoutError:
            raise Unreviewed(f"{self.server} has not answered for {self.patience_s:g} s") from None
        except (OSError, http.client.HTTPException, ValueError) as error:  # ssl.SSLError is an OSError
            raise Unreviewed(f"{self.server} cannot be asked: {error}") from None
        if status not in (200, 201):
            raise Unreviewed(f"{self.server} answers {status}: give the ledger's account the ClusterRole system:auth-delegator")
        return reviews.answer(body)

    async def _asked(self, body: bytes) -> tuple[int, bytes]:
        address, own = urlsplit(self.server), self.token.read_text().strip()
        context = ssl.create_default_context(cafile=self.authority)
        reader, writer = await asyncio.open_connection(address.hostname, address.port or 443, ssl=context)
        try:
            head = (
                f"POST {_PATH} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {own}\r\nAccept: application/json\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode("ascii") + body)
            return _read(await _all(reader))
        finally:
            writer.transport.abort()  # nothing is left to be said: one connection, one answer


async def _all(reader: asyncio.StreamReader) -> bytes:
    """Everything until the server ends it. ValueError: that is too much."""
    parts, size = [], 0
    while part := await reader.read(_PIECE):
        size += len(part)
        if size > _LONGEST:
            raise ValueError(f"its answer is longer than {_LONGEST} bytes")
        parts.append(part)
    return b"".join(parts)


class _Whole:
    """What http.client reads an answer from, when all of it is here."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._answer)


def _read(answer: bytes) -> tuple[int, bytes]:
    """Status and body. HTTPException: it is no answer, or ends too early."""
    response = http.client.HTTPResponse(_Whole(answer))  # type: ignore[arg-type]  # all that it takes of a socket is makefile
    response.begin()
    return response.status, response.read()
