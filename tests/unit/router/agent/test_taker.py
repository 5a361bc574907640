"""Taking what nginx counted."""

from pathlib import Path
from typing import Any

from slipway_router.agent.counts import Counts
from slipway_router.agent.exposures import Exposures
from slipway_router.agent.nginx import Nginx
from slipway_router.agent.taker import FULL, Taker
from slipway_router.agent.totals import Totals
from slipway_testing.fake_nginx import FakeNginx


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
