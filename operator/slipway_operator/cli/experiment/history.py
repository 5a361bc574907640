"""What happened from look to look: the interval of each arm's primary, changes of the verdict, what was done.

All looks are passed over, few are kept: a picture of four hundred pixels shows no more than a point a pixel. The last look and every change stay.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from slipway_operator.cli.experiment.looks import Recorded

COLUMNS: Final = 300
"""Points of a picture, changes not counted."""

MOST_CHANGES: Final = 200
"""Of a verdict that flutters only the first and the last are told; what is between is counted."""


Of = Literal["Closed", "ToDate", "Scores"]
"""What an interval is of: units whose window is over; all units with their outcomes to date; the scores of a bandit."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """The primary of one arm at one look, in the metric's unit."""

    sequence: int
    elapsed_s: float
    lower: float
    estimate: float
    upper: float
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """A look at which the verdict, or what is done, is another than at the look before."""

    sequence: int
    at: str
    elapsed_s: float
    verdict: str
    findings: tuple[tuple[str, tuple[str, ...]], ...]
    """Reasons, and what each is about."""

    action: str | None = None
    """What the operator did, where it did anything but hold."""

    arm: str | None = None
    """That it did it to."""


def at_time(elapsed_s: float, *, last_s: float) -> float:
    """Place on the axis of time, 0 to 1: its root, on which an interval of n units, which narrows with 1/√n, narrows evenly."""
    return math.sqrt(min(1.0, max(0.0, elapsed_s / last_s))) if last_s > 0 else 1.0


def points(found: Sequence[Recorded], *, arm: str, metric: str, of: Of, columns: int = COLUMNS) -> tuple[Point, ...]:
    """The last look of each column of the picture, the last of all, and each at which the arm's verdict changed."""
    last_s = found[-1].elapsed_s
    kept: dict[int, Point] = {}
    changes: list[Point] = []
    before = None
    for look in found:
        point = _point(look, arm=arm, metric=metric, of=of)
        if point is None:
            continue
        if before is not None and point.verdict != before.verdict:
            changes.append(point)
        kept[min(columns - 1, int(at_time(point.elapsed_s, last_s=last_s) * columns))] = before = point
    chosen = {point.sequence: point for point in (*kept.values(), *_ends(changes))}
    return tuple(chosen[sequence] for sequence in sorted(chosen))


def changes(found: Sequence[Recorded]) -> tuple[Change, ...]:
    """The first look, and each that says or does something else than the one before."""
    told = []
    before: tuple[str, str | None] | None = None
    for look in found:
        done = look.decision if look.decision and look.decision.get("action") != "Hold" else None
        now = (look.verdict, str(done.get("action")) if done else None)
        if now != before and (before is None or now[0] != before[0] or now[1] is not None):
            told.append(
                Change(
                    sequence=look.sequence,
                    at=look.at,
                    elapsed_s=look.elapsed_s,
                    verdict=look.verdict,
                    findings=findings(look.said),
                    action=now[1],
                    arm=done.get("arm") if done else None,
                )
            )
        before = now
    return tuple(_ends(told))


def findings(said: Mapping[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Reasons of a look, or of an arm in it."""
    return tuple((str(one["reason"]), tuple(map(str, one.get("about", ())))) for one in said.get("findings", ()))


def least_p(found: Iterable[Recorded], *, arm: str, metric: str) -> float | None:
    """The least 1/e of all looks, closed windows: an always-valid p of no effect. None where there never was one."""
    most = None
    for look in found:
        analysis = _closed(look, arm=arm, metric=metric)
        if analysis is not None and (most is None or analysis["logEValue"] > most):
            most = analysis["logEValue"]
    return None if most is None else min(1.0, math.exp(-max(most, 0.0)))


def _point(look: Recorded, *, arm: str, metric: str, of: Of) -> Point | None:
    said = look.said.get("arms", {}).get(arm)
    if said is None:
        return None
    if of == "Scores":
        analysis = (look.bandit or {}).get("scores", {}).get(arm)
    else:
        analysis = said.get("closed" if of == "Closed" else "toDate", {}).get(metric)
    if analysis is None:
        return None
    return Point(
        sequence=look.sequence,
        elapsed_s=look.elapsed_s,
        lower=analysis["lower"],
        estimate=analysis["estimate"],
        upper=analysis["upper"],
        verdict=said["verdict"],
    )


def _closed(look: Recorded, *, arm: str, metric: str) -> Mapping[str, Any] | None:
    said: Mapping[str, Any] = look.said.get("arms", {}).get(arm) or {}
    found: Mapping[str, Any] | None = said.get("closed", {}).get(metric)
    return found


def _ends(found: list[Any]) -> list[Any]:
    half = MOST_CHANGES // 2
    return found if len(found) <= MOST_CHANGES else found[:half] + found[-half:]
