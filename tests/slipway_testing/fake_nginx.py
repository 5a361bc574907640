"""nginx's side of the router's control socket, without nginx: takes tables, hands out what a test says was counted."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

NOTHING: Mapping[str, Any] = {"cells": [], "totals": [], "pending": {}, "exposures": [], "lost": 0}


class FakeNginx:
    """Use ``await start()`` and ``await stop()`` as often as wanted; a stopped one forgets its tables, as nginx does."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.routes: dict[str, str] = {}
        self.pods: dict[str, list[str]] = {}
        self.puts: list[Mapping[str, Any]] = []
        """Bodies of all PUTs that were taken."""
        self.refuse: Callable[[Mapping[str, Any]], str] = lambda _: ""
        """What is wrong with the body of a PUT; empty: nothing."""
        self.taken: list[Mapping[str, Any]] = []
        """Answers to the next ``POST /taken``; afterwards nothing was counted."""
        self.kept: list[str | None] = []
        """What each of them said was safe."""
        self.takes = 0
        self.slow_s = 0.0
        """Seconds that every answer takes longer."""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(middlewares=[self._slowly])
        app.router.add_put("/tables", self._put)
        app.router.add_get("/tables", self._get)
        app.router.add_post("/taken", self._taken)
        app.router.add_get("/healthz", self._healthz)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await self._runner.setup()
        await web.UnixSite(self._runner, self.socket).start()

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
        self._runner = None
        self.routes, self.pods = {}, {}

    @web.middleware
    async def _slowly(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        await asyncio.sleep(self.slow_s)
        return await handler(request)

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.json()
        if problem := self.refuse(body):
            return web.json_response({"error": problem}, status=400)
        self.routes, self.pods = body["routes"], body["pods"]
        self.puts.append(body)
        return web.Response(status=204)

    async def _get(self, _: web.Request) -> web.Response:
        digests = {model: hashlib.sha256(text.encode()).hexdigest()[:16] for model, text in self.routes.items()}
        # Lua cannot tell an empty list from an empty object.
        return web.json_response({"digests": digests, "pods": {revision: pods or {} for revision, pods in self.pods.items()}})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"underway": 0})

    async def _taken(self, request: web.Request) -> web.Response:
        self.takes += 1
        self.kept.append(request.query.get("kept"))
        return web.json_response(self.taken.pop(0) if self.taken else NOTHING)


async def eventually(holds: Callable[[], Any], *, within_s: float = 10.0) -> Any:
    """The first truthy value of ``holds``, looked at 100 times a second; AssertionError when time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not (found := holds()):
        assert loop.time() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.01)
    return found


def routes_json(model: str = "ranker", **changes: Any) -> str:
    """A valid table of a model with a stable revision and a candidate; ``None`` leaves a field out."""
    table: dict[str, Any] = {
        "version": 1,
        "namespace": "shop",
        "model": model,
        "seed": f"shop/{model}",
        "epoch": 7,
        "unit": {"header": "x-user-id", "onMissing": "Random"},
        "revisions": [{"name": f"{model}-0a1b2c3d", "role": "Stable"}, {"name": f"{model}-9f8e7d6c", "role": "Candidate"}],
        "slots": [[9900, 0], [10000, 1]],
        "timeoutMilliseconds": 60000,
        "limits": {"bodyBytes": 67108864, "pendingPerPod": 128},
        "tokens": False,
    }
    return json.dumps({key: value for key, value in (table | changes).items() if value is not None}, separators=(",", ":"), sort_keys=True)
