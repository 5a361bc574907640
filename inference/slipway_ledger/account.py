"""One experiment's sums and counts, kept in memory and changed unit by unit.

``enter`` and ``leave`` are exact opposites, so that the sums are those of the units that are there, whatever happened before. Each change is noted in
``changed_*``, for the store to write in the same transaction.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from slipway_ledger import moments, windows
from slipway_ledger.definitions import Definition
from slipway_ledger.moments import Moments

OPEN, CLOSED = 0, 1
PHASES = ("open", "closed")
WAITING = -1
"""In place of an arm's number."""

Group: TypeAlias = tuple[int, int, int, int]
"""Metric, arm, stratum, phase."""


@dataclass(kw_only=True, slots=True)
class Unit:
    """What is known of a unit in an experiment: a row of the store."""

    account: int
    unit: bytes
    """Keyed hash."""
    arm: int
    """Of the first exposure; ``WAITING``: the unit never counts."""
    stratum: int
    exposed_at: int
    """Time of the first exposure, microseconds since 1970."""
    arms: int
    """Every arm that it was ever seen in: bit 0 is the first arm."""
    cells: list[int]

    def copy(self) -> "Unit":
        """As it stands."""
        return Unit(
            account=self.account,
            unit=self.unit,
            arm=self.arm,
            stratum=self.stratum,
            exposed_at=self.exposed_at,
            arms=self.arms,
            cells=list(self.cells),
        )


@dataclass(kw_only=True)
class Account:
    """An experiment as the ledger has it."""

    id: int
    namespace: str
    name: str
    stream: int
    """Where its outcomes come from: those of a service."""
    definition: Definition
    registered_at: int
    ended_at: int | None = None
    strata: list[str] = field(default_factory=list)
    """By number."""
    sums: dict[Group, Moments] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    closed_to: list[int] = field(default_factory=list)
    """For each metric: units whose window ended by then are in its closed sums."""
    changed_groups: set[Group] = field(default_factory=set)
    changed_counts: set[str] = field(default_factory=set)
    changed_closed: bool = False

    def __post_init__(self) -> None:
        self.plan = windows.plan(self.definition)
        if not self.closed_to:
            self.closed_to = [0] * len(self.definition.metrics)

    @property
    def key(self) -> str:
        """As events name it."""
        return f"{self.namespace}/{self.name}"

    @property
    def units(self) -> dict[tuple[int, int], int]:
        """How many count, by arm and stratum: those of the first metric, for a unit is in the open sums of all."""
        return {(arm, stratum): total[0] for (metric, arm, stratum, phase), total in self.sums.items() if metric == 0 and phase == OPEN}

    def count(self, name: str, by: int = 1) -> None:
        """Count something."""
        if by:
            self.counts[name] += by
            self.changed_counts.add(name)

    def seen(self, name: str, time: int) -> None:
        """Keep the newest time of something."""
        if time > self.counts[name]:
            self.counts[name] = time
            self.changed_counts.add(name)

    def enter(self, unit: Unit) -> None:
        """Count a unit."""
        self._count(unit, 1)

    def leave(self, unit: Unit) -> None:
        """Count it no more: it must be as it was when it was counted."""
        self._count(unit, -1)

    def credit(self, unit: Unit, changes: Iterable[tuple[int, int]]) -> None:
        """Add to cells of a unit that is counted: places and what is added."""
        changes = list(changes)
        if unit.arm == WAITING:
            self._write(unit, changes)
            return
        for metric in {self._metric(at) for at, _ in changes}:
            old = self._numbers(unit, metric)
            self._write(unit, [(at, by) for at, by in changes if self._metric(at) == metric])
            self._replace(unit, metric, old)

    def close(self, unit: Unit, metric: int) -> None:
        """The window of a unit in a metric has ended: count it as closed. The caller moves ``closed_to``."""
        vector = windows.vector(self.definition.metrics[metric], self._numbers(unit, metric))
        moments.add(self._group((metric, unit.arm, unit.stratum, CLOSED)), vector)

    def closed(self, unit: Unit, metric: int) -> bool:
        """Whether its window counts as ended."""
        return unit.exposed_at + self.window(metric) <= self.closed_to[metric]

    def window(self, metric: int) -> int:
        """In microseconds."""
        return self.definition.metrics[metric].window_seconds * windows.SECOND

    def stratum(self, name: str) -> int:
        """Its number; len(strata) where it is new, and the caller adds it."""
        return self.strata.index(name) if name in self.strata else len(self.strata)

    def forget_sums(self, metric: int) -> None:
        """Drop what was added up of a metric, to add it up again."""
        for group, total in self.sums.items():
            if group[0] == metric:
                total[:] = [0] * len(total)
                self.changed_groups.add(group)

    def enter_metric(self, unit: Unit, metric: int) -> None:
        """Count a unit in one metric's sums only."""
        self._metric_count(unit, metric, 1)

    def _count(self, unit: Unit, sign: int) -> None:
        if unit.arm == WAITING:
            self.count("notCounted", sign)
            if not unit.arms:
                self.count("waiting", sign)
            return
        if unit.arms & (unit.arms - 1):
            self.count("seenInTwoArms", sign)
        for metric, definition in enumerate(self.definition.metrics):
            self._metric_count(unit, metric, sign)
            late = unit.cells[self.plan.starts[metric] + definition.width]
            if late:
                self.count(f"late:{definition.name}", sign * late)

    def _metric_count(self, unit: Unit, metric: int, sign: int) -> None:
        vector = windows.vector(self.definition.metrics[metric], self._numbers(unit, metric))
        moments.add(self._group((metric, unit.arm, unit.stratum, OPEN)), vector, sign)
        if self.closed(unit, metric):
            moments.add(self._group((metric, unit.arm, unit.stratum, CLOSED)), vector, sign)

    def _replace(self, unit: Unit, metric: int, old: list[int]) -> None:
        definition = self.definition.metrics[metric]
        new = self._numbers(unit, metric)
        before, after = windows.vector(definition, old), windows.vector(definition, new)
        self.count(f"late:{definition.name}", new[-1] - old[-1])
        if before == after:
            return
        moments.replace(self._group((metric, unit.arm, unit.stratum, OPEN)), before, after)
        if self.closed(unit, metric):
            moments.replace(self._group((metric, unit.arm, unit.stratum, CLOSED)), before, after)

    def _group(self, group: Group) -> Moments:
        self.changed_groups.add(group)
        found = self.sums.get(group)
        if found is None:
            found = self.sums[group] = moments.empty(self.definition.metrics[group[0]].width)
        return found

    def _numbers(self, unit: Unit, metric: int) -> list[int]:
        start = self.plan.starts[metric]
        return unit.cells[start : start + self.definition.metrics[metric].width + 1]

    def _metric(self, cell: int) -> int:
        return next(metric for metric in reversed(range(len(self.plan.starts))) if self.plan.starts[metric] <= cell)

    @staticmethod
    def _write(unit: Unit, changes: Iterable[tuple[int, int]]) -> None:
        for at, by in changes:
            unit.cells[at] += by
