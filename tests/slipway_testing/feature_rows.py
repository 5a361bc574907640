"""Random schemas of features and rows that fit them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from slipway_features.blob import Value, Writer
from slipway_features.schema import DTYPES, Schema

NOW_US = 1_800_000_000_000_000

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_SCALARS: Mapping[str, st.SearchStrategy[object]] = {
    "bool": st.booleans(),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float32": st.floats(width=32, allow_nan=False),
    "float64": st.floats(allow_nan=False),
    "unix_timestamp": st.integers(-(2**40), 2**40),
    "string": _TEXT,
    "bytes": st.binary(max_size=8),
}


@dataclass(frozen=True)
class Sample:
    """A row with its schema and times."""

    schema: Schema
    values: Mapping[str, Value]
    event_us: int
    created_us: int

    @property
    def names(self) -> list[str]:
        """Of its columns."""
        return [column.name for column in self.schema.columns]

    @property
    def blob(self) -> bytes:
        """As it is written."""
        return Writer(self.schema).row(self.values, self.event_us, self.created_us)


def value(dtype: str) -> st.SearchStrategy[object]:
    """What a column of a dtype may hold, without null."""
    if dtype.startswith("list["):
        return st.lists(_SCALARS[dtype[5:-1]], max_size=4)
    return _SCALARS[dtype]


@st.composite
def schemas(draw: st.DrawFn, dtypes: tuple[str, ...] = DTYPES, most: int = 12) -> Schema:
    """A schema of up to ``most`` columns."""
    chosen = draw(st.lists(st.sampled_from(dtypes), max_size=most))
    return Schema.of([(f"c{at}", dtype) for at, dtype in enumerate(chosen)], ttl_s=draw(st.sampled_from([0, 0.5, 60, 86400])))


@st.composite
def rows(draw: st.DrawFn, dtypes: tuple[str, ...] = DTYPES) -> Sample:
    """A row that has not expired at NOW_US."""
    schema = draw(schemas(dtypes))
    values = {column.name: draw(st.none() | value(column.dtype)) for column in schema.columns}
    event_us = NOW_US - draw(st.integers(0, schema.ttl_us or 2**50))
    return Sample(schema, values, event_us, draw(st.integers(0, 2**62)))  # type: ignore[arg-type]


def number(value: object) -> float:
    """What a reader's array holds for a value."""
    return np.nan if value is None else float(value)  # type: ignore[arg-type]
