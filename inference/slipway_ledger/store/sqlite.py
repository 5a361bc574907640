"""SQLite: a file on a disk of the pod's own."""

import contextlib
import fcntl
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO

from slipway_ledger.store.database import Row, Unavailable, upsert

_CACHE_KIB = 65_536
_CHECKPOINT_PAGES = 16_384
"""Of the log, 64 MiB, before it is written back: keys are random, so a page that many events change is written back once instead of for each few."""
_WAIT_S = 5.0


class Sqlite:
    """A database in a file, which one process has at a time.

    Every commit is written through to the disk (WAL, ``synchronous=FULL``), so that it survives the end of the process and of the machine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._lock: IO[str] | None = None

    def begin(self) -> None:
        """As ``Database`` has it."""
        with _told():
            self._connected().execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """As ``Database`` has it."""
        with _told():
            self._connected().execute("COMMIT")

    def rollback(self) -> None:
        """As ``Database`` has it."""
        with contextlib.suppress(sqlite3.Error):
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def execute(self, statement: str, *values: object) -> list[Row]:
        """As ``Database`` has it."""
        with _told():
            return self._connected().execute(statement.replace("{value}", "?"), values).fetchall()

    def each(self, statement: str, keys: Collection[bytes]) -> list[Row]:
        """As ``Database`` has it."""
        found: list[Row] = []
        with _told():
            execute = self._connected().execute
            statement = statement.replace("{is}", "= ?")
            for key in keys:
                found += execute(statement, (key,))
        return found

    def put(self, table: str, columns: Sequence[str], rows: Sequence[Row], *, key: Sequence[str]) -> None:
        """As ``Database`` has it."""
        with _told():
            self._connected().executemany(upsert(table, columns, key, f"VALUES ({', '.join('?' * len(columns))})"), rows)

    def define(self, statement: str) -> None:
        """As ``Database`` has it."""
        with _told():
            self._connected().execute(statement.format(bytes="BLOB", whole="INTEGER", rowless="WITHOUT ROWID"))

    def pieces(self, statement: str, *, most: int) -> Iterator[list[Row]]:
        """The rows of a statement, ``most`` at a time. Unavailable."""
        with _told():
            cursor = self._connected().execute(statement)
            while rows := cursor.fetchmany(most):
                yield rows

    def close(self) -> None:
        """As ``Database`` has it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._own()
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_WAIT_S, cached_statements=256)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            self._connection = connection
        return self._connection

    def _own(self) -> None:
        """Unavailable: another process has the file. Two that add to the same sums would each undo the other."""
        if self._lock is None:
            lock = Path(f"{self._path}.lock").open("w")  # noqa: SIM115 - held until close
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                raise Unavailable(f"another ledger has {self._path} open: run one at a time") from None
            self._lock = lock


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.DatabaseError, OSError) as error:
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):
            raise
        raise Unavailable(f"SQLite: {error}") from error
