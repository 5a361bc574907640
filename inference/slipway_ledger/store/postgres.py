"""PostgreSQL, through psycopg."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import psycopg

from slipway_ledger.store.database import BYTES, TEXTS, Row, Unavailable, upsert

_LOCK = 0x51_1B_3A_1E_D6_E5
"""Of advisory locks the ledger's, one for each database."""

_SILENCE_MS = 60_000
"""How long a statement may take, and the server say nothing, until the connection is given up."""


class Postgres:
    """A database of a server's, which one ledger has at a time.

    ``synchronous_commit`` is on, so that a commit is on the server's disk, and on its synchronous standbys', before it is answered.
    """

    def __init__(self, address: str, *, password: str = "") -> None:
        self._address = address
        self._password = password
        self._connection: psycopg.Connection[Row] | None = None

    def begin(self) -> None:
        """As ``Database`` has it."""
        with _told():
            try:
                self._connected().execute("BEGIN")
            except psycopg.OperationalError:  # the server was started anew since: once more, on a new connection
                self.close()
                self._connected().execute("BEGIN")

    def commit(self) -> None:
        """As ``Database`` has it."""
        with _told():
            self._connected().execute("COMMIT")

    def rollback(self) -> None:
        """As ``Database`` has it."""
        try:
            if self._connection is not None:
                self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self.close()

    def execute(self, statement: str, *values: object) -> list[Row]:
        """As ``Database`` has it."""
        return self._run(statement.replace("{value}", "%s"), values)

    def each(self, statement: str, keys: Collection[bytes]) -> list[Row]:
        """As ``Database`` has it."""
        return self._run(statement.replace("{is}", "= ANY(%b)"), (list(keys),)) if keys else []

    def put(self, table: str, columns: Sequence[str], rows: Sequence[Row], *, key: Sequence[str]) -> None:
        """As ``Database`` has it."""
        if rows:
            arrays = ", ".join(f"%b::{_type(column)}[]" for column in columns)
            source = f"SELECT * FROM unnest({arrays})"  # noqa: S608 - types of ours
            self._run(upsert(table, columns, key, source), [list(column) for column in zip(*rows, strict=True)])

    def define(self, statement: str) -> None:
        """As ``Database`` has it."""
        self._run(statement.format(bytes="BYTEA", whole="BIGINT", rowless=""), ())

    def close(self) -> None:
        """As ``Database`` has it."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _run(self, statement: str, values: Sequence[Any]) -> list[Row]:
        with _told():
            cursor = self._connected().execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def _connected(self) -> "psycopg.Connection[Row]":
        if self._connection is None:
            more = {"password": self._password} if self._password else {}
            connection = psycopg.connect(self._address, autocommit=True, connect_timeout=5, tcp_user_timeout=_SILENCE_MS, **more)
            connection.execute("SET synchronous_commit = on")
            connection.execute(f"SET statement_timeout = {_SILENCE_MS}")
            [(own,)] = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchall()
            if not own:
                connection.close()
                raise Unavailable("another ledger has this database: run one at a time")
            self._connection = connection
        return self._connection


def _type(column: str) -> str:
    if column in BYTES:
        return "bytea"
    return "text" if column in TEXTS else "bigint"


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Unavailable(f"PostgreSQL: {str(error).strip()}") from error
