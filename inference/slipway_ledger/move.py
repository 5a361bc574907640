"""``python -m slipway_ledger.move``: everything of a SQLite file into an empty PostgreSQL database, while no ledger runs on either.

The file is SLIPWAY_MOVE_FROM, the database SLIPWAY_DATABASE. It is one transaction: it is all there, or nothing is.
"""

import os
import sys
from pathlib import Path

from slipway_ledger import server
from slipway_ledger.settings import Settings
from slipway_ledger.store.database import Database, Unavailable
from slipway_ledger.store.migrations import migrate
from slipway_ledger.store.sqlite import Sqlite
from slipway_service.variables import PREFIX, SettingsError

_FROM = f"{PREFIX}MOVE_FROM"
_PIECE = 5_000
KEYS = {
    "stream": ("id",),
    "measure": ("id",),
    "experiment": ("id",),
    "stratum": ("experiment", "number"),
    "closed": ("experiment", "metric"),
    "sums": ("experiment", "metric", "arm", "stratum", "phase"),
    "count": ("experiment", "name"),
    "unit": ("unit", "experiment"),
    "outcome": ("key",),
    "request": ("request",),
    "label": ("key",),
    "look": ("experiment", "sequence"),
}
"""The primary keys of all tables."""


class NotEmpty(Exception):
    """There is something in the database that everything should go to; the message says in which table."""


def move(source: Sqlite, target: Database) -> dict[str, int]:
    """Copy all rows; how many, by table. NotEmpty: the target has some already. Unavailable: one of the two cannot be used."""
    migrate(source)
    migrate(target)
    target.begin()
    try:
        for table in KEYS:
            if target.execute(f"SELECT 1 FROM {table} LIMIT 1"):  # noqa: S608 - names of ours
                raise NotEmpty(f"the table {table} of the database is not empty: move into a new one")
        moved = {table: _move(source, target, table) for table in KEYS}
        target.commit()
    except BaseException:
        target.rollback()
        raise
    return moved


def _move(source: Sqlite, target: Database, table: str) -> int:
    columns = [row[1] for row in source.execute(f"PRAGMA table_info({table})")]
    count = 0
    for rows in source.pieces(f"SELECT {', '.join(columns)} FROM {table}", most=_PIECE):  # noqa: S608
        target.put(table, columns, rows, key=KEYS[table])
        count += len(rows)
    return count


def main() -> int:
    """0: it is all there; 1: nothing is; 2: it was told something that does not fit."""
    path = os.environ.get(_FROM, "")
    if not Path(path).is_file():
        sys.stderr.write(f"slipway-ledger: {_FROM} should be the path of a SQLite file of the ledger's, and is {path!r}\n")
        return 2
    try:
        moved = move(Sqlite(Path(path)), server.database(Settings.from_environment(os.environ)))
    except SettingsError as error:
        sys.stderr.write(f"slipway-ledger: {error}\n")
        return 2
    except (NotEmpty, Unavailable) as error:
        sys.stderr.write(f"slipway-ledger: {error}\n")
        return 1
    sys.stdout.write("".join(f"{table}: {count}\n" for table, count in moved.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
