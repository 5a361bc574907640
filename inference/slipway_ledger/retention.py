"""What goes when its time is over, a few thousand rows at once so that nobody waits for it.

* An experiment's units, sums and looks: ``retention`` after its end.
* An outcome whose unit no experiment of its stream has: when it is older than the longest history of the experiments that run there, and ``late``
  more: an exposure that comes so late still finds what came before it.
* A request's unit and its labels: when they are older than ``retention`` and than the longest window of the experiments there.
"""

from collections import Counter
from dataclasses import dataclass, field

from slipway_ledger.account import Account
from slipway_ledger.book import Book
from slipway_ledger.store.rows import Rows
from slipway_ledger.windows import SECOND

PIECE = 2_000
DAY = 86_400 * SECOND
_TABLES = ("outcome", "request", "label")


@dataclass(kw_only=True)
class Sweep:
    """One walk through the tables, by ``step``."""

    retention: int
    """Microseconds."""
    late: int
    """Microseconds."""
    after: dict[str, bytes | None] = field(default_factory=lambda: dict.fromkeys(_TABLES, b""))
    """Where the walk is in each table; None: at its end."""
    removed: Counter[str] = field(default_factory=Counter)
    """Rows, by table."""

    @property
    def done(self) -> bool:
        """Whether every table was walked through."""
        return all(at is None for at in self.after.values())

    def due(self, book: Book, *, now: int) -> list[Account]:
        """Experiments whose data is to go."""
        return [account for account in list(book.accounts.values()) if account.ended_at is not None and account.ended_at + self.retention <= now]

    def step(self, book: Book, rows: Rows, *, now: int) -> None:
        """Remove a piece of what is next: experiments that ended first."""
        ended = self.due(book, now=now)
        if ended:
            self._experiment(book, rows, ended[0])
            return
        table = next((table for table in _TABLES if self.after[table] is not None), None)
        if table == "outcome":
            self._outcomes(book, rows, now)
        elif table:
            self._by_request(book, rows, table, now)

    def _experiment(self, book: Book, rows: Rows, account: Account) -> None:
        gone = rows.remove_units(account, most=PIECE)
        self.removed["unit"] += gone
        if gone == 0:
            rows.remove_experiment(account)
            book.remove(account)
            self.removed["experiment"] += 1

    def _outcomes(self, book: Book, rows: Rows, now: int) -> None:
        found = rows.walk("outcome", after=self.after["outcome"] or b"", most=PIECE)
        self.after["outcome"] = found[-1][0] if len(found) == PIECE else None
        old = [row for row in found if row[3] < now - self.late - _history(book, row[2])]
        exposed = rows.units({row[1] for row in old}, book) if old else {}
        gone = [row[0] for row in old if not any(book.accounts[number].stream == row[2] for number in exposed.get(row[1], ()))]
        self.removed["outcome"] += rows.remove("outcome", gone)

    def _by_request(self, book: Book, rows: Rows, table: str, now: int) -> None:
        found = rows.walk(table, after=self.after[table] or b"", most=PIECE)
        self.after[table] = found[-1][0] if len(found) == PIECE else None
        gone = [row[0] for row in found if row[3] < now - max(self.retention, _window(book, row[2]))]
        self.removed[table] += rows.remove(table, gone)


def _history(book: Book, stream: int) -> int:
    return max((account.definition.history_s for account in book.following(stream)), default=0) * SECOND


def _window(book: Book, stream: int) -> int:
    windows = (metric.window_seconds for account in book.following(stream) for metric in account.definition.metrics)
    return max(windows, default=0) * SECOND
