"""Where everything stands in the blob of a row.

Little-endian and without padding: version (1 byte), fingerprint of the schema (8), event time (8) and created time (8) in microseconds, a bit per
column that says null, then a slot per column, then the contents of strings, bytes and lists, one after the other. The slot of a number is the number;
the slot of the others is the length of their content (4 bytes). So the length of a whole blob follows from its slots.
"""

import struct
from dataclasses import dataclass

from slipway_features.schema import Schema

VERSION = 1
HEADER = struct.Struct("<B8sqq")

CODES = {"bool": "?", "int32": "i", "int64": "q", "float32": "f", "float64": "d", "unix_timestamp": "q"}
"""How ``struct`` writes a number of each dtype."""

LENGTH = "I"
"""How it writes the length of a content."""


@dataclass(frozen=True)
class Layout:
    """The layout of the rows of a schema."""

    prefix: bytes
    """What every blob begins with: the version and the fingerprint."""

    fixed: struct.Struct
    """Header, bitmap and slots as one."""

    nulls_at: int
    offsets: tuple[int, ...]
    """Of the slot of each column from the beginning of the blob."""

    variable: tuple[int, ...]
    """The positions of the columns that have contents."""

    @classmethod
    def of(cls, schema: Schema) -> "Layout":
        """The layout of a schema's rows."""
        codes = [CODES.get(column.dtype, LENGTH) for column in schema.columns]
        bitmap = (len(codes) + 7) // 8
        offsets, at = [], HEADER.size + bitmap
        for code in codes:
            offsets.append(at)
            at += struct.calcsize(f"<{code}")
        return cls(
            prefix=bytes([VERSION]) + schema.fingerprint,
            fixed=struct.Struct(f"{HEADER.format}{bitmap}s{''.join(codes)}"),
            nulls_at=HEADER.size,
            offsets=tuple(offsets),
            variable=tuple(at for at, column in enumerate(schema.columns) if not column.is_number),
        )
