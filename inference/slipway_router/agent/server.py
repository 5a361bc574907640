"""The agent's two HTTP servers: for the kubelet, Prometheus and the operator on a port, for nginx on a unix socket."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from slipway_router.agent.bins import BINS
from slipway_router.agent.counts import Counts
from slipway_router.agent.shadow.player import Player
from slipway_router.agent.shadow.samples import About, Sample
from slipway_service import meters

_EDGE = "edge."
_COMPACT = json.JSONEncoder(separators=(",", ":"), check_circular=False)


class Asked:
    """Answers to what is asked on the port."""

    def __init__(self, *, counts: Counts, live: Callable[[], Mapping[str, Any]], not_ready: Callable[[], str], metrics: Callable[[], bytes]) -> None:
        self._counts = counts
        self._live = live
        self._not_ready = not_ready
        self._metrics = metrics

    def app(self) -> web.Application:
        """The application."""
        app = web.Application()
        for path, handler in {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics_,
            "/v1/live": self._v1_live,
            "/v1/counts": self._v1_counts,
        }.items():
            app.router.add_get(path, handler)
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reason = self._not_ready()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    async def _metrics_(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": meters.CONTENT_TYPE})

    async def _v1_live(self, _: web.Request) -> web.Response:
        return _json(self._live())

    async def _v1_counts(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            model, epoch = query["model"], int(query["epoch"])
            edges = {name.removeprefix(_EDGE): int(value) for name, value in query.items() if name.startswith(_EDGE)}
        except (KeyError, ValueError):
            return _wrong(
                "ask for /v1/counts?model=<name>&epoch=<number>, with edge.<revision>=<bin> for each revision whose slow requests are wanted"
            )
        if not all(0 <= edge <= BINS for edge in edges.values()):
            return _wrong(f"an edge is the number of a bin, 0 to {BINS}")
        return _json(self._counts.answer(model, epoch, edges=edges))


class Sampled:
    """Takes samples for the shadow. What there is no room for is not even read."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def app(self) -> web.Application:
        """The application."""
        app = web.Application()
        app.router.add_post("/shadow", self._shadow)
        return app

    async def _shadow(self, request: web.Request) -> web.Response:
        if request.content_length is None:
            return _wrong("a sample needs a Content-Length")
        try:
            if not self._player.room(request.content_length):
                self._player.drop(About.read(await request.content.readline()))
                return web.Response(status=202, headers={"Connection": "close"})
            self._player.take(Sample.read(await request.content.read()))
        except ValueError as error:
            return _wrong(str(error))
        return web.Response(status=202)


class Servers:
    """Both servers. Use as ``async with Servers(…) as servers``."""

    def __init__(self, *, host: str, port: int, asked: Asked, socket: Path, sampled: Sampled) -> None:
        self._host = host
        self._port = port
        self._socket = socket
        self._runners = (runner(asked.app()), runner(sampled.app()))

    async def __aenter__(self) -> Self:
        port, socket = self._runners
        await port.setup()
        await socket.setup()
        await web.TCPSite(port, self._host, self._port, reuse_address=True).start()
        await web.UnixSite(socket, self._socket).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for runner in self._runners:
            await runner.cleanup()

    @property
    def port(self) -> int:
        """The port of the first one, also where a free one was asked for."""
        return int(self._runners[0].addresses[0][1])


def runner(app: web.Application) -> web.AppRunner:
    """What serves an application. A body that was not read is not waited for: the connection is closed."""
    return web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0, lingering_time=0.0)


def _json(answer: Mapping[str, Any]) -> web.Response:
    return web.Response(body=_COMPACT.encode(answer).encode(), content_type="application/json")


def _wrong(what: str) -> web.Response:
    return web.Response(body=_COMPACT.encode({"error": what}).encode(), content_type="application/json", status=400)
