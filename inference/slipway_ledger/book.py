"""All that the ledger keeps in memory: experiments with their sums, and names. Bounded by the limits of ``definitions`` and ``MOST_EXPERIMENTS``."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway_ledger.account import Account
from slipway_ledger.definitions import Definition
from slipway_ledger.refusals import Refused

MOST_EXPERIMENTS = 1_000
"""Ended ones among them, until their data is removed."""


@dataclass(kw_only=True)
class Book:
    """Changed by the one thread that writes; a key that is not there was not registered."""

    accounts: dict[int, Account] = field(default_factory=dict)
    by_key: dict[str, Account] = field(default_factory=dict)
    """By ``namespace/name``."""
    by_stream: dict[int, tuple[Account, ...]] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)
    """By ``namespace/service``."""
    measures: dict[tuple[int, str], int] = field(default_factory=dict)
    """Numbers of the names of outcomes, by stream."""
    names: dict[int, str] = field(default_factory=dict)
    """The other way."""
    counts: Counter[str] = field(default_factory=Counter)
    """Of what belongs to no experiment."""
    changed_counts: set[str] = field(default_factory=set)
    next_id: int = 1
    """Of experiments, streams and measures."""

    def find(self, namespace: str, name: str) -> Account:
        """An experiment. Refused (404): there is none."""
        found = self.by_key.get(f"{namespace}/{name}")
        if found is None:
            raise Refused(f"there is no experiment {namespace}/{name}: register it first", status=404, reason="experiment")
        return found

    def following(self, stream: int) -> list[Account]:
        """Running experiments that take their outcomes from there."""
        return [account for account in self.by_stream.get(stream, ()) if account.ended_at is None]

    def add(self, account: Account) -> None:
        """Keep an experiment."""
        self.accounts[account.id] = account
        self.by_key[account.key] = account
        self.by_stream[account.stream] = (*self.by_stream.get(account.stream, ()), account)

    def remove(self, account: Account) -> None:
        """Forget it."""
        del self.accounts[account.id]
        del self.by_key[account.key]
        self.by_stream[account.stream] = tuple(other for other in self.by_stream[account.stream] if other is not account)

    def count(self, name: str, by: int = 1) -> None:
        """Count something that belongs to no experiment."""
        self.counts[name] += by
        self.changed_counts.add(name)

    def tally(self, tallies: Mapping[tuple[int, str], int]) -> None:
        """Count what was refused: by number of the experiment, 0 for none, and name."""
        for (number, name), by in tallies.items():
            if number in self.accounts:
                self.accounts[number].count(name, by)
            elif not number:
                self.count(name, by)

    def new_id(self) -> int:
        """A number that nothing else has."""
        self.next_id += 1
        return self.next_id - 1

    def register(self, namespace: str, name: str, definition: Definition, *, now: int) -> tuple[Account, list[tuple[int, int, str]]]:
        """Make a new experiment's account; and the measures that are new: number, stream and name. Refused (429): there are too many experiments."""
        if len(self.accounts) >= MOST_EXPERIMENTS:
            raise Refused(
                f"there are {MOST_EXPERIMENTS} experiments: end some, and they go when their retention is over", status=429, reason="experiments"
            )
        service = f"{namespace}/{definition.service or name}"
        if service not in self.streams:
            self.streams[service] = self.new_id()
        stream = self.streams[service]
        measures = []
        for measure in definition.measures:
            if (stream, measure) not in self.measures:
                number = self.new_id()
                self.measures[stream, measure] = number
                self.names[number] = measure
                measures.append((number, stream, measure))
        account = Account(id=self.new_id(), namespace=namespace, name=name, stream=stream, definition=definition, registered_at=now)
        self.add(account)
        return account, measures
