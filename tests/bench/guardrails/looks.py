"""All looks of a step at once: ``slipway_statistics`` again, with arrays, so that thousands of rollouts can be played.

A unit test holds it against the package, look by look.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.guardrails.traffic import CANDIDATE, STABLE, Requests
from slipway_statistics import boundary, latency
from slipway_statistics.counts import BUCKETS
from slipway_statistics.ratios import ENOUGH_GROUPS

EVERY_S = 2
BLOCK_S = 4

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One guardrail at every look of a step; arrays over the looks."""

    requests: Ints
    """Of the candidate."""

    crossed: Booleans
    detectable: Floats
    uncorrected: Floats
    """What would be called detectable if few groups were not paid for: boundary times standard error."""

    groups: Floats
    z: Floats
    buckets_crossed: Booleans
    """Would have been rolled back if only buckets counted for the variance."""

    candidate_groups_crossed: Booleans
    """Would have been rolled back if stable's groups did not matter."""

    naive_z: Floats
    """The z of two proportions, as if every request had been drawn by itself."""

    @classmethod
    def nothing(cls, looks: int) -> "Series":
        """Looks at which there was nothing to test with."""
        return cls(
            requests=np.zeros(looks, np.int64),
            crossed=np.zeros(looks, np.bool_),
            detectable=np.full(looks, np.inf),
            uncorrected=np.full(looks, np.inf),
            groups=np.zeros(looks),
            z=np.zeros(looks),
            buckets_crossed=np.zeros(looks, np.bool_),
            candidate_groups_crossed=np.zeros(looks, np.bool_),
            naive_z=np.zeros(looks),
        )


def errors(of: Requests, *, phase: int, max_increase: float, alpha: float) -> Series:
    """The guardrail on errors. phase: seconds of the first block that were over when the step began."""
    return _series(_cells(of), _cells(of, only=of.bad), phase=phase, max_increase=max_increase, alpha=alpha, looks=_looks(of))


def latencies(of: Requests, *, phase: int, max_increase: float, alpha: float) -> Series:
    """The guardrail on the 95th percentile: each look counts against the edges that the look before asked for."""
    asked = edges(of, max_increase=max_increase)
    every, looks = _cells(of), _looks(of)
    whole = Series.nothing(len(looks))
    for pair in {pair for pair in asked if pair is not None}:
        slow = _cells(of, only=of.bin >= np.where(of.arm == CANDIDATE, pair[1], pair[0]))
        chosen = np.array([index for index, other in enumerate(asked) if other == pair])
        part = _series(every, slow, phase=phase, max_increase=0, alpha=alpha, looks=looks[chosen])
        for name, values in vars(whole).items():
            values[chosen] = getattr(part, name)
    return whole


def edges(of: Requests, *, max_increase: float) -> list[tuple[int, int] | None]:
    """Bins asked for at every look, for stable and the candidate, from the requests up to the look before."""
    theirs = of.arm == STABLE
    looks = _looks(of)
    counted = np.bincount((of.second[theirs] // EVERY_S) * latency.BINS + of.bin[theirs], minlength=len(looks) * latency.BINS)
    above = np.cumsum(counted.reshape(len(looks), latency.BINS)[:, ::-1], axis=1)[:, ::-1].cumsum(axis=0)
    total = above[:, 0]
    quantile = (above > 0.05 * total[:, None] + 1e-9).sum(axis=1)
    further = math.ceil(math.log1p(max_increase) / math.log(latency.GROWTH) - 1e-9)
    known = (total >= latency.ENOUGH_REQUESTS) & (quantile + further < latency.BINS)
    found = [(int(q), int(q) + further) if k else None for q, k in zip(quantile, known, strict=True)]
    return [None, *found[:-1]]


def _looks(of: Requests) -> Ints:
    """The last second that each look includes."""
    return np.arange(EVERY_S - 1, of.seconds, EVERY_S)


def _cells(of: Requests, *, only: Booleans | None = None) -> Ints:
    """Requests by second, arm and bucket."""
    index = (of.second * 2 + of.arm) * BUCKETS + of.bucket
    counted = np.bincount(index if only is None else index[only], minlength=of.seconds * 2 * BUCKETS)
    return counted.reshape(of.seconds, 2, BUCKETS).astype(np.int64)


def _series(requests: Ints, seen: Ints, *, phase: int, max_increase: float, alpha: float, looks: Ints) -> Series:
    with np.errstate(divide="ignore", invalid="ignore"):
        by_bucket = [np.cumsum(cells, axis=0)[looks].astype(float) for cells in (requests, seen)]
        total, bad = (cells.sum(axis=2) for cells in by_bucket)
        rate = bad / total
        apart = by_bucket[1] - rate[:, :, None] * by_bucket[0]
        between_buckets = (BUCKETS / (BUCKETS - 1) * (apart**2).sum(axis=2) / total**2).sum(axis=1)
        bucket_groups = total**2 / (by_bucket[0] ** 2).sum(axis=2)
        between_blocks, block_groups = _between_blocks(requests.sum(axis=2), seen.sum(axis=2), total=total, rate=rate, phase=phase, looks=looks)
        smooth = (bad + 0.5) / (total + 1)
        independent = (smooth * (1 - smooth) / total).sum(axis=1)
        each = np.minimum(bucket_groups, block_groups)
        groups, units = each.min(axis=1), bucket_groups.min(axis=1)
        line = np.array([boundary.boundary(int(n), alpha=alpha) for n in total[:, CANDIDATE]])
        excess = rate[:, CANDIDATE] - rate[:, STABLE] - max_increase
        both = np.fmax(between_buckets, independent)
        error = np.sqrt(np.fmax(both, between_blocks))
        z = _normal(excess / error, groups)
        pooled = bad.sum(axis=1) / total.sum(axis=1)
        return Series(
            requests=total[:, CANDIDATE].astype(np.int64),
            crossed=(groups >= ENOUGH_GROUPS) & (z >= line),
            detectable=_reach(line, groups) * error,
            uncorrected=line * error,
            groups=groups,
            z=z,
            buckets_crossed=(units >= ENOUGH_GROUPS) & (_normal(excess / np.sqrt(both), units) >= line),
            candidate_groups_crossed=(each[:, CANDIDATE] >= ENOUGH_GROUPS) & (_normal(excess / error, each[:, CANDIDATE]) >= line),
            naive_z=excess / np.sqrt(pooled * (1 - pooled) * (1 / total).sum(axis=1)),
        )


def _between_blocks(requests: Ints, seen: Ints, *, total: Floats, rate: Floats, phase: int, looks: Ints) -> tuple[Floats, Floats]:
    """Variance between blocks at every look, from sums of products of what each block has."""
    block = (np.arange(len(requests)) + phase) // BLOCK_S
    last = np.append(block[1:] != block[:-1], True)
    before = np.maximum.accumulate(np.where(np.append(True, block[1:] != block[:-1]), np.arange(len(block)), 0))
    columns = np.concatenate([requests, seen], axis=1).astype(float)
    # What the block that a second belongs to has so far, and the products of blocks that are over.
    sums = np.cumsum(columns, axis=0)
    so_far = sums - np.where(before[:, None] > 0, sums[before - 1], 0)
    products = so_far[:, :, None] * so_far[:, None, :]
    over = np.cumsum(np.where(last[:, None, None], products, 0), axis=0) - np.where(last[:, None, None], products, 0)
    moments = (over + products)[looks]
    weights = np.zeros((len(looks), 4))
    for arm, sign in ((STABLE, -1), (CANDIDATE, 1)):
        weights[:, arm] = -sign * rate[:, arm] / total[:, arm]
        weights[:, 2 + arm] = sign / total[:, arm]
    blocks = block[looks] - block[0] + 1
    squares = np.einsum("li,lij,lj->l", weights, moments, weights)
    groups = total**2 / moments[:, [STABLE, CANDIDATE], [STABLE, CANDIDATE]]
    return blocks / (blocks - 1) * squares, np.where(blocks[:, None] > 1, groups, 0)


def _normal(t: Floats, groups: Floats) -> Floats:
    freedom = groups - 1
    weighed = (8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom * np.log1p(t**2 / freedom))
    return np.where(freedom > 0, np.copysign(weighed, t), 0.0)


def _reach(z: Floats, groups: Floats) -> Floats:
    freedom = groups - 1
    with np.errstate(over="ignore"):
        far = np.sqrt(freedom * np.expm1((z * (8 * freedom + 3) / (8 * freedom + 1)) ** 2 / freedom))
    return np.where(freedom > 0, far, np.inf)
