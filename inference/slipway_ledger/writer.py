"""The one thread that writes: everything that waits is written in one transaction, so that a flush to the disk is shared by all who wait for it."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from slipway_ledger import folding
from slipway_ledger.book import Book
from slipway_ledger.events import Exposure, Label, Outcome
from slipway_ledger.meters import Meters
from slipway_ledger.refusals import Refused
from slipway_ledger.store.database import Unavailable
from slipway_ledger.store.rows import Rows
from slipway_service import logs

MOST_IN_GROUP = 4_000
"""Events of a transaction, or a little more: a group of them takes about a tenth of a second, which is what a reader may wait."""

_log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


@dataclass(kw_only=True, eq=False)
class _Work:
    exposures: Sequence[Exposure] = ()
    outcomes: Sequence[Outcome] = ()
    labels: Sequence[Label] = ()
    tallies: Mapping[tuple[int, str], int] = field(default_factory=dict)
    call: Callable[[Book, Rows], Any] | None = None
    answer: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = 1 + len(self.exposures) + len(self.outcomes) + len(self.labels)


class Writer:
    """Ask with ``fold`` and ``call``; both return when what they did is on the disk."""

    def __init__(self, rows: Rows, book: Book, counts: Meters, *, most_waiting: int) -> None:
        self._rows = rows
        self.book = book
        self._meters = counts
        self._most_waiting = most_waiting
        self._waiting: deque[_Work] = deque()
        self._size = 0
        self._wake = threading.Condition()
        self._stopping = False
        self._stale = False
        self._seldom = logs.Seldom(_log)
        self._thread = threading.Thread(target=self._run, name="writer")
        self.available = True
        """Whether the last transaction ended well."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    @property
    def waiting(self) -> int:
        """Events that wait."""
        return self._size

    async def fold(
        self,
        *,
        exposures: Sequence[Exposure] = (),
        outcomes: Sequence[Outcome] = (),
        labels: Sequence[Label] = (),
        tallies: Mapping[tuple[int, str], int],
    ) -> None:
        """Take events; ``said`` of each tells what came of it. Refused: 429, too many wait; 503, the database cannot be used."""
        future = asyncio.get_running_loop().create_future()
        await self._ask(_Work(exposures=exposures, outcomes=outcomes, labels=labels, tallies=tallies, answer=future))

    async def call(self, function: Callable[[Book, Rows], Answer]) -> Answer:
        """Run a function in a transaction of the writer's; what it answers. Refused: as ``fold``, and what the function raises before it changes
        anything."""
        found: Answer = await self._ask(_Work(call=function, answer=asyncio.get_running_loop().create_future()))
        return found

    async def _ask(self, work: _Work) -> Any:
        with self._wake:
            if self._stopping:
                raise Refused("the ledger is ending: try again", status=503, reason="ending", retry_after_s=1)
            if self._size and self._size + work.size > self._most_waiting:
                raise Refused(f"{self._size} events wait to be written: try again in a second", status=429, reason="full", retry_after_s=1)
            self._waiting.append(work)
            self._size += work.size
            self._wake.notify()
        return await work.answer

    def _run(self) -> None:
        while group := self._take():
            self._write(group)
            by_loop: dict[asyncio.AbstractEventLoop, list[_Work]] = {}
            for work in group:
                by_loop.setdefault(work.answer.get_loop(), []).append(work)
            for loop, works in by_loop.items():
                loop.call_soon_threadsafe(_answer, works)
        self._rows.database.close()

    def _take(self) -> list[_Work]:
        """What waits, up to the size of a group; nothing when it is time to end."""
        with self._wake:
            while not self._waiting and not self._stopping:
                self._wake.wait()
            group, size = [], 0
            while self._waiting and size < MOST_IN_GROUP:
                work = self._waiting.popleft()
                size += work.size
                group.append(work)
            self._size -= size
            return group

    def _write(self, group: list[_Work]) -> None:
        """One transaction; where it fails for another reason than the database, one for each, so that one bad piece of work spoils no other."""
        began = time.perf_counter()
        try:
            self._transact(group)
        except Unavailable as error:
            self._unavailable(group, error)
        except Exception as error:
            if len(group) > 1:
                for work in group:
                    self._write([work])
                return
            _log.exception("a piece of work failed")
            group[0].error = error
        self._meters.group(sum(work.size - 1 for work in group), time.perf_counter() - began)

    def _transact(self, group: list[_Work]) -> None:
        rows = self._rows
        if self._stale:
            self._reload()
        for work in group:
            for event in (*work.exposures, *work.outcomes, *work.labels):
                event.said = ""
        try:
            rows.database.begin()
            exposures = [event for work in group for event in work.exposures]
            outcomes = [event for work in group for event in work.outcomes]
            labels = [event for work in group for event in work.labels]
            if exposures or outcomes or labels:
                folding.fold(self.book, rows, exposures=exposures, outcomes=outcomes, labels=labels)
            for work in group:
                self.book.tally(work.tallies)
                self._call(work)
            rows.save_changes(self.book)
            rows.database.commit()
        except BaseException:
            rows.database.rollback()
            self._stale = True
            raise
        self.available = True

    def _call(self, work: _Work) -> None:
        if work.call:
            try:
                work.result = work.call(self.book, self._rows)
            except Refused as refused:  # it has changed nothing then
                work.error = refused

    def _reload(self) -> None:
        """The book as the disk has it: what was changed in memory for a transaction that failed is wrong."""
        self._rows.database.begin()
        fresh = self._rows.load()
        self._rows.database.commit()
        vars(self.book).update(vars(fresh))
        self._stale = False

    def _unavailable(self, group: list[_Work], error: Unavailable) -> None:
        self.available = False
        self._seldom.warning("nothing can be written: %s", error)
        for work in group:
            work.error = Refused("the ledger's database cannot be used now: try again", status=503, reason="database", retry_after_s=2)


def _answer(works: list[_Work]) -> None:
    for work in works:
        if work.answer.done():
            continue  # who asked has gone
        if work.error is not None:
            work.answer.set_exception(work.error)
        else:
            work.answer.set_result(work.result)
