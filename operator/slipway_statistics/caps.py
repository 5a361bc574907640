"""Where a heavy-tailed metric is cut off, so that one unit does not decide an experiment.

A cap is one number for all arms, found once from values whose arm nobody looked at, and kept. A cap that moves, or one for each arm, makes a
difference where there is none (0.27 false harm with caps for each arm that move).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEAST_UNITS = 10_000
"""Units that a cap is found from at least."""

LEAST_ABOVE = 10
"""Units above the cap among them at least."""


@dataclass(frozen=True, kw_only=True)
class Cap:
    """A cap that was found; it goes into the status and is never found again."""

    quantile: float
    """Share of the units that are at or below it: 0.999."""

    value: float
    units: int
    """How many it was found from."""


def units_needed(quantile: float) -> int:
    """How many units whose window is over a cap is found from: max(10,000, 10/(1 - q)). At 0.999 10,000, at 0.9999 100,000.

    Raises:
        ValueError: the quantile is not above 0.5 and below 1.

    """
    if not 0.5 < quantile < 1:
        raise ValueError(f"a cap is at a quantile above 0.5 and below 1, not at {quantile}")
    # 10/(1 - 0.99999) is 1,000,000.000007 in doubles.
    return max(LEAST_UNITS, math.ceil(LEAST_ABOVE / (1 - quantile) * (1 - 1e-9)))


def resolve(values: Sequence[float], *, quantile: float) -> Cap | None:
    """Find the cap from the first units whose window is over.

    Args:
        values: one for each unit, of all arms together, in the order in which the windows ended; units without an outcome are zeros. More than are
            needed do not matter: those that came first count, so the answer is the same whenever it is asked for.
        quantile: share of the units at or below the cap.

    Returns:
        None while there are too few: until then the metric decides nothing.

    Raises:
        ValueError: the quantile is not above 0.5 and below 1, or a value is not finite.

    """
    needed = units_needed(quantile)
    if len(values) < needed:
        return None
    return _cap(values[:needed], quantile=quantile)


def from_before(values: Sequence[float], *, quantile: float) -> Cap | None:
    """Find the cap from all units of the time before the experiment, as many as ``units_needed`` at least; None where there are fewer."""
    return None if len(values) < units_needed(quantile) else _cap(values, quantile=quantile)


def apply(values: Iterable[float], cap: Cap) -> list[float]:
    """The values with nothing above the cap."""
    return [min(value, cap.value) for value in values]


def _cap(values: Sequence[float], *, quantile: float) -> Cap:
    """The least of the values that a share of at least ``quantile`` does not exceed: the ⌈q n⌉th in order."""
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a cap is found from finite values, and one of these is not")
    place = math.ceil(round(quantile * len(values), 6))
    return Cap(quantile=quantile, value=sorted(values)[place - 1], units=len(values))
