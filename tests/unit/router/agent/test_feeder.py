"""Feeding nginx: many changes at once, an nginx that refuses, a file for the next life."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from slipway_router.agent import saved
from slipway_router.agent.feeder import Feeder
from slipway_router.agent.nginx import Nginx
from slipway_router.agent.routes import Wanted
from slipway_router.agent.table import Table
from slipway_testing.fake_nginx import FakeNginx, eventually, routes_json


def table(model: str, **changes: Any) -> Table:
    return Table.parse(routes_json(model, **changes), namespace="shop", model=model)


class Fed:
    """A feeder, the nginx that it feeds, and what it should feed."""

    def __init__(self, nginx: FakeNginx, feeder: Feeder, refused: list[tuple[str, str]]) -> None:
        self.nginx = nginx
        self.feeder = feeder
        self.refused = refused
        self.wanted = Wanted()

    def want(self, *tables: Table, pods: dict[str, tuple[str, ...]] | None = None) -> None:
        self.wanted = Wanted({each.model: each for each in tables}, pods or {})
        self.feeder.changed()

    def has(self, *tables: Table) -> bool:
        return self.nginx.routes == {each.model: each.text for each in tables}


PAUSE_S = 0.02


@contextlib.asynccontextmanager
async def feeding(tmp_path: Path, *, look_s: float = 0.1, timeout_s: float = 2.0) -> AsyncIterator[Fed]:
    fake = FakeNginx(tmp_path / "nginx.sock")
    await fake.start()
    refused: list[tuple[str, str]] = []

    async with Nginx(str(fake.socket), timeout_s=timeout_s) as nginx:
        feeder = Feeder(
            nginx,
            wanted=lambda: fed.wanted,
            on_refusal=lambda table, why: refused.append((table.model, why)),
            look_s=look_s,
            pause_s=PAUSE_S,
        )
        fed = Fed(fake, feeder, refused)
        task = asyncio.create_task(feeder.run())
        try:
            yield fed
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await fake.stop()


async def test_a_change_is_pushed_at_once_and_a_hundred_in_a_row_together(tmp_path: Path) -> None:
    async with feeding(tmp_path, look_s=30.0) as fed:
        await eventually(lambda: fed.feeder.fed)
        each_took_s = []
        for epoch in range(10):
            await asyncio.sleep(0.05)
            fed.want(table("ranker", epoch=epoch))
            began = asyncio.get_running_loop().time()
            await eventually(lambda epoch=epoch: fed.has(table("ranker", epoch=epoch)))  # type: ignore[misc]
            each_took_s.append(asyncio.get_running_loop().time() - began)
        assert min(each_took_s) < 0.02  # idle: it need not wait for more
        pushed, began = len(fed.nginx.puts), asyncio.get_running_loop().time()
        for epoch in range(10, 110):
            fed.want(table("ranker", epoch=epoch))
            await asyncio.sleep(0.001)
        await eventually(lambda: fed.has(table("ranker", epoch=109)))
        took_s = asyncio.get_running_loop().time() - began
        assert len(fed.nginx.puts) - pushed <= took_s / PAUSE_S + 2


async def test_pods_alone_are_a_change(tmp_path: Path) -> None:
    async with feeding(tmp_path, look_s=30.0) as fed:
        fed.want(table("ranker"))
        await eventually(lambda: fed.has(table("ranker")))
        fed.want(table("ranker"), pods={"ranker-0a1b2c3d": ("10.88.0.7",), "ranker-9f8e7d6c": ()})
        await eventually(lambda: fed.nginx.pods == {"ranker-0a1b2c3d": ["10.88.0.7"], "ranker-9f8e7d6c": []})


async def test_nothing_is_pushed_while_nothing_changes(tmp_path: Path) -> None:
    async with feeding(tmp_path, look_s=0.02) as fed:
        fed.want(table("ranker"), pods={"ranker-0a1b2c3d": ("10.88.0.7",), "ranker-9f8e7d6c": ()})
        await asyncio.sleep(0.3)
        assert (len(fed.nginx.puts), fed.feeder.pushes) == (1, 1)


async def test_an_nginx_that_lost_its_tables_is_found_out_while_much_changes(tmp_path: Path) -> None:
    async with feeding(tmp_path, look_s=0.1) as fed:
        fed.want(table("ranker"))
        await eventually(lambda: fed.has(table("ranker")))
        fed.nginx.routes = {}
        for _ in range(50):
            fed.feeder.changed()
            await asyncio.sleep(0.01)
        assert fed.has(table("ranker"))


async def test_of_tables_that_nginx_refuses_only_the_bad_ones_stay_out(tmp_path: Path) -> None:
    async with feeding(tmp_path) as fed:
        fed.want(table("ranker"))
        await eventually(lambda: fed.has(table("ranker")))
        fed.nginx.refuse = lambda body: "no" if "bad" in json.dumps(body) else ""
        fed.want(table("ranker", epoch=8, seed="bad"), table("digits", seed="bad"), table("other"))
        await eventually(lambda: fed.has(table("ranker"), table("other")))
        await asyncio.sleep(0.3)
        assert fed.refused == [("ranker", "no"), ("digits", "no")]
        assert fed.feeder.fed
        assert fed.feeder.live == {each.model: each for each in (table("ranker"), table("other"))}
        fed.want(table("ranker", epoch=9), table("digits", seed="bad"), table("other"))
        await eventually(lambda: fed.has(table("ranker", epoch=9), table("other")))
        assert fed.feeder.taken.tables == {each.model: each for each in (table("ranker", epoch=9), table("other"))}


async def test_while_nginx_is_away_nothing_is_live(tmp_path: Path) -> None:
    async with feeding(tmp_path, look_s=0.05) as fed:
        fed.want(table("ranker"))
        await eventually(lambda: fed.feeder.live)
        await fed.nginx.stop()
        await eventually(lambda: not fed.feeder.live)
        assert not fed.feeder.fed
        await fed.nginx.start()
        await eventually(lambda: fed.has(table("ranker")) and fed.feeder.fed)


async def test_an_nginx_that_is_only_slow_has_what_it_had(tmp_path: Path) -> None:
    async with feeding(tmp_path, look_s=0.02, timeout_s=0.1) as fed:
        fed.want(table("ranker"))
        await eventually(lambda: fed.feeder.fed)
        fed.nginx.slow_s = 0.4
        await asyncio.sleep(0.5)
        assert fed.feeder.fed
        assert fed.feeder.live
        fed.nginx.slow_s = 0.0
        fed.want(table("ranker", epoch=8))
        await eventually(lambda: fed.has(table("ranker", epoch=8)))


async def test_an_nginx_that_refuses_what_it_had_is_tried_again(tmp_path: Path) -> None:
    async with feeding(tmp_path, look_s=0.05) as fed:
        fed.want(table("ranker"))
        await eventually(lambda: fed.feeder.fed)
        fed.nginx.refuse = lambda _: "no pods today"
        fed.want(table("ranker"), pods={"ranker-0a1b2c3d": ("10.88.0.7",), "ranker-9f8e7d6c": ()})
        await eventually(lambda: not fed.feeder.fed)
        fed.nginx.refuse = lambda _: ""
        await eventually(lambda: fed.nginx.pods)
        assert fed.refused == []


async def test_what_nginx_took_is_saved_when_it_has_changed(tmp_path: Path) -> None:
    path, now = tmp_path / "tables.json", [Wanted({"ranker": table("ranker")})]
    task = asyncio.create_task(saved.keep(path, lambda: now[0], every_s=0.01))
    await eventually(lambda: saved.read(path) == ({"ranker": table("ranker").text}, {}))
    path.unlink()
    await asyncio.sleep(0.1)
    assert saved.read(path) is None
    now[0] = Wanted({"ranker": table("ranker", epoch=8)})
    await eventually(lambda: saved.read(path) == ({"ranker": table("ranker", epoch=8).text}, {}))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_disk_that_does_not_want_tables_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "none" / "tables.json"
    task = asyncio.create_task(saved.keep(path, lambda: Wanted({"ranker": table("ranker")}), every_s=0.01))
    await eventually(lambda: "the tables cannot be saved" in caplog.text)
    os.mkdir(tmp_path / "none")
    await eventually(lambda: saved.read(path))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tables.json"
    saved.write(path, Wanted({"ranker": table("ranker")}, {"ranker-0a1b2c3d": ("10.88.0.7",)}))
    saved.write(path, Wanted({"digits": table("digits")}, {"digits-0a1b2c3d": ("10.88.0.8",), "digits-9f8e7d6c": ()}))
    assert saved.read(path) == ({"digits": table("digits").text}, {"digits-0a1b2c3d": ("10.88.0.8",), "digits-9f8e7d6c": ()})
    assert [each.name for each in tmp_path.iterdir()] == ["tables.json"]


def test_a_file_that_is_no_good_is_none(tmp_path: Path) -> None:
    path = tmp_path / "tables.json"
    assert saved.read(path) is None
    for text in ("", "[]", '{"version": 2, "routes": {}, "pods": {}}', '{"version": 1}', '{"version": 1, "routes": [], "pods": {}}'):
        path.write_text(text)
        assert saved.read(path) is None
