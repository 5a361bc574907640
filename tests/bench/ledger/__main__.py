"""``python -m bench.ledger``: the ledger's speed and memory on SQLite and on PostgreSQL; writes build/bench/ledger.json.

The ledger runs on one core; who sends, and PostgreSQL's server, on the other. Events go in batches over a few kept connections. A rate is events that
were acknowledged, that is on the disk, per second. Then a million units are put in, three outcomes for every ten of them, and the sums are read.
BENCH=short puts in fewer units.
"""

import contextlib
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.router.figures import Figure, at_least, at_most, quantile, stated, table, write
from ledger.harness import APPLICATION, CHECKOUT, READER, ROUTER, Ledger, at
from slipway_box import layout
from slipway_testing.postgres_server import PostgresServer

RESULT = layout.REPOSITORY / "build" / "bench" / "ledger.json"
SHORT = os.environ.get("BENCH") == "short"
EVENTS = 60_000 if SHORT else 200_000
"""Of each kind, for the rates."""
UNITS = 100_000 if SHORT else 1_000_000
BATCH, CONNECTIONS = 500, 4
MEASURED, OTHER = {0}, {1}
"""Cores."""
PER_SECOND, SUMS_MS, RESIDENT_MIB = 10_000, 50, 256
METRICS = [
    {"name": "bought", "type": "Proportion", "windowSeconds": 3600, "cuped": {"days": 14}},
    {"name": "revenue", "type": "Mean", "windowSeconds": 86_400, "cuped": {"days": 14}},
]


def main() -> int:
    """Measure, print a table; status 1 when a goal was missed."""
    if len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, OTHER)
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        found += measured("SQLite", Path(folder), None)
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder, PostgresServer() as server:
        found += measured("PostgreSQL", Path(folder), server.database())
    print(table(found))  # noqa: T201
    write(RESULT, found)
    return 0 if all(figure.ok for figure in found) else 1


def measured(what: str, folder: Path, database: str | None) -> Iterator[Figure]:
    """The figures of one database."""
    with Ledger(folder, database, log_level="WARNING") as ledger:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{ledger.process}/task").iterdir():
                os.sched_setaffinity(int(thread.name), MEASURED)
        assert ledger.register(metrics=METRICS).status == 201
        rate, processor_us = sent(ledger, "/v1/exposures", ROUTER, exposure, range(EVENTS))
        yield at_least(f"{what}: exposures acknowledged on one core", rate, "/s", limit=PER_SECOND)
        yield stated(f"{what}: processor time of an exposure", processor_us, "us")
        rate, processor_us = sent(ledger, "/v1/outcomes", APPLICATION, outcome, range(EVENTS))
        yield at_least(f"{what}: outcomes acknowledged on one core", rate, "/s", limit=PER_SECOND)
        yield stated(f"{what}: processor time of an outcome", processor_us, "us")
        rate, _ = sent(ledger, "/v1/outcomes", APPLICATION, outcome, range(EVENTS))
        yield at_least(f"{what}: outcomes that come again", rate, "/s", limit=PER_SECOND)
        sent(ledger, "/v1/exposures", ROUTER, exposure, range(EVENTS, UNITS))
        sent(ledger, "/v1/outcomes", APPLICATION, outcome, range(EVENTS, max(EVENTS, UNITS * 3 // 10)))
        began = time.perf_counter()
        while closed(ledger) < max(EVENTS, UNITS):
            assert time.perf_counter() < began + 120, "windows are not closed"
            time.sleep(0.1)
        yield stated(f"{what}: rest of the windows closed after the last event", time.perf_counter() - began, "s")
        yield at_most(f"{what}: sums of {max(EVENTS, UNITS):,} units, p99 of 200 reads", reads(ledger), "ms", limit=SUMS_MS)
        yield at_most(f"{what}: memory", ledger.resident_mib, "MiB", limit=RESIDENT_MIB)
        if database is None:
            size = sum(path.stat().st_size for path in folder.glob("ledger.db*"))
            yield stated(f"{what}: disk, {max(EVENTS, UNITS):,} units and {max(EVENTS, UNITS * 3 // 10):,} outcomes", size / 2**20, "MiB")


def closed(ledger: Ledger) -> int:
    """Units whose windows are closed in the metric with the longest one."""
    return sum(group["closed"]["units"] for group in ledger.get(f"{CHECKOUT}/sums").said["metrics"][1]["sums"])


def exposure(number: int) -> dict[str, Any]:
    """Of a unit of its own, over the last hours."""
    arm, stratum = ("control", "challenger")[number % 2], str(number % 3)
    return {"experiment": "shop/checkout", "unit": f"user-{number}", "arm": arm, "stratum": stratum, "time": _AT[number % 3600]}


def outcome(number: int) -> dict[str, Any]:
    """Of the same unit, within its window."""
    metric, value = (("bought", 1), ("revenue", number % 100 + 0.99))[number % 2]
    return {
        "experiment": "shop/checkout",
        "unit": f"user-{number}",
        "metric": metric,
        "value": value,
        "time": _AT[3600],
        "idempotencyKey": f"order-{number}",
    }


_AT = [at(-90_000 - 3600 + second) for second in range(3601)]


def sent(ledger: Ledger, path: str, token: str, make: Callable[[int], dict[str, Any]], numbers: range) -> tuple[float, float]:
    """Events acknowledged per second, and microseconds of the ledger's processor time for each. Bodies of a piece are made before it is timed."""
    seconds, began_us = 0.0, processor_us(ledger)
    for start in range(numbers.start, numbers.stop, 50_000):
        piece = range(start, min(start + 50_000, numbers.stop))
        bodies = [json.dumps([make(number) for number in piece[first : first + BATCH]]).encode() for first in range(0, len(piece), BATCH)]
        lanes = [threading.Thread(target=_lane, args=(ledger.port, path, token, bodies[lane::CONNECTIONS])) for lane in range(CONNECTIONS)]
        began = time.perf_counter()
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        seconds += time.perf_counter() - began
    count = max(len(numbers), 1)
    return count / max(seconds, 1e-9), (processor_us(ledger) - began_us) / count


def processor_us(ledger: Ledger) -> float:
    """Of the process, since it began."""
    fields = Path(f"/proc/{ledger.process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1e6


def _lane(port: int, path: str, token: str, bodies: list[bytes]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        for body in bodies:
            connection.request("POST", path, body, {"authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            said = json.loads(answer.read())
            assert answer.status == 200, said
            assert not said["refused"], said


def reads(ledger: Ledger) -> float:
    """The slow end of reading the sums, in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", ledger.port, timeout=60)
    took = []
    with contextlib.closing(connection):
        for _ in range(200):
            began = time.perf_counter()
            connection.request("GET", f"{CHECKOUT}/sums", headers={"authorization": f"Bearer {READER}"})
            assert connection.getresponse().read()
            took.append((time.perf_counter() - began) * 1000)
    return quantile(took, 0.99)


if __name__ == "__main__":
    sys.exit(main())
