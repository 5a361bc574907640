"""The agent as a process: what it says when it is told nonsense, how it ends, how much memory it takes."""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from slipway_box import ports
from slipway_testing.fake_nginx import FakeNginx, eventually, routes_json

INFERENCE = Path(__file__).parents[4] / "inference"
MODELS, BLOCKS, BINS, EXPOSED = 100, 120, 15, 500
LIMIT_MIB = 60


def config_map(model: str) -> dict[str, Any]:
    return {"metadata": {"name": f"{model}-routes", "resourceVersion": "1"}, "data": {"routes.json": routes_json(model)}}


def endpoint_slice(revision: str) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": f"{revision}-predictor"}
    endpoints = [
        {"addresses": [f"10.88.0.{k}"], "conditions": {"ready": True}, "nodeName": "node", "targetRef": {"name": "x" * 40}} for k in range(8)
    ]
    return {"metadata": {"name": revision, "resourceVersion": "1", "labels": labels}, "addressType": "IPv4", "endpoints": endpoints}


async def api(request: web.BaseRequest) -> web.StreamResponse:
    """Lists of 100 models; watches say nothing. And a ledger that takes everything."""
    if request.path == "/v1/exposures":
        lines = (await request.read()).count(b"\n")
        return web.json_response({"accepted": lines, "duplicates": 0, "refused": []})
    if "watch" in request.query:
        await asyncio.sleep(600)
    revisions = [f"m{model}-{hash_}" for model in range(MODELS) for hash_ in ("0a1b2c3d", "9f8e7d6c")]
    maps = request.path.endswith("configmaps")
    items = [config_map(f"m{model}") for model in range(MODELS)] if maps else [endpoint_slice(revision) for revision in revisions]
    return web.json_response({"metadata": {"resourceVersion": "5"}, "items": items})


def taken() -> Iterator[dict[str, Any]]:
    """What nginx counts of all models in some minutes, second by second."""
    for block in range(BLOCKS):
        cells: list[Any] = []
        for model in range(MODELS):
            for revision in (f"m{model}-0a1b2c3d", f"m{model}-9f8e7d6c"):
                for k in range(BINS):
                    bin_ = 120 + 3 * k + (model + block) % 3
                    cells.append([f"m{model}", 7, revision, "t", 449_000_000 + block, bin_, 0, 1])
                    cells.append([f"m{model}", 7, revision, "b", (7 * block + k) % 64, bin_, 0, 1])
        exposures = [exposure(block * EXPOSED + number) for number in range(EXPOSED)]
        yield {"cells": cells, "totals": [], "pending": {}, "exposures": exposures, "answer": block + 1, "lost": 0}


def exposure(number: int) -> dict[str, str]:
    unit, time = f"user-{number:032}", "2026-11-29T12:00:00.123000Z"
    return {"experiment": "shop/ranker-v8-1a2b3c4d", "arm": "control", "stratum": "1", "unit": unit, "time": time}


@contextlib.asynccontextmanager
async def agent(folder: Path, nginx: FakeNginx, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    runner = web.ServerRunner(web.Server(api, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    cluster = {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    kubeconfig = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x", "namespace": "shop"}}],
        "clusters": [{"name": "x", "cluster": cluster}],
        "users": [{"name": "x", "user": {}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
    told = {
        "PYTHONPATH": str(INFERENCE),
        "SLIPWAY_ROUTER_NAME": "slipway-router",
        "SLIPWAY_KUBECONFIG": str(folder / "kubeconfig"),
        "SLIPWAY_NGINX_SOCKET": str(nginx.socket),
        "SLIPWAY_AGENT_SOCKET": str(folder / "agent.sock"),
        "SLIPWAY_TABLES_FILE": str(folder / "tables.json"),
        "SLIPWAY_EXPOSURES_FILE": str(folder / "exposures.jsonl"),
        "SLIPWAY_LEDGER_URL": cluster["server"],
        "SLIPWAY_AGENT_HOST": "127.0.0.1",
        "SLIPWAY_TAKE_SECONDS": "0.05",
        "SLIPWAY_DRAIN_SECONDS": "0.3",
    } | environment
    await nginx.start()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "slipway_router.agent", env=told, cwd=folder)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await runner.cleanup()
        await nginx.stop()


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def test_a_hundred_models_with_traffic_and_their_exposures_fit_into_its_memory(tmp_path: Path) -> None:
    nginx = FakeNginx(tmp_path / "nginx.sock")
    (port,) = ports.free(1)
    async with agent(tmp_path, nginx, SLIPWAY_AGENT_PORT=str(port)) as process:
        await eventually(lambda: len(nginx.routes) == MODELS)
        assert nginx.pods["m7-0a1b2c3d"] == [f"10.88.0.{k}" for k in range(8)]
        for answer in taken():
            nginx.taken.append(answer)
            await eventually(lambda: not nginx.taken)
        takes = nginx.takes
        await eventually(lambda: nginx.takes > takes)  # it has added up what it took before
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}"
            async with session.get(f"{url}/v1/counts?model=m7&epoch=7") as counts:
                blocks = (await counts.json())["revisions"]["m7-0a1b2c3d"]["blocks"]
            async with session.get(f"{url}/metrics") as metrics:
                told = await metrics.text()
        assert 'slipway_router_latency_seconds_count{model="m7",revision="m7-0a1b2c3d"} 1800.0' in told
        assert f"slipway_router_exposures_written_total {float(BLOCKS * EXPOSED)}" in told
        assert sum(row[0] for row in blocks.values()) == BLOCKS * BINS
        assert resident_mib(process.pid) < LIMIT_MIB


async def test_it_ends_when_it_is_asked_to_after_the_grace_time(tmp_path: Path) -> None:
    nginx = FakeNginx(tmp_path / "nginx.sock")
    async with agent(tmp_path, nginx, SLIPWAY_AGENT_PORT="0") as process:
        await eventually(lambda: len(nginx.routes) == MODELS)
        began = asyncio.get_running_loop().time()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0
        assert asyncio.get_running_loop().time() - began >= 0.3
        digest = hashlib.sha256(routes_json("m7").encode()).hexdigest()
        assert hashlib.sha256(json.loads((tmp_path / "tables.json").read_text())["routes"]["m7"].encode()).hexdigest() == digest


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "slipway-router: SLIPWAY_ROUTER_NAME is not set: name the router"),
        ({"SLIPWAY_ROUTER_NAME": "r", "SLIPWAY_AGENT_PORT": "x"}, "slipway-router: SLIPWAY_AGENT_PORT is 'x': it should be"),
        ({"SLIPWAY_ROUTER_NAME": "r"}, "slipway-router: no way to reach an API server"),
    ],
)
async def test_nonsense_is_told_in_one_line(environment: dict[str, str], told: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "slipway_router.agent",
        env={"PYTHONPATH": str(INFERENCE)} | environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().startswith(told)
    assert said.decode().count("\n") == 1
