"""The transforms that training and serving share, and the pipeline of them that is recorded beside a model.

A pipeline takes an array of rows with named columns and gives one back, of the same float dtype. It computes in float64 and rounds once at the end,
by operations that every machine rounds alike (``slipway_features.arithmetic``): a row gives the same bits alone and within any batch. NaN is null,
and what depends on a null is null, but for OneHot, where it is none of the values.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from slipway_features import arithmetic
from slipway_features.arithmetic import Doubles

Names = tuple[str, ...]


class Transform(Protocol):
    """A step: columns in, columns out. ``op`` is its name in JSON, its fields are the parameters."""

    op: ClassVar[str]

    def names(self, before: Names) -> Names:
        """The columns after it. Raises ValueError when one that it needs is not there."""

    def apply(self, rows: Doubles, before: Names) -> Doubles:
        """The rows after it; those given stay as they are."""


@dataclass(frozen=True)
class Standardise:
    """(x - mean) / deviation, column by column."""

    op: ClassVar[str] = "standardise"
    columns: Names
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __post_init__(self) -> None:
        _each(self.columns, self.mean, self.deviation)
        if not all(one > 0 for one in self.deviation):
            raise ValueError("standardise: a deviation must be above 0; leave out a column that never varies")

    def names(self, before: Names) -> Names:
        """The same."""
        _places(before, self.columns)
        return before

    def apply(self, rows: Doubles, before: Names) -> Doubles:
        """In their places."""
        at = _places(before, self.columns)
        return _replaced(rows, at, (rows[:, at] - np.array(self.mean)) / np.array(self.deviation))


@dataclass(frozen=True)
class Clip:
    """Into a range, column by column."""

    op: ClassVar[str] = "clip"
    columns: Names
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]

    def __post_init__(self) -> None:
        _each(self.columns, self.minimum, self.maximum)
        if not all(low <= high for low, high in zip(self.minimum, self.maximum, strict=True)):
            raise ValueError("clip: a minimum is above its maximum")

    def names(self, before: Names) -> Names:
        """The same."""
        _places(before, self.columns)
        return before

    def apply(self, rows: Doubles, before: Names) -> Doubles:
        """In their places."""
        at = _places(before, self.columns)
        found, low, high = rows[:, at], np.array(self.minimum), np.array(self.maximum)
        return _replaced(rows, at, np.where(found < low, low, np.where(found > high, high, found)))


@dataclass(frozen=True)
class Log1p:
    """log(1 + x): for counts and amounts."""

    op: ClassVar[str] = "log1p"
    columns: Names

    def names(self, before: Names) -> Names:
        """The same."""
        _places(before, self.columns)
        return before

    def apply(self, rows: Doubles, before: Names) -> Doubles:
        """In their places."""
        at = _places(before, self.columns)
        return _replaced(rows, at, arithmetic.log1p(rows[:, at]))


@dataclass(frozen=True)
class Bucketise:
    """The number of edges that are not above x: 0 below the first edge, their number from the last one on."""

    op: ClassVar[str] = "bucketise"
    column: str
    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.edges or not all(low < high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"bucketise {self.column}: edges must ascend, and there must be one")

    def names(self, before: Names) -> Names:
        """The same."""
        _places(before, (self.column,))
        return before

    def apply(self, rows: Doubles, before: Names) -> Doubles:
        """In its place."""
        at = _places(before, (self.column,))
        found = rows[:, at]
        return _replaced(rows, at, np.where(np.isnan(found), np.nan, np.searchsorted(np.array(self.edges), found, side="right")))


@dataclass(frozen=True)
class HashBuckets:
    """A number, an id as a rule, as one of so many buckets: for embeddings. An integer beyond 2**53 is rounded before."""

    op: ClassVar[str] = "hash_buckets"
    column: str
    buckets: int

    def __post_init__(self) -> None:
        if not 0 < self.buckets <= 2**24:
            raise ValueError(f"hash_buckets {self.column}: {self.buckets} buckets; from 1 to 2**24, which float32 still counts to")

    def names(self, before: Names) -> Names:
        """The same."""
        _places(before, (self.column,))
        return before

    def apply(self, rows: Doubles, before: Names) -> Doubles:
        """In its place."""
        at = _places(before, (self.column,))
        found = rows[:, at]
        return _replaced(rows, at, np.where(np.isnan(found), np.nan, arithmetic.mixed(found) % np.uint64(self.buckets)))


@dataclass(frozen=True)
class OneHot:
    """A column for each of the values, ``column=value``, 1 where x is it, else 0; they come last and the column goes."""

    op: ClassVar[str] = "one_hot"
    column: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) < len(self.values):
            raise ValueError(f"one_hot {self.column}: values must differ, and there must be one")

    def names(self, before: Names) -> Names:
        """Without the column, with one for each value."""
        _places(before, (self.column,))
        return (*(name for name in before if name != self.column), *(f"{self.column}={value:g}" for value in self.values))

    def apply(self, rows: Doubles, before: Names) -> Doubles:
        """The other columns, then those of the values."""
        at = _places(before, (self.column,))
        return np.hstack([np.delete(rows, at, axis=1), (rows[:, at] == np.array(self.values)).astype(np.float64)])


@dataclass(frozen=True)
class Cyclical:
    """Seconds as a place on a circle, ``column_sin`` and ``column_cos``, that begins anew with each period; they come last and the column goes."""

    op: ClassVar[str] = "cyclical"
    column: str
    period_s: float

    def __post_init__(self) -> None:
        if not 0 < self.period_s < float("inf"):
            raise ValueError(f"cyclical {self.column}: a period of {self.period_s} s is none")

    def names(self, before: Names) -> Names:
        """Without the column, with the two."""
        _places(before, (self.column,))
        return (*(name for name in before if name != self.column), f"{self.column}_sin", f"{self.column}_cos")

    def apply(self, rows: Doubles, before: Names) -> Doubles:
        """The other columns, then the two."""
        at = _places(before, (self.column,))
        with np.errstate(invalid="ignore"):
            turns = np.fmod(rows[:, at], self.period_s) / self.period_s
        return np.hstack([np.delete(rows, at, axis=1), *arithmetic.sine_and_cosine(turns - np.floor(turns))])


@dataclass(frozen=True)
class Ratio:
    """numerator / denominator as a new last column; where the denominator is 0, ``zero``, which may be null."""

    op: ClassVar[str] = "ratio"
    numerator: str
    denominator: str
    output: str
    zero: float | None = None

    def names(self, before: Names) -> Names:
        """With the new one."""
        _places(before, (self.numerator, self.denominator))
        return (*before, self.output)

    def apply(self, rows: Doubles, before: Names) -> Doubles:
        """The columns there were, then the ratio."""
        over, under = (rows[:, place] for place in _places(before, (self.numerator, self.denominator)))
        zero = np.where(np.isnan(over), np.nan, np.nan if self.zero is None else self.zero)
        with np.errstate(all="ignore"):
            return np.column_stack([rows, np.where(under == 0, zero, over / under)])


@dataclass(frozen=True)
class Select:
    """Some of the columns, in this order: the last step as a rule, for it says what the model gets."""

    op: ClassVar[str] = "select"
    columns: Names

    def names(self, before: Names) -> Names:
        """Those."""
        _places(before, self.columns)
        return self.columns

    def apply(self, rows: Doubles, before: Names) -> Doubles:
        """Those."""
        return rows[:, _places(before, self.columns)]


TRANSFORMS: Mapping[str, type[Any]] = {kind.op: kind for kind in (Standardise, Clip, Log1p, Bucketise, HashBuckets, OneHot, Cyclical, Ratio, Select)}


@dataclass(frozen=True)
class Pipeline:
    """Transforms, one after the other, over rows with these columns. Raises ValueError when they do not fit together."""

    inputs: Names
    steps: tuple[Transform, ...]

    VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        self._stages()
        try:
            self.json()
        except (ValueError, TypeError) as error:
            raise ValueError(f"what cannot be recorded is no pipeline; numbers are finite, and Python's own: {error}") from error

    @property
    def outputs(self) -> Names:
        """The columns that come out."""
        return self._stages()[-1]

    def _stages(self) -> list[Names]:
        """The columns before each step, and after the last."""
        stages = [self.inputs]
        for step in self.steps:
            stages.append(step.names(stages[-1]))
        for names in stages:
            if len(set(names)) < len(names):
                raise ValueError(f"a column would be there twice: {', '.join(names)}")
        return stages

    def __call__(self, rows: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Rows of (n, inputs) to (n, outputs), of the same dtype, float32 or float64. Raises ValueError for another shape or dtype."""
        if rows.dtype not in (np.float32, np.float64) or rows.ndim != 2 or rows.shape[1] != len(self.inputs):
            raise ValueError(f"rows are float32 or float64 of shape (n, {len(self.inputs)}), not {rows.dtype} of {rows.shape}")
        found = rows.astype(np.float64)
        for step, before in zip(self.steps, self._stages(), strict=False):
            found = step.apply(found, before)
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(found.astype(rows.dtype))

    def json(self) -> str:
        """What ``parse`` reads; numbers come back to the bit."""
        steps = [{"op": step.op} | dataclasses.asdict(step) for step in self.steps]  # type: ignore[call-overload]
        return json.dumps({"version": self.VERSION, "inputs": self.inputs, "steps": steps}, allow_nan=False, indent=2)

    @classmethod
    def parse(cls, text: str | bytes) -> "Pipeline":
        """The pipeline that ``json`` wrote. Raises ValueError for anything else."""
        try:
            read = json.loads(text)
            if read["version"] != cls.VERSION:
                raise ValueError(f"version {read['version']} is not {cls.VERSION}")
            return cls(inputs=tuple(read["inputs"]), steps=tuple(_step(step) for step in read["steps"]))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no pipeline of transforms: {error}") from error


def _step(read: dict[str, Any]) -> Transform:
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in read.items() if name != "op"}
    made: Transform = TRANSFORMS[read["op"]](**given)
    return made


def _places(names: Names, wanted: Sequence[str]) -> list[int]:
    places = {name: at for at, name in enumerate(names)}
    if missing := [name for name in wanted if name not in places]:
        raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(names)}")
    return [places[name] for name in wanted]


def _each(columns: Names, *parameters: tuple[float, ...]) -> None:
    if any(len(given) != len(columns) for given in parameters):
        raise ValueError(f"{len(columns)} columns need as many of each parameter")


def _replaced(rows: Doubles, at: list[int], columns: Doubles) -> Doubles:
    changed = rows.copy()
    changed[:, at] = columns
    return changed
