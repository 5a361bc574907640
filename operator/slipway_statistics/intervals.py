"""A lower and an upper end, and where a function passes zero: what every exact method ends with."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Both ends belong to it."""

    lower: float
    upper: float

    def __contains__(self, value: float) -> bool:
        return self.lower <= value <= self.upper

    @property
    def width(self) -> float:
        """From end to end."""
        return self.upper - self.lower

    def within(self, other: "Interval") -> "Interval":
        """What both have in common. A confidence sequence may be cut with those of earlier looks; where nothing is left, one of them was wrong.

        Raises:
            ValueError: they have nothing in common.

        """
        lower, upper = max(self.lower, other.lower), min(self.upper, other.upper)
        if lower > upper:
            raise ValueError(f"{self} and {other} have nothing in common: what they are about has changed between them")
        return Interval(lower=lower, upper=upper)

    def minus(self, other: "Interval") -> "Interval":
        """Differences of a value in this and one in the other: if each holds with 1 - alpha/2, this holds with 1 - alpha."""
        return Interval(lower=self.lower - other.upper, upper=self.upper - other.lower)


def zero(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0 between two points, by halves to the last bit; an end where it is not in between."""
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2
