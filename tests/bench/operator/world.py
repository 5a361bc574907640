"""The world that contenders work in: a real API server with KServe's kinds, full of ModelDeployments, and what can be seen of it."""

import asyncio
import contextlib
import http.client
import json
import re
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from slipway_box import kserve, programs
from slipway_box.controlplane import ControlPlane
from slipway_operator import metrics
from slipway_operator.api import crd
from slipway_operator.cluster import credentials, resources
from slipway_operator.cluster.client import ApiClient, Options
from slipway_operator.cluster.informer import Informer
from slipway_operator.cluster.resources import Object, Resource
from slipway_testing import builders
from slipway_testing.kube import Kube, eventually

IN_FLIGHT = 16
"""Requests at the same time: as many as the operator has workers."""

PATIENCE_S = 900.0
"""For the longest single wait of the benchmark."""

CHILDREN = (
    resources.SERVICES,
    resources.CONTROLLER_REVISIONS,
    resources.CONFIG_MAPS,
    resources.INFERENCE_SERVICES,
    resources.HORIZONTAL_POD_AUTOSCALERS,
    resources.POD_DISRUPTION_BUDGETS,
)
RUNTIME = "slipway-triton-bench"

_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, kw_only=True)
class World:
    """One API server. ``api`` is the benchmark's own client, which no contender's counters see."""

    kubeconfig: Path
    api: ApiClient

    async def make_namespace(self, name: str) -> None:
        """An empty namespace."""
        await self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    async def make(self, names: Iterable[str], *, namespace: str) -> None:
        """ModelDeployments, each with an autoscaler: six children apiece."""
        await in_parallel(self.api.create(_manifest(name, namespace)) for name in names)

    async def edit(self, name: str, *, namespace: str, most: int) -> None:
        """Change replicas.max, which its HorizontalPodAutoscaler follows and no pod."""
        patch = {"spec": {"serving": {"replicas": {"max": most}}}}
        await self.api.merge_patch(resources.MODEL_DEPLOYMENTS, name, patch, namespace=namespace)

    async def deployments(self, namespace: str) -> tuple[Object, ...]:
        """The live ModelDeployments."""
        return (await self.api.list(resources.MODEL_DEPLOYMENTS, namespace=namespace)).items

    async def empty(self, namespace: str) -> None:
        """Delete everything in a namespace; the control plane has no garbage collector, which would be the slowest of all here."""
        await self._delete_all(resources.MODEL_DEPLOYMENTS, namespace)
        await in_parallel(self._delete_all(kind, namespace) for kind in (*CHILDREN, resources.EVENTS))

    async def _delete_all(self, kind: Resource, namespace: str) -> None:
        await asyncio.to_thread(Kube(self.kubeconfig).request, "DELETE", kind.path(namespace=namespace))

    async def requests(self) -> "Requests":
        """What the API server has answered so far."""
        return await asyncio.to_thread(_requests, credentials.load(self.kubeconfig))


@dataclass(frozen=True)
class Requests:
    """Requests by (verb, resource), as the API server counts them: APPLY, PATCH, POST, PUT, DELETE, GET, LIST."""

    counts: Counter[tuple[str, str]]

    def since(self, before: "Requests") -> "Requests":
        """Those that came after ``before``."""
        return Requests(self.counts - before.counts)

    @property
    def writes(self) -> int:
        """Writes to what Slipway cares about, its Events included and Leases not."""
        return sum(count for (verb, resource), count in self.counts.items() if verb in _WRITES and resource in _COUNTED)

    @property
    def calls(self) -> int:
        """The same and the reads; lists and watches, of which there is one a kind and not one an object, left out."""
        return self.writes + sum(count for (verb, resource), count in self.counts.items() if verb == "GET" and resource in _COUNTED)


_WRITES = frozenset({"APPLY", "PATCH", "POST", "PUT", "DELETE", "DELETECOLLECTION"})
_COUNTED = frozenset(resource.plural for resource in (resources.MODEL_DEPLOYMENTS, resources.EVENTS, resources.DEPLOYMENTS, *CHILDREN))


@dataclass
class Followed:
    """The benchmark's own view of one kind in one namespace, always current."""

    informer: Informer = field(init=False)
    observed: set[str] = field(default_factory=set)
    """Names of objects whose status is about their newest generation."""

    def note(self, old: Object | None, new: Object | None) -> None:
        """For the informer."""
        name = (new or old or {})["metadata"]["name"]
        status = (new or {}).get("status") or {}
        if new is not None and status.get("observedGeneration") == new["metadata"].get("generation"):
            self.observed.add(name)
        else:
            self.observed.discard(name)

    async def all_observed(self, count: int) -> float:
        """Wait until so many objects are observed; returns the loop's time."""
        assert await self.informer.until(lambda: len(self.observed) >= count, timeout_s=PATIENCE_S), f"{len(self.observed)} of {count} are observed"
        return now()

    async def all_there(self, count: int) -> float:
        """Wait until there are so many objects; returns the loop's time."""
        cache = self.informer.cache
        assert await self.informer.until(lambda: len(cache) >= count, timeout_s=PATIENCE_S), f"{len(cache)} of {count} are there"
        return now()


@contextlib.contextmanager
def plane(directory: Path, *, with_kserve: bool) -> Iterator[ControlPlane]:
    """An API server with KServe's and Slipway's kinds; without ``with_kserve`` neither KServe's manager nor its webhooks, and no controller."""
    kinds = directory / "modeldeployments.json"
    directory.mkdir(parents=True, exist_ok=True)
    kinds.write_text(json.dumps(crd.crd(crd.MODEL_DEPLOYMENT)))
    if with_kserve:
        context = ControlPlane(directory, kserve=True, manifests=[kinds])
    else:
        definitions = kserve.definition_files(programs.need("etcd", "kube-apiserver", "kubectl", assets=programs.assets()))
        context = ControlPlane(directory, kserve=False, controllers=(), manifests=[kinds, *definitions])
    with context as started:
        kube = Kube(started.kubeconfig)
        eventually(lambda: all(_served(kube, kind) for kind in (resources.MODEL_DEPLOYMENTS, resources.INFERENCE_SERVICES)))
        yield started


@contextlib.asynccontextmanager
async def entered(kubeconfig: Path) -> AsyncIterator[World]:
    """The world behind a kubeconfig."""
    meters = metrics.Metrics.on(CollectorRegistry())
    async with ApiClient(credentials.load(kubeconfig), options=Options(field_manager="bench", user_agent="bench"), meters=meters) as api:
        yield World(kubeconfig=kubeconfig, api=api)


@contextlib.asynccontextmanager
async def following(world: World, kind: Resource, *, namespace: str) -> AsyncIterator[Followed]:
    """Watch one kind beside the block."""
    followed = Followed()
    followed.informer = Informer(
        world.api, kind, on_change=followed.note, namespace=namespace, meters=metrics.Metrics.on(CollectorRegistry()), backoff_limit_s=1.0
    )
    task = asyncio.create_task(followed.informer.run())
    try:
        await asyncio.wait_for(followed.informer.synced.wait(), 30)
        yield followed
    finally:
        task.cancel()
        await asyncio.wait({task})


async def in_parallel(coroutines: Iterable[Any]) -> None:
    """Run all, a bounded number at a time."""
    left = iter(coroutines)

    async def some() -> None:
        for coroutine in left:
            await coroutine

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(some())


def names(count: int, *, prefix: str = "model") -> list[str]:
    """Names of ModelDeployments."""
    return [f"{prefix}-{number}" for number in range(count)]


def samples(port: int, metric: str) -> dict[tuple[tuple[str, str], ...], float]:
    """One metric of the operator: value by labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return _parsed(answer.read().decode(), metric)


def now() -> float:
    """Seconds of the running loop's clock."""
    return asyncio.get_running_loop().time()


def _manifest(name: str, namespace: str) -> Object:
    return builders.manifest(name=name, namespace=namespace, serving={"replicas": {"min": 1, "max": 2}})


def _served(kube: Kube, kind: Resource) -> bool:
    try:
        return kube.get(resources.NAMESPACES, "default") is not None and not kube.list(kind)
    except ValueError:  # a kind that is not served yet is answered with a line of text
        return False


def _requests(access: credentials.Credentials) -> Requests:
    server = urlsplit(access.server)
    connection = http.client.HTTPSConnection(server.hostname or "", server.port, timeout=30, context=access.ssl_context())
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    counts: Counter[tuple[str, str]] = Counter()
    for labels, value in _parsed(text, "apiserver_request_total").items():
        of = dict(labels)
        counts[of["verb"], of["resource"]] += int(value)
    return Requests(counts)


def _parsed(text: str, metric: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {tuple(_LABEL.findall(found["labels"] or "")): float(found["value"]) for found in _SAMPLE.finditer(text) if found["name"] == metric}
