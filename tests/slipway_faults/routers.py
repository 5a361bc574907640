"""The pods of the shared router: ready as soon as their Deployment is there, acting on each table as soon as the API server has it."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web

from slipway_faults.witness import Scene
from slipway_operator import errors
from slipway_operator.cluster import client, resources
from slipway_testing import loopback, router

_FOR_EVER_S: Final = 3600.0
_addresses = loopback.own_addresses()


class PlayedRouter:
    """One pod of one namespace's router."""

    def __init__(self, api: client.ApiClient, scene: Scene, namespace: str) -> None:
        self._api = api
        self._scene = scene
        self._pod = router.Pod(name=f"{router.ROUTER}-1", namespace=namespace, address=next(_addresses))
        self._there = False

    async def run(self) -> None:
        """Follow the scene until cancelled."""
        async with self._agent():
            while True:
                await self._scene.until(self._due, within_s=_FOR_EVER_S)
                await (self._appear() if self._wanted() else self._vanish())

    def _wanted(self) -> bool:
        deployment = self._scene.live(resources.DEPLOYMENTS, router.ROUTER)
        return deployment is not None and "deletionTimestamp" not in deployment["metadata"]

    def _due(self) -> bool:
        return self._wanted() is not self._there

    async def _appear(self) -> None:
        pod = self._pod
        await self._api.apply(pod.body)
        await self._api.merge_patch(resources.PODS, pod.name, {"status": pod.status(ready=True)}, namespace=pod.namespace, subresource="status")
        await self._api.apply(pod.endpoint_slice(ready=True))
        self._there = True

    async def _vanish(self) -> None:
        for kind, name in ((resources.ENDPOINT_SLICES, self._pod.endpoint_slice(ready=False)["metadata"]["name"]), (resources.PODS, self._pod.name)):
            with contextlib.suppress(errors.NotFound):
                await self._api.delete(kind, name, namespace=self._pod.namespace)
        self._there = False

    @contextlib.asynccontextmanager
    async def _agent(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/v1/live", self._live)
        app.router.add_get("/v1/counts", self._counts)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, self._pod.address, router.PORT).start()
        try:
            yield
        finally:
            await runner.cleanup()

    def _tables(self) -> list[str]:
        found = self._scene.all(resources.CONFIG_MAPS)
        return [table["data"]["routes.json"] for table in found if (table["metadata"].get("labels") or {}).get("slipway.dev/router") == router.ROUTER]

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response(router.live(self._tables()))

    async def _counts(self, request: web.Request) -> web.Response:
        answer: dict[str, Any] = router.counts(self._tables(), model=request.query["model"], epoch=int(request.query["epoch"]))
        return web.json_response(answer)
