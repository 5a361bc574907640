"""Tensors out of answers of the Open Inference Protocol, as JSON or as bytes behind it."""

import json
import math
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from slipway_router.agent.shadow.samples import Message

_ARRAYS = {
    "BOOL": "B",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "H",
    "BF16": "H",
    "FP32": "f",
    "FP64": "d",
}
"""Arrays whose items are as long as those of a datatype, and but for FP16 and BF16 the same, little end first."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One output."""

    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any]

    @property
    def inexact(self) -> bool:
        """Whether its values are floating-point numbers."""
        return self.datatype in ("FP16", "BF16", "FP32", "FP64")

    @property
    def numeric(self) -> bool:
        """Whether its values have a difference."""
        return self.datatype not in ("BOOL", "BYTES")


def read(message: Message) -> dict[str, Tensor] | None:
    """The outputs by name; None for JSON that is not of this protocol. ValueError where it is broken."""
    document = json.loads(message.body if message.header_length is None else message.body[: message.header_length])
    if not isinstance(document, dict) or not isinstance(document.get("outputs"), list):
        return None
    raw = memoryview(message.body)[len(message.body) if message.header_length is None else message.header_length :]
    tensors: dict[str, Tensor] = {}
    try:
        for output in document["outputs"]:
            size = (output.get("parameters") or {}).get("binary_data_size")
            if size is None:
                values: Sequence[Any] = list(_flat(output["data"]))
            else:
                values, raw = _decoded(output["datatype"], raw[:size], size=size), raw[size:]
            tensors[output["name"]] = Tensor(output["datatype"], tuple(output["shape"]), values)
    except (KeyError, TypeError, AttributeError) as cause:
        raise ValueError(f"an output without {cause}") from cause
    for name, tensor in tensors.items():
        if math.prod(tensor.shape) != len(tensor.values):
            raise ValueError(f"output '{name}' of shape {tensor.shape} has {len(tensor.values)} values")
    return tensors


def _decoded(datatype: str, raw: memoryview, *, size: int) -> Sequence[Any]:
    if len(raw) != size:
        raise ValueError("a tensor is shorter than announced")
    if datatype == "BYTES":
        return list(_texts(raw))
    if datatype not in _ARRAYS:
        raise ValueError(f"a tensor of datatype '{datatype}'")
    if size % array(_ARRAYS[datatype]).itemsize:
        raise ValueError(f"a tensor of datatype '{datatype}' has {size} bytes")
    if datatype == "FP16":
        return struct.unpack(f"<{size // 2}e", raw)
    if datatype == "BF16":
        # The upper half of a 32-bit number.
        return struct.unpack(f"<{size // 2}f", b"".join(b"\0\0" + raw[at : at + 2] for at in range(0, size, 2)))
    values = array(_ARRAYS[datatype], raw.tobytes())
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _texts(raw: memoryview) -> Iterator[bytes]:
    """Each text has its length before it, in four bytes."""
    at = 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise ValueError("a tensor ends in the middle of a length")
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4 + length
        if at > len(raw):
            raise ValueError("a tensor ends in the middle of a text")
        yield bytes(raw[at - length : at])


def _flat(data: Any) -> Iterator[Any]:
    if not isinstance(data, list):
        yield data.encode() if isinstance(data, str) else data
        return
    for each in data:
        if isinstance(each, list):
            yield from _flat(each)
        else:
            yield each.encode() if isinstance(each, str) else each
