"""What was measured: one row a figure, as a table for people and as JSON for programs."""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row."""

    name: str
    value: float
    unit: str
    goal: str | None = None
    """None: stated, not judged."""

    ok: bool = True


def at_most(name: str, value: float, unit: str, *, limit: float) -> Figure:
    """A figure with an upper bound."""
    return Figure(name=name, value=_rounded(value), unit=unit, goal=f"<= {limit:g}", ok=_rounded(value) <= limit)


def below(name: str, value: float, unit: str, *, limit: float) -> Figure:
    """A figure that must stay under a bound: a ratio to somebody else's."""
    return Figure(name=name, value=_rounded(value), unit=unit, goal=f"< {limit:g}", ok=_rounded(value) < limit)


def stated(name: str, value: float, unit: str) -> Figure:
    """A figure for information."""
    return Figure(name=name, value=_rounded(value), unit=unit)


def table(figures: Iterable[Figure]) -> str:
    """The rows under each other."""
    rows = [("what", "value", "goal", ""), *((one.name, f"{one.value:g} {one.unit}".strip(), one.goal or "", _mark(one)) for one in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def write(path: Path, figures: Iterable[Figure]) -> None:
    """A list of objects with name, value, unit, goal and ok."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([dataclasses.asdict(one) for one in figures], indent=2) + "\n")


def quantile(values: Iterable[float], share: float) -> float:
    """The value that ``share`` of all do not exceed: of ten values, 0.5 gives the fifth and 0.99 the tenth."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]


def _rounded(value: float) -> float:
    return round(value, 3 if abs(value) < 10 else 1)


def _mark(one: Figure) -> str:
    return "" if one.goal is None else "ok" if one.ok else "MISSED"
