"""What the statements need of a database: a transaction, rows by many keys at once, and many rows written at once."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

Row = tuple[Any, ...]

BYTES = frozenset(("unit", "request", "key"))
"""Columns of keyed hashes."""
TEXTS = frozenset(("namespace", "name", "definition", "moments", "cells", "label", "body"))
"""Columns of text. All others hold whole numbers of 64 bits."""


class Unavailable(Exception):
    """The database cannot be used now: the disk is full, the server away, the file locked. The message says which; what was being written is gone."""


class Database(Protocol):
    """One connection, used by one thread at a time. Every method but ``close`` raises Unavailable.

    In statements ``{is}`` stands for the comparison with one of many keys, and ``{value}`` for a parameter.
    """

    def begin(self) -> None:
        """Begin a transaction, on a new connection where there is none."""
        ...

    def commit(self) -> None:
        """End it: what was written survives whatever happens from now on."""
        ...

    def rollback(self) -> None:
        """Undo it. Never raises."""
        ...

    def execute(self, statement: str, *values: object) -> list[Row]:
        """Run a statement; its rows."""
        ...

    def each(self, statement: str, keys: Collection[bytes]) -> list[Row]:
        """Run a statement with one ``{is}`` for every key; all rows."""
        ...

    def put(self, table: str, columns: Sequence[str], rows: Sequence[Row], *, key: Sequence[str]) -> None:
        """Write rows; one with the same ``key`` columns is replaced."""
        ...

    def define(self, statement: str) -> None:
        """Run a statement of a migration, in which ``{bytes}``, ``{whole}`` and ``{rowless}`` stand for what the database calls these."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


def upsert(table: str, columns: Sequence[str], key: Sequence[str], source: str) -> str:
    """The statement of ``put``: ``source`` is where the rows come from."""
    rest = [column for column in columns if column not in key]
    then = "DO UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in rest) if rest else "DO NOTHING"
    return f"INSERT INTO {table} ({', '.join(columns)}) {source} ON CONFLICT ({', '.join(key)}) {then}"
