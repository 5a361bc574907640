"""Which number of a unit an outcome goes to, by its time and that of the unit's first exposure.

A unit's numbers are its *cells*, for each metric of its experiment: the outcomes within the window (two numbers for a ratio), those before the
exposure (as many), and how many came after the window. With exposure at 100 s, a window of 50 s and a history of 30 s:

    70 <= t < 100 the covariate · 100 <= t < 150 the outcome · 150 <= t late · t < 70 nothing
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slipway_ledger import amounts
from slipway_ledger.definitions import Definition, Metric
from slipway_ledger.moments import Vector

SECOND = 1_000_000
"""Times are whole microseconds since 1970."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What a metric makes of the outcomes of one name."""

    metric: int
    outcome: int
    """Place of the cell that outcomes within the window go to."""
    covariate: int
    """Place of the cell of those before the exposure."""
    late: int
    """Place of the cell that counts those after the window."""
    window: int
    """Microseconds."""
    history: int
    """Microseconds; 0 without a covariate."""
    any_positive: bool
    """Whether it is counted how many are above 0, and not added up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The cells of a definition."""

    parts: dict[str, tuple[Part, ...]]
    """By the name of outcomes."""
    starts: tuple[int, ...]
    """Place of each metric's first cell."""
    cells: int
    """How many there are."""


def plan(definition: Definition) -> Plan:
    """Give every metric its cells: two, or four for a ratio, and one for late ones."""
    parts: dict[str, list[Part]] = {}
    starts, at = [], 0
    for place, metric in enumerate(definition.metrics):
        half = metric.width // 2
        for element, name in enumerate(name for name in (metric.name, metric.denominator) if name):
            part = Part(
                metric=place,
                outcome=at + element,
                covariate=at + half + element,
                late=at + metric.width,
                window=metric.window_seconds * SECOND,
                history=metric.cuped.days * 86_400 * SECOND if metric.cuped else 0,
                any_positive=metric.type == "Proportion",
            )
            parts.setdefault(name, []).append(part)
        starts.append(at)
        at += metric.width + 1
    return Plan(parts={name: tuple(found) for name, found in parts.items()}, starts=tuple(starts), cells=at)


def place(part: Part, *, exposed_at: int, time: int, value: int) -> tuple[int, int] | None:
    """The cell that an outcome goes to, and what is added to it. None: none."""
    since = time - exposed_at
    if since >= part.window:
        return part.late, 1
    if part.any_positive:
        value = 1 if value > 0 else 0
    if since >= 0:
        return part.outcome, value
    return (part.covariate, value) if -since <= part.history else None


def cells(chosen: Plan, *, exposed_at: int, outcomes: Iterable[tuple[str, int, int]]) -> list[int]:
    """All cells of a unit, from its outcomes: name, time and value of each, in any order."""
    found = [0] * chosen.cells
    for name, time, value in outcomes:
        for part in chosen.parts.get(name, ()):
            goes = place(part, exposed_at=exposed_at, time=time, value=value)
            if goes:
                found[goes[0]] += goes[1]
    return found


def vector(metric: Metric, numbers: Sequence[int]) -> Vector:
    """What a unit counts as, from the cells of the metric (the late ones may be among them).

    Proportion: 1 where anything was above 0. With a cap the outcome (or numerator) and its covariate count as at most that.
    """
    if metric.type == "Proportion":
        return (amounts.ONE if numbers[0] else 0, amounts.ONE if numbers[1] else 0)
    width = metric.width
    if metric.cap is None:
        return tuple(numbers[:width])
    cap = amounts.from_number(metric.cap)
    return tuple(min(number, cap) if at in (0, width // 2) else number for at, number in enumerate(numbers[:width]))
