"""What the columns of a view's rows are, as it stands in Redis beside them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

NUMBERS = ("bool", "int32", "int64", "float32", "float64", "unix_timestamp")
"""Dtypes of fixed width, which are read into arrays. A unix_timestamp is whole seconds since 1970 as int64."""

SCALARS = (*NUMBERS, "string", "bytes")

DTYPES = (*SCALARS, *(f"list[{scalar}]" for scalar in SCALARS))


@dataclass(frozen=True)
class Column:
    """A feature: its name and one of DTYPES."""

    name: str
    dtype: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError("a column without a name cannot be asked for")
        if self.dtype not in DTYPES:
            raise ValueError(f"column {self.name}: {self.dtype!r} is no dtype; there are {', '.join(DTYPES)}")

    @property
    def element(self) -> str | None:
        """The dtype of a list's elements; None for what is no list."""
        return self.dtype[5:-1] if self.dtype.startswith("list[") else None

    @property
    def is_number(self) -> bool:
        """Whether it has a fixed width and goes into arrays."""
        return self.dtype in NUMBERS


@dataclass(frozen=True)
class Schema:
    """The columns of a row in their order, and for how many seconds a row is good; 0 is for ever."""

    columns: tuple[Column, ...]
    ttl_s: float = 0
    fingerprint: bytes = field(init=False)
    """8 bytes of SHA-256 over names, dtypes and order; not over the TTL, with which rows stay readable."""

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"columns {', '.join(twice)} are there twice")
        if not 0 <= self.ttl_s < float("inf"):
            raise ValueError(f"a TTL of {self.ttl_s} seconds is none; 0 is for ever")
        text = json.dumps([[column.name, column.dtype] for column in self.columns], separators=(",", ":"))
        object.__setattr__(self, "fingerprint", hashlib.sha256(text.encode()).digest()[:8])

    @classmethod
    def of(cls, columns: Sequence[tuple[str, str]], ttl_s: float = 0) -> "Schema":
        """A schema of (name, dtype) pairs."""
        return cls(tuple(Column(name, dtype) for name, dtype in columns), ttl_s)

    @classmethod
    def parse(cls, text: bytes) -> "Schema":
        """The schema that ``json`` wrote. Raises ValueError for anything else, also where the fingerprint is not that of the columns."""
        try:
            read = json.loads(text)
            columns = [(column["name"], column["dtype"]) for column in read["columns"]]
            ttl_s, fingerprint = float(read["ttl_s"]), read["fingerprint"]
        except (ValueError, LookupError, TypeError) as error:
            raise ValueError(f"this is no schema of feature rows ({error}): {text[:100]!r}") from error
        schema = cls.of(columns, ttl_s)
        if fingerprint != schema.fingerprint.hex():
            raise ValueError(f"the schema says fingerprint {fingerprint} and its columns have {schema.fingerprint.hex()}")
        return schema

    def json(self) -> bytes:
        """As it stands in Redis."""
        columns = [{"name": column.name, "dtype": column.dtype} for column in self.columns]
        return json.dumps({"fingerprint": self.fingerprint.hex(), "ttl_s": self.ttl_s, "columns": columns}, allow_nan=False).encode()

    @property
    def ttl_us(self) -> int:
        """The TTL in microseconds; 0 is for ever."""
        return round(self.ttl_s * 1_000_000)
