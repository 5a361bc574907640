"""What nginx counted on its way to the operator, to Prometheus and to the file of exposures."""

import json
from pathlib import Path
from typing import Any

import aiohttp

from slipway_testing.fake_nginx import eventually

from .conftest import World

STABLE, CANDIDATE = "ranker-0a1b2c3d", "ranker-9f8e7d6c"
BLOCK = 447_000_000


def cells(revision: str, *, bin_: int, bad: int = 0, n: int = 1) -> list[list[Any]]:
    """A request of bucket 5, as nginx counts it."""
    return [["ranker", 7, revision, "b", 5, bin_, bad, n], ["ranker", 7, revision, "t", BLOCK, bin_, bad, n]]


EXPOSURE = {"experiment": "shop/ranker-v8-1a2b3c4d", "unit": "ü-17", "arm": "v8", "stratum": "1", "time": "2026-11-29T12:00:00.500000Z"}
TAKEN = {
    "cells": cells(STABLE, bin_=100, n=9) + cells(STABLE, bin_=200, bad=1, n=2) + cells(CANDIDATE, bin_=101),
    "totals": [["ranker", 7, STABLE, "Stable", "http", "2xx", 9], ["ranker", 7, STABLE, "Stable", "http", "retried", 2]],
    "pending": {STABLE: 3},
    "exposures": [EXPOSURE],
    "lost": 4,
}


def exposed(world: World) -> int:
    """How many exposures have been written."""
    file = Path(world.settings.exposures_file)
    return file.read_text().count("ü-17") if file.exists() else 0


async def test_what_nginx_counted_can_be_asked_for(world: World) -> None:
    text = world.route("ranker")
    await world.start()
    await world.fed({"ranker": text})
    world.nginx.taken += [TAKEN, TAKEN]
    await eventually(lambda: not world.nginx.taken)
    taken = world.nginx.takes
    await eventually(lambda: world.nginx.takes > taken)

    status, found = await world.ask(f"/v1/counts?model=ranker&epoch=7&edge.{STABLE}=150")

    buckets = [[0, 0, 0] for _ in range(64)]
    assert status == 200
    assert found.pop("started").endswith("Z")
    assert found == {
        "epoch": 7,
        "blockSeconds": 4,
        "revisions": {
            STABLE: {
                "latency": {"100": 18, "200": 4},
                "buckets": [[22, 4, 4] if bucket == 5 else row for bucket, row in enumerate(buckets)],
                "blocks": {str(BLOCK): [22, 4, 4]},
            },
            CANDIDATE: {
                "latency": {"101": 2},
                "buckets": [[2, 0, 0] if bucket == 5 else row for bucket, row in enumerate(buckets)],
                "blocks": {str(BLOCK): [2, 0, 0]},
            },
        },
    }
    _, metrics = await world.ask("/metrics")
    for line in (
        f'slipway_router_requests_total{{model="ranker",outcome="2xx",protocol="http",revision="{STABLE}",role="Stable"}} 18.0',
        f'slipway_router_retries_total{{model="ranker",revision="{STABLE}"}} 4.0',
        f'slipway_router_latency_seconds_bucket{{le="0.01",model="ranker",revision="{STABLE}"}} 18.0',
        f'slipway_router_latency_seconds_count{{model="ranker",revision="{STABLE}"}} 22.0',
        "slipway_router_exposures_lost_total 8.0",
    ):
        assert line in metrics
    await eventually(lambda: exposed(world) == 2)


async def test_a_request_that_makes_no_sense_is_told_what_would(world: World) -> None:
    await world.start()
    await eventually(lambda: world.nginx.takes)
    for query in ("model=ranker", "epoch=7", "model=ranker&epoch=x", "model=ranker&epoch=7&edge.x=481"):
        status, said = await world.ask(f"/v1/counts?{query}")
        assert status == 400
        assert said["error"]


async def test_an_ending_agent_takes_a_last_time_and_stays_readable(world: World) -> None:
    text = world.route("ranker")
    await world.start(take_seconds=30.0, drain_seconds=2.0)
    await world.fed({"ranker": text})
    world.nginx.taken += [TAKEN]
    task, stop = world._agents[0]
    stop.set()
    await eventually(lambda: exposed(world) == 1)
    assert await world.ask("/readyz") == (503, "ending\n")
    _, found = await world.ask("/v1/counts?model=ranker&epoch=7")
    assert sorted(found["revisions"]) == [STABLE, CANDIDATE]
    world.nginx.taken += [TAKEN]
    stop.set()
    await task
    assert exposed(world) == 2


async def test_a_shadow_is_asked_what_the_stable_revision_answered(world: World) -> None:
    world.route("ranker", shadow={"revision": "ranker-77777777", "percent": "100"})
    await world.start()
    await eventually(lambda: world.nginx.puts)
    connector = aiohttp.UnixConnector(world.settings.agent_socket)
    about = {"model": "ranker", "epoch": 7, "revision": STABLE, "shadow": "ranker-77777777", "path": "/v2/models/ranker/infer"}
    head = json.dumps(about | {"status": 200, "seconds": 0.1, "requestBytes": 2, "answerBytes": 2}).encode()
    async with aiohttp.ClientSession(connector=connector) as session, session.post("http://agent/shadow", data=head + b"\n{}{}") as answer:
        assert answer.status == 202

    async def shadow() -> Any:
        return (await world.ask("/v1/counts?model=ranker&epoch=7"))[1].get("shadow")

    found = await shadow()
    while not found["failed"]:
        found = await shadow()
    assert found == {
        "revision": "ranker-77777777",
        "sampled": 1,
        "answered": 0,
        "agreed": 0,
        "failed": 1,
        "dropped": 0,
        "meanAbsoluteDifference": None,
        "secondsDifference": None,
    }
