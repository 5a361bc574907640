"""What the ledger asks of PostgreSQL."""

import pytest

from slipway_ledger.store.database import Unavailable
from slipway_ledger.store.migrations import STEPS, migrate
from slipway_ledger.store.postgres import Postgres
from slipway_testing.postgres_server import PostgresServer


def test_every_commit_is_on_the_disk_before_it_is_answered(postgres: PostgresServer) -> None:
    database = Postgres(postgres.database())
    assert database.execute("SHOW synchronous_commit") == [("on",)]
    database.close()


def test_migrations_go_forward_from_every_version(postgres: PostgresServer) -> None:
    steps = (*STEPS, ("ALTER TABLE unit ADD COLUMN more {whole}",))
    database = Postgres(postgres.database())
    assert [migrate(database), migrate(database), migrate(database, steps)] == [0, len(STEPS), len(STEPS)]
    with pytest.raises(Unavailable, match="a newer one"):
        migrate(database)
    database.close()


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(Unavailable, match="PostgreSQL: "):
        Postgres("postgresql://127.0.0.1:1/none").begin()


def test_rows_of_many_keys_come_at_once_and_are_replaced(postgres: PostgresServer) -> None:
    database = Postgres(postgres.database())
    migrate(database)
    columns, key = ("request", "stream", "unit", "time"), ("request",)
    rows = [(bytes([number]) * 16, number, b"\x00\xff" * 8, 2**62 + number) for number in range(50)]
    database.put("request", columns, rows, key=key)
    database.put("request", columns, [(rows[0][0], 7, b"u", -1)], key=key)

    found = database.each("SELECT request, stream, unit, time FROM request WHERE request {is}", [row[0] for row in rows[:2]])

    assert sorted((bytes(row[0]), row[1], bytes(row[2]), row[3]) for row in found) == [(rows[0][0], 7, b"u", -1), rows[1]]
    assert database.each("SELECT 1 FROM request WHERE request {is}", []) == []
    database.close()
