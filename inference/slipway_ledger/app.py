"""Requests and answers: an application for granian's RSGI."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from slipway_ledger import routes, tokens
from slipway_ledger.api import Api, Asked
from slipway_ledger.meters import Meters
from slipway_ledger.refusals import Refused
from slipway_ledger.routes import NotAllowed, Route
from slipway_ledger.tokens import Tokens
from slipway_service import rsgi
from slipway_service.rsgi import CLOSE, JSON, Connection, Headers, Incoming

MOST_UNDER_WAY = 128
"""Requests beyond which bodies are not read any more: so many of the longest ones are held in memory at most."""
MOST_LONG = 4
"""Bodies under way that are longer than the setting says of all, as looks may be: each takes some six times its length while it is read and kept."""
BEHIND_A_PROXY = "x-slipway-authorization"
"""Where a token may stand too: the API server's service proxy keeps Authorization to itself."""
_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class App:
    """Serves the API."""

    def __init__(self, api: Api, known: Tokens, *, counts: Meters, body_bytes: int) -> None:
        self._api = api
        self._tokens = known
        self._meters = counts
        self._body_bytes = body_bytes
        self._under_way = 0
        self._long = 0
        self._let_in = 0
        """Those under way whose token was found good: who waits for a review holds no body, and takes nobody's place."""
        self._idle = asyncio.Event()
        self._idle.set()

    def drain(self) -> None:
        """From now on: not ready, and every answer is the last one on its connection."""
        self._api.draining = True

    async def idle(self) -> None:
        """Wait until no request is under way."""
        await self._idle.wait()

    async def __rsgi__(self, scope: Incoming, connection: Connection) -> None:
        """One request. Never raises: granian would answer without a sentence."""
        began = time.perf_counter()
        self._under_way += 1
        self._idle.clear()
        name = "none"
        try:
            route, path = routes.find(scope.method, scope.path)
            name = route.name
            status, headers, body = await self._answered(route, path, scope, connection)
        except Refused as refused:
            status, headers, body = refused.status, _headers(refused), refused.body
        except Exception:  # a fault of ours: the client learns that it is, and the log where
            _log.exception("a request failed")
            status, headers, body = 500, [JSON], {"error": "the ledger failed at this request; its log says why", "reason": "fault"}
        self._meters.requests[name, str(status)] += 1
        self._meters.seconds.add(time.perf_counter() - began)
        if status == 413 or self._api.draining:
            headers = [*headers, CLOSE]
        try:
            connection.response_bytes(status, headers, b"" if scope.method == "HEAD" else _encoder.encode(body))
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _answered(self, route: Route, path: Any, scope: Incoming, connection: Connection) -> tuple[int, Headers, Any]:
        get: Callable[[str], str | None] = scope.headers.get
        namespaces = await self._allowed(route, path, get)
        self._let_in += 1
        try:
            return await self._done(route, path, scope, connection, namespaces=namespaces)
        finally:
            self._let_in -= 1

    async def _done(
        self, route: Route, path: Any, scope: Incoming, connection: Connection, *, namespaces: frozenset[str] | None
    ) -> tuple[int, Headers, Any]:
        """What a request that may be made asks for."""
        get: Callable[[str], str | None] = scope.headers.get
        if self._let_in > MOST_UNDER_WAY and scope.method == "POST":
            raise Refused(f"{MOST_UNDER_WAY} requests are under way: try again in a second", status=429, reason="busy", retry_after_s=1)
        length = get("content-length")  # hyper has seen to it that it is a number, and the only one
        most = max(self._body_bytes, route.most_bytes) if length is not None else self._body_bytes
        with self._room(int(length or 0), most=most):
            body = await self._body(length, connection, most=most) if scope.method in ("POST", "PUT") else b""
            kind = (get("content-type") or "").partition(";")[0].strip().lower()
            asked = Asked(path=path, query=scope.query_string, content_type=kind, header=get, body=body, namespaces=namespaces)
            status, answer = await self._api.named(route.name)(asked)
        return status, [JSON], answer

    @contextlib.contextmanager
    def _room(self, length: int, *, most: int) -> Iterator[None]:
        """For the body. Refused: it is one of too many long ones, and is not read then."""
        long = self._body_bytes < length <= most
        if long and self._long >= MOST_LONG:
            raise Refused(f"{MOST_LONG} requests as long as this are under way: try again in a second", status=429, reason="busy", retry_after_s=1)
        self._long += long
        try:
            yield
        finally:
            self._long -= long

    async def _allowed(self, route: Route, path: Any, get: Callable[[str], str | None]) -> frozenset[str] | None:
        """The namespaces in which the sender may do this. Refused (401, 403, 503): not at all, or not in that of the path, or nobody can say."""
        if route.roles is None:
            return None
        grants = await self._tokens.grants(get("authorization") or get(BEHIND_A_PROXY))
        if "namespace" in path:
            tokens.allow(grants, roles=route.roles, namespace=path["namespace"])
        return tokens.namespaces(grants, roles=route.roles)

    async def _body(self, length: str | None, connection: Connection, *, most: int) -> bytes:
        """Refused: it is too long, and is not read then; or it ends too early."""
        try:
            return await rsgi.body(connection, length, most=most)
        except rsgi.TooLong:
            raise Refused(f"the body is longer than {most} bytes: send less at once", status=413, reason="body") from None
        except rsgi.Truncated:
            raise Refused("the body ends before its end", reason="truncated") from None


def _headers(refused: Refused) -> Headers:
    headers = [JSON]
    if refused.retry_after_s is not None:
        headers.append(("retry-after", str(refused.retry_after_s)))
    if isinstance(refused, NotAllowed):
        headers.append(("allow", refused.allowed))
    if refused.status == 401:
        headers.append(("www-authenticate", "Bearer"))
    return headers
