"""Ledgers on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ledger.harness import Ledger
from slipway_testing.postgres_server import PostgresServer

Start = Callable[..., Ledger]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Running."""
    with PostgresServer() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty one, of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a ledger: its database, and settings by keyword."""
    with ExitStack() as running:

        def started(database: str | None = None, **settings: Any) -> Ledger:
            return running.enter_context(Ledger(tmp_path, database, **settings))

        yield started


@pytest.fixture
def ledger(start: Start, database: str) -> Ledger:
    """Running, on each kind of database, with the experiment shop/checkout."""
    running = start(database)
    assert running.register().status == 201
    return running
