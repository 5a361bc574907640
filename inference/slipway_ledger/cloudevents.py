"""CloudEvents 1.0 around outcomes: structured, batched and binary. An event's source and id are its idempotency key."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from slipway_ledger.events import OutcomeEvent, Reader, few
from slipway_ledger.refusals import Refused

TYPE = "dev.slipway.outcome"
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"

_reader = Reader(OutcomeEvent)


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of an event in JSON; extensions may be there and are not looked at."""

    specversion: str
    id: str
    source: str
    type: str
    data: dict[str, Any]
    time: str | None = None


_one = msgspec.json.Decoder(CloudEvent)
_raw = msgspec.json.Decoder(list[msgspec.Raw])


def structured(body: bytes) -> Sequence[OutcomeEvent | str]:
    """An event in one piece of JSON."""
    return [_read(body)]


def batch(body: bytes) -> Sequence[OutcomeEvent | str]:
    """An array of those. Refused: it is none, or too long."""
    try:
        parts = _raw.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"the body is no JSON array: {error}", reason="json") from None
    return [_read(part) for part in few(parts)]


def binary(header: Callable[[str], str | None], body: bytes) -> Sequence[OutcomeEvent | str]:
    """An event whose attributes are ``ce-`` headers and whose data is the body. ``header`` gives one by its name in small letters."""
    attributes = {name: header(f"ce-{name}") for name in ("specversion", "id", "source", "type", "time")}
    missing = [f"ce-{name}" for name in ("id", "source", "type") if not attributes[name]]
    if missing:
        return [f"it is no CloudEvent: there is no header {', '.join(missing)}"]
    try:
        data = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return [f"its data is no JSON object: {error}"]
    return [_outcome(attributes, data)]


def _read(body: bytes | msgspec.Raw) -> OutcomeEvent | str:
    try:
        event = _one.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"it is no CloudEvent: {error}"
    return _outcome(msgspec.structs.asdict(event), event.data)


def _outcome(attributes: Mapping[str, Any], data: Mapping[str, Any]) -> OutcomeEvent | str:
    if attributes["specversion"] != "1.0":
        return "it is no CloudEvent of specversion 1.0"
    if attributes["type"] != TYPE:
        return f"its type should be {TYPE}"
    given = {"idempotencyKey": f"{attributes['source']} {attributes['id']}", **({"time": attributes["time"]} if attributes["time"] else {})}
    return _reader.made({**given, **data})
