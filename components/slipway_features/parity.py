"""Whether serving sees what training saw, to the bit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.generic] | Sequence[object]


@dataclass(frozen=True)
class Difference:
    """One value that differs."""

    entity: str
    column: str
    training: object
    serving: object


@dataclass(frozen=True)
class Report:
    """How much was compared, how many values differ, and the first of them."""

    rows: int
    columns: int
    count: int
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.count == 0

    def text(self) -> str:
        """For a person: a line that sums up, then a table."""
        compared = f"{self.rows} rows x {self.columns} columns"
        if self.equal:
            return f"equal: {compared}, bit by bit"
        lines = [("entity", "column", "training", "serving")]
        lines += [(found.entity, found.column, repr(found.training), repr(found.serving)) for found in self.differences]
        widths = [max(len(line[at]) for line in lines) for at in range(4)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
        more = self.count - len(self.differences)
        return "\n".join([f"{self.count} values differ in {compared}", *table, *([f"... and {more} more"] if more else [])])


def compare(entities: Sequence[str], training: Mapping[str, Column], serving: Mapping[str, Column], *, most: int = 20) -> Report:
    """Compare the columns of training with those of serving, row by row; ``entities`` names the rows.

    Equal are numbers of the same value, whatever their width, but 0.0 and -0.0 are two; other values of the same type that are equal; and null, which
    is None or NaN, with null. So a double that serving has rounded to float32 differs. Raises ValueError when columns or lengths differ.
    """
    if training.keys() != serving.keys():
        raise ValueError(f"columns of training only or of serving only: {', '.join(sorted(training.keys() ^ serving.keys()))}")
    for name, column in [*training.items(), *serving.items()]:
        if len(column) != len(entities):
            raise ValueError(f"column {name} has {len(column)} values for {len(entities)} rows")
    places = {name: _differing(training[name], serving[name]) for name in training}
    first = sorted((row, at, name) for at, (name, rows) in enumerate(places.items()) for row in rows[:most])[:most]
    return Report(
        rows=len(entities),
        columns=len(training),
        count=sum(len(rows) for rows in places.values()),
        differences=tuple(Difference(entities[row], name, _plain(training[name][row]), _plain(serving[name][row])) for row, _, name in first),
    )


def _differing(training: Column, serving: Column) -> list[int]:
    """The rows that differ."""
    if _is_float(training) and _is_float(serving):
        one, other = (np.asarray(column).astype(np.float64) for column in (training, serving))
        same = (one.view(np.int64) == other.view(np.int64)) | (np.isnan(one) & np.isnan(other))
        return [int(row) for row in np.flatnonzero(~same)]
    return [row for row, (one, other) in enumerate(zip(training, serving, strict=True)) if _canonical(one) != _canonical(other)]


def _is_float(column: Column) -> bool:
    return isinstance(column, np.ndarray) and column.dtype.kind == "f"


def _canonical(value: object) -> object:
    """Something that is equal exactly where the values are the same."""
    value = _plain(value)
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, list | tuple):
        return ("list", tuple(_canonical(one) for one in value))
    return (type(value).__name__, value)


def _number(value: float) -> object:
    if value != value:
        return ("NoneType", None)
    return ("number", value, str(value) == "-0.0")


def _plain(value: object) -> object:
    """As Python has it."""
    if isinstance(value, np.generic):
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray) else value
