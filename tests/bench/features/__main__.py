"""``python -m bench.features``: reading features by Slipway's reader and by Feast's client, from one Redis; writes build/bench/features.json.

Feast's client with Feast's own Redis store answers ``get_online_features(...).to_dict()``; Slipway's reader builds the keys, asks Redis by one MGET
and reads the blobs into one array, as the transformer does. The two take turns, so that a noisy machine disturbs both. Feast's client with Slipway's
store comes after them: two stores of Feast that take turns in one process parse their views anew for each request, which makes both several times
slower than either is alone. BENCH=short takes fewer turns.
"""

import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import uvloop
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float32

from bench.router.figures import Figure, at_least, at_most, quantile, stated, table, write
from slipway_box import layout
from slipway_features import keys
from slipway_features.blob import Reader
from slipway_features.schema import Schema
from slipway_inference.store import Store
from slipway_testing.redis_server import RedisServer

RESULT = layout.REPOSITORY / "build" / "bench" / "features.json"
ITEMS, NAMES = 500, [f"f{at:03}" for at in range(200)]
P99_MS = {1: 1.0, 100: 5.0}
TIMES = 20.0
WARM_UP = 5

Read = Callable[[list[int]], Awaitable[Any]]
"""From item ids to their features."""


def main() -> int:
    """Measure, print a table; status 1 when a goal was missed."""
    turns = {1: 100, 100: 20} if os.environ.get("BENCH") == "short" else {1: 1000, 100: 150}
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as directory, RedisServer(Path(directory)) as server:
        rows = pd.DataFrame(np.random.default_rng(5).normal(size=(ITEMS, len(NAMES))).astype(np.float32), columns=NAMES)
        moment = datetime.now(UTC)
        frame = rows.assign(item_id=range(ITEMS), event_timestamp=moment)
        own = {"type": "slipway_feast.PackedRedisOnlineStore", "connection_string": server.url}
        theirs = {"type": "redis", "connection_string": f"127.0.0.1:{server.port}"}
        packed, plain = (filled(Path(directory), name, online, frame) for name, online in (("packed", own), ("plain", theirs)))
        found = uvloop.run(all_of(server.url, packed, plain, turns, rows.to_numpy()))
    print(table(found))  # noqa: T201
    write(RESULT, found)
    return 0 if all(figure.ok for figure in found) else 1


def filled(folder: Path, project: str, online: dict[str, str], frame: pd.DataFrame) -> FeatureStore:
    """A store of items with 200 features each."""
    store = FeatureStore(
        config=RepoConfig(
            project=project, provider="local", registry=str(folder / f"{project}.db"), online_store=online, entity_key_serialization_version=3
        )
    )
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64)
    frame.head(1).to_parquet(folder / "items.parquet")
    source = FileSource(path=str(folder / "items.parquet"), timestamp_field="event_timestamp")
    schema = [Field(name=name, dtype=Float32) for name in NAMES]
    store.apply([item, FeatureView(name="items", entities=[item], ttl=timedelta(days=1), schema=schema, source=source)])
    begun = time.perf_counter()
    store.write_to_online_store("items", df=frame)
    print(f"{project}: {ITEMS} x {len(NAMES)} written in {time.perf_counter() - begun:.1f} s", file=sys.stderr)  # noqa: T201
    return store


async def all_of(url: str, packed: FeatureStore, plain: FeatureStore, turns: dict[int, int], rows: Any) -> list[Figure]:
    """By how many entities are asked for at once. In one event loop, as in the transformer: to start one costs as much as a read."""
    store = Store(url, timeout_s=5)
    own = await reader(store)
    found = [figure for count, limit in turns.items() async for figure in measured(own, packed, plain, count, limit, rows)]
    await store.close()
    return found


async def measured(own: Read, packed: FeatureStore, plain: FeatureStore, count: int, turns: int, rows: Any) -> AsyncIterator[Figure]:
    """The figures of requests for so many entities."""
    draws = np.random.default_rng(6)
    client = feast_client(plain)
    (owns, owns_used), (feasts, feasts_used) = await clocked([own, client, own, own], draws, count, turns)
    [(feasts_packed, _)] = await clocked([feast_client(packed)], draws, count, turns // 4)
    picked = list(range(count))
    np.testing.assert_array_equal((await own(picked))[0], rows[picked])
    answer = await client(picked)
    np.testing.assert_array_equal(np.array([answer[name] for name in NAMES], np.float32).T, rows[picked])
    what = f"{count} x {len(NAMES)} float32"
    yield stated(f"{what}, Slipway's reader, p50", quantile(owns, 0.5), "ms")
    yield at_most(f"{what}, Slipway's reader, p99", quantile(owns, 0.99), "ms", limit=P99_MS[count])
    yield stated(f"{what}, Feast's client and Redis store, p50", quantile(feasts, 0.5), "ms")
    yield stated(f"{what}, Feast's client and Redis store, p99", quantile(feasts, 0.99), "ms")
    yield stated(f"{what}, Feast's client and Slipway's store, p50", quantile(feasts_packed, 0.5), "ms")
    yield at_least(f"{what}, times as fast as Feast's at p50", quantile(feasts, 0.5) / quantile(owns, 0.5), "", limit=TIMES)
    yield stated(f"{what}, Slipway's reader, processor time at p50", quantile(owns_used, 0.5), "ms")
    yield stated(f"{what}, times less processor time than Feast's at p50", quantile(feasts_used, 0.5) / quantile(owns_used, 0.5), "")


async def clocked(works: list[Read], draws: np.random.Generator, count: int, turns: int) -> list[tuple[list[float], list[float]]]:
    """Of each work that takes turns, for random entities: milliseconds until it was answered, and of processor time. The first turns only warm up."""
    times: dict[Read, tuple[list[float], list[float]]] = {work: ([], []) for work in works}
    for turn in range(turns + WARM_UP):
        picked = draws.choice(ITEMS, count, replace=False).tolist()
        for work in works:
            begun, used = time.perf_counter(), time.process_time()
            await work(picked)
            if turn >= WARM_UP:
                times[work][0].append((time.perf_counter() - begun) * 1000)
                times[work][1].append((time.process_time() - used) * 1000)
    return list(times.values())


async def reader(store: Store) -> Read:
    """As the transformer reads."""
    (text,) = await store.get([keys.schema_key("packed", "items")])
    assert text is not None
    rows = Reader(Schema.parse(text), NAMES)

    async def read(picked: list[int]) -> Any:
        blobs = await store.get([keys.row_key("packed", "items", {"item_id": item}) for item in picked])
        return rows.rows(blobs, time.time_ns() // 1000)

    return read


def feast_client(store: FeatureStore) -> Read:
    """As Feast's documentation reads; it waits for Redis itself."""
    features = [f"items:{name}" for name in NAMES]

    async def read(picked: list[int]) -> Any:
        return store.get_online_features(features=features, entity_rows=[{"item_id": item} for item in picked]).to_dict()

    return read


if __name__ == "__main__":
    sys.exit(main())
