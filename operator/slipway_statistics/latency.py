"""A quantile of latency as a share: how many requests are above an edge.

Routers count latencies in bins of 2.5 % each. "The candidate's 95th percentile is more than 20 % above stable's" is the same as "more than 5 % of the
candidate's requests are above 1.2 times stable's 95th percentile", and that is a ratio of counts, tested as errors are (``ratios.look``, outcome
``slow``, no increase).

The edges of a look come from the counts of the look before; routers then count all requests of the epoch against them. So the edges are fixed before
the new counts are read, and at the first look of an epoch there are none: the guardrail cannot decide yet.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

BINS = 480
"""Bins of a router: 0 reaches down to nothing, 479 up to infinity."""

FIRST_EDGE_S = 0.0005
GROWTH = 1.025

ENOUGH_REQUESTS = 200
"""Requests of stable below which its 95th percentile is not asked for: ten above it."""

# ln(1.2)/ln(1.025) and its like are exact only up to rounding; a margin of exactly three bins must not need four.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Edges:
    """Bins at or above which a request is slow; the routers are asked with them (``edge.<revision>=<bin>``)."""

    stable: int
    candidate: int

    @property
    def stable_s(self) -> float:
        """Stable's quantile, in seconds."""
        return edge_s(self.stable)

    @property
    def candidate_s(self) -> float:
        """What the candidate is held to, in seconds."""
        return edge_s(self.candidate)

    @property
    def margin(self) -> float:
        """The increase that is really tested: the one asked for, up to the next edge. 0.2 becomes 0.218."""
        return GROWTH ** (self.candidate - self.stable) - 1


def bin_of(seconds: float) -> int:
    """The bin that a router counts this latency in: floor(ln(t / 0.5 ms) / ln 1.025), from 0 to 479."""
    if seconds <= FIRST_EDGE_S:
        return 0
    return min(math.floor(math.log(seconds / FIRST_EDGE_S) / math.log(GROWTH)), BINS - 1)


def edge_s(number: int) -> float:
    """Where the bin begins, in seconds: 0.5 ms * 1.025^number. Bin 0 also has everything below."""
    return float(FIRST_EDGE_S * GROWTH**number)


def quantile_bin(latency: Mapping[int, int], *, share: float) -> int | None:
    """The first bin such that no more than 1 - share of the requests are in it or above; None without requests, or where that is above the last bin.

    100 requests, 94 of them in bin 10, 5 in bin 20 and 1 in bin 30: at share 0.95 it is bin 21, since 6 are at 20 or above.
    """
    above, allowed = 0, (1 - share) * sum(latency.values()) + _ROUNDING
    for number in range(BINS - 1, -1, -1):
        above += latency.get(number, 0)
        if above > allowed:
            return number + 1 if number + 1 < BINS else None
    return None


def edges(stable: Mapping[int, int], *, max_increase: float, share: float = 0.95) -> Edges | None:
    """The edges to ask the routers for at the next look.

    Args:
        stable: stable's requests by latency bin, of all routers, since the step began.
        max_increase: how much higher the candidate's quantile may be, as a share of stable's: 0.2 is 20 %.
        share: which quantile.

    Returns:
        None while stable has fewer than 200 requests, and where an edge would be above the last bin, at 68.5 s: there is nothing to test with.

    Raises:
        ValueError: max_increase is below 0.

    """
    if max_increase < 0:
        raise ValueError(f"an increase is 0 or more, not {max_increase}")
    quantile = quantile_bin(stable, share=share)
    if quantile is None or sum(stable.values()) < ENOUGH_REQUESTS:
        return None
    candidate = quantile + math.ceil(math.log1p(max_increase) / math.log(GROWTH) - _ROUNDING)
    return Edges(stable=quantile, candidate=candidate) if candidate < BINS else None
