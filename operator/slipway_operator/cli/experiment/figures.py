"""Numbers as people read them: as many digits as the interval around them allows, signs that are signs, shares in per cent and their differences in
points.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

MINUS: Final = "\u2212"

_SECONDS: Final = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How a metric is shown."""

    factor: float
    value_unit: str
    difference_unit: str

    def value(self, number: float, *, reach: float) -> str:
        """A value of one arm: ``10.42 %``."""
        return f"{_number(number * self.factor, decimals(reach * self.factor))}{self.value_unit}"

    def difference(self, number: float, *, reach: float) -> str:
        """Arm minus control: ``+0.80 points``. ``reach`` is what the number is uncertain by, in the metric's unit."""
        return f"{signed(number * self.factor, decimals(reach * self.factor))}{self.difference_unit}"

    def size(self, number: float, *, reach: float) -> str:
        """The size of a difference, without a sign: ``0.80 points``."""
        return f"{_number(abs(number) * self.factor, decimals(reach * self.factor))}{self.difference_unit}"

    def interval(self, lower: float, upper: float) -> str:
        """Both ends: from -0.12 to +1.45 points."""
        places = decimals((upper - lower) / 2 * self.factor)
        return f"{signed(lower * self.factor, places)} to {signed(upper * self.factor, places)}{self.difference_unit}"


SHARE: Final = Scale(factor=100, value_unit=" %", difference_unit=" points")
PLAIN: Final = Scale(factor=1, value_unit="", difference_unit="")


def decimals(reach: float) -> int:
    """Two digits of what is uncertain: 0.0123 → 3 decimals, 1.2 → 1, 340 → 0; nothing uncertain → 4."""
    if not 0 < reach < math.inf:
        return 4
    return max(0, min(8, 1 - math.floor(math.log10(reach))))


def signed(number: float, places: int) -> str:
    """+0.80 or -1.2, with a real minus; what rounds to zero has no sign."""
    text = _number(number, places)
    return text if text.startswith(MINUS) or not text.strip("0.,") else f"+{text}"


def percent(share: float, *, places: int = 1) -> str:
    """``8.0 %``."""
    return f"{_number(share * 100, places)} %"


def level(alpha: float) -> str:
    """``95 %``, ``97.5 %``, ``99.67 %``: 1 - alpha with as many digits as tell it from 1."""
    return f"{round((1 - alpha) * 100, max(0, 1 - math.floor(math.log10(alpha * 100)))):g} %"


def lift(number: float, *, reach: float) -> str:
    """A share of control, signed: ``+8.0 %``."""
    return f"{signed(number * 100, decimals(reach * 100))} %"


def count(number: float) -> str:
    """``12,345``."""
    return f"{round(number):,}"


def probability(p: float) -> str:
    """``0.031``, ``0.00012``, ``1``, ``below 0.000001``."""
    if 0 <= p < 1e-6:
        return "below 0.000001"
    return f"{float(f'{p:.2g}'):.8f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """In the largest unit of which there are two, or the smallest: ``36 hours``, ``2.5 days``, ``90 seconds``."""
    for size, name in _SECONDS:
        if seconds >= 2 * size or (size == 1 and seconds < 2):
            number = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{number} {name}{'s' * (number != '1')}"
    raise AssertionError("a second is the smallest")


def moment(at: str) -> str:
    """An RFC 3339 time as ``2026-11-20 11:00:00 UTC``; one that is none stands as it is."""
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return at
    return found.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if found.tzinfo is not None else at


def duration_short(seconds: float) -> str:
    """For the axis of a picture: ``12 h``, ``1 d``, ``30 s``."""
    size, name = next((size, name) for size, name in _SECONDS if seconds >= size or size == 1)
    return f"{f'{seconds / size:.1f}'.removesuffix('.0')} {name[:1] if name != 'minute' else 'min'}"


def _number(number: float, places: int) -> str:
    text = f"{number:,.{places}f}"
    return MINUS + text[1:] if text.startswith("-") and text.strip("-0.,") else text.removeprefix("-")
