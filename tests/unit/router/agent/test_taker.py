"""Taking what nginx counted."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from slipway_router.agent import taker as taker_
from slipway_router.agent.counts import Counts
from slipway_router.agent.exposures import Exposures
from slipway_router.agent.nginx import Nginx
from slipway_router.agent.taker import FULL, Taker
from slipway_router.agent.totals import Totals
from slipway_testing.fake_nginx import FakeNginx, eventually


def taker_of(nginx: Nginx, folder: Path) -> tuple[Taker, Counts, Exposures]:
    counts, exposures = Counts(), Exposures(folder / "x", file_bytes=10**7, files=1)
    counts.known({"ranker": 7})
    return Taker(nginx, counts=counts, totals=Totals(), exposures=exposures), counts, exposures


def taken(**changes: Any) -> dict[str, Any]:
    return {"cells": [["ranker", 7, "a", "b", 5, 100, 0, 1]], "totals": {}, "pending": {}, "exposures": {}, "lost": 0} | changes


async def test_what_does_not_fit_into_one_answer_is_taken_at_once(tmp_path: Path) -> None:
    fake = FakeNginx(tmp_path / "nginx.sock")
    fake.taken = [taken(exposures=[{"unit": "u"}] * FULL), taken(exposures=[{"unit": "u"}]), taken(exposures=[{"unit": "u"}])]
    await fake.start()
    async with Nginx(str(fake.socket)) as nginx:
        taker, counts, exposures = taker_of(nginx, tmp_path)
        await taker.take()
        await exposures.flush()
        assert (fake.takes, exposures.written) == (2, FULL + 1)
        assert counts.answer("ranker", 7, edges={})["revisions"]["a"]["latency"] == {100: 2}
    await fake.stop()


async def test_nonsense_and_silence_cost_what_they_cost_and_no_more(tmp_path: Path) -> None:
    fake = FakeNginx(tmp_path / "nginx.sock")
    fake.taken = [taken(lost="x"), taken(cells=3), taken(totals=[["who"]])]
    await fake.start()
    async with Nginx(str(fake.socket)) as nginx:
        taker, counts, _ = taker_of(nginx, tmp_path)
        for _ in range(3):
            await taker.take()
        assert (taker.failures, taker.uncounted) == (1, 1)
        await fake.stop()
        await taker.take()
        assert taker.failures == 2
        assert counts.answer("ranker", 7, edges={})["revisions"]["a"]["latency"] == {100: 2}


def units(path: Path) -> list[str]:
    return [json.loads(line)["unit"] for line in path.read_text().splitlines()]


async def test_nginx_may_forget_exposures_once_they_are_on_the_disk(tmp_path: Path) -> None:
    """Until then it gives them again, for this agent's successor, and this agent knows them."""
    fake = FakeNginx(tmp_path / "nginx.sock")
    first, second = taken(answer=7, exposures=[{"unit": "a"}]), taken(answer=8, exposures=[{"unit": "b"}])
    fake.taken = [first, first, first, second, taken(answer=9)]
    await fake.start()
    async with Nginx(str(fake.socket)) as nginx:
        taker, _, exposures = taker_of(nginx, tmp_path)
        await taker.take()
        await taker.take()
        await exposures.flush()
        for _ in range(3):
            await taker.take()
            await exposures.flush()
        assert fake.kept == [None, None, "7", "7", "8"]
        assert (units(tmp_path / "x"), taker.restarts) == (["a", "b"], 0)
    await fake.stop()


async def test_an_nginx_that_began_anew_is_known_by_its_numbers(tmp_path: Path) -> None:
    fake = FakeNginx(tmp_path / "nginx.sock")
    fake.taken = [taken(answer=number, exposures=[{"unit": f"{number}"}]) for number in (7, 8, 1000, 1001, 3)]
    await fake.start()
    async with Nginx(str(fake.socket)) as nginx:
        taker, _, exposures = taker_of(nginx, tmp_path)
        for _ in range(5):
            await taker.take()
            await exposures.flush()
        assert (units(tmp_path / "x"), taker.restarts) == (["7", "8", "1000", "1001", "3"], 2)
    await fake.stop()


async def test_a_disk_that_is_too_slow_leaves_exposures_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNginx(tmp_path / "nginx.sock")
    fake.taken = [taken(answer=7, exposures=[{"unit": "u"}] * FULL)] * 2
    await fake.start()
    monkeypatch.setattr(taker_, "_PATIENCE_S", 0.05)
    async with Nginx(str(fake.socket)) as nginx:
        taker, _, exposures = taker_of(nginx, tmp_path)
        disk = asyncio.Event()
        flush = exposures.flush

        async def slowly() -> None:
            await disk.wait()
            await flush()

        monkeypatch.setattr(exposures, "flush", slowly)
        await taker.take()
        await taker.take()
        disk.set()
        await eventually(lambda: exposures.written >= FULL)
        assert (fake.takes, fake.kept, exposures.written) == (2, [None, None], FULL)
    await fake.stop()
