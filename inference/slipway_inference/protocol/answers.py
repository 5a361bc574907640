"""Tensors to bodies of answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from slipway_inference.protocol import binary, datatypes
from slipway_inference.protocol.datatypes import Array, Tensors
from slipway_inference.protocol.requests import Request, Wanted
from slipway_inference.refusals import Refused
from slipway_service.sentences import quoted

_ENCODER = msgspec.json.Encoder()


class NoDatatype(Exception):
    """An array has a type that the protocol does not have; the message names both."""


class _Tensor(msgspec.Struct, omit_defaults=True):
    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, int] | None = None
    data: Any = msgspec.UNSET


class _Body(msgspec.Struct, omit_defaults=True):
    model_name: str
    outputs: list[_Tensor]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, and the length of its JSON where binary tensors come after it."""

    body: bytes
    header_length: int | None = None


def write(model: str, tensors: Tensors, request: Request, *, default: Sequence[str]) -> Answer:
    """What the request asked for, or where it named nothing the outputs in ``default``.

    Refused: it asked for an output that is not there. NoDatatype: an output cannot be sent. In JSON, NaN and infinite are null, and
    bytes that are no UTF-8 become U+FFFD.
    """
    described: list[_Tensor] = []
    parts: list[bytes] = []
    for wanted in request.wanted or [Wanted(name, request.binary) for name in default]:
        array = tensors.get(wanted.name)
        if array is None:
            raise unknown(wanted.name, tensors)
        datatype = datatypes.of(array)
        if datatype is None:
            raise NoDatatype(f"output {wanted.name} has the type {array.dtype}, which the protocol does not have")
        if wanted.binary:
            parts.append(binary.write(array))
            described.append(_Tensor(wanted.name, datatype.name, array.shape, {"binary_data_size": len(parts[-1])}))
        else:
            described.append(_Tensor(wanted.name, datatype.name, array.shape, None, _listed(array)))
    body = _ENCODER.encode(_Body(model, described, request.id))
    return Answer(b"".join((body, *parts)), len(body)) if parts else Answer(body)


def unknown(name: str, known: Sequence[str] | Tensors) -> Refused:
    """What is said to a client that asked for an output that is not there."""
    return Refused(f"there is no output {quoted(name)}: the outputs are {', '.join(known)}", reason="output", input=name[:512])


def _listed(array: Array) -> list[Any]:
    flat = array.ravel().tolist()
    return [element.decode(errors="replace") for element in flat] if array.dtype == object else flat
