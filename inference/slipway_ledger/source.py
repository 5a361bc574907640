"""``python -m slipway_ledger.source``: rows of a query, sent to a ledger again and again as exposures and outcomes.

SLIPWAY_SOURCE is a file:

    {
      "ledger": "http://ledger.shop:8080", "tokenFile": "/etc/slipway/token", "positionFile": "/var/lib/slipway/position",
      "database": "postgresql://reader@warehouse/shop",
      "query": "SELECT unit, arm, numerator, denominator, time FROM orders WHERE time >= {since} ORDER BY time LIMIT 10000",
      "experiment": "shop/checkout", "metric": "revenue", "since": "2026-11-01T00:00:00Z"
    }

A row has a unit, the arm that it met (null where the row says nothing of that), a numerator and a denominator (null where there is none), and a time.
It is sent as an exposure where it has an arm, and as an outcome for each number. The idempotency key is the row's content, so what is read again
within the overlap counts once; and a row must not change once it is there, for it would count again as another one.
"""

import http.client
import json
import logging
import os
import signal
import sqlite3
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
from msgspec import Meta

from slipway_ledger.events import Target, Text
from slipway_service import logs
from slipway_service.variables import PREFIX

MOST_ROWS = 10_000
"""Of one question to the database; the query may take fewer by a LIMIT, and then has to be ordered by time."""
_BATCH = 2_000
_TIMEOUT_S = 30.0
_FILE = f"{PREFIX}SOURCE"
_log = logging.getLogger(__name__)


class SourceError(Exception):
    """The configuration, the query or its rows do not fit; the message says which and what is wrong."""


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The configuration."""

    ledger: str
    """Address, without a path."""
    token_file: str
    """Path of an admin's token, or of one with a line as router and one as application."""
    database: str
    """``postgresql://...``, or the path of a SQLite file."""
    query: str
    """With ``{since}`` where the time goes from which on rows are wanted."""
    experiment: Target
    metric: Text
    """Of the numerators."""
    since: datetime
    """Where to begin."""
    position_file: str
    """Path of a file that keeps how far it came."""
    denominator: Text | None = None
    """Of the denominators; absent: they are not read."""
    stratum: Text = "0"
    """Of the exposures."""
    overlap_seconds: Annotated[int, Meta(ge=0)] = 3600
    """How far before the newest row it begins again: as long as a row may take to be seen after its time."""
    every_seconds: Annotated[int, Meta(ge=1)] = 60
    """How long it waits when it has read everything."""


Row = tuple[Any, ...]


def parse(text: bytes) -> Source:
    """Read a configuration. SourceError: it is none."""
    try:
        found = msgspec.json.decode(text, type=Source)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SourceError(f"the source is not configured well: {error}") from None
    if found.query.count("{since}") != 1 or found.since.tzinfo is None:
        raise SourceError("the source is not configured well: the query needs {since} once, and since an offset")
    return found


def events(source: Source, rows: Iterable[Row]) -> tuple[list[dict[str, Any]], list[dict[str, Any]], datetime | None]:
    """Exposures, outcomes and the newest time. SourceError: a row is none."""
    exposures, outcomes = [], []
    newest: datetime | None = None
    for row in rows:
        unit, arm, numerator, denominator, moment = _columns(row)
        newest = moment if newest is None else max(newest, moment)
        common = {"experiment": source.experiment, "unit": unit, "time": moment}
        if arm is not None:
            exposures.append({**common, "arm": arm, "stratum": source.stratum})
        for metric, value in ((source.metric, numerator), (source.denominator, denominator)):
            if metric is not None and value is not None:
                outcomes.append({**common, "metric": metric, "value": float(value)})
    return exposures, outcomes, newest


def read(source: Source, since: datetime) -> list[Row]:
    """The rows from a time on. SourceError: the database cannot be asked, or has more rows than are read at once."""
    try:
        rows = _postgres(source, since) if source.database.startswith(("postgresql://", "postgres://")) else _sqlite(source, since)
    except (psycopg.Error, sqlite3.Error, OSError) as error:
        raise SourceError(f"the query failed: {str(error).strip()}") from None
    if len(rows) > MOST_ROWS:
        raise SourceError(f"the query gives more than {MOST_ROWS} rows: end it with ORDER BY time LIMIT {MOST_ROWS}")
    return rows


def catch_up(source: Source, since: datetime, send: Callable[[str, Sequence[dict[str, Any]]], None]) -> datetime | None:
    """Read and send all rows from a time on, as many at once as the query gives; the newest one's time, None without rows. SourceError."""
    newest: datetime | None = None
    while True:
        exposures, outcomes, found = events(source, read(source, since))
        for path, those in (("/v1/exposures", exposures), ("/v1/outcomes", outcomes)):
            for first in range(0, len(those), _BATCH):
                send(path, those[first : first + _BATCH])
        if found is None or found <= since or found == newest:
            return found or newest
        newest = since = found  # rows of that moment come again, and count once


def sender(source: Source) -> Callable[[str, Sequence[dict[str, Any]]], None]:
    """Sends to the ledger. Rows that it refuses are logged, seldom, and passed over. SourceError: it cannot be reached, or takes nothing now."""
    complaints = logs.Seldom(_log)

    def send(path: str, found: Sequence[dict[str, Any]]) -> None:
        token = Path(source.token_file).read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(source.ledger + path, data=msgspec.json.encode(found), headers=headers)  # noqa: S310 - of the configuration
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                body = answer.read()
        except urllib.error.HTTPError as error:
            body = error.read(1_000_000)
            if error.code != 422:
                raise SourceError(f"the ledger answers {error.code}: {body[:300].decode(errors='replace')}") from None
        except (OSError, http.client.HTTPException) as error:
            raise SourceError(f"the ledger cannot be asked: {error}") from None
        refused = json.loads(body).get("refused", [])
        if refused:
            complaints.warning("the ledger refuses %d rows, the first because %s", len(refused), refused[0]["error"])

    return send


def run(source: Source, stop: threading.Event) -> None:
    """Until ``stop``. What fails is logged and tried again."""
    send, complaints = sender(source), logs.Seldom(_log)
    while not stop.is_set():
        try:
            position = position_of(source)
            since = source.since if position is None else max(source.since, position - timedelta(seconds=source.overlap_seconds))
            newest = catch_up(source, since, send)
            if newest is not None and (position is None or newest > position):
                keep(source, newest)
        except (SourceError, OSError, ValueError) as error:
            complaints.warning("%s", error)
        stop.wait(source.every_seconds)


def position_of(source: Source) -> datetime | None:
    """How far it came; None: it has not begun. ValueError: the file holds no time."""
    path = Path(source.position_file)
    return datetime.fromisoformat(path.read_text().strip()) if path.exists() else None


def keep(source: Source, position: datetime) -> None:
    """Write how far it came, so that a reader finds the old position or the new one."""
    path = Path(source.position_file)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(position.isoformat() + "\n")
    fresh.replace(path)


def _columns(row: Row) -> tuple[str, str | None, Any, Any, datetime]:
    if len(row) != 5:
        raise SourceError(f"a row has {len(row)} columns: it should have unit, arm, numerator, denominator, time")
    unit, arm, numerator, denominator, moment = row
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            moment = None
    elif isinstance(moment, int | float) and not isinstance(moment, bool):
        moment = datetime.fromtimestamp(moment, UTC)
    if not isinstance(moment, datetime) or unit is None:
        raise SourceError("a row has no unit, or no time: a time is a timestamp, a text as 2026-11-29T12:00:00Z, or seconds since 1970")
    numbers = [number for number in (numerator, denominator) if number is not None]
    if any(isinstance(number, str | bytes) for number in numbers):
        raise SourceError("a numerator or a denominator is no number")
    return str(unit), arm, numerator, denominator, moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _postgres(source: Source, since: datetime) -> list[Row]:
    with psycopg.connect(source.database, connect_timeout=10) as connection, connection.cursor("source") as cursor:
        cursor.execute(source.query.replace("{since}", "%s"), (since,))
        return list(cursor.fetchmany(MOST_ROWS + 1))


def _sqlite(source: Source, since: datetime) -> list[Row]:
    connection = sqlite3.connect(f"file:{source.database}?mode=ro", uri=True)
    try:
        return connection.execute(source.query.replace("{since}", "?"), (since.isoformat(),)).fetchmany(MOST_ROWS + 1)
    finally:
        connection.close()


def main() -> int:
    """Run until SIGTERM or SIGINT; 2 when it was told something that does not fit."""
    logs.configure(level="INFO")
    try:
        source = parse(Path(os.environ.get(_FILE, "")).read_bytes())
    except (SourceError, OSError) as error:
        sys.stderr.write(f"slipway-ledger: {_FILE}: {error}\n")
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(source, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
