"""Latency bins: 480 of 2.5 % each, from half a millisecond to seventy seconds."""

from collections.abc import Sequence

BINS = 480
LEAST_S = 0.0005
GROWTH = 1.025


def middle_s(bin_: int) -> float:
    """Seconds at the middle of a bin: of [0.5 ms, 0.5125 ms), which is bin 0, 0.506 ms."""
    return float(LEAST_S * GROWTH ** (bin_ + 0.5))


def histogram_of(bounds_s: Sequence[float]) -> tuple[int, ...]:
    """For each bin the place of the first bound that its middle does not exceed; ``len(bounds_s)`` past the last."""
    return tuple(next((place for place, bound in enumerate(bounds_s) if middle_s(bin_) <= bound), len(bounds_s)) for bin_ in range(BINS))
