"""Quantiles of latencies, exact at every look: how high is the 95th percentile of an arm, and how many times as high as the other's?

Nothing is assumed of how values are distributed, only that those of an arm are drawn independently: one value a unit (its slowest request, say), not
one a request, since the requests of a unit resemble each other. For canaries, which count requests, ``latency`` and ``ratios`` pay for that instead.

Of n values, let N be how many are at or below the quantile of share p, of those equal to it as many as make its chance p. Then N is a count of
successes of probability p, and the Beta mixture against p is a martingale (``betting`` says more): N is never outside a band of counts but with
probability alpha. N itself is not seen, but it is between the values below the quantile and those not above it, so whatever is too low or too high
for the band is not the quantile. That is the sequence of S. R. Howard and A. Ramdas, *Sequential estimation of quantiles with applications to A/B
testing and best-arm identification* (Bernoulli 2022, arXiv:1906.09712), with a beta-binomial mixture for a boundary; ties and bins cost nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway_statistics import latency, sequences
from slipway_statistics.intervals import Interval

_LEAST_WEIGHT = 1e-3


@dataclass(frozen=True, kw_only=True)
class Quantile:
    """Which quantile, and how sure."""

    share: float = 0.95
    """Of the values that are at or below it."""

    alpha: float = 0.05
    """Probability of being ever wrong."""

    planned: int = 10_000
    """Values of an arm at which the band is to be tightest. A tenth or ten times as many make it a third wider at most, never wrong."""

    def __post_init__(self) -> None:
        """Refuse what is no quantile."""
        if not 0 < self.share < 1 or not 0 < self.alpha < 0.5 or self.planned < 1:
            raise ValueError(f"a quantile has a share from 0 to 1, an alpha above 0 and below 0.5, and is planned for a value or more: not {self}")

    @property
    def prior(self) -> tuple[float, float]:
        """Of the mixture: Beta(r·share, r·(1 - share)) with r = planned / κ(alpha) - 1, which is tightest at the planned number."""
        weight = max(self.planned / sequences.kappa(self.alpha) - 1, _LEAST_WEIGHT)
        return weight * self.share, weight * (1 - self.share)


def log_evidence(below: int, *, of: int, quantile: Quantile) -> float:
    """Logarithm of the evidence against so many of all values being below the quantile: B(a + k, b + n - k)/(B(a, b) p^k (1-p)^(n-k)).

    Without values 0. It is least where k/n is the share, and grows to either side.
    """
    a, b = quantile.prior
    apart = _log_beta(a + below, b + of - below) - _log_beta(a, b)
    return apart - below * math.log(quantile.share) - (of - below) * math.log1p(-quantile.share)


def band(of: int, *, quantile: Quantile) -> tuple[int, int]:
    """The fewest and the most of so many values that can be below the quantile. Of 1,000 at 0.95 with alpha 0.05, planned for 1,000: 928 to 969."""
    limit = -math.log(quantile.alpha)
    middle = min(of, max(0, round(quantile.share * of)))
    lowest = _last_kept(middle, 0, of=of, limit=limit, quantile=quantile)
    return lowest, _last_kept(middle, of, of=of, limit=limit, quantile=quantile)


def of_values(ordered: Sequence[float], *, quantile: Quantile) -> Interval:
    """Where the quantile is, from values in ascending order; without an end where the band has all values on that side."""
    fewest, most = band(len(ordered), quantile=quantile)
    return Interval(
        lower=ordered[fewest - 1] if fewest > 0 else -math.inf,
        upper=ordered[most] if most < len(ordered) else math.inf,
    )


def of_latencies(counts: Mapping[int, int], *, quantile: Quantile) -> Interval:
    """Where the quantile of latencies is, in seconds, from units by bin (``latency.bin_of``): both ends are edges of bins.

    Without an upper end where it may be in the last bin, which has none.
    """
    total = sum(counts.values())
    fewest, most = band(total, quantile=quantile)
    below, lower, upper = 0, 0, latency.BINS - 1
    for number in range(latency.BINS):
        through = below + counts.get(number, 0)
        # A quantile in this bin has from `below` to `through` values below it.
        if through < fewest:
            lower = number + 1
        if below <= most:
            upper = number
        below = through
    return Interval(
        lower=latency.edge_s(lower) if lower > 0 else 0.0,
        upper=latency.edge_s(upper + 1) if upper + 1 < latency.BINS else math.inf,
    )


def ratio(control: Mapping[int, int], treatment: Mapping[int, int], *, quantile: Quantile) -> Interval:
    """How many times the control's quantile the treatment's is, from units by latency bin.

    Both arms' places together, as one point, have the product of their evidence against them; every pair of bins where it is below 1/alpha is kept,
    and this is how far apart, in bins of 2.5 %, the pairs are. So the two arms share one alpha without halving it, and this is narrower than the
    ratio of two intervals at alpha/2.

    Returns:
        From 0 to infinity where an arm has no values. The lower end is 0, the upper infinity, where a kept place is in the first or the last bin,
        which have no other edge.

    """
    ours, theirs = (_evidence(counts, quantile=quantile) for counts in (treatment, control))
    limit = -math.log(quantile.alpha)
    floor_ours, floor_theirs = min(ours), min(theirs)
    # Only places that are kept beside the best place of the other arm can be in any pair.
    places = [number for number, one in enumerate(ours) if one + floor_theirs < limit]
    others = [number for number, one in enumerate(theirs) if one + floor_ours < limit]
    pairs = [(place, other) for place in places for other in others if ours[place] + theirs[other] < limit]
    lower, upper = min(place - other for place, other in pairs), max(place - other for place, other in pairs)
    last = latency.BINS - 1
    open_below = any(place == 0 or other == last for place, other in pairs)
    open_above = any(place == last or other == 0 for place, other in pairs)
    # Two places in bins k apart differ by k - 1 to k + 1 bins.
    return Interval(
        lower=0.0 if open_below else latency.GROWTH ** (lower - 1),
        upper=math.inf if open_above else latency.GROWTH ** (upper + 1),
    )


def log_e(control: Mapping[int, int], treatment: Mapping[int, int], *, quantile: Quantile) -> float:
    """Logarithm of an e-value against "the quantiles of both arms are in one bin", from units by latency bin.

    It is the evidence against both at the place that fits both best. At the true place it is at least as large, so its mean is 1 at most;
    1/e, the least over all looks, is an always-valid p.
    """
    ours, theirs = (_evidence(counts, quantile=quantile) for counts in (treatment, control))
    return min(one + other for one, other in zip(ours, theirs, strict=True))


def _evidence(counts: Mapping[int, int], *, quantile: Quantile) -> list[float]:
    """For each bin, the least evidence against the quantile being in it: at whichever of the counts that it would have below is nearest the share."""
    total = sum(counts.values())
    below, found = 0, []
    for number in range(latency.BINS):
        through = below + counts.get(number, 0)
        aim = quantile.share * total
        near = {min(max(whole, below), through) for whole in (math.floor(aim), math.ceil(aim))}
        found.append(min(log_evidence(one, of=total, quantile=quantile) for one in near))
        below = through
    return found


def _last_kept(middle: int, end: int, *, of: int, limit: float, quantile: Quantile) -> int:
    """The count farthest from the middle towards an end that has less evidence against it than the limit, by halves."""
    kept, lost = middle, end + (1 if end > middle else -1)
    while abs(lost - kept) > 1:
        trial = (kept + lost) // 2
        if 0 <= trial <= of and log_evidence(trial, of=of, quantile=quantile) < limit:
            kept = trial
        else:
            lost = trial
    return kept


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
