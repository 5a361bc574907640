"""The picture of an arm: the interval of its primary, look by look, as inline SVG.

Time runs on a scale of its root (``history.at_time``), on which an interval of n units narrows evenly. Early intervals are wider than the picture and
are cut off at its edge. Nothing is told by colour alone: lines have dashes and labels, changes of the verdict have numbers.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from slipway_operator.cli.experiment import figures, history
from slipway_operator.cli.experiment.content import Arm
from slipway_operator.cli.experiment.history import Point
from slipway_operator.cli.experiment.markup import Markup, tag, together

WIDTH: Final = 400.0
"""Units of the picture; on a phone about as many pixels."""

HEIGHT: Final = 250.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 394.0, 24.0, 214.0

_TICKS: Final = (
    1,
    5,
    10,
    30,
    60,
    300,
    600,
    1800,
    3600,
    3 * 3600,
    6 * 3600,
    12 * 3600,
    *(day * 86_400 for day in (1, 2, 4, 7, 14, 21, 28, 42, 56, 84)),
)
_APART: Final = 52.0
"""Between two labels of the axis of time."""

_SETTLED: Final = 0.4
"""Part of the axis of time from which on whole intervals fit into the picture."""


@dataclass(frozen=True, kw_only=True)
class _Axes:
    """From seconds and the metric's unit to places."""

    last_s: float
    low: float
    high: float

    def x(self, elapsed_s: float) -> float:
        return LEFT + (RIGHT - LEFT) * history.at_time(elapsed_s, last_s=self.last_s)

    def y(self, number: float) -> float:
        """Kept within a picture's height of the picture: SVG cuts off the rest."""
        place = BOTTOM - (BOTTOM - TOP) * (number - self.low) / (self.high - self.low)
        return min(max(place, TOP - HEIGHT), BOTTOM + HEIGHT)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A look at which the verdict of an arm changed."""

    number: int
    """In the picture and in the list below it."""

    point: Point
    before: str


def marks(points: Sequence[Point]) -> tuple[Mark, ...]:
    """The changes, numbered."""
    changed = [(before.verdict, point) for before, point in itertools.pairwise(points) if point.verdict != before.verdict]
    return tuple(Mark(number=number, point=point, before=before) for number, (before, point) in enumerate(changed, start=1))


def draw(arm: Arm, *, minimum_effect: float | None, identity: str) -> Markup:
    """The picture of an arm with at least one interval.

    Args:
        arm: whose primary has points.
        minimum_effect: the least effect that matters, in the metric's unit; None while it is not known.
        identity: tells the parts of this picture from those of others on the page.

    """
    axes = _axes(arm.points, minimum_effect=minimum_effect or 0.0)
    scale = arm.primary.scale
    step = _step((axes.high - axes.low) * scale.factor) / scale.factor
    return tag(
        "svg",
        tag("title", f"Interval of {arm.primary.metric} for {arm.name}, look by look", id=f"{identity}-title"),
        tag("desc", described(arm, minimum_effect=minimum_effect), id=f"{identity}-desc"),
        tag("clipPath", tag("rect", x=LEFT, y=TOP, width=RIGHT - LEFT, height=BOTTOM - TOP), id=f"{identity}-clip"),
        tag(
            "g",
            _band(minimum_effect, axes) if minimum_effect is not None else None,
            tag("polygon", points=_outline(arm.points, axes), class_="interval"),
            tag("polyline", points=_line(arm.points, axes, "upper"), class_="end"),
            tag("polyline", points=_line(arm.points, axes, "lower"), class_="end"),
            tag("polyline", points=_line(arm.points, axes, "estimate"), class_="estimate"),
            tag("line", x1=LEFT, x2=RIGHT, y1=axes.y(0), y2=axes.y(0), class_="zero"),
            _last(arm.points[-1], axes),
            _named_band(minimum_effect, axes) if minimum_effect is not None else None,
            clip_path=f"url(#{identity}-clip)",
        ),
        together(_marks(marks(arm.points), axes)),
        together(_values(axes, step=step, arm=arm)),
        together(_times(axes)),
        viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
        role="img",
        aria_labelledby=f"{identity}-title {identity}-desc",
    )


def _band(minimum_effect: float, axes: _Axes) -> Markup:
    high, low = axes.y(minimum_effect), axes.y(-minimum_effect)
    return together(
        [
            tag("rect", x=LEFT, y=high, width=RIGHT - LEFT, height=low - high, class_="band"),
            *(tag("line", x1=LEFT, x2=RIGHT, y1=edge, y2=edge, class_="edge") for edge in (high, low)),
        ]
    )


def _named_band(minimum_effect: float, axes: _Axes) -> Markup:
    return tag("text", "± least effect that matters", x=LEFT + 4, y=axes.y(minimum_effect) - 3, class_="label over-lines")


def described(arm: Arm, *, minimum_effect: float | None) -> str:
    """What the picture shows, in words."""
    scale, first, last = arm.primary.scale, arm.points[0], arm.points[-1]
    changes = "".join(f" After {figures.duration(mark.point.elapsed_s)} the verdict became {mark.point.verdict}." for mark in marks(arm.points))
    least = f"±{scale.size(minimum_effect, reach=minimum_effect)}" if minimum_effect is not None else "not known yet"
    side = "zero is inside" if last.lower <= 0 <= last.upper else "zero is outside"
    return (
        f"{arm.name} minus control over {figures.duration(last.elapsed_s)}. The interval began at {scale.interval(first.lower, first.upper)} and "
        f"ended at {scale.interval(last.lower, last.upper)}, so {side}; the least effect that matters is {least}."
        f"{changes}"
    )


def _axes(points: Sequence[Point], *, minimum_effect: float) -> _Axes:
    """High and low enough for zero, the least effect that matters, and every interval once they have settled."""
    last_s = points[-1].elapsed_s
    settled = [point for point in points if history.at_time(point.elapsed_s, last_s=last_s) >= _SETTLED] or points[-1:]
    ends = sorted(point.upper for point in settled), sorted(point.lower for point in settled)
    # Where units came slowly one interval can be many times as wide as the rest; nine of ten are to be seen whole.
    high = max(ends[0][int(0.9 * (len(settled) - 1))], points[-1].upper, 1.3 * minimum_effect, 0.0)
    low = min(ends[1][math.ceil(0.1 * (len(settled) - 1))], points[-1].lower, -1.3 * minimum_effect, 0.0)
    room = 0.05 * (high - low) or 1.0
    return _Axes(last_s=last_s, low=low - room, high=high + room)


def _line(points: Sequence[Point], axes: _Axes, end: str) -> str:
    return " ".join(f"{axes.x(point.elapsed_s):.1f},{axes.y(getattr(point, end)):.1f}" for point in points)


def _outline(points: Sequence[Point], axes: _Axes) -> str:
    return f"{_line(points, axes, 'upper')} {_line(tuple(reversed(points)), axes, 'lower')}"


def _last(point: Point, axes: _Axes) -> Markup:
    """The interval that counts, as a bar; the only one where there was a single look."""
    x = axes.x(point.elapsed_s) - 1.5
    return together(
        [
            tag("line", x1=x, x2=x, y1=axes.y(point.lower), y2=axes.y(point.upper), class_="last"),
            tag("circle", cx=x, cy=axes.y(point.estimate), r=3, class_="dot"),
        ]
    )


def _marks(found: Sequence[Mark], axes: _Axes) -> Iterator[Markup]:
    """A line and a number each; numbers that would cover each other are told in the list only."""
    free_from = -math.inf
    for mark in found:
        x = axes.x(mark.point.elapsed_s)
        yield tag("line", x1=x, x2=x, y1=TOP, y2=BOTTOM, class_="change")
        place = min(max(x, LEFT + 7), RIGHT - 7)
        if place >= free_from:
            yield tag("circle", cx=place, cy=TOP - 12, r=8, class_="number")
            yield tag("text", str(mark.number), x=place, y=TOP - 8, class_="number-label")
            free_from = place + 17


def _values(axes: _Axes, *, step: float, arm: Arm) -> Iterator[Markup]:
    scale = arm.primary.scale
    places = max(0, -math.floor(math.log10(step * scale.factor) + 1e-9))
    first, last = math.ceil(axes.low / step), math.floor(axes.high / step)
    for place in range(first, last + 1):
        y = axes.y(place * step)
        yield tag("line", x1=LEFT - 3, x2=LEFT, y1=y, y2=y, class_="tick")
        yield tag("text", figures.signed(place * step * scale.factor, places), x=LEFT - 5, y=y + 4, class_="label end-label")
    yield tag("line", x1=LEFT, x2=LEFT, y1=TOP, y2=BOTTOM, class_="tick")


def _times(axes: _Axes) -> Iterator[Markup]:
    yield tag("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="tick")
    free_until = RIGHT + _APART / 2
    for seconds in reversed([tick for tick in _TICKS if tick <= axes.last_s * 1.0001]):
        x = axes.x(seconds)
        if x + _APART / 2 <= free_until and x >= LEFT + _APART / 3:
            free_until = x - _APART / 2
            yield tag("line", x1=x, x2=x, y1=BOTTOM, y2=BOTTOM + 3, class_="tick")
            anchor = "label end-label" if x > RIGHT - _APART / 2 else "label mid-label"
            yield tag("text", figures.duration_short(seconds), x=min(x, RIGHT), y=BOTTOM + 15, class_=anchor)
    yield tag("text", "since the first exposure", x=(LEFT + RIGHT) / 2, y=BOTTOM + 31, class_="label mid-label")


def _step(span: float) -> float:
    """1, 2 or 5 times a power of ten, four to eight of them in the span."""
    rough = span / 4
    power = math.pow(10, math.floor(math.log10(rough)))
    return next(power * size for size in (5.0, 2.0, 1.0) if power * size <= rough)
