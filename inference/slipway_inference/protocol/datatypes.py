"""The protocol's datatypes, and what each is in numpy, in JSON and on the wire."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Tensors: TypeAlias = dict[str, Array]
"""Arrays by name. BYTES are arrays of ``bytes`` objects."""
Family: TypeAlias = Literal["bool", "int", "float", "str"]


@dataclass(frozen=True)
class Datatype:
    """One of the names that a tensor's ``datatype`` can have."""

    name: str
    numpy: np.dtype[Any]
    family: Family
    code: str
    """Of ``struct``: packing with it checks ranges, which numpy's casts do not. Empty for BYTES."""
    size: int
    """Bytes of an element in binary; 0 where each has its own length."""

    @property
    def fixed(self) -> bool:
        """Whether every element has the same number of bytes."""
        return self.size > 0


def _number(name: str, numpy: str, family: Family, code: str) -> Datatype:
    dtype = np.dtype(numpy)
    return Datatype(name, dtype, family, code, dtype.itemsize)


DATATYPES = {
    each.name: each
    for each in (
        _number("BOOL", "bool", "bool", "?"),
        _number("INT8", "int8", "int", "b"),
        _number("INT16", "<i2", "int", "h"),
        _number("INT32", "<i4", "int", "i"),
        _number("INT64", "<i8", "int", "q"),
        _number("UINT8", "uint8", "int", "B"),
        _number("UINT16", "<u2", "int", "H"),
        _number("UINT32", "<u4", "int", "I"),
        _number("UINT64", "<u8", "int", "Q"),
        _number("FP16", "<f2", "float", "e"),
        _number("FP32", "<f4", "float", "f"),
        _number("FP64", "<f8", "float", "d"),
        Datatype("BYTES", np.dtype(object), "str", "", 0),
    )
}
_BY_NUMPY = {each.numpy: each for each in DATATYPES.values()}


def of(array: Array) -> Datatype | None:
    """The datatype of an array; None where the protocol has none for it. Strings of numpy are BYTES once they are objects."""
    return _BY_NUMPY.get(array.dtype.newbyteorder("<") if array.dtype.byteorder == ">" else array.dtype)
