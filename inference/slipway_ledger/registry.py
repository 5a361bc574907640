"""Experiments: registered, given caps, ended; and units that are forgotten."""

from collections.abc import Set
from typing import Any

from slipway_ledger import definitions, events
from slipway_ledger.account import Account
from slipway_ledger.book import Book
from slipway_ledger.definitions import Definition
from slipway_ledger.refusals import Refused
from slipway_ledger.store.rows import Rows

_PIECE = 10_000


def listed(book: Book, *, namespaces: Set[str] | None) -> list[dict[str, Any]]:
    """The experiments of some namespaces (None: of all), by name: at most MOST_EXPERIMENTS."""
    # A copy, made at once: the thread that writes may add one meanwhile.
    found = [account for account in list(book.accounts.values()) if namespaces is None or account.namespace in namespaces]
    return [
        {
            "name": account.key,
            "service": f"{account.namespace}/{account.definition.service or account.name}",
            "state": "Running" if account.ended_at is None else "Ended",
            "registeredAt": events.moment(account.registered_at),
            "endedAt": None if account.ended_at is None else events.moment(account.ended_at),
        }
        for account in sorted(found, key=lambda account: account.key)
    ]


def register(book: Book, rows: Rows, *, namespace: str, name: str, definition: Definition, now: int) -> bool:
    """Register an experiment, or set caps of one that runs; whether it is new. Refused (409): it has another definition, or has ended."""
    account = book.by_key.get(f"{namespace}/{name}")
    if account is None:
        account, measures = book.register(namespace, name, definition, now=now)
        rows.save_experiment(account, service=definition.service or name, measures=measures)
        return True
    if account.ended_at is not None:
        raise Refused(f"experiment {account.key} has ended, and its data is still here: use another name", status=409, reason="ended")
    capped = definitions.changed(account.definition, definition, name=account.key)
    if capped:
        account.definition = definition
        rows.save_experiment(account, service=definition.service or name, measures=())
        for metric in capped:
            _count_anew(account, rows, metric)
    return False


def end(book: Book, rows: Rows, *, namespace: str, name: str, now: int) -> None:
    """End an experiment: it takes nothing any more, and its data goes when its retention is over. Refused (404): there is none."""
    account = book.find(namespace, name)
    if account.ended_at is None:
        account.ended_at = now
        rows.end_experiment(account)


def forget(book: Book, rows: Rows, *, unit: bytes) -> int:
    """Take a unit out of all sums and delete its rows; how many rows went."""
    for number, row in rows.units({unit}, book).get(unit, {}).items():
        book.accounts[number].leave(row)
    return rows.forget_unit(unit)


def _count_anew(account: Account, rows: Rows, metric: int) -> None:
    """A metric's sums, from the rows of all units: its cap is another one."""
    account.forget_sums(metric)
    after, newest = -1, 2**62
    while after < newest:
        until = rows.exposed_up_to(account, after=after, until=newest, most=_PIECE)
        for unit in rows.exposed(account, after=after, until=until):
            account.enter_metric(unit, metric)
        after = until
