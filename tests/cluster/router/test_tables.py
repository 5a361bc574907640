"""Tables and pods on their way from the API server to nginx."""

import asyncio
import json
import logging
import time
from pathlib import Path

import pytest

from slipway_testing.fake_nginx import eventually

from .conftest import World

STABLE, CANDIDATE = "ranker-0a1b2c3d", "ranker-9f8e7d6c"
NOBODY: dict[str, list[str]] = {STABLE: [], CANDIDATE: []}


async def test_a_table_is_live_within_a_second_of_its_change(world: World) -> None:
    text = world.route("ranker")
    await world.start()
    await world.fed({"ranker": text}, NOBODY)
    for epoch in range(8, 13):
        text = world.route("ranker", epoch=epoch)
        written = time.monotonic()
        await world.fed({"ranker": text}, within_s=1.0)
        assert time.monotonic() - written < 1.0
    _, live = await world.ask("/v1/live")
    assert live["ready"]
    assert live["models"]["ranker"]["epoch"] == 12


async def test_a_table_of_another_router_is_none_of_ours_and_a_deleted_one_goes(world: World) -> None:
    metadata = {"name": "other-routes", "namespace": world.namespace, "labels": {"slipway.dev/router": "other"}}
    world.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"routes.json": "{}"}})
    ranker, digits = world.route("ranker"), world.route("digits")
    await world.start()
    await world.fed({"ranker": ranker, "digits": digits})
    world.unroute("ranker")
    await world.fed({"digits": digits}, {"digits-0a1b2c3d": [], "digits-9f8e7d6c": []})


async def test_pods_follow_their_slices(world: World) -> None:
    text = world.route("ranker")
    world.pods(STABLE, ["10.88.0.8", "10.88.0.7"])
    world.pods("nobody-asked", ["10.88.0.9"])
    await world.start()
    await world.fed({"ranker": text}, {STABLE: ["10.88.0.7", "10.88.0.8"], CANDIDATE: []})
    world.pods(CANDIDATE, ["10.88.0.10"])
    await world.fed({"ranker": text}, {STABLE: ["10.88.0.7", "10.88.0.8"], CANDIDATE: ["10.88.0.10"]})
    world.pods(STABLE, ["10.88.0.8"], ending=["10.88.0.7"])
    await world.fed({"ranker": text}, {STABLE: ["10.88.0.8"], CANDIDATE: ["10.88.0.10"]})
    assert len(world.nginx.puts) == 3


async def test_a_bad_table_is_refused_while_the_last_good_one_stays(world: World, caplog: pytest.LogCaptureFixture) -> None:
    good = world.route("ranker")
    await world.start()
    await world.fed({"ranker": good})
    with caplog.at_level(logging.ERROR):
        world.route("ranker", version=2, epoch=8)
        digits = world.route("digits")
        await world.fed({"ranker": good, "digits": digits})
    assert "that of epoch 7 stays: its version is 2, this router knows 1" in caplog.text
    _, metrics = await world.ask("/metrics")
    assert 'slipway_router_table_refusals_total{model="ranker"} 1.0' in metrics
    better = world.route("ranker", epoch=9)
    await world.fed({"ranker": better, "digits": digits})


async def test_what_nginx_alone_finds_wrong_stays_out_and_holds_nobody_up(world: World) -> None:
    good = world.route("ranker")
    await world.start()
    await world.fed({"ranker": good})
    world.nginx.refuse = lambda body: "no such seed" if "shop/bad" in json.dumps(body) else ""
    world.route("ranker", epoch=8, seed="shop/bad")
    digits = world.route("digits")
    await world.fed({"ranker": good, "digits": digits})
    better = world.route("ranker", epoch=9)
    await world.fed({"ranker": better, "digits": digits})


async def test_a_restarted_nginx_gets_its_tables_again_at_once(world: World) -> None:
    text = world.route("ranker")
    await world.start(take_seconds=5.0)
    await world.fed({"ranker": text})
    await world.nginx.stop()
    await asyncio.sleep(0.3)
    await world.nginx.start()
    await world.fed({"ranker": text}, within_s=4.0)


async def test_an_nginx_that_lost_its_tables_and_not_its_connection_is_found_out(world: World) -> None:
    text = world.route("ranker")
    await world.start()
    await world.fed({"ranker": text})
    world.nginx.routes = {}
    await world.fed({"ranker": text})


async def test_an_agent_that_was_started_again_disturbs_nobody(world: World) -> None:
    text = world.route("ranker")
    world.pods(STABLE, ["10.88.0.7"])
    for _ in range(2):
        await world.start()
        await eventually(lambda: world.nginx.takes)
        await world.fed({"ranker": text}, {STABLE: ["10.88.0.7"], CANDIDATE: []})
        assert (await world.ask("/v1/live"))[1]["models"]["ranker"]["epoch"] == 7
        await world.end()
        world.nginx.takes = 0
    assert len(world.nginx.puts) == 1


async def test_nginx_may_come_later(world: World) -> None:
    await world.nginx.stop()
    text = world.route("ranker")
    await world.start()
    await asyncio.sleep(0.5)
    status, why = await world.ask("/readyz")
    assert (status, why) == (503, "nginx has not taken the tables\n")
    await world.nginx.start()
    await world.fed({"ranker": text}, within_s=4.0)
    assert (await world.ask("/readyz"))[0] == 200


async def test_an_api_server_that_went_and_came_back_changes_nothing_but_what_was_written_since(world: World) -> None:
    text = world.route("ranker")
    world.pods(STABLE, ["10.88.0.7"])
    await world.start()
    await world.fed({"ranker": text}, {STABLE: ["10.88.0.7"], CANDIDATE: []})
    await asyncio.to_thread(world.plane.stop, "kube-apiserver")
    await asyncio.sleep(1.0)
    assert (await world.ask("/readyz"))[0] == 200
    await asyncio.to_thread(world.plane.start, "kube-apiserver")
    assert len(world.nginx.puts) == 1
    changed = await asyncio.to_thread(world.route, "ranker", epoch=8)
    await world.fed({"ranker": changed}, {STABLE: ["10.88.0.7"], CANDIDATE: []}, within_s=10.0)
    assert len(world.nginx.puts) == 2


async def test_without_an_api_server_the_file_of_the_last_life_serves(world: World) -> None:
    text = world.route("ranker")
    world.pods(STABLE, ["10.88.0.7"])
    await world.start()
    await world.fed({"ranker": text})
    await eventually(lambda: "ranker" in _read(world.settings.tables_file))
    await world.end()
    await world.nginx.stop()
    await world.nginx.start()
    await asyncio.to_thread(world.plane.stop, "kube-apiserver")
    try:
        await world.start(api_patience_seconds=0.5)
        await world.fed({"ranker": text}, {STABLE: ["10.88.0.7"], CANDIDATE: []}, within_s=3.0)
        assert (await world.ask("/readyz"))[0] == 200
    finally:
        await asyncio.to_thread(world.plane.start, "kube-apiserver")
    changed = await asyncio.to_thread(world.route, "ranker", epoch=8)
    await world.fed({"ranker": changed}, {STABLE: ["10.88.0.7"], CANDIDATE: []}, within_s=10.0)


async def test_without_an_api_server_and_a_file_nginx_keeps_what_it_has(world: World) -> None:
    world.nginx.routes = {"ranker": "what a former agent had found out"}
    await asyncio.to_thread(world.plane.stop, "kube-apiserver")
    try:
        await world.start(api_patience_seconds=0.2)
        await asyncio.sleep(1.0)
        assert world.nginx.puts == []
        assert await world.ask("/readyz") == (503, "the API server has not told yet what there is\n")
    finally:
        await asyncio.to_thread(world.plane.start, "kube-apiserver")
    await eventually(lambda: world.nginx.puts, within_s=10.0)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except FileNotFoundError:
        return ""
