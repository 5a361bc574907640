"""The agent's parts put together, and its life from the first list to the end of the grace time."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from slipway_router.agent import endpoints, nginx, routes, saved, server
from slipway_router.agent.api import Api, Kind
from slipway_router.agent.counts import Counts
from slipway_router.agent.credentials import Credentials
from slipway_router.agent.exposures import Exposures
from slipway_router.agent.feeder import Feeder
from slipway_router.agent.meters import Meters, Parts
from slipway_router.agent.nginx import Nginx
from slipway_router.agent.routes import Routes
from slipway_router.agent.sender import Sender
from slipway_router.agent.settings import Settings
from slipway_router.agent.shadow.player import Player
from slipway_router.agent.taker import Taker
from slipway_router.agent.totals import Totals
from slipway_router.agent.watches import Watch
from slipway_service import logs

_FLUSH_S = 5.0
"""How long an ending agent waits for the disk."""
_SEND_S = 5.0
"""How long it waits for the ledger, once it has taken a last time."""

_log = logging.getLogger(__name__)


class Agent:
    """One agent; ``run`` is its life."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._namespace = settings.namespace or credentials.namespace
        self._started = logs.rfc3339(time.time())
        self._begun = False
        self._restored = False
        self._draining = False
        self._api = Api(credentials)
        self._nginx = Nginx(settings.nginx_socket)
        self._routes = Routes(namespace=self._namespace, on_change=self._changed)
        self._tables = Watch(
            self._api,
            Kind(
                what="ConfigMaps", path=f"/api/v1/namespaces/{self._namespace}/configmaps", selector=f"{settings.tables_label}={settings.router_name}"
            ),
            keep=routes.read,
            on_change=self._routes.table_changed,
            on_list=lambda: self._routes.tables_listed(self._tables.kept),
        )
        self._slices = Watch(
            self._api,
            Kind(
                what="EndpointSlices",
                path=f"/apis/discovery.k8s.io/v1/namespaces/{self._namespace}/endpointslices",
                selector=endpoints.SERVICE_NAME,
            ),
            keep=endpoints.read,
            on_change=self._routes.slice_changed,
            on_list=self._routes.slices_listed,
        )
        self._feeder = Feeder(self._nginx, wanted=self._routes.wanted, on_refusal=self._routes.refuse, look_s=settings.take_seconds)
        self._counts = Counts()
        self._totals = Totals()
        self._exposures = Exposures(Path(settings.exposures_file), file_bytes=settings.exposures_bytes, files=settings.exposures_files)
        self._sender = self._to_ledger()
        self._taker = Taker(self._nginx, counts=self._counts, totals=self._totals, exposures=self._exposures)
        self._player = Player(
            counts=self._counts,
            pods=self._pods,
            queue_bytes=settings.shadow_bytes,
            concurrency=settings.shadow_concurrency,
            timeout_s=settings.shadow_timeout_seconds,
            port=settings.pod_port,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Live until ``stop`` and the grace time after it, which setting ``stop`` again ends."""
        self._restore()
        async with self._api, self._nginx, self._player, self._servers() as servers:
            _log.info("router %s in namespace %s; agent listens on port %d", self._settings.router_name, self._namespace, servers.port)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each) for each in self._work()]
                await stop.wait()
                await self._drain(stop)
                for task in tasks:
                    task.cancel()

    def _restore(self) -> None:
        if found := saved.read(Path(self._settings.tables_file)):
            self._routes.restore(*found)
            self._restored = True

    def _work(self) -> Sequence[Coroutine[Any, Any, None]]:
        return (
            self._tables.run(),
            self._slices.run(),
            self._serve(),
            self._exposures.run(),
            self._player.run(),
            *([self._sender.run()] if self._sender else []),
        )

    def _to_ledger(self) -> Sender | None:
        """What sends exposures, where a ledger is named."""
        settings = self._settings
        if not settings.ledger_url:
            return None
        token = Path(settings.ledger_token_file) if settings.ledger_token_file else None
        position = Path(f"{settings.exposures_file}.position")
        return Sender(self._exposures, url=settings.ledger_url, token_file=token, position_file=position)

    async def _serve(self) -> None:
        await self._begin()
        self._begun = True
        self._know()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feeder.run())
            group.create_task(nginx.watch_over(self._settings.nginx_socket, self._feeder.look))
            group.create_task(self._count())
            tables = Path(self._settings.tables_file)
            group.create_task(saved.keep(tables, lambda: self._feeder.taken, every_s=self._settings.take_seconds))

    async def _begin(self) -> None:
        """Wait until it is known what nginx should have: from the API server, or after a while from the file.

        While neither is there nginx keeps what it has: an agent that was started again knows less than nginx.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.api_patience_seconds):
                await self._synced()
                return
        if self._restored:
            _log.warning("the API server has not told what there is; going on with the tables of %s", self._settings.tables_file)
            return
        _log.warning("the API server has not told what there is, and %s cannot be used; waiting", self._settings.tables_file)
        await self._synced()

    async def _synced(self) -> None:
        await self._tables.synced.wait()
        await self._slices.synced.wait()

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(self._settings.take_seconds)
            await self._take()

    async def _take(self) -> None:
        self._know()
        await self._taker.take()

    def _know(self) -> None:
        """Tell those who count what there is to be counted."""
        wanted = self._routes.wanted()
        self._counts.known({model: table.epoch for model, table in wanted.tables.items()})
        self._totals.known(wanted.named())
        self._player.known(wanted.named())

    async def _drain(self, stop: asyncio.Event) -> None:
        """Take and write what there is, and stay readable: the operator asks every few seconds, nginx still answers what it has begun."""
        _log.info("ending; can be asked for another %.1f s", self._settings.drain_seconds)
        self._draining = True
        await self._last()
        stop.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                await stop.wait()
        await self._last()
        if self._sender:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SEND_S):
                    await self._sender.finish()
            if self._sender.waiting:
                _log.warning("%d exposures were not sent to the ledger: they are in %s", self._sender.waiting, self._settings.exposures_file)

    async def _last(self) -> None:
        if self._begun:
            await self._take()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._exposures.flush()

    def _changed(self) -> None:
        self._feeder.changed()

    def _pods(self, revision: str) -> Sequence[str]:
        return self._routes.wanted().pods.get(revision, ())

    def _not_ready(self) -> str:
        if self._draining:
            return "ending"
        if not self._begun:
            return "the API server has not told yet what there is"
        return "" if self._feeder.fed else "nginx has not taken the tables"

    def _live(self) -> Mapping[str, Any]:
        models = {model: {"digest": table.digest, "epoch": table.epoch} for model, table in self._feeder.live.items()}
        return {"ready": not self._not_ready(), "models": models, "started": self._started}

    def _servers(self) -> server.Servers:
        parts = Parts(
            routes=self._routes,
            feeder=self._feeder,
            taker=self._taker,
            counts=self._counts,
            totals=self._totals,
            exposures=self._exposures,
            sender=self._sender,
            player=self._player,
            watches=(self._tables, self._slices),
        )
        asked = server.Asked(counts=self._counts, live=self._live, not_ready=self._not_ready, metrics=Meters(parts).text)
        return server.Servers(
            host=self._settings.agent_host,
            port=self._settings.agent_port,
            asked=asked,
            socket=Path(self._settings.agent_socket),
            sampled=server.Sampled(self._player),
        )
