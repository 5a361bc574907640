"""The ``data`` of a tensor in JSON: flat or nested lists to arrays."""

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from slipway_inference.protocol.datatypes import Array, Datatype, Family

_PYTHON: dict[Family, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (float, int), "str": (str,)}
_WORDS: dict[Family, str] = {"bool": "true and false", "int": "whole numbers", "float": "numbers", "str": "strings"}
_FLAT: dict[Family, msgspec.json.Decoder[Any]] = {
    "bool": msgspec.json.Decoder(list[bool]),
    "int": msgspec.json.Decoder(list[int]),
    "float": msgspec.json.Decoder(list[float]),
    "str": msgspec.json.Decoder(list[str]),
}
_ANYTHING = msgspec.json.Decoder()


class Wrong(ValueError):
    """Data is not what datatype and shape say. ``reason`` is a word for programs; the message goes on after "its data"."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def pack(values: Sequence[Any], datatype: Datatype) -> Array:
    """Values of the datatype's family as a flat array that can be written to. Wrong: one is out of range."""
    if datatype.family == "str":
        return _strings(values)
    made = bytearray(len(values) * datatype.size)
    try:
        struct.pack_into(f"<{len(values)}{datatype.code}", made, 0, *values)
    except (struct.error, OverflowError):
        raise Wrong(f"has a value that no {datatype.name} can hold", "range") from None
    return np.frombuffer(made, datatype.numpy)


def read(raw: msgspec.Raw, datatype: Datatype, shape: Sequence[int]) -> tuple[Array, Array | None]:
    """The flat array, and where JSON null stood (None: nowhere). Nulls are NaN in floats, and 0, false or "" in the rest.

    Wrong: the data does not fit. Decoding errors of msgspec: it is no list.
    """
    try:
        return pack(_FLAT[datatype.family].decode(raw), datatype), None
    except msgspec.ValidationError:
        values = _ANYTHING.decode(raw)
    if not isinstance(values, list):
        raise Wrong("is no list", "data")
    return _mixed(_flat(values, shape), datatype)


def _flat(values: list[Any], shape: Sequence[int]) -> list[Any]:
    """A list that is flat already, or nested as the shape is."""
    if not any(isinstance(value, list) for value in values):
        return values
    level: list[Any] = values
    for depth, size in enumerate(shape):
        if depth:
            if not all(isinstance(part, list) and len(part) == size for part in level):
                raise Wrong(f"is nested otherwise than its shape {list(shape)} says", "shape")
            level = [element for part in level for element in part]
        elif len(level) != size:
            raise Wrong(f"has {len(level)} lists, and its shape {list(shape)} says {size}", "shape")
    if any(isinstance(value, list) for value in level):
        raise Wrong(f"is nested deeper than its shape {list(shape)} says", "shape")
    return level


def _mixed(values: list[Any], datatype: Datatype) -> tuple[Array, Array | None]:
    kinds = _PYTHON[datatype.family]
    # bool is an int to Python and none to JSON
    wrong = next((value for value in values if value is not None and (type(value) not in kinds)), None)
    if wrong is not None:
        raise Wrong(f"has {_shown(wrong)} among {_WORDS[datatype.family]}", "type")
    nulls = np.array([value is None for value in values], bool)
    if not nulls.any():
        return pack(values, datatype), None
    blank = {"float": float("nan"), "str": "", "bool": False, "int": 0}[datatype.family]
    return pack([blank if value is None else value for value in values], datatype), nulls


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 40 else text[:40] + "…"


def _strings(values: Sequence[str]) -> Array:
    made = np.empty(len(values), object)
    made[:] = [value.encode() for value in values]
    return made
