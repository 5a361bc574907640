"""Exposures, outcomes and labels as they are sent, and as they are folded.

An array is read as a whole first, at a microsecond an event; only where that fails each of its events is read alone, so that the good ones are taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from slipway_ledger import amounts
from slipway_ledger.definitions import WAITING, Word
from slipway_ledger.refusals import Refused

MOST_EVENTS = 10_000
"""Of one body."""

Target = Annotated[str, Meta(min_length=3, max_length=127, description="namespace/name")]
Identity = Annotated[str, Meta(min_length=1, max_length=256)]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset; kept to the microsecond")]
Value = Annotated[float, Meta(ge=-amounts.LARGEST, le=amounts.LARGEST, description="kept to the nearest millionth")]
Text = Annotated[str, Meta(min_length=1, max_length=63)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class ExposureEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A unit met an arm."""

    experiment: Target
    unit: Identity
    arm: Text
    """Of the experiment, or ``waiting``."""
    time: Time
    stratum: Word = "0"
    """The ramp step, or whatever else arms are compared within."""
    request_id: Identity | None = None
    """By which outcomes and labels may name the unit."""


class OutcomeEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Something that a unit did."""

    metric: Text
    value: Value
    time: Time
    experiment: Target | None = None
    service: Target | None = None
    """Exactly one of the two."""
    unit: Identity | None = None
    request_id: Identity | None = None
    """Exactly one of the two."""
    idempotency_key: Identity | None = None
    """Absent: the rest is the key, and what is sent twice counts once."""


class LabelEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The truth about one prediction."""

    request_id: Identity
    label: Annotated[str, Meta(max_length=256)] | Value | bool
    time: Time
    experiment: Target | None = None
    service: Target | None = None
    """Exactly one of the two."""
    idempotency_key: Identity | None = None
    """As an outcome's."""


@dataclass(kw_only=True, slots=True)
class Folded:
    """An event on its way into the store. ``said`` is what came of it: empty where it was taken, ``duplicate``, or why it was refused."""

    said: str = ""


@dataclass(kw_only=True, slots=True)
class Exposure(Folded):
    """As ``ExposureEvent``, with names found and identities hashed."""

    account: int
    stream: int
    unit: bytes
    arm: int
    stratum: str
    time: int
    request: bytes | None


@dataclass(kw_only=True, slots=True)
class Outcome(Folded):
    """As ``OutcomeEvent``. Where ``by_request`` holds, ``unit`` is the hash of a request id until the exposure with that id is known."""

    stream: int
    unit: bytes
    by_request: bool
    measure: str
    time: int
    value: int
    key: bytes


@dataclass(kw_only=True, slots=True)
class Label(Folded):
    """As ``LabelEvent``."""

    stream: int
    request: bytes
    label: str
    """JSON."""
    time: int
    key: bytes


Event = TypeVar("Event", bound=msgspec.Struct)


class Reader(Generic[Event]):
    """Reads bodies of one kind of event."""

    def __init__(self, kind: type[Event]) -> None:
        self._one: msgspec.json.Decoder[Event] = msgspec.json.Decoder(kind)
        self._many: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]
        self._raw: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])

    def array(self, body: bytes) -> Sequence[Event | str]:
        """Events, or in the place of one why it is none. Refused: the body is no JSON, no array or object, or too long."""
        if body.lstrip()[:1] != b"[":
            return [self.one(body)]
        try:
            found: Sequence[Event | str] = self._many.decode(body)
        except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
            found = [self.one(part) for part in self._parts(body)]
        except msgspec.DecodeError as error:
            raise Refused(f"the body is no JSON: {error}", reason="json") from None
        return few(found)

    def lines(self, body: bytes) -> Sequence[Event | str]:
        """The same, from a body of one event a line."""
        return [self.one(line) for line in few([line for line in body.splitlines() if line.strip()])]

    def one(self, body: bytes | msgspec.Raw) -> Event | str:
        """An event, or why it is none."""
        try:
            return self._one.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return f"it is no event: {error}"

    def made(self, found: Any) -> Event | str:
        """An event of JSON that was read already, or why it is none."""
        return self.one(msgspec.json.encode(found))

    def _parts(self, body: bytes) -> Sequence[msgspec.Raw]:
        try:
            return self._raw.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Refused(f"the body is no JSON: {error}", reason="json") from None


Anything = TypeVar("Anything")


def few(found: Sequence[Anything]) -> Sequence[Anything]:
    """The same. Refused (413): they are too many."""
    if len(found) > MOST_EVENTS:
        raise Refused(f"the body has {len(found)} events: send at most {MOST_EVENTS} at once", status=413, reason="events")
    return found


def microseconds(time: datetime) -> int:
    """Since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def moment(microseconds_: int) -> datetime:
    """The other way."""
    return _EPOCH + timedelta(microseconds=microseconds_)


def is_waiting(arm: str) -> bool:
    """Whether it is no arm but the group of those that wait."""
    return arm == WAITING
