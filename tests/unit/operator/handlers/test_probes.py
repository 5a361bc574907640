"""What makes the liveness probe fail, and so the kubelet restart the process."""

import asyncio
from dataclasses import dataclass
from typing import Any

import kopf
import pytest
from prometheus_client import CollectorRegistry

from slipway_operator import metrics
from slipway_operator.cluster import resources
from slipway_operator.controller import queue, store
from slipway_operator.handlers import app

KEY = ("shop", "digits")


@dataclass(frozen=True)
class Cache:
    """As much of an informer as the probe looks at."""

    last_contact: float
    resource: resources.Resource = resources.PODS


@dataclass(frozen=True)
class Caches:
    """One informer."""

    cache: Cache

    def all(self) -> tuple[Any, ...]:
        return (self.cache,)


def fresh(*, silent_s: float) -> str:
    now = asyncio.get_running_loop().time()
    return app.freshness(Caches(Cache(last_contact=now - silent_s)))  # type: ignore[arg-type]


async def test_a_watch_that_speaks_now_and_then_is_fresh() -> None:
    assert fresh(silent_s=app.STALE_S - 1) == "fresh"


async def test_a_watch_that_fell_silent_is_told_by_name() -> None:
    with pytest.raises(kopf.PermanentError, match="no word from the API server for 300 s about pods"):
        fresh(silent_s=app.STALE_S + 1)


async def test_a_watch_that_has_not_begun_is_nobodys_fault() -> None:
    assert app.freshness(Caches(Cache(last_contact=0.0))) == "fresh"  # type: ignore[arg-type]


async def test_a_pass_that_outlived_its_own_limit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: queue.WorkQueue[store.Key] = queue.WorkQueue(name="probe", meters=metrics.Metrics.on(CollectorRegistry()))
    keys.add(KEY)
    assert app.progress(keys) == "moving"

    await keys.get()
    assert app.progress(keys) == "moving"

    monkeypatch.setattr(app, "STUCK_S", -1.0)
    with pytest.raises(kopf.PermanentError, match="one pass has been running for 0 s"):
        app.progress(keys)
