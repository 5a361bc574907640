"""The whole router: the real nginx, the agent and an API server; pods are servers on loopback."""

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from slipway_box import ports
from slipway_router.agent import nginx as control
from slipway_router.nginx import configuration
from slipway_testing.fake_nginx import eventually

from .conftest import World

STABLE, CANDIDATE, SHADOW = "ranker-0a1b2c3d", "ranker-9f8e7d6c", "ranker-77777777"
needs_nginx = pytest.mark.skipif(
    not (shutil.which("nginx") and all(Path(module).exists() for module in configuration.Settings().modules)),
    reason="nginx with its Lua module is not installed (Debian: libnginx-mod-http-lua)",
)


async def predictor(request: web.BaseRequest) -> web.Response:
    """A pod; when a shadow is played it answers other numbers."""
    await request.read()
    value = 0.5 if request.headers.get("User-Agent") == "slipway-shadow" else 1.0
    return web.json_response({"outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [value, 2.0]}]})


@contextlib.asynccontextmanager
async def pod(address: str, port: int) -> AsyncIterator[None]:
    runner = web.ServerRunner(web.Server(predictor), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    yield
    await runner.cleanup()


@pytest.fixture(scope="module")
def address() -> str:
    """An address of this machine that an EndpointSlice may name, which one of loopback is not. Nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but that of loopback")
        return str(asked.getsockname()[0])


async def until(holds: Callable[[], Awaitable[bool]], *, within_s: float) -> None:
    """Ask until it holds."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not await holds():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


class Nginx:
    """The real one, in a folder of its own; ``kill -9`` leaves its socket behind, as a crash of the container does."""

    def __init__(self, folder: Path, *, http: int, grpc: int, pod_port: int) -> None:
        self._folder = folder
        self._settings = configuration.Settings(
            run=str(folder), temporary=str(folder), http=f"127.0.0.1:{http}", grpc=f"127.0.0.1:{grpc}", pod_http_port=pod_port
        )
        self._log = open(folder / "nginx.log", "ab")  # noqa: SIM115 - as long as nginx, which may be started again
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        (self._folder / "nginx.sock").unlink(missing_ok=True)
        path = self._folder / "nginx.conf"
        # In a pod everybody is user 1000; here nginx of root would make its workers nobody, who may not use the agent's socket.
        user = "" if os.geteuid() else "user root;\n"
        path.write_text(user + configuration.render(self._settings))
        arguments = ("-e", "stderr", "-p", str(self._folder), "-c", str(path))
        self._process = await asyncio.create_subprocess_exec("nginx", *arguments, start_new_session=True, stderr=self._log)

    async def stop(self) -> None:
        """As the kubelet does, by the preStop hook, with a second for the rest of the cluster to forget it."""
        hook = Path(configuration.__file__).with_name("stop")
        environment = os.environ | {"SLIPWAY_RUN": str(self._folder), "SLIPWAY_DRAIN_SECONDS": "1"}
        hooked = await asyncio.create_subprocess_exec("sh", str(hook), env=environment)
        await hooked.wait()
        if self._process:
            await self._process.wait()
            self._process = None

    def close(self) -> None:
        self._log.close()

    async def kill(self) -> None:
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            self._process = None


class Router:
    """A client's view of the router."""

    def __init__(self, nginx: Nginx, session: aiohttp.ClientSession, url: str) -> None:
        self.nginx = nginx
        self._session = session
        self._url = url

    async def ask(self, unit: str) -> tuple[int, str]:
        """Status, and the revision that answered; 0 while nobody listens."""
        try:
            async with self._session.post(self._url, json={"inputs": []}, headers={"x-user-id": unit}) as answer:
                await answer.read()
                return answer.status, answer.headers.get("x-slipway-revision", "")
        except aiohttp.ClientError:
            return 0, ""

    async def served(self) -> bool:
        return (await self.ask("somebody"))[0] == 200


@pytest.fixture
async def router(world: World, address: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Router]:
    """nginx, not told anything yet, where the world's agent will look for it."""
    folder = tmp_path_factory.mktemp("r")
    await world.nginx.stop()
    http, grpc, pod_port = ports.free(3)
    world.settings = dataclasses.replace(
        world.settings, nginx_socket=str(folder / "nginx.sock"), agent_socket=str(folder / "agent.sock"), pod_port=pod_port
    )
    nginx = Nginx(folder, http=http, grpc=grpc, pod_port=pod_port)
    await nginx.start()
    async with pod(address, pod_port), aiohttp.ClientSession() as session:
        try:
            yield Router(nginx, session, f"http://127.0.0.1:{http}/v2/models/ranker/infer")
        finally:
            await world.end()
            await nginx.kill()
            nginx.close()


def read_exposures(world: World) -> list[dict[str, Any]]:
    file = Path(world.settings.exposures_file)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@needs_nginx
async def test_whole(world: World, router: Router, address: str) -> None:
    """Requests are split, counted, told as exposures and played to the shadow."""
    world.route(
        "ranker",
        slots=[[5000, 0, 0], [10000, 1, 1]],
        exposures={"experiment": "shop/ranker-v8-1a2b3c4d", "stratum": "1", "arms": ["control", "v8"]},
        shadow={"revision": SHADOW, "percent": "100"},
    )
    for revision in (STABLE, CANDIDATE, SHADOW):
        world.pods(revision, [address])
    await world.start()
    await until(router.served, within_s=5)
    answers = [await router.ask(f"user-{number}") for number in range(99)]
    assert {status for status, _ in answers} == {200}
    assert {revision for _, revision in answers} == {STABLE, CANDIDATE}

    counts: dict[str, Any] = {}

    async def told() -> bool:
        _, found = await world.ask("/v1/counts?model=ranker&epoch=7")
        counts.update(found)
        counted = sum(n for revision in counts["revisions"].values() for n in revision["latency"].values())
        played = sum(counts.get("shadow", {}).get(key, 0) for key in ("answered", "failed", "dropped"))
        return counted >= 100 and played >= 100 and len(read_exposures(world)) >= 100

    await until(told, within_s=10)

    for by in ("buckets", "blocks"):
        rows = [row for revision in counts["revisions"].values() for row in (revision[by].values() if by == "blocks" else revision[by])]
        assert [sum(column) for column in zip(*rows, strict=True)] == [100, 0, 0]
    assert sum(sum(revision["latency"].values()) for revision in counts["revisions"].values()) == 100
    shadow = counts["shadow"]
    assert (shadow["revision"], shadow["sampled"], shadow["answered"], shadow["agreed"]) == (SHADOW, 100, 100, 0)
    assert shadow["meanAbsoluteDifference"] == 0.25
    exposures = read_exposures(world)
    assert {each["unit"] for each in exposures} == {f"user-{number}" for number in range(99)} | {"somebody"}
    assert len(exposures) == 100
    _, metrics = await world.ask("/metrics")
    assert f'slipway_router_requests_total{{model="ranker",outcome="2xx",protocol="http",revision="{STABLE}",role="Stable"}}' in metrics
    assert "slipway_router_uncounted_total 0.0" in metrics


@needs_nginx
async def test_killed(world: World, router: Router, address: str) -> None:
    """An nginx that crashed serves again a moment after it was started again."""
    world.route("ranker")
    for revision in (STABLE, CANDIDATE):
        world.pods(revision, [address])
    await world.start(take_seconds=5.0)
    await until(router.served, within_s=5)
    await router.nginx.kill()
    await asyncio.sleep(0.2)
    await router.nginx.start()
    await until(router.served, within_s=4)


@needs_nginx
async def test_agreed(world: World, router: Router) -> None:
    """What both say about tables is the same, so that nothing is pushed again and again."""
    world.route("ranker")
    world.pods(STABLE, ["10.88.0.9", "10.88.0.10", "10.88.0.2"])
    await world.start(take_seconds=0.05)

    async def ready() -> bool:
        return (await world.ask("/readyz"))[0] == 200

    await eventually(lambda: os.path.exists(world.settings.agent_socket))
    await until(ready, within_s=5)
    await asyncio.sleep(0.5)
    _, metrics = await world.ask("/metrics")
    assert "slipway_router_table_pushes_total 1.0" in metrics
    async with control.Nginx(world.settings.nginx_socket) as asked:
        live = await asked.tables()
    assert live.pods == {STABLE: ("10.88.0.10", "10.88.0.2", "10.88.0.9"), CANDIDATE: ()}


@needs_nginx
async def test_draining(world: World, router: Router, address: str) -> None:
    """What a router still answers while it ends is counted too, and its agent can be asked for it."""
    world.route("ranker")
    for revision in (STABLE, CANDIDATE):
        world.pods(revision, [address])
    await world.start(drain_seconds=2.0)
    await until(router.served, within_s=5)
    ending = asyncio.create_task(world.end())
    stopping = asyncio.create_task(router.nginx.stop())
    answers = [await router.ask(f"user-{number}") for number in range(49)]
    assert {status for status, _ in answers} == {200}
    await stopping
    assert await world.ask("/readyz") == (503, "ending\n")
    _, counts = await world.ask("/v1/counts?model=ranker&epoch=7")
    assert sum(sum(revision["latency"].values()) for revision in counts["revisions"].values()) == 50
    await ending
    assert (await router.ask("nobody"))[0] == 0
