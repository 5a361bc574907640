"""What happens to a piece of work when another one of its group goes wrong, and to the book when the database does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slipway_ledger import registry
from slipway_ledger.book import Book
from slipway_ledger.definitions import Definition, Metric
from slipway_ledger.events import Exposure
from slipway_ledger.meters import Meters
from slipway_ledger.refusals import Refused
from slipway_ledger.store.database import Row, Unavailable
from slipway_ledger.store.migrations import migrate
from slipway_ledger.store.rows import Rows
from slipway_ledger.store.sqlite import Sqlite
from slipway_ledger.writer import Writer

DEFINITION = Definition(arms=("a", "b"), metrics=(Metric(name="m", type="Mean", window_seconds=1),))


class Flaky(Sqlite):
    """A database that commits as often as a test says, and then no more."""

    commits = 1_000

    def commit(self) -> None:
        if self.commits == 0:
            raise Unavailable("SQLite: the disk is full")
        self.commits -= 1
        super().commit()


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    """With an experiment; it begins to write when a test starts it."""
    rows = Rows(Flaky(tmp_path / "db"))
    migrate(rows.database)
    rows.database.begin()
    book = rows.load()
    registry.register(book, rows, namespace="shop", name="x", definition=DEFINITION, now=0)
    rows.database.commit()
    made = Writer(rows, book, Meters(), most_waiting=10)
    yield made
    await asyncio.to_thread(made.stop)


def exposure(unit: bytes) -> Exposure:
    return Exposure(account=3, stream=1, unit=unit, arm=0, stratum="0", time=5, request=None)


def fails(book: Book, rows: Rows) -> None:
    raise ZeroDivisionError


def units(book: Book, rows: Rows) -> list[Row]:
    return rows.database.execute("SELECT unit FROM unit ORDER BY unit")


async def test_work_that_fails_spoils_no_other(writer: Writer) -> None:
    assert writer.book.by_key["shop/x"].id == 3
    work = [asyncio.create_task(one) for one in (writer.fold(exposures=[exposure(b"u")], tallies={}), writer.call(fails), writer.call(units))]
    await asyncio.sleep(0)
    writer.start()
    done = await asyncio.gather(*work, return_exceptions=True)

    assert (done[0], type(done[1]), done[2]) == (None, ZeroDivisionError, [(b"u",)])
    assert writer.book.by_key["shop/x"].units == {(0, 0): 1}


async def test_what_could_not_be_written_is_in_no_sum(writer: Writer) -> None:
    writer.start()
    database = writer._rows.database
    assert isinstance(database, Flaky)
    await writer.fold(exposures=[exposure(b"u")], tallies={})
    database.commits = 0
    with pytest.raises(Refused, match="cannot be used now") as refused:
        await writer.fold(exposures=[exposure(b"v")], tallies={(3, "skewed"): 2})
    assert (refused.value.status, refused.value.retry_after_s, writer.available) == (503, 2, False)
    database.commits = 1_000
    assert await writer.call(units) == [(b"u",)]

    account = writer.book.by_key["shop/x"]
    assert (account.units, account.counts["skewed"], writer.available) == ({(0, 0): 1}, 0, True)


async def test_a_refusal_is_its_asker_s_alone(writer: Writer) -> None:
    def refuses(book: Book, rows: Rows) -> None:
        book.find("shop", "other")

    writer.start()
    with pytest.raises(Refused, match="there is no experiment shop/other"):
        await writer.call(refuses)
    assert await writer.call(units) == []


async def test_more_than_may_wait_is_refused(writer: Writer) -> None:
    waits = asyncio.create_task(writer.fold(exposures=[exposure(b"%d" % number) for number in range(9)], tallies={}))
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="10 events wait to be written") as refused:
        await writer.fold(exposures=[exposure(b"u")], tallies={})
    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    writer.start()
    await waits
    await writer.fold(exposures=[exposure(b"u")], tallies={})
    assert len(await writer.call(units)) == 10
