"""One operator's only way to the API server: a reverse proxy on loopback that does to requests and watches what a script says."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from slipway_faults.faults import Act, Script

DELAY_S: Final = 1.0
"""How late a late event is, how long a silent watch lives before it breaks, and for how long a stale server's watches say nothing."""

HANG_S: Final = 120.0
"""The longest that anybody waits for a request that hangs."""

_ANSWERS: Final = {
    Act.CONFLICT: (409, "Conflict", "the object has been modified; please apply your changes to the latest version and try again"),
    Act.INVALID: (422, "Invalid", "admission webhook out of order: the object is invalid"),
    Act.THROTTLED: (429, "TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    Act.BROKEN: (500, "InternalError", "an error on the server has prevented the request from succeeding"),
    Act.UNAVAILABLE: (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
}
_PASSED_ON: Final = ("Content-Type", "Accept", "User-Agent")


@dataclass(frozen=True)
class Exchange:
    """A request, as the script names it."""

    method: str
    path: str
    verb: str
    plural: str
    name: str

    @classmethod
    def of(cls, method: str, path: str) -> "Exchange":
        """Read ``/apis/apps/v1/namespaces/shop/deployments/x/scale?…``."""
        parsed = urlsplit(path)
        parts = [part for part in parsed.path.split("/") if part]
        rest = parts[2:] if parts[:1] == ["api"] else parts[3:]
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            rest = rest[2:]
        plural, name = (rest[0] if rest else parsed.path), "/".join(rest[1:])
        verb = method
        if method == "GET" and not name:
            verb = "WATCH" if "watch=true" in parsed.query else "LIST"
        return cls(method=method, path=path, verb=verb, plural=plural, name=name)

    @property
    def what(self) -> str:
        """``PATCH services digits``."""
        return " ".join(part for part in (self.verb, self.plural, self.name) if part)

    @property
    def writes(self) -> bool:
        """Whether it changes the world."""
        return self.method != "GET"


class Cut(Exception):
    """The operator behind this gate is dead."""


class Gate:
    """Open from ``opened`` to its end; ``kill`` and ``pause`` are called when the script wants the operator behind it dead, or stopped.

    ``wrote`` is told of each write: before it is let through, and with its status once it is answered.
    """

    def __init__(
        self,
        *,
        server: str,
        session: aiohttp.ClientSession,
        script: Script,
        kill: Callable[["Gate"], None],
        pause: Callable[["Gate"], None],
        wrote: Callable[["Gate", Exchange, int | None], None],
    ) -> None:
        self._server = server
        self._session = session
        self._script = script
        self._kill = kill
        self._pause = pause
        self._wrote = wrote
        self._transports: set[asyncio.Transport] = set()
        self._listener: asyncio.Server | None = None
        self._handlers = web.Server(self._handle, handler_cancellation=True)
        self._forgotten: set[str] = set()
        self.dead = False
        self.stale: dict[str, bytes] = {}
        """Path of a list → what it is answered, once."""
        self.lists: list[str] = []
        """Paths of the lists that were asked for."""
        self.silent_until = 0.0
        """Watches say nothing before, by the loop's clock."""

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator["Gate"]:
        """Listen on a free port of loopback."""
        self._listener = await asyncio.get_running_loop().create_server(self._handlers, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self.cut()
            await self._handlers.shutdown(0.1)

    @property
    def url(self) -> str:
        """Where the operator finds its API server."""
        assert self._listener is not None
        return f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """To the server the operator is dead from now on: its connections are gone and it makes no new ones."""
        self.dead = True
        if self._listener is not None:
            self._listener.close()
        for transport in list(self._transports):
            transport.abort()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        if self.dead or transport is None:
            return web.Response(status=503)
        self._transports.add(transport)
        try:
            exchange = Exchange.of(request.method, str(request.rel_url))
            act = self._script.passing(exchange.what)
            if exchange.verb == "WATCH":
                return await self._watch(request, exchange, act)
            return await self._plain(request, exchange, act)
        except Cut:
            return web.Response(status=503)  # which goes nowhere
        finally:
            self._transports.discard(transport)

    async def _plain(self, request: web.BaseRequest, exchange: Exchange, act: Act | None) -> web.StreamResponse:
        body = await request.read()
        if exchange.verb == "LIST":
            self.lists.append(exchange.path)
        if exchange.verb == "LIST" and exchange.path in self.stale:
            return web.Response(body=self.stale.pop(exchange.path), content_type="application/json")
        if refusal := await self._refused(request, act):
            return refusal
        if exchange.writes:
            self._wrote(self, exchange, None)
        # Once the server has it, it is carried out, whatever becomes of the one who asked.
        answer = await asyncio.shield(asyncio.ensure_future(self._forward(request, exchange, body)))
        if exchange.writes:
            self._wrote(self, exchange, answer.status)
        if act is Act.PAUSE:
            self._pause(self)
        if act is Act.KILL_AFTER:
            self._kill(self)
        if act in (Act.KILL_AFTER, Act.ANSWER_LOST):
            self._reset(request)
        if self.dead:
            raise Cut
        return answer

    async def _refused(self, request: web.BaseRequest, act: Act | None) -> web.Response | None:
        if act is Act.KILL_BEFORE:
            self._kill(self)
            raise Cut
        if act is Act.RESET:
            self._reset(request)
        if act is Act.HANG:
            await asyncio.sleep(HANG_S)
            self._reset(request)
        if act not in _ANSWERS:
            return None
        status, reason, message = _ANSWERS[act]
        said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": status}
        headers = {"Retry-After": "1"} if act is Act.THROTTLED else {}
        return web.json_response(said, status=status, headers=headers)

    async def _forward(self, request: web.BaseRequest, exchange: Exchange, body: bytes) -> web.Response:
        async with self._upstream(request, exchange, body) as answer:
            headers = {name: answer.headers[name] for name in ("Content-Type", "Retry-After") if name in answer.headers}
            return web.Response(body=await answer.read(), status=answer.status, headers=headers)

    def _upstream(self, request: web.BaseRequest, exchange: Exchange, body: bytes | None = None) -> "aiohttp.client._RequestContextManager":
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        return self._session.request(exchange.method, self._server + exchange.path, data=body or None, headers=headers)

    def _reset(self, request: web.BaseRequest) -> None:
        if request.transport is not None:
            request.transport.abort()
        raise Cut

    async def _watch(self, request: web.BaseRequest, exchange: Exchange, act: Act | None) -> web.StreamResponse:
        if refusal := await self._refused(request, act):
            return refusal
        if exchange.plural in self._forgotten:
            self._forgotten.discard(exchange.plural)
            return web.Response(text=_GONE)
        async with self._upstream(request, exchange) as answer:
            if answer.status != web.HTTPOk.status_code:
                return web.Response(body=await answer.read(), status=answer.status, content_type="application/json")
            relay = web.StreamResponse(headers={"Content-Type": "application/json"})
            await relay.prepare(request)
            async for line in _lines(answer):
                await self._relay(request, relay, exchange, line)
            return relay

    async def _relay(self, request: web.BaseRequest, relay: web.StreamResponse, exchange: Exchange, line: bytes) -> None:
        await asyncio.sleep(self.silent_until - asyncio.get_running_loop().time())
        act = self._script.passing(_event_name(exchange, line))
        if act in (Act.DROP, Act.FORGET):
            await asyncio.sleep(DELAY_S)
            if act is Act.FORGET:
                self._forgotten.add(exchange.plural)
            self._reset(request)
        if act is Act.HALF:
            await relay.write(line[: len(line) // 2])
            self._reset(request)
        if act is Act.DELAY:
            await asyncio.sleep(DELAY_S)
        await relay.write(line)
        if act is Act.DOUBLE:
            await relay.write(line)


_GONE: Final = (
    json.dumps(
        {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version", "metadata": {}}}
    )
    + "\n"
)


def _event_name(exchange: Exchange, line: bytes) -> str:
    event: dict[str, Any] = json.loads(line)
    name = event["object"].get("metadata", {}).get("name", "")
    return f"{event['type']} {exchange.plural} {name}"


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in answer.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
