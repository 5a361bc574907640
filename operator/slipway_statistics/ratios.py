"""One guardrail at one look: is the candidate's share of bad requests higher than stable's by more than it may be?

The share is a ratio of two sums, bad requests over requests. Units were split at random, not requests: a unit sends many, and whatever a pod does for
some seconds hits all of them. Each pays in a variance of its own, between buckets of units and between blocks of time, and the larger one counts.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from slipway_statistics import boundary as boundaries
from slipway_statistics.counts import Cell, Counts, with_blocks_of

ENOUGH_GROUPS = 5
"""Effective groups below which nothing is decided: a variance of fewer is a guess."""

ENOUGH_GROUPS_TO_SHOW = 20
"""Effective groups below which nobody is shown to be within a margin. To be found bad takes bad requests, and with them comes a variance; a dozen
users who met no error yet have neither. With 5 an arm that is worse by its margin was shown to be within it in 80 of 2,000 ramps at alpha 0.01."""

Outcome = Literal["bad", "slow"]
"""What is counted: answers that are errors, or answers above the edge of the revision (``latency.edges``)."""

_COLUMNS: dict[Outcome, int] = {"bad": 1, "slow": 2}
_EMPTY: Cell = (0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look saw of one guardrail. Rates are shares of requests, from 0 to 1."""

    candidate_requests: int
    stable_requests: int
    candidate_rate: float
    stable_rate: float
    """0 without requests."""

    max_increase: float
    """How much higher the candidate's rate may be."""

    estimate: float
    """candidate_rate - stable_rate."""

    standard_error: float
    """Of the estimate; infinite while there is nothing to compare."""

    lower: float
    upper: float
    """Interval around the estimate, within -1 and 1. Each end alone holds at all looks of the step with probability 1 - alpha.
    With enough groups, lower is above max_increase exactly when the boundary was crossed."""

    z: float
    """How many standard errors the estimate is above max_increase, as a standard normal: (estimate - max_increase) / standard_error with the
    few groups paid for."""

    boundary: float
    """The z at which the candidate is rolled back; infinite before its first request."""

    groups: float
    """Effective groups behind the standard error: of buckets and of blocks, of both revisions, the fewest. 0 while there is nothing to compare."""

    detectable: float
    """The least excess over max_increase that would be rolled back if seen with this standard error; infinite while there is nothing to compare."""

    @property
    def comparable(self) -> bool:
        """Whether both revisions have been asked anything."""
        return self.candidate_requests > 0 and self.stable_requests > 0

    @property
    def enough_groups(self) -> bool:
        """Whether the standard error may be believed."""
        return self.groups >= ENOUGH_GROUPS

    @property
    def crossed(self) -> bool:
        """Whether the candidate is worse than it may be, beyond what chance explains."""
        return self.enough_groups and self.z >= self.boundary

    @property
    def shown(self) -> bool:
        """Whether the candidate is known not to be worse than it may be."""
        return self.comparable and self.groups >= ENOUGH_GROUPS_TO_SHOW and self.upper < self.max_increase


def look(candidate: Counts, stable: Counts, *, outcome: Outcome, max_increase: float, alpha: float) -> Look:
    """Compare the candidate with stable.

    Args:
        candidate: its counts since the step began.
        stable: the counts of stable in the same time.
        outcome: which requests are held against a revision.
        max_increase: how much higher the candidate's rate may be, as a share: 0.005 is half a percentage point.
        alpha: probability of a false alarm that this guardrail may spend at this step, over all its looks (``boundary.alpha_of_one``).

    Raises:
        ValueError: alpha is not above 0 and below 0.5, or max_increase is not from 0 to 1.

    """
    if not 0 <= max_increase <= 1:
        raise ValueError(f"the increase of a share is from 0 to 1, not {max_increase}")
    ours, theirs = (_Arm.of(counts, column=_COLUMNS[outcome]) for counts in (candidate, stable))
    line = boundaries.boundary(ours.requests, alpha=alpha)
    between_blocks, block_groups = _between_blocks(candidate, stable, column=_COLUMNS[outcome])
    groups = min(ours.groups, theirs.groups, block_groups)
    error = math.sqrt(max(ours.between_buckets + theirs.between_buckets, between_blocks, ours.independent + theirs.independent))
    estimate = ours.rate - theirs.rate
    reach = boundaries.t_of_normal(line, freedom=groups - 1) * error
    return Look(
        candidate_requests=ours.requests,
        stable_requests=theirs.requests,
        candidate_rate=ours.rate,
        stable_rate=theirs.rate,
        max_increase=max_increase,
        estimate=estimate,
        standard_error=error,
        lower=max(-1.0, estimate - reach),
        upper=min(1.0, estimate + reach),
        z=boundaries.normal_of_t((estimate - max_increase) / error, freedom=groups - 1),
        boundary=line,
        groups=groups,
        detectable=reach,
    )


def effective(sizes: Iterable[int]) -> float:
    """How many groups of one size weigh as much as these: (Σq)²/Σq². 10, 10, 10, 10 are 4; 37, 1, 1, 1 are 1.2; none are 0."""
    sizes = tuple(sizes)
    squares = sum(size * size for size in sizes)
    return sum(sizes) ** 2 / squares if squares else 0.0


@dataclass(frozen=True, kw_only=True)
class _Arm:
    """One revision: its rate, and what is known of the rate's variance without the other one."""

    requests: int
    rate: float
    between_buckets: float
    independent: float
    groups: float

    @classmethod
    def of(cls, counts: Counts, *, column: int) -> "_Arm":
        """The column of every bucket against its requests."""
        requests, seen = counts.requests, sum(cell[column] for cell in counts.buckets)
        rate = seen / requests if requests else 0.0
        return cls(
            requests=requests,
            rate=rate,
            between_buckets=_between_buckets(counts.buckets, column=column, rate=rate),
            independent=_independent(seen, requests),
            groups=effective(cell[0] for cell in counts.buckets),
        )


def _between_buckets(cells: Sequence[Cell], *, column: int, rate: float) -> float:
    """Variance of a ratio between groups of units: n/(n-1) · Σ(e - r q)² / Q² over n buckets (delta method). 0 without requests."""
    requests = sum(cell[0] for cell in cells)
    squares = sum((cell[column] - rate * cell[0]) ** 2 for cell in cells)
    return len(cells) / (len(cells) - 1) * squares / requests**2 if requests else 0.0


def _between_blocks(candidate: Counts, stable: Counts, *, column: int) -> tuple[float, float]:
    """Variance of the difference of two ratios between blocks of time, and the effective blocks behind it.

    K/(K-1) · Σ((e_c - r_c q_c)/Q_c - (e_s - r_s q_s)/Q_s)² over the K blocks that have requests: what hits both revisions at the same time cancels.
    Infinite without requests of either, and with one block, which tells nothing about the next.
    """
    block_seconds = math.lcm(candidate.block_seconds, stable.block_seconds)
    ours, theirs = (with_blocks_of(counts, block_seconds=block_seconds).blocks for counts in (candidate, stable))
    our_requests, our_rate = _total(ours.values(), column=column)
    their_requests, their_rate = _total(theirs.values(), column=column)
    blocks = ours.keys() | theirs.keys()
    if len(blocks) < 2 or not our_requests or not their_requests:
        return math.inf, 0.0
    squares = 0.0
    for block in blocks:
        mine, other = ours.get(block, _EMPTY), theirs.get(block, _EMPTY)
        squares += ((mine[column] - our_rate * mine[0]) / our_requests - (other[column] - their_rate * other[0]) / their_requests) ** 2
    groups = min(effective(cell[0] for cell in ours.values()), effective(cell[0] for cell in theirs.values()))
    return len(blocks) / (len(blocks) - 1) * squares, groups


def _total(cells: Collection[Cell], *, column: int) -> tuple[int, float]:
    """Requests and rate of some cells."""
    requests = sum(cell[0] for cell in cells)
    return requests, sum(cell[column] for cell in cells) / requests if requests else 0.0


def _independent(seen: int, requests: int) -> float:
    """Variance of a rate if every request were a unit of its own, with half a request of either kind added (Jeffreys): never 0.

    It is a floor. Where all requests of a revision went the same way, there is nothing between buckets or blocks: 60 of 60 bad would be certain, and
    none of 6 bad would have shown that no error can be there. With it 60 of 60 have a standard error of 0.012, 0 of 6 one of 0.11.
    """
    if not requests:
        return math.inf
    rate = (seen + 0.5) / (requests + 1)
    return rate * (1 - rate) / requests
