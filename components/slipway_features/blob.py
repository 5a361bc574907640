"""A row of features as one blob: written by whoever materialises, read many at a time into one array by whoever serves."""

import enum
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from slipway_features.layout import CODES, LENGTH, VERSION, Layout
from slipway_features.schema import Column, Schema

Scalar = bool | int | float | str | bytes
Value = Scalar | list[Scalar] | None

_LENGTH = struct.Struct(f"<{LENGTH}")


class Status(enum.IntEnum):
    """What became of a row."""

    OK = 0
    MISSING = 1
    """There is no blob."""
    STALE = 2
    """The blob is of another schema or version, or damaged."""
    EXPIRED = 3
    """Its event is longer ago than the TTL of the schema."""


@dataclass(frozen=True)
class Row:
    """One row as Python values. Times and values are those of the blob where the status is OK, else 0 and none."""

    status: Status
    event_us: int = 0
    created_us: int = 0
    values: Mapping[str, Value] = field(default_factory=dict)


class Writer:
    """Packs rows of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._layout = Layout.of(schema)
        self._names = {column.name for column in schema.columns}

    def row(self, values: Mapping[str, object], event_us: int, created_us: int = 0) -> bytes:
        """The blob of a row; a column that ``values`` lacks is null, and a name that is no column is an error.

        Raises ValueError for a value that its column cannot hold: it is never rounded or cut, but for a float64 in a float32 column, which becomes
        the nearest float32.
        """
        if unknown := values.keys() - self._names:
            raise ValueError(f"{', '.join(sorted(unknown))}: the schema has no such columns")
        columns = self._schema.columns
        nulls, contents = 0, []
        slots: list[Any] = []
        for at, column in enumerate(columns):
            value = values.get(column.name)
            if value is None:
                nulls |= 1 << at
                slots.append(0)
                continue
            packed = value if type(value) is _EXACT.get(column.dtype) else _checked(column, value)
            if isinstance(packed, bytes):
                slots.append(len(packed))
                contents.append(packed)
            else:
                slots.append(packed)
        bitmap = nulls.to_bytes((len(columns) + 7) // 8, "little")
        try:
            fixed = self._layout.fixed.pack(VERSION, self._schema.fingerprint, event_us, created_us, bitmap, *slots)
        except (struct.error, OverflowError) as error:
            for column, slot in zip(columns, slots, strict=True):
                _fits(column, slot)
            raise ValueError(f"the times {event_us} and {created_us} are no 64-bit microseconds: {error}") from error
        return b"".join([fixed, *contents])


_EXACT = {"bool": bool, "int32": int, "int64": int, "float32": float, "float64": float, "unix_timestamp": int}
"""The types that need no closer look."""


def _checked(column: Column, value: object) -> bytes | float:
    try:
        return _packed(column, value)
    except (struct.error, OverflowError, ValueError, TypeError) as error:
        raise _refusal(column, value, error) from error


def _fits(column: Column, slot: float) -> None:
    try:
        struct.pack(f"<{CODES.get(column.dtype, LENGTH)}", slot)
    except (struct.error, OverflowError) as error:
        raise _refusal(column, slot, error) from error


def _refusal(column: Column, value: object, error: Exception) -> ValueError:
    return ValueError(f"column {column.name} is {column.dtype} and cannot hold {value!r:.100}: {error}")


def _packed(column: Column, value: object) -> bytes | float:
    """A number for the slot, or a content."""
    element = column.element
    if column.is_number:
        return _number(column.dtype, value)
    if element is None:
        return _content(column.dtype, value)
    if not isinstance(value, list | tuple | np.ndarray):
        raise TypeError(f"a {type(value).__name__} is no list")
    if element in CODES:
        return struct.pack(f"<{len(value)}{CODES[element]}", *(_number(element, one) for one in value))
    contents = [_content(element, one) for one in value]
    return b"".join(part for content in contents for part in (_LENGTH.pack(len(content)), content))


def _number(dtype: str, value: object) -> float:
    if isinstance(value, np.generic):
        value = value.item()
    fits = {"bool": bool, "float32": int | float, "float64": int | float}.get(dtype, int)
    if not isinstance(value, fits) or (isinstance(value, bool) and dtype != "bool"):
        raise TypeError(f"a {type(value).__name__} is no {dtype}")
    return value


def _content(dtype: str, value: object) -> bytes:
    if dtype == "string" and isinstance(value, str):
        return value.encode()
    if dtype == "bytes" and isinstance(value, bytes):
        return value
    raise TypeError(f"a {type(value).__name__} is no {dtype}")


@dataclass(frozen=True)
class _Group:
    """Columns that one view of the blobs has: of one dtype, whole widths apart from each other."""

    dtype: np.dtype[np.generic]
    start: int
    stop: int
    taken: slice | npt.NDArray[np.intp]
    """Their places within the view."""
    into: slice | npt.NDArray[np.intp]
    """Their places in the array that is read into."""


class Reader:
    """Reads some columns of a schema's rows, in the order asked for.

    Raises ValueError for a column that the schema lacks.
    """

    def __init__(self, schema: Schema, columns: Sequence[str]) -> None:
        places = {column.name: at for at, column in enumerate(schema.columns)}
        if missing := [name for name in columns if name not in places]:
            raise ValueError(f"{', '.join(missing)}: the schema has no such columns")
        self._schema = schema
        self._layout = Layout.of(schema)
        self._nothing = bytes(self._layout.fixed.size)
        self._wanted = [(places[name], schema.columns[places[name]]) for name in columns]
        self._no_numbers = [column for _, column in self._wanted if not column.is_number]
        self._null_bits = _steps(np.array([at for at, _ in self._wanted], np.intp))
        self._groups = [] if self._no_numbers else list(self._grouped())
        single = bool(columns) and all(column.dtype == "float32" for _, column in self._wanted)
        self.dtype: np.dtype[np.float32] | np.dtype[np.float64] = np.dtype(np.float32) if single else np.dtype(np.float64)
        self._lengths = [_bytes_of(self._layout.offsets[at], 4) for at in self._layout.variable]

    def _grouped(self) -> Iterator[_Group]:
        groups: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for into, (at, column) in enumerate(self._wanted):
            code, offset = CODES[column.dtype], self._layout.offsets[at]
            groups.setdefault((code, offset % struct.calcsize(f"<{code}")), []).append((offset, into))
        for (code, _), members in groups.items():
            dtype = np.dtype(f"<{code}" if code != "?" else np.uint8)
            offsets = np.array([offset for offset, _ in members], np.intp)
            places = np.array([place for _, place in members], np.intp)
            start, stop = int(offsets.min()), int(offsets.max()) + dtype.itemsize
            yield _Group(dtype, start, stop, _steps((offsets - start) // dtype.itemsize), _steps(places))

    def rows(self, blobs: Sequence[bytes | None], now_us: int) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.uint8]]:
        """The numbers of many rows, and a Status for each.

        The array has a line per blob and a column per column asked for; float32 where all of them are, else float64 (in which an int64 beyond 2**53
        is rounded). NaN is null, and all there is of a row that is not OK. Raises TypeError where a column asked for is no number.
        """
        if self._no_numbers:
            column = self._no_numbers[0]
            raise TypeError(f"column {column.name} is {column.dtype}, which is no number: read it by values()")
        status, fixed = self._examined(blobs, now_us)
        out = np.empty((len(blobs), len(self._wanted)), self.dtype)
        for group in self._groups:
            found = fixed[:, group.start : group.stop].view(group.dtype)[:, group.taken]
            out[:, group.into] = found != 0 if group.dtype == np.uint8 else found
        bits = np.unpackbits(
            fixed[:, self._layout.nulls_at : self._layout.nulls_at + (len(self._schema.columns) + 7) // 8], axis=1, bitorder="little"
        )
        null = bits[:, self._null_bits]
        if null.any():
            out[null.view(bool)] = np.nan
        if status.any():
            out[status != Status.OK] = np.nan
        return out, status

    def values(self, blob: bytes | None, now_us: int) -> Row:
        """One row as Python values of any dtype; None is null."""
        status = Status(int(self._examined([blob], now_us)[0][0]))
        if blob is None or status is not Status.OK:
            return Row(status)
        _, _, event_us, created_us, bitmap, *slots = self._layout.fixed.unpack_from(blob)
        nulls = int.from_bytes(bitmap, "little")
        starts = self._contents(slots)
        values: dict[str, Value] = {}
        for at, column in self._wanted:
            if nulls >> at & 1:
                values[column.name] = None
            elif column.is_number:
                values[column.name] = slots[at]
            else:
                try:
                    values[column.name] = _unpacked(column, blob[starts[at] : starts[at] + slots[at]])
                except (ValueError, struct.error):
                    return Row(Status.STALE)
        return Row(status, event_us, created_us, values)

    def _contents(self, slots: Sequence[int]) -> dict[int, int]:
        """Where the content of each column begins that has one."""
        starts, at = {}, self._layout.fixed.size
        for column in self._layout.variable:
            starts[column] = at
            at += slots[column]
        return starts

    def _examined(self, blobs: Sequence[bytes | None], now_us: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """A status per blob, and what has a fixed place in them: a line of bytes each, zeros for a row that is not there or stale."""
        size, prefix = self._layout.fixed.size, self._layout.prefix
        exact = not self._layout.variable
        kept, status = [], bytearray(len(blobs))
        for at, blob in enumerate(blobs):
            if blob is None:
                status[at] = Status.MISSING
                kept.append(self._nothing)
            elif not blob.startswith(prefix) or len(blob) < size or (exact and len(blob) != size):
                status[at] = Status.STALE
                kept.append(self._nothing)
            else:
                kept.append(blob if exact else blob[:size])
        fixed = np.frombuffer(b"".join(kept), np.uint8).reshape(len(blobs), size)
        found = np.frombuffer(status, np.uint8)
        if not exact:
            found[self._of_wrong_length(blobs, fixed) & (found == Status.OK)] = Status.STALE
        if self._schema.ttl_us:
            event_us = fixed[:, _bytes_of(9, 8)].view("<i8")[:, 0]
            found[(event_us < now_us - self._schema.ttl_us) & (found == Status.OK)] = Status.EXPIRED
        return found, fixed

    def _of_wrong_length(self, blobs: Sequence[bytes | None], fixed: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        lengths = np.array([len(blob or b"") for blob in blobs], np.int64)
        for where in self._lengths:
            lengths -= fixed[:, where].view("<u4")[:, 0]
        wrong: npt.NDArray[np.bool_] = lengths != self._layout.fixed.size
        return wrong


def _bytes_of(start: int, width: int) -> slice:
    return slice(start, start + width)


def _steps(places: npt.NDArray[np.intp]) -> slice | npt.NDArray[np.intp]:
    """A slice where the places follow each other, which numpy copies by faster."""
    if len(places) and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


def _unpacked(column: Column, content: bytes) -> Value:
    element = column.element
    if element is None:
        return content.decode() if column.dtype == "string" else content
    if element in CODES:
        code = CODES[element]
        return list(struct.unpack(f"<{len(content) // struct.calcsize(f'<{code}')}{code}", content))
    return [one.decode() if element == "string" else one for one in _elements(content)]


def _elements(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        (length,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size
        if at + length > len(content):
            raise ValueError("an element ends beyond its list")
        yield content[at : at + length]
        at += length
