"""Everything put together, and how it ends."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from slipway_ledger import reading, units
from slipway_ledger.api import Api
from slipway_ledger.apiserver import ApiServer
from slipway_ledger.app import App
from slipway_ledger.book import Book
from slipway_ledger.meters import Meters
from slipway_ledger.refusals import Refused
from slipway_ledger.retention import DAY, Sweep
from slipway_ledger.reviews import Reviews
from slipway_ledger.settings import Settings
from slipway_ledger.store.database import Database
from slipway_ledger.store.migrations import migrate
from slipway_ledger.store.postgres import Postgres
from slipway_ledger.store.rows import Rows
from slipway_ledger.store.sqlite import Sqlite
from slipway_ledger.tokens import Tokens
from slipway_ledger.units import Hashes, NoKey
from slipway_ledger.writer import Writer
from slipway_service import rsgi, serving

_SWEEP_EVERY_S = 3600.0
_CLOSED_AT_ONCE, _EXPERIMENTS_AT_ONCE = 2_000, 20
"""Units of a metric that are closed in a transaction while nobody reads, and experiments that share them."""
_log = logging.getLogger(__name__)


def database(settings: Settings) -> Database:
    """That of the settings, not opened yet."""
    if _is_postgres(settings.database):
        return Postgres(settings.database, password=settings.database_password)
    return Sqlite(Path(settings.database))


def _is_postgres(address: str) -> bool:
    return address.startswith(("postgresql://", "postgres://"))


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until ``stop``, and for the grace time after it. NoKey, NoTokens, Unavailable: a part of it cannot be made."""
    counts = Meters()
    tokens = Tokens(Path(settings.tokens_file), _reviews(settings, counts))
    rows = Rows(database(settings))
    hashes = _hashes(settings)
    before = migrate(rows.database)
    rows.database.begin()
    book = rows.load()
    rows.database.commit()
    writer = Writer(rows, book, counts, most_waiting=settings.waiting_events)
    counts.waiting, counts.available, counts.experiments = lambda: writer.waiting, lambda: writer.available, lambda: len(writer.book.accounts)
    api = Api(writer=writer, hashes=hashes, meters=counts, skew_s=settings.skew_seconds)
    app = App(api, tokens, counts=counts, body_bytes=settings.body_bytes)
    metrics = rsgi.Metrics(counts.text, elsewhere=Refused("there is nothing at this path: use /metrics", reason="path").body)
    serving.keep_what_is_loaded()
    writer.start()
    try:
        async with (
            _keeping(writer, api, counts, settings),
            serving.listening(metrics, settings.host, settings.metrics_port),
            serving.listening(app, settings.host, settings.port),
        ):
            _log.info("serving %d experiments on port %d (tables were of version %d)", len(book.accounts), settings.port, before)
            await serving.until_drained(app, stop, drain_s=settings.drain_seconds, grace_s=settings.grace_seconds)
    finally:
        await asyncio.to_thread(writer.stop)
    _log.info("ended")


def _hashes(settings: Settings) -> Hashes:
    """With the key of the settings, which is made where there is no SQLite file either. NoKey: there is none, but data hashed with one."""
    key, data = Path(settings.key_file), settings.database
    if not key.exists() and not _is_postgres(data):
        if Path(data).exists():
            raise NoKey(f"there is no key of hashes in {key}, and {data} has data that was hashed with one: put it back")
        units.make(key)
        _log.info("made a new key of hashes, %s: back it up with the data, which is of no use without it", key)
    return units.read(key)


def _reviews(settings: Settings, counts: Meters) -> Reviews | None:
    """None: there is no API server to ask."""
    if not settings.kube_server:
        return None
    server = ApiServer(server=settings.kube_server, authority=Path(settings.kube_authority_file), token=Path(settings.kube_token_file))
    return Reviews(server.review, counts, yes_s=settings.review_seconds)


@contextlib.asynccontextmanager
async def _keeping(writer: Writer, api: Api, counts: Meters, settings: Settings) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(_close(writer, api, settings.close_seconds)), asyncio.create_task(_sweep(writer, api, counts, settings))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _close(writer: Writer, api: Api, every_s: float) -> None:
    """Keep the closed sums near the clock, so that a read has little left to do."""
    while True:
        await asyncio.sleep(every_s)
        left = [account.id for account in list(writer.book.accounts.values()) if account.ended_at is None]
        while left:
            try:
                left = await writer.call(partial(_close_some, api, left))
            except Refused:
                break  # the database is away, or too much waits: later
            except Exception:
                _log.exception("windows were not closed")
                break


def _close_some(api: Api, numbers: list[int], book: Book, rows: Rows) -> list[int]:
    """A piece of each of the first experiments; those that are not done."""
    now, some = api.now, numbers[:_EXPERIMENTS_AT_ONCE]
    running = [account for number in some if (account := book.accounts.get(number)) and account.ended_at is None]
    unfinished = [account.id for account in running if not reading.close(account, rows, now=now, most=_CLOSED_AT_ONCE // len(running))]
    return unfinished + numbers[_EXPERIMENTS_AT_ONCE:]


async def _sweep(writer: Writer, api: Api, counts: Meters, settings: Settings) -> None:
    """Remove what is over, a piece at a time: ended experiments when they are due, and a walk through the tables every hour."""
    retention, late = int(settings.retention_days * DAY), int(settings.late_days * DAY)
    counts.removed.update(dict.fromkeys(("unit", "outcome", "request", "label", "experiment"), 0))
    sweep, began = Sweep(retention=retention, late=late), time.monotonic()
    while True:
        await asyncio.sleep(settings.close_seconds)
        if time.monotonic() > began + _SWEEP_EVERY_S:
            sweep, began = Sweep(retention=retention, late=late), time.monotonic()
        if sweep.done and not sweep.due(writer.book, now=api.now):
            continue
        before = sweep.removed.copy()
        try:
            await writer.call(partial(_step, sweep, api))
        except Refused:
            continue  # the database is away, or too much waits: later
        except Exception:
            _log.exception("nothing was removed")
            continue
        counts.removed.update(sweep.removed - before)


def _step(sweep: Sweep, api: Api, book: Book, rows: Rows) -> None:
    sweep.step(book, rows, now=api.now)
