"""``python -m slipway_ledger.source``: rows of a query go to a ledger, each once, however often they are read."""

import json
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger.conftest import Start
from ledger.harness import ADMIN, CHECKOUT, NOW, Ledger, definition
from slipway_ledger import source
from slipway_ledger.source import Source, SourceError
from slipway_testing.postgres_server import PostgresServer

QUERY = "SELECT unit, arm, numerator, denominator, time FROM orders WHERE time >= {since} ORDER BY time LIMIT 40"
CLICKS = {"name": "clicks", "type": "Ratio", "denominator": "views", "windowSeconds": 3600}


class Orders:
    """A table of somebody else's."""

    def __init__(self, kind: str, folder: Path, server: PostgresServer) -> None:
        self.address = str(folder / "orders.db") if kind == "sqlite" else server.database()
        self._kind = kind
        self.run(
            "CREATE TABLE orders (unit TEXT, arm TEXT, numerator NUMERIC, denominator INTEGER, time "
            + ("TEXT)" if kind == "sqlite" else "TIMESTAMPTZ)")
        )

    def run(self, statement: str, *rows: tuple[Any, ...]) -> None:
        """Once, or for every row."""
        if self._kind == "sqlite":
            connection = sqlite3.connect(self.address)
            with connection:
                connection.executemany(statement, rows) if rows else connection.execute(statement)
            connection.close()
            return
        with psycopg.connect(self.address) as server, server.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s"), rows) if rows else cursor.execute(statement)

    def insert(self, *rows: tuple[str, str | None, float | None, int | None, datetime]) -> None:
        self.run("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", *((*row[:4], row[4].isoformat()) for row in rows))


@pytest.fixture(params=["sqlite", "postgres"])
def orders(request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresServer) -> Orders:
    """Empty."""
    return Orders(request.param, tmp_path, postgres)


def configured(ledger: Ledger, orders: Orders, folder: Path, **changes: Any) -> Source:
    (folder / "token").write_text(ADMIN)
    chosen = {
        "ledger": f"http://127.0.0.1:{ledger.port}",
        "tokenFile": str(folder / "token"),
        "database": orders.address,
        "query": QUERY,
        "experiment": "shop/checkout",
        "metric": "clicks",
        "denominator": "views",
        "since": (NOW - timedelta(days=2)).isoformat(),
        "positionFile": str(folder / "position"),
        "overlapSeconds": 600,
        "everySeconds": 1,
    }
    return source.parse(json.dumps(chosen | changes).encode())


def test_rows_are_folded_once_and_late_ones_are_found(start: Start, orders: Orders, tmp_path: Path) -> None:
    ledger = start()
    ledger.put(CHECKOUT, definition(metrics=[CLICKS]))
    began = NOW - timedelta(days=1)
    orders.insert(*((f"u-{n}", ["control", "challenger"][n % 2], None, None, began + timedelta(seconds=n)) for n in range(100)))
    orders.insert(*((f"u-{n}", None, n / 4, 2, began + timedelta(seconds=n + 10)) for n in range(100)))
    chosen, stop = configured(ledger, orders, tmp_path), threading.Event()
    runner = threading.Thread(target=source.run, args=(chosen, stop))
    runner.start()
    try:
        expect(ledger, [50, 50], [sum(n / 4 for n in range(arm, 100, 2)) for arm in (0, 1)])
        orders.insert(("u-0", None, 1000, 0, began + timedelta(seconds=5)), ("new", "control", 5, 1, began + timedelta(seconds=300)))
        expect(ledger, [51, 50], [sum(n / 4 for n in range(0, 100, 2)) + 1005, sum(n / 4 for n in range(1, 100, 2))])
    finally:
        stop.set()
        runner.join()
    assert source.position_of(chosen) == began + timedelta(seconds=300)
    (tmp_path / "position").unlink()
    again = source.catch_up(chosen, chosen.since, source.sender(chosen))
    assert again == began + timedelta(seconds=300)
    expect(ledger, [51, 50], [sum(n / 4 for n in range(0, 100, 2)) + 1005, sum(n / 4 for n in range(1, 100, 2))])


def expect(ledger: Ledger, units: list[int], numerators: list[float]) -> None:
    """Within some seconds the arms have these."""
    until = time.monotonic() + 15
    while True:
        sums = ledger.get(f"{CHECKOUT}/sums").said["metrics"][0]["sums"]
        found = [group["open"]["units"] for group in sums], [group["open"]["totals"][0] for group in sums]
        if found == (units, numerators):
            return
        assert time.monotonic() < until, found
        time.sleep(0.05)


def test_what_cannot_be_read_is_told(start: Start, orders: Orders, tmp_path: Path) -> None:
    ledger = start()
    for changes, told in (
        ({"query": "SELECT 1, 2 WHERE {since} IS NOT NULL"}, "a row has 2 columns"),
        ({"query": "SELECT nothing FROM orders WHERE time >= {since}"}, "the query failed"),
        ({"query": "SELECT 'u', 'a', 'text', 1, '2026-11-01T00:00:00Z' WHERE {since} IS NOT NULL"}, "is no number"),
        ({"query": "SELECT 'u', 'a', 1, 1, 'yesterday' WHERE {since} IS NOT NULL"}, "no time"),
    ):
        chosen = configured(ledger, orders, tmp_path, **changes)
        with pytest.raises(SourceError, match=told):
            source.catch_up(chosen, datetime(2026, 1, 1, tzinfo=UTC), lambda path, events: None)
    with pytest.raises(SourceError, match="since} once"):
        configured(ledger, orders, tmp_path, query="SELECT 1")


def test_a_refused_row_holds_nothing_up(start: Start, orders: Orders, tmp_path: Path) -> None:
    ledger = start()
    ledger.put(CHECKOUT, definition(metrics=[CLICKS]))
    began = NOW - timedelta(days=1)
    orders.insert(("u", "no such arm", None, None, began), ("v", "control", 1, None, began + timedelta(seconds=1)))
    chosen = configured(ledger, orders, tmp_path)

    assert source.catch_up(chosen, chosen.since, source.sender(chosen)) == began + timedelta(seconds=1)
    expect(ledger, [1], [1])


def test_a_ledger_that_is_away_is_told(start: Start, orders: Orders, tmp_path: Path) -> None:
    ledger = start()
    orders.insert(("u", "control", None, None, NOW - timedelta(days=1)))
    chosen = configured(ledger, orders, tmp_path)
    ledger.end()

    with pytest.raises(SourceError, match="the ledger cannot be asked"):
        source.catch_up(chosen, chosen.since, source.sender(chosen))
