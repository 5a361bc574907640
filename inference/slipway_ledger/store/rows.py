"""Everything that is read from and written to the tables."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

import msgspec

from slipway_ledger import moments
from slipway_ledger.account import Account, Unit
from slipway_ledger.book import Book
from slipway_ledger.definitions import Definition
from slipway_ledger.events import Label
from slipway_ledger.store.database import Database, Row

_UNIT = ("unit", "experiment", "arm", "stratum", "exposed_at", "arms", "cells")
_OUTCOME = ("key", "unit", "stream", "measure", "time", "value")

Stored: TypeAlias = tuple[bytes, bytes, int, int, int, int]
"""An outcome: its columns in the order of ``_OUTCOME``."""


class Rows:
    """The statements, on a database, for the book's names and numbers. Every method raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # What a group of events needs to know

    def units(self, units: Collection[bytes], book: Book) -> dict[bytes, dict[int, Unit]]:
        """The rows of units, by hash and by experiment. Those of experiments that are gone from the book are left out."""
        found: dict[bytes, dict[int, Unit]] = defaultdict(dict)
        for row in self.database.each(f"SELECT {', '.join(_UNIT)} FROM unit WHERE unit {{is}}", units):  # noqa: S608
            account = book.accounts.get(row[1])
            if account:
                unit = _unit(row, account)
                found[unit.unit][account.id] = unit
        return found

    def outcomes_by_key(self, keys: Collection[bytes]) -> dict[bytes, Stored]:
        """Outcomes that were taken before under these keys."""
        return {bytes(row[0]): _stored(row) for row in self.database.each(f"SELECT {', '.join(_OUTCOME)} FROM outcome WHERE key {{is}}", keys)}  # noqa: S608

    def outcomes_of(self, units: Collection[bytes]) -> list[Stored]:
        """All outcomes of units."""
        return [_stored(row) for row in self.database.each(f"SELECT {', '.join(_OUTCOME)} FROM outcome WHERE unit {{is}}", units)]  # noqa: S608

    def requests(self, requests: Collection[bytes]) -> dict[bytes, bytes]:
        """The units that requests were made for."""
        return {bytes(row[0]): bytes(row[1]) for row in self.database.each("SELECT request, unit FROM request WHERE request {is}", requests)}

    def labels_by_key(self, keys: Collection[bytes]) -> dict[bytes, Row]:
        """Labels that were taken before under these keys: request, stream, label, time."""
        found = self.database.each("SELECT key, request, stream, label, time FROM label WHERE key {is}", keys)
        return {bytes(row[0]): (bytes(row[1]), *row[2:]) for row in found}

    def labels(self, requests: Collection[bytes]) -> list[tuple[bytes, str, int]]:
        """The labels of requests: request, label, time."""
        return [(bytes(row[0]), row[1], row[2]) for row in self.database.each("SELECT request, label, time FROM label WHERE request {is}", requests)]

    # What it leaves behind

    def save_units(self, units: Iterable[Unit]) -> None:
        """Write rows of units."""
        rows = [(unit.unit, unit.account, unit.arm, unit.stratum, unit.exposed_at, unit.arms, _written(unit.cells)) for unit in units]
        self.database.put("unit", _UNIT, rows, key=("unit", "experiment"))

    def save_outcomes(self, outcomes: Sequence[Stored]) -> None:
        """Write outcomes."""
        self.database.put("outcome", _OUTCOME, outcomes, key=("key",))

    def save_requests(self, requests: Sequence[tuple[bytes, int, bytes, int]]) -> None:
        """Write requests: request, stream, unit, time."""
        self.database.put("request", ("request", "stream", "unit", "time"), requests, key=("request",))

    def save_labels(self, labels: Iterable[Label]) -> None:
        """Write labels."""
        rows = [(label.key, label.request, label.stream, label.label, label.time) for label in labels]
        self.database.put("label", ("key", "request", "stream", "label", "time"), rows, key=("key",))

    def save_changes(self, book: Book) -> None:
        """Write what has changed in the book's sums and counts since the last time."""
        sums, counts, closed = [], [(0, name, book.counts[name]) for name in book.changed_counts], []
        for account in book.accounts.values():
            sums += [(account.id, *group, _written(account.sums[group])) for group in account.changed_groups]
            counts += [(account.id, name, account.counts[name]) for name in account.changed_counts]
            if account.changed_closed and account.changed_groups:  # else what is there says the same: no unit lies between
                closed += [(account.id, metric, until) for metric, until in enumerate(account.closed_to)]
                account.changed_closed = False
            account.changed_groups.clear()
            account.changed_counts.clear()
        book.changed_counts.clear()
        for table, columns, rows, key in (
            ("sums", ("experiment", "metric", "arm", "stratum", "phase", "moments"), sums, 5),
            ("count", ("experiment", "name", "value"), counts, 2),
            ("closed", ("experiment", "metric", "until"), closed, 2),
        ):
            if rows:
                self.database.put(table, columns, rows, key=columns[:key])

    # Experiments

    def save_experiment(self, account: Account, *, service: str, measures: Sequence[tuple[int, int, str]]) -> None:
        """Write an experiment, its stream and the measures that are new."""
        definition = msgspec.json.encode(account.definition).decode()
        row = (account.id, account.namespace, account.name, account.stream, definition, account.registered_at)
        self.database.put("experiment", ("id", "namespace", "name", "stream", "definition", "registered_at"), [row], key=("id",))
        self.database.put("stream", ("id", "namespace", "name"), [(account.stream, account.namespace, service)], key=("id",))
        if measures:
            self.database.put("measure", ("id", "stream", "name"), measures, key=("id",))

    def end_experiment(self, account: Account) -> None:
        """Write that it ended."""
        self.database.execute("UPDATE experiment SET ended_at = {value} WHERE id = {value}", account.ended_at, account.id)

    def save_stratum(self, account: Account, number: int) -> None:
        """Write the name of a stratum."""
        self.database.put("stratum", ("experiment", "number", "name"), [(account.id, number, account.strata[number])], key=("experiment", "number"))

    def load(self) -> Book:
        """The book as it was when the last transaction ended."""
        book, database = Book(), self.database
        for number, namespace, name in database.execute("SELECT id, namespace, name FROM stream"):
            book.streams[f"{namespace}/{name}"] = number
        for number, stream, name in database.execute("SELECT id, stream, name FROM measure"):
            book.measures[stream, name] = number
            book.names[number] = name
        experiments = "SELECT id, namespace, name, stream, definition, registered_at, ended_at FROM experiment"
        for number, namespace, name, stream, definition, registered_at, ended_at in database.execute(experiments):
            book.add(
                Account(
                    id=number,
                    namespace=namespace,
                    name=name,
                    stream=stream,
                    definition=msgspec.json.decode(definition, type=Definition),
                    registered_at=registered_at,
                    ended_at=ended_at,
                )
            )
        self._load_accounts(book)
        book.next_id = 1 + max([0, *book.streams.values(), *book.names, *book.accounts])
        return book

    def _load_accounts(self, book: Book) -> None:
        database = self.database
        for number, _, name in database.execute("SELECT experiment, number, name FROM stratum ORDER BY experiment, number"):
            if number in book.accounts:
                book.accounts[number].strata.append(name)
        for number, metric, until in database.execute("SELECT experiment, metric, until FROM closed"):
            if number in book.accounts:
                book.accounts[number].closed_to[metric] = until
        for number, metric, arm, stratum, phase, total in database.execute("SELECT experiment, metric, arm, stratum, phase, moments FROM sums"):
            if number in book.accounts:
                width = book.accounts[number].definition.metrics[metric].width
                book.accounts[number].sums[metric, arm, stratum, phase] = _read(total) if total else moments.empty(width)
        for number, name, value in database.execute("SELECT experiment, name, value FROM count"):
            if number == 0:
                book.counts[name] = value
            elif number in book.accounts:
                book.accounts[number].counts[name] = value

    # Units in the order of their exposures

    def exposed_up_to(self, account: Account, *, after: int, until: int, most: int) -> int:
        """The moment by which ``most`` units were exposed after ``after``; ``until`` where they are fewer by then."""
        last = self.database.execute(
            "SELECT exposed_at FROM unit WHERE experiment = {value} AND exposed_at > {value} AND exposed_at <= {value} "
            "ORDER BY exposed_at LIMIT 1 OFFSET {value}",
            account.id,
            after,
            until,
            most - 1,
        )
        return int(last[0][0]) if last else until

    def exposed(self, account: Account, *, after: int, until: int) -> list[Unit]:
        """Units that count, exposed after ``after`` and not after ``until``, the first ones first."""
        found = self.database.execute(
            f"SELECT {', '.join(_UNIT)} FROM unit WHERE experiment = {{value}} AND exposed_at > {{value}} AND exposed_at <= {{value}} "  # noqa: S608
            "AND arm >= 0 ORDER BY exposed_at, unit",
            account.id,
            after,
            until,
        )
        return [_unit(row, account) for row in found]

    # Looks

    def looks(self, account: Account, *, after: int, most: int) -> list[tuple[int, str]]:
        """Looks that follow one, in order: sequence and body."""
        return [
            (row[0], row[1])
            for row in self.database.execute(
                "SELECT sequence, body FROM look WHERE experiment = {value} AND sequence > {value} ORDER BY sequence LIMIT {value}",
                account.id,
                after,
                most,
            )
        ]

    def last_look(self, account: Account) -> int:
        """The sequence of the newest; 0 where there is none."""
        return int(self.database.execute("SELECT COALESCE(MAX(sequence), 0) FROM look WHERE experiment = {value}", account.id)[0][0])

    def add_look(self, account: Account, sequence: int, body: str) -> None:
        """Write one."""
        self.database.execute("INSERT INTO look (experiment, sequence, body) VALUES ({value}, {value}, {value})", account.id, sequence, body)

    # Going

    def forget_unit(self, unit: bytes) -> int:
        """Delete a unit's rows, its outcomes, its requests and their labels; how many rows went. Its sums are the caller's."""
        requests = [bytes(row[0]) for row in self.database.each("SELECT request FROM request WHERE unit {is}", [unit])]
        gone = 0
        for table, column, keys in (
            ("label", "request", requests),
            ("outcome", "unit", [unit]),
            ("request", "unit", [unit]),
            ("unit", "unit", [unit]),
        ):
            gone += self._delete(table, column, keys)
        return gone

    def walk(self, table: str, *, after: bytes, most: int) -> list[tuple[bytes, bytes, int, int]]:
        """Rows of outcome, request or label in the order of their keys: key, unit (a label's: request), stream, time."""
        key, second = {"outcome": ("key", "unit"), "request": ("request", "unit"), "label": ("key", "request")}[table]
        statement = f"SELECT {key}, {second}, stream, time FROM {table} WHERE {key} > {{value}} ORDER BY {key} LIMIT {{value}}"  # noqa: S608
        return [(bytes(row[0]), bytes(row[1]), row[2], row[3]) for row in self.database.execute(statement, after, most)]

    def remove(self, table: str, keys: Collection[bytes]) -> int:
        """Delete rows that ``walk`` gave, by their keys; how many went."""
        return self._delete(table, "request" if table == "request" else "key", keys)

    def remove_units(self, account: Account, *, most: int) -> int:
        """Delete some of an experiment's units, the first ones first; how many went."""
        return len(
            self.database.execute(
                "DELETE FROM unit WHERE experiment = {value} AND unit IN "
                "(SELECT unit FROM unit WHERE experiment = {value} ORDER BY exposed_at LIMIT {value}) RETURNING 1",
                account.id,
                account.id,
                most,
            )
        )

    def remove_experiment(self, account: Account) -> None:
        """Delete what else there is of an experiment."""
        for table in ("sums", "count", "closed", "stratum", "look"):
            self.database.execute(f"DELETE FROM {table} WHERE experiment = {{value}}", account.id)  # noqa: S608
        self.database.execute("DELETE FROM experiment WHERE id = {value}", account.id)

    def _delete(self, table: str, column: str, keys: Collection[bytes]) -> int:
        gone = 0
        for key in keys:
            gone += len(self.database.execute(f"DELETE FROM {table} WHERE {column} = {{value}} RETURNING 1", key))  # noqa: S608
        return gone


def _unit(row: Row, account: Account) -> Unit:
    cells = _read(row[6]) if row[6] else [0] * account.plan.cells
    return Unit(unit=bytes(row[0]), account=row[1], arm=row[2], stratum=row[3], exposed_at=row[4], arms=row[5], cells=cells)


def _stored(row: Row) -> Stored:
    return bytes(row[0]), bytes(row[1]), row[2], row[3], row[4], row[5]


def _written(numbers: Sequence[int]) -> str:
    """Numbers as text, for they outgrow 64 bits; nothing where all are 0, as most units' are."""
    return ",".join(map(str, numbers)) if any(numbers) else ""


def _read(text: str) -> list[int]:
    return list(map(int, text.split(",")))
