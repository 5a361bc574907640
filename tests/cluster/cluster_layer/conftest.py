"""A real API server of their own for these tests, which restart it, and a namespace for each."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from prometheus_client import CollectorRegistry

from slipway_box.controlplane import ControlPlane
from slipway_operator import metrics
from slipway_operator.cluster import credentials, resources
from slipway_operator.cluster.client import ApiClient, Options
from slipway_operator.cluster.informer import Informer
from slipway_operator.cluster.resources import Object, Resource

PATIENCE_S = 20.0


@dataclass
class Followed:
    """An informer and the changes it told about: names of what was added, changed, deleted."""

    informer: Informer = field(init=False)
    changes: list[tuple[str, str]] = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None

    def note(self, old: Object | None, new: Object | None) -> None:
        what = "added" if old is None else "deleted" if new is None else "changed"
        self.changes.append((what, (new or old or {})["metadata"]["name"]))

    async def start(self) -> None:
        self.task = asyncio.ensure_future(self.informer.run())
        await asyncio.wait_for(self.informer.synced.wait(), PATIENCE_S)

    async def stop(self) -> None:
        """Cut the informer off; its cache stays as it is."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None

    async def until(self, holds: Callable[[], bool]) -> None:
        assert await self.informer.until(holds, timeout_s=PATIENCE_S), self.changes

    async def caught_up(self, written: Object) -> None:
        """Wait until the cache shows what the server answered."""
        assert await self.informer.caught_up(written["metadata"]["resourceVersion"], timeout_s=PATIENCE_S), self.changes


class Follow(Protocol):
    """Starts an informer of a resource, by default in the test's namespace."""

    def __call__(self, resource: Resource, **options: Any) -> Awaitable[Followed]: ...


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd and an API server, no controllers: what a test writes stays."""
    kinds = Path(__file__).parent / "modeldeployments.yaml"
    with ControlPlane(tmp_path_factory.mktemp("cluster-layer"), kserve=False, controllers=(), manifests=[kinds]) as plane:
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        yield plane


@pytest.fixture
def registry() -> CollectorRegistry:
    """Where the metrics of this test's client are."""
    return CollectorRegistry()


@pytest.fixture
def meters(registry: CollectorRegistry) -> metrics.Metrics:
    return metrics.Metrics.on(registry)


@pytest.fixture
async def client(plane: ControlPlane, meters: metrics.Metrics) -> AsyncIterator[ApiClient]:
    """The client under test; its requests are counted."""
    async with ApiClient(credentials.load(plane.kubeconfig), meters=meters) as client:
        yield client


@pytest.fixture
async def somebody(plane: ControlPlane) -> AsyncIterator[ApiClient]:
    """Somebody else, whose requests are not counted."""
    meters = metrics.Metrics.on(CollectorRegistry())
    options = Options(field_manager="somebody")
    async with ApiClient(credentials.load(plane.kubeconfig), options=options, meters=meters) as client:
        yield client


@pytest.fixture
async def namespace(somebody: ApiClient) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    await somebody.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


@pytest.fixture
async def owner(somebody: ApiClient, namespace: str) -> Object:
    """A ModelDeployment that can own things."""
    return await somebody.create(
        {
            "apiVersion": resources.MODEL_DEPLOYMENTS.api_version,
            "kind": "ModelDeployment",
            "metadata": {"name": "ranker", "namespace": namespace},
            "spec": {"size": 1},
        }
    )


@pytest.fixture
def sent(registry: CollectorRegistry) -> Callable[[str], int]:
    """How many requests of a method this test's client has made so far."""

    def _sent(method: str) -> int:
        samples = (sample for metric in registry.collect() for sample in metric.samples if sample.name == "rest_client_requests_total")
        return int(sum(sample.value for sample in samples if sample.labels["method"] == method))

    return _sent


@pytest.fixture
async def follow(client: ApiClient, namespace: str, meters: metrics.Metrics) -> AsyncIterator[Follow]:
    async with contextlib.AsyncExitStack() as stack:

        async def _follow(resource: Resource, **options: Any) -> Followed:
            followed = Followed()
            chosen: dict[str, Any] = {"namespace": namespace, "on_change": followed.note, "meters": meters, "backoff_limit_s": 1.0} | options
            followed.informer = Informer(client, resource, **chosen)
            stack.push_async_callback(followed.stop)
            await followed.start()
            return followed

        yield _follow
