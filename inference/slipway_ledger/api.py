"""What each path does: from a request that may be made to what is answered."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias, TypedDict
from urllib.parse import parse_qs

import msgspec

from slipway_ledger import cloudevents, definitions, events, intake, looks, openapi, reading, registry
from slipway_ledger.events import ExposureEvent, Folded, LabelEvent, OutcomeEvent, Reader
from slipway_ledger.intake import Door, No
from slipway_ledger.meters import Meters
from slipway_ledger.refusals import Refused
from slipway_ledger.units import Hashes
from slipway_ledger.windows import SECOND
from slipway_ledger.writer import Writer
from slipway_service.sentences import quoted

MOST_LOOKUPS = 1_000
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_JSON = ("", "application/json")
_LINES = ("application/x-ndjson", "application/jsonl")

Body: TypeAlias = Any
"""What is answered, before it is JSON."""
Anything: TypeAlias = Any


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that may be made."""

    path: Mapping[str, str]
    """What stands for the names of the path."""
    query: str
    content_type: str
    """In small letters, without parameters."""
    header: Callable[[str], str | None]
    body: bytes
    namespaces: frozenset[str] | None
    """Those in which the sender may do this; None: all."""


class Lookup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which labels somebody asks for."""

    request_ids: list[events.Identity]
    experiment: events.Target | None = None
    service: events.Target | None = None


@dataclass(kw_only=True)
class Api:
    """One method for each name of a route: status and body, before it is JSON. Each raises Refused."""

    writer: Writer
    hashes: Hashes
    meters: Meters
    skew_s: float
    clock: Callable[[], float] = time.time
    draining: bool = False
    _exposures: Reader[ExposureEvent] = field(default_factory=lambda: Reader(ExposureEvent), init=False)
    _outcomes: Reader[OutcomeEvent] = field(default_factory=lambda: Reader(OutcomeEvent), init=False)
    _labels: Reader[LabelEvent] = field(default_factory=lambda: Reader(LabelEvent), init=False)
    _lookups: "msgspec.json.Decoder[Lookup]" = field(default_factory=lambda: msgspec.json.Decoder(Lookup), init=False)

    def named(self, name: str) -> Callable[[Asked], Awaitable[tuple[int, Body]]]:
        """What a route does."""
        found: Callable[[Asked], Awaitable[tuple[int, Body]]] = getattr(self, name)
        return found

    @property
    def now(self) -> int:
        """Microseconds since 1970."""
        return int(self.clock() * SECOND)

    # Experiments

    async def experiments(self, asked: Asked) -> tuple[int, Body]:
        """Those of the namespaces that the sender may read, by name."""
        _query(asked.query)
        return 200, {"experiments": registry.listed(self.writer.book, namespaces=asked.namespaces)}

    async def register(self, asked: Asked) -> tuple[int, Body]:
        """201 where it is new."""
        _named(asked)
        definition = definitions.parse(asked.body)
        new = await self.writer.call(partial(registry.register, **_experiment(asked), definition=definition, now=self.now))
        return (201 if new else 200), definition

    async def show(self, asked: Asked) -> tuple[int, Body]:
        """The definition, with the caps that are set."""
        return 200, self.writer.book.find(asked.path["namespace"], asked.path["name"]).definition

    async def end(self, asked: Asked) -> tuple[int, Body]:
        """End it; ended ones stay so."""
        await self.writer.call(partial(registry.end, **_experiment(asked), now=self.now))
        return 200, {"state": "Ended"}

    async def sums(self, asked: Asked) -> tuple[int, Body]:
        """All sums at a moment."""
        query = _query(asked.query, "now")
        return 200, await self.writer.call(partial(reading.sums, **_experiment(asked), now=self._moment(query.get("now"))))

    async def quantile(self, asked: Asked) -> tuple[int, Body]:
        """Of a metric's closed units."""
        query = _query(asked.query, "q", "now")
        q = _number(query.get("q"))
        return 200, await self.writer.call(
            partial(reading.quantile, **_experiment(asked), metric=asked.path["metric"], q=q, now=self._moment(query.get("now")))
        )

    async def look(self, asked: Asked) -> tuple[int, Body]:
        """Append a look; 201 where it is new."""
        found = looks.parse(asked.body)
        new = await self.writer.call(partial(looks.append, **_experiment(asked), look=found))
        return (201 if new else 200), {"sequence": found.sequence}

    async def looks(self, asked: Asked) -> tuple[int, Body]:
        """Looks, the first ones first."""
        query = _query(asked.query, "after", "limit")
        after, most = _whole("after", query.get("after", "0"), 2**53), _whole("limit", query.get("limit", str(looks.MOST)), looks.MOST)
        return 200, await self.writer.call(partial(looks.following, **_experiment(asked), after=after, most=most))

    # Events

    async def exposures(self, asked: Asked) -> tuple[int, Body]:
        """Take exposures."""
        door = self._door(asked)
        found = door.exposures(_read(self._exposures, asked))
        await self.writer.fold(exposures=_let_in(found), tallies=door.tallies)
        return self._told("exposure", found)

    async def outcomes(self, asked: Asked) -> tuple[int, Body]:
        """Take outcomes."""
        door = self._door(asked)
        found = door.outcomes(self._outcome_events(asked))
        await self.writer.fold(outcomes=_let_in(found), tallies=door.tallies)
        return self._told("outcome", found)

    async def labels(self, asked: Asked) -> tuple[int, Body]:
        """Take labels."""
        door = self._door(asked)
        found = door.labels(_read(self._labels, asked))
        await self.writer.fold(labels=_let_in(found), tallies=door.tallies)
        return self._told("label", found)

    async def lookup(self, asked: Asked) -> tuple[int, Body]:
        """Labels of requests, in the order of the requests and of their times."""
        try:
            wanted = self._lookups.decode(asked.body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Refused(f"this is no question for labels: {error}", reason="lookup") from None
        if len(wanted.request_ids) > MOST_LOOKUPS:
            raise Refused(f"that asks for {len(wanted.request_ids)} requests: ask for at most {MOST_LOOKUPS}", status=413, reason="lookup")
        stream = self._door(asked).stream(wanted.experiment, wanted.service)
        if isinstance(stream, No):
            raise Refused(stream.sentence, status=403 if stream.word == "namespace" else 422, reason=stream.word)
        hashed = {self.hashes.request(stream, request): request for request in wanted.request_ids}
        found = await self.writer.call(lambda book, rows: rows.labels(list(hashed)))
        places = {request: at for at, request in enumerate(wanted.request_ids)}
        told = sorted((places[hashed[request]], at, label) for request, label, at in found)
        return 200, {
            "labels": [
                {"requestId": wanted.request_ids[place], "label": msgspec.Raw(label.encode()), "time": events.moment(at)} for place, at, label in told
            ]
        }

    async def forget(self, asked: Asked) -> tuple[int, Body]:
        """Delete a unit everywhere."""
        if asked.namespaces is not None:
            raise Refused("a unit is forgotten in all namespaces: that takes an admin's token without a namespace", status=403, reason="namespace")
        gone = await self.writer.call(partial(registry.forget, unit=self.hashes.unit(asked.path["unit"])))
        return 200, {"rows": gone}

    # The rest

    async def openapi(self, asked: Asked) -> tuple[int, Body]:
        """This API, for programs."""
        return 200, openapi.DOCUMENT

    async def live(self, asked: Asked) -> tuple[int, Body]:
        """Whether the process works."""
        return 200, {"live": True}

    async def ready(self, asked: Asked) -> tuple[int, Body]:
        """Whether events would be taken."""
        ready = not self.draining and self.writer.available
        return (200 if ready else 503), {"ready": ready}

    def _outcome_events(self, asked: Asked) -> Sequence[OutcomeEvent | str]:
        if asked.content_type == cloudevents.STRUCTURED:
            return cloudevents.structured(asked.body)
        if asked.content_type == cloudevents.BATCH:
            return cloudevents.batch(asked.body)
        if asked.header("ce-specversion") is not None:
            return cloudevents.binary(asked.header, asked.body)
        return _read(self._outcomes, asked)

    def _door(self, asked: Asked) -> Door:
        return Door(book=self.writer.book, hashes=self.hashes, namespaces=asked.namespaces, now=self.now, tolerance_s=self.skew_s)

    def _told(self, kind: str, found: Sequence[Folded | No]) -> tuple[int, Body]:
        """200; 422 where every event was refused."""
        said, words = intake.answer(found)
        for word, count in words.items():
            self.meters.events[kind, word] += count
        return (422 if found and len(said["refused"]) == len(found) else 200), said

    def _moment(self, text: str | None) -> int:
        """A moment of a query. Refused: it is none, or is in the future."""
        if text is None:
            return self.now
        try:
            time_ = datetime.fromisoformat(text)
            found = events.microseconds(time_) if time_.tzinfo else None
        except ValueError:
            found = None
        if found is None:
            raise Refused(f"now is {quoted(text)}: it should be a time as 2026-11-29T12:00:00Z (a + is written %2B)", reason="query")
        if not 0 <= found <= self.now + self.skew_s * SECOND:
            raise Refused("now is ahead of the ledger's clock: windows that close then are still open", reason="query")
        return found


class _Experiment(TypedDict):
    namespace: str
    name: str


def _experiment(asked: Asked) -> _Experiment:
    return {"namespace": asked.path["namespace"], "name": asked.path["name"]}


def _named(asked: Asked) -> None:
    for what in ("namespace", "name"):
        if not _NAME.fullmatch(asked.path[what]):
            raise Refused(f"the {what} {quoted(asked.path[what])} should be small letters, digits and dashes, at most 63", reason="name")


def _let_in(found: Sequence[Anything]) -> list[Anything]:
    return [event for event in found if not isinstance(event, No)]


def _read(reader: "Reader[Anything]", asked: Asked) -> Sequence[Anything]:
    if asked.content_type in _JSON:
        return reader.array(asked.body)
    if asked.content_type in _LINES:
        return reader.lines(asked.body)
    raise Refused(f"content-type is {quoted(asked.content_type)}: use application/json, or application/x-ndjson", status=415, reason="content-type")


def _query(text: str, *names: str) -> dict[str, str]:
    """The parameters of a query. Refused: one is not known, or is there twice."""
    found = parse_qs(text, keep_blank_values=True, max_num_fields=20) if text.count("&") < 20 else {text[:20]: ["", ""]}
    for name, values in found.items():
        if name not in names or len(values) > 1:
            raise Refused(f"the query has {quoted(name)}: it takes {', '.join(names) or 'nothing'}, each once", reason="query")
    return {name: values[0] for name, values in found.items()}


def _number(text: str | None) -> float:
    try:
        q = float(text or "")
    except ValueError:
        q = 0.0
    if not 0.5 <= q <= 0.9999:
        raise Refused("q should be a number from 0.5 to 0.9999", reason="query")
    return q


def _whole(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 17 and int(text) <= most):
        raise Refused(f"{name} should be a whole number up to {most}", reason="query")
    return int(text)
