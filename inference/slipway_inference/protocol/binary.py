"""Tensors as bytes: elements in row-major order, little-endian; BYTES each with its length before it."""

import struct

import numpy as np

from slipway_inference.protocol.datatypes import Array, Datatype

_LENGTH = struct.Struct("<I")


class Malformed(ValueError):
    """Bytes are not the elements that they should be; the message goes on after "its data"."""


def size(array: Array) -> int:
    """How many bytes ``write`` gives."""
    if array.dtype != object:
        return array.nbytes
    return sum(_LENGTH.size + len(element) for element in array.ravel())


def write(array: Array) -> bytes:
    """The bytes of a tensor."""
    if array.dtype != object:
        return array.tobytes()
    return b"".join(part for element in array.ravel() for part in (_LENGTH.pack(len(element)), element))


def read(data: memoryview, datatype: Datatype, *, count: int) -> Array:
    """``count`` elements, flat. Numbers share the memory of ``data`` and cannot be written to. Malformed: they are not there."""
    if not datatype.fixed:
        return _strings(data, count)
    if len(data) != count * datatype.size:
        raise Malformed(f"has {len(data)} bytes, and {count} elements of {datatype.name} have {count * datatype.size}")
    if datatype.family == "bool" and count and np.frombuffer(data, np.uint8).max() > 1:
        raise Malformed("has bytes that are neither 0 nor 1")
    return np.frombuffer(data, datatype.numpy)


def _strings(data: memoryview, count: int) -> Array:
    if count * _LENGTH.size > len(data):  # before anything is made that is as large as a shape says
        raise Malformed(f"has {len(data)} bytes, and {count} elements of BYTES have at least {count * _LENGTH.size}")
    found = np.empty(count, object)
    at = 0
    for place in range(count):
        start = at + _LENGTH.size
        if start > len(data):
            raise Malformed(f"ends within the length of element {place}")
        at = start + _LENGTH.unpack_from(data, at)[0]
        if at > len(data):
            raise Malformed(f"ends within element {place}")
        found[place] = bytes(data[start:at])
    if at != len(data):
        raise Malformed(f"has {len(data)} bytes, and its {count} elements take {at}")
    return found
