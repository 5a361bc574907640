"""The agent beside a real API server, and a stand-in for nginx."""

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from slipway_box import ports
from slipway_box.controlplane import ControlPlane
from slipway_operator.cluster import resources
from slipway_router.agent import credentials
from slipway_router.agent.agent import Agent
from slipway_router.agent.settings import Settings
from slipway_testing.fake_nginx import FakeNginx, eventually, routes_json
from slipway_testing.kube import Kube

_numbers = itertools.count(1)


@dataclass
class World:
    """A namespace with a router in it: ``nginx`` is what it feeds."""

    plane: ControlPlane
    kube: Kube
    namespace: str
    folder: Path
    nginx: FakeNginx
    settings: Settings
    _agents: list[tuple["asyncio.Task[None]", asyncio.Event]] = field(default_factory=list)

    async def start(self, **changes: Any) -> None:
        """Start an agent."""
        chosen = Settings(**(vars(self.settings) | changes))
        stop = asyncio.Event()
        self._agents.append((asyncio.create_task(Agent(chosen, credentials.load(chosen.kubeconfig, environment={})).run(stop)), stop))

    async def end(self) -> None:
        """End it in order."""
        for task, stop in self._agents:
            stop.set()
            await asyncio.wait_for(task, 10)
        self._agents.clear()

    def route(self, model: str, *, text: str | None = None, **changes: Any) -> str:
        """Write the table of a model as the operator does; gives the text."""
        text = routes_json(model, namespace=self.namespace, **changes) if text is None else text
        metadata = {"name": f"{model}-routes", "namespace": self.namespace, "labels": {"slipway.dev/router": "slipway-router"}}
        self.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"routes.json": text}})
        return text

    def unroute(self, model: str) -> None:
        """Delete the table of a model."""
        self.kube.delete(resources.CONFIG_MAPS, f"{model}-routes", namespace=self.namespace)

    def pods(self, revision: str, ready: Sequence[str], *, ending: Sequence[str] = ()) -> None:
        """Write the EndpointSlice of a revision as Kubernetes does; ``ending`` still serve but are no longer ready."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"
        endpoints = [{"addresses": [each], "conditions": {"ready": True, "serving": True, "terminating": False}} for each in ready]
        endpoints += [{"addresses": [each], "conditions": {"ready": False, "serving": True, "terminating": True}} for each in ending]
        labels = {"kubernetes.io/service-name": f"{revision}-predictor"}
        body = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{revision}-predictor-x", "namespace": self.namespace, "labels": labels},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080}],
        }
        name = f"{path}/{revision}-predictor-x?fieldManager=test&force=true"
        self.kube.request("PATCH", name, body=body, content_type="application/apply-patch+yaml")

    async def fed(self, routes: dict[str, str], pods: dict[str, list[str]] | None = None, *, within_s: float = 10.0) -> None:
        """Wait until nginx has just these tables, and these pods where they are given."""
        await eventually(lambda: self.nginx.routes == routes and pods in (None, self.nginx.pods), within_s=within_s)

    async def ask(self, path: str) -> tuple[int, Any]:
        """Status and JSON (or text) of an answer of the agent."""
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.settings.agent_port}{path}") as answer:
            text = await answer.text()
            with contextlib.suppress(ValueError):
                return answer.status, json.loads(text)
            return answer.status, text


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd and an API server, no controllers: what a test writes stays."""
    with ControlPlane(tmp_path_factory.mktemp("router"), kserve=False, controllers=()) as plane:
        yield plane


@pytest.fixture
async def world(plane: ControlPlane, tmp_path: Path) -> AsyncIterator[World]:
    """A namespace of the test's own, and a running nginx; the agent is not started yet."""
    kube = Kube(plane.kubeconfig)
    namespace = f"shop-{os.getpid()}-{next(_numbers)}"
    kube.make_namespace(namespace)
    nginx = FakeNginx(tmp_path / "nginx.sock")
    settings = Settings(
        router_name="slipway-router",
        namespace=namespace,
        kubeconfig=str(plane.kubeconfig),
        agent_host="127.0.0.1",
        agent_port=ports.free(1)[0],
        nginx_socket=str(nginx.socket),
        agent_socket=str(tmp_path / "agent.sock"),
        tables_file=str(tmp_path / "tables.json"),
        exposures_file=str(tmp_path / "exposures.jsonl"),
        api_patience_seconds=3.0,
        take_seconds=0.2,
        drain_seconds=0.0,
    )
    await nginx.start()
    made = World(plane, kube, namespace, tmp_path, nginx, settings)
    try:
        yield made
    finally:
        await made.end()
        await nginx.stop()
