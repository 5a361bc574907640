"""Events as they came to events as they are folded: names are found, times checked, identities hashed. What does not fit is refused, each alone."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from slipway_ledger import amounts, events
from slipway_ledger.account import WAITING, Account
from slipway_ledger.book import Book
from slipway_ledger.events import Exposure, ExposureEvent, Folded, Label, LabelEvent, Outcome, OutcomeEvent
from slipway_ledger.folding import CONFLICT, DUPLICATE, ENDED, FULL
from slipway_ledger.units import Hashes
from slipway_ledger.windows import SECOND

WORDS = {CONFLICT: "conflict", DUPLICATE: "duplicate", ENDED: "ended", FULL: "strata"}
"""What an event is counted as, by what was said of it."""


@dataclass(frozen=True, kw_only=True)
class No:
    """An event that is refused: a sentence, and a word."""

    sentence: str
    word: str


@dataclass(frozen=True, kw_only=True)
class Door:
    """What a request's events are let in by."""

    book: Book
    hashes: Hashes
    namespaces: frozenset[str] | None
    """Those that the sender may write to; None: all."""
    now: int
    tolerance_s: float
    """How far ahead of the ledger's clock an event may be."""
    tallies: Counter[tuple[int, str]] = field(default_factory=Counter)
    """What is to be counted of refused events, by number of the experiment (0: of none): the writer does that."""

    def exposures(self, found: Sequence[ExposureEvent | str]) -> list[Exposure | No]:
        """In the same order."""
        return [self._let_in(event, self._exposure) for event in found]

    def outcomes(self, found: Sequence[OutcomeEvent | str]) -> list[Outcome | No]:
        """In the same order."""
        return [self._let_in(event, self._outcome) for event in found]

    def labels(self, found: Sequence[LabelEvent | str]) -> list[Label | No]:
        """In the same order."""
        return [self._let_in(event, self._label) for event in found]

    def stream(self, experiment: str | None, service: str | None) -> int | No:
        """Where outcomes and labels of an experiment or a service are."""
        if (experiment is None) == (service is None):
            return No(sentence="name either an experiment or a service", word="target")
        if service is not None:
            number = self.book.streams.get(service)
            refused = self._allowed(service)
            return refused or (number if number is not None else self._unknown("service"))
        account = self._account(experiment or "")
        return account if isinstance(account, No) else account.stream

    def _let_in(self, event: "Event | str", read: "Callable[[Event], Ready | No]") -> "Ready | No":
        return No(sentence=event, word="event") if isinstance(event, str) else read(event)

    def _exposure(self, event: ExposureEvent) -> Exposure | No:
        account = self._account(event.experiment)
        if isinstance(account, No):
            return account
        time = self._time(event.time, [account])
        if isinstance(time, No):
            return time
        if event.arm in account.definition.arms:
            arm = account.definition.arms.index(event.arm)
        elif events.is_waiting(event.arm):
            arm = WAITING
        else:
            self.tallies[account.id, "refused"] += 1
            return No(sentence=f"experiment {account.key} has no such arm: it has {', '.join(account.definition.arms)}, and waiting", word="arm")
        return Exposure(
            account=account.id,
            stream=account.stream,
            unit=self.hashes.unit(event.unit),
            arm=arm,
            stratum=event.stratum,
            time=time,
            request=self.hashes.request(account.stream, event.request_id) if event.request_id else None,
        )

    def _outcome(self, event: OutcomeEvent) -> Outcome | No:
        stream = self.stream(event.experiment, event.service)
        if isinstance(stream, No):
            return stream
        following = self.book.following(stream)
        if (stream, event.metric) not in self.book.measures:
            for account in following:
                self.tallies[account.id, "unknownMetric"] += 1
            return No(sentence="no experiment there has a metric or a denominator of this name", word="metric")
        if (event.unit is None) == (event.request_id is None):
            return No(sentence="name either a unit or a requestId", word="unit")
        time = self._time(event.time, following)
        if isinstance(time, No):
            return time
        value = amounts.from_number(event.value)
        unit = self.hashes.unit(event.unit) if event.unit is not None else self.hashes.request(stream, event.request_id or "")
        if event.idempotency_key is not None:
            key = self.hashes.event("key", stream, event.idempotency_key)
        else:
            key = self.hashes.event("outcome", stream, event.metric, value, time, event.unit is None, event.unit or event.request_id)
        return Outcome(stream=stream, unit=unit, by_request=event.unit is None, measure=event.metric, time=time, value=value, key=key)

    def _label(self, event: LabelEvent) -> Label | No:
        stream = self.stream(event.experiment, event.service)
        if isinstance(stream, No):
            return stream
        time = self._time(event.time, [])
        if isinstance(time, No):
            return time
        label = msgspec.json.encode(event.label).decode()
        if event.idempotency_key is not None:
            key = self.hashes.event("label key", stream, event.idempotency_key)
        else:
            key = self.hashes.event("label", stream, label, time, event.request_id)
        return Label(stream=stream, request=self.hashes.request(stream, event.request_id), label=label, time=time, key=key)

    def _account(self, experiment: str) -> Account | No:
        refused = self._allowed(experiment)
        if refused:
            return refused
        found = self.book.by_key.get(experiment)
        return found if found is not None else self._unknown("experiment")

    def _allowed(self, target: str) -> No | None:
        if self.namespaces is None or target.partition("/")[0] in self.namespaces:
            return None
        return No(sentence="this token may not write to that namespace", word="namespace")

    def _unknown(self, what: str) -> No:
        self.tallies[0, "unknownExperiment"] += 1
        return No(sentence=f"there is no such {what}, as namespace/name: register the experiment first", word="experiment")

    def _time(self, time: Any, following: Sequence[Account]) -> int | No:
        found = events.microseconds(time)
        if 0 <= found <= self.now + self.tolerance_s * SECOND:
            return found
        for account in following:
            self.tallies[account.id, "skewed"] += 1
        return No(
            sentence=f"its time is more than {self.tolerance_s:g} s ahead of the ledger's clock, or before 1970: set the sender's clock", word="time"
        )


Event = TypeVar("Event", bound=msgspec.Struct)
Ready = TypeVar("Ready", bound=Folded)


def answer(found: Sequence[Folded | No]) -> tuple[dict[str, Any], dict[str, int]]:
    """What the sender is told of its events, and how many of each word there were."""
    words: dict[str, int] = {}
    refused = []
    for index, event in enumerate(found):
        if isinstance(event, No):
            word, sentence = event.word, event.sentence
        else:
            word, sentence = WORDS.get(event.said, event.said) or "accepted", event.said
        words[word] = words.get(word, 0) + 1
        if word not in ("accepted", DUPLICATE):
            refused.append({"index": index, "reason": word, "error": sentence})
    return {"accepted": words.get("accepted", 0), "duplicates": words.get(DUPLICATE, 0), "refused": refused}, words
