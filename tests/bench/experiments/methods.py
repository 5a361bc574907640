"""How often the opt-in methods are wrong, with a look all the time and nothing to find, and a naive test beside each.

The arrays here are the package's formulas again; a unit test holds them against it.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.guardrails.false_rollbacks import most
from bench.operator import figures
from bench.operator.figures import Figure
from slipway_statistics import group_sequential, latency, quantiles
from slipway_statistics.betting import UNKNOWN, Prior
from slipway_statistics.quantiles import Quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Booleans = NDArray[np.bool_]

ALPHA = 0.05
Z = 1.959964

RAMP = ((0.02, 8000), (0.2, 8000), (0.5, 24_000))
"""Share of the units that the arm gets, and how many units of both arms come in a step."""

_CHUNK = 100


def rows(runs: int = 2000) -> Iterator[Figure]:
    """Every method."""
    yield from shares(runs)
    yield from differences(runs)
    yield from found(runs)
    yield from bounded(runs)
    yield from bands(runs)
    yield from ratios(max(20, runs // 10))
    yield from planned_looks(runs)


def shares(runs: int) -> Iterator[Figure]:
    """Exact intervals of a share, a look after every unit until 20,000, against an interval of two standard errors after every one from 100 on."""
    for seed, p in enumerate((0.1, 0.002)):
        wrong = naive = 0
        for chunk in _chunks(runs):
            conversions = np.cumsum(np.random.default_rng([700 + seed, chunk.start]).random((len(chunk), 20_000)) < p, axis=1, dtype=np.int64)
            units = np.arange(1, 20_001)
            wrong += int((evidence(units, conversions, p=p) >= -math.log(ALPHA)).any(axis=1).sum())
            rate = conversions[:, 99:] / units[99:]
            naive += int((np.abs(rate - p) > Z * np.sqrt(rate * (1 - rate) / units[99:])).any(axis=1).sum())
        yield from _both(f"exact interval of a share of {p:g}, a look after each of 20,000 units", wrong, naive, runs=runs)


def differences(runs: int) -> Iterator[Figure]:
    """Equal arms on a ramp of 2, 20 and 50 %, while the rate moves from step to step: the e-value of the strata, and a z of all units together."""
    for seed, rates in enumerate(((0.1, 0.12, 0.08), (0.002, 0.004, 0.001))):
        draw, every = np.random.default_rng(710 + seed), 200
        units, converted = _on_the_ramp(draw, rates, runs=runs, every=every)
        wrong, expected = (
            int((log_e(units, converted, prior=prior) >= -math.log(ALPHA)).any(axis=1).sum()) for prior in (UNKNOWN, Prior.around(rates[0]))
        )
        together, sums = units.sum(axis=2), converted.sum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            pooled = sums.sum(axis=2) / together.sum(axis=2)
            apart = sums[:, :, 1] / together[:, :, 1] - sums[:, :, 0] / together[:, :, 0]
            naive = (np.abs(apart) > Z * np.sqrt(pooled * (1 - pooled) * (1 / together).sum(axis=2))).any(axis=1)
        name = f"exact e-value, ramp with rates of {', '.join(f'{rate:g}' for rate in rates)}, a look after every {every} units"
        yield from _both(name, wrong, int(naive.sum()), runs=runs)
        yield figures.at_most(f"{name}: wrong with a prior around the first rate", expected, f"of {runs}", limit=most(runs, ALPHA))


def found(runs: int) -> Iterator[Figure]:
    """Shares of 0.002 and 0.004, half and half, a look after every 200 units: where they are told apart by 20,000 and 40,000 units an arm."""
    draw, prior = np.random.default_rng(715), Prior.around(0.002)
    units = np.cumsum(np.full((1, 400, 1, 2), 100.0), axis=1)
    converted = np.cumsum(draw.binomial(100, np.broadcast_to([0.002, 0.004], (runs, 400, 1, 2))), axis=1).astype(float)
    for name, chosen in (("any share", UNKNOWN), ("a share around 0.002", prior)):
        crossed = log_e(np.broadcast_to(units, converted.shape), converted, prior=chosen) >= -math.log(ALPHA)
        for until in (20_000, 40_000):
            seen = float(crossed[:, : until // 100].any(axis=1).mean())
            yield figures.stated(f"0.002 and 0.004, prior for {name}: told apart by {until:,} units an arm", seen, "of runs")


def _on_the_ramp(draw: np.random.Generator, rates: tuple[float, ...], *, runs: int, every: int) -> tuple[Floats, Floats]:
    """Units and conversions so far: runs x looks x strata x arms."""
    looks = sum(size // every for _, size in RAMP)
    units, converted = np.zeros((2, runs, looks, len(RAMP), 2))
    at = 0
    for stratum, ((share, size), rate) in enumerate(zip(RAMP, rates, strict=True)):
        steps = size // every
        treated = draw.binomial(every, share, (runs, steps))
        came = np.stack([every - treated, treated], axis=2)
        units[:, at : at + steps, stratum] = came
        converted[:, at : at + steps, stratum] = draw.binomial(came, rate)
        at += steps
    return np.cumsum(units, axis=1), np.cumsum(converted, axis=1)


def bounded(runs: int) -> Iterator[Figure]:
    """Nine of ten values 0, the others skewed, a look after each of 2,000: the empirical-Bernstein sequence, and two standard errors."""
    wrong = naive = 0
    for chunk in _chunks(runs):
        draw = np.random.default_rng([720, chunk.start])
        values = np.where(draw.random((len(chunk), 2000)) < 0.1, draw.beta(1, 5, (len(chunk), 2000)), 0.0)
        lower, upper = bernstein(values, alpha=ALPHA)
        wrong += int(((lower > 0.1 / 6) | (upper < 0.1 / 6)).any(axis=1).sum())
        count = np.arange(1, 2001)
        mean = np.cumsum(values, axis=1) / count
        error = np.sqrt(np.maximum(0, np.cumsum(values**2, axis=1) / count - mean**2) / count)
        naive += int((np.abs(mean - 0.1 / 6) > Z * error)[:, 99:].any(axis=1).sum())
    yield from _both("empirical Bernstein, nine of ten values 0, a look after each of 2,000 values", wrong, naive, runs=runs)


def bands(runs: int) -> Iterator[Figure]:
    """Values below the true 95th percentile, a look after each of 10,000, against a band of two standard errors."""
    quantile = Quantile(planned=2000)
    fewest, largest = np.array([quantiles.band(of, quantile=quantile) for of in range(1, 10_001)]).T
    wrong = naive = 0
    for chunk in _chunks(runs):
        below = np.cumsum(np.random.default_rng([730, chunk.start]).random((len(chunk), 10_000)) < 0.95, axis=1)
        wrong += int(((below < fewest) | (below > largest)).any(axis=1).sum())
        count = np.arange(1, 10_001)
        naive += int((np.abs(below - 0.95 * count) > Z * np.sqrt(0.95 * 0.05 * count))[:, 99:].any(axis=1).sum())
    yield from _both("interval of p95, a look after each of 10,000 values", wrong, naive, runs=runs)


def ratios(runs: int) -> Iterator[Figure]:
    """Equal log-normal latencies in bins, 20 looks until 5,000 units an arm: the ratio of p95, and a z-test above the other arm's p95."""
    quantile, wrong, naive = Quantile(planned=5000), 0, 0
    for run in range(runs):
        draw = np.random.default_rng([740, run])
        arms = [_bins(np.exp(draw.normal(-3, 0.6, 5000))) for _ in range(2)]
        missed = fooled = False
        for size in range(250, 5001, 250):
            counts = [np.bincount(arm[:size], minlength=latency.BINS) for arm in arms]
            control, treatment = (dict(zip(np.flatnonzero(count).tolist(), count[count > 0].tolist(), strict=True)) for count in counts)
            missed |= 1.0 not in quantiles.ratio(control, treatment, quantile=quantile)
            fooled |= _higher(counts[1], counts[0]) or _higher(counts[0], counts[1])
        wrong, naive = wrong + missed, naive + fooled
    yield from _both("ratio of p95, 20 looks until 5,000 units an arm", wrong, naive, runs=runs)


def _higher(ours: Ints, theirs: Ints) -> bool:
    """The naive test: more of ours above the bin edge that is their p95 than a z of 1.96 allows."""
    edge = int(np.searchsorted(np.cumsum(theirs), 0.95 * theirs.sum())) + 1
    rates = ours[edge:].sum() / ours.sum(), theirs[edge:].sum() / theirs.sum()
    pooled = (rates[0] + rates[1]) / 2
    return bool(rates[0] - rates[1] > Z * math.sqrt(max(1e-12, pooled * (1 - pooled)) * 2 / ours.sum()))


def _bins(seconds: Floats) -> Ints:
    return np.clip(np.floor(np.log(seconds / latency.FIRST_EDGE_S) / math.log(latency.GROWTH)), 0, latency.BINS - 1).astype(np.int64)


def planned_looks(runs: int) -> Iterator[Figure]:
    """Equal arms at 10 %, seven looks at unequal shares of 20,000 units an arm: boundaries by spending, and 1.96 at each."""
    fractions = (0.05, 0.1, 0.3, 0.35, 0.6, 0.8, 1.0)
    boundaries = np.array(group_sequential.lan_demets(fractions, alpha=ALPHA))
    draw = np.random.default_rng(750)
    units = np.array([round(20_000 * fraction) for fraction in fractions])
    converted = np.cumsum(draw.binomial(np.diff(units, prepend=0)[None, :, None], 0.1, (runs, len(fractions), 2)), axis=1)
    pooled = converted.sum(axis=2) / (2 * units)
    z = np.abs(converted[:, :, 1] - converted[:, :, 0]) / units / np.sqrt(pooled * (1 - pooled) * 2 / units)
    yield from _both("seven planned looks at unequal distances", int((z >= boundaries).any(axis=1).sum()), int((z >= Z).any(axis=1).sum()), runs=runs)


def evidence(units: Ints, conversions: Ints, *, p: float | Floats, prior: Prior = UNKNOWN) -> Floats:
    """``betting.log_evidence``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        against = np.nan_to_num(conversions * np.log(p), nan=0.0) + np.nan_to_num((units - conversions) * np.log1p(-np.asarray(p)), nan=0.0)
    until = int(units.max()) + 1
    converted, others, both = (_log_gamma(start, until) for start in (prior.conversions, prior.others, prior.conversions + prior.others))
    return np.asarray(converted[conversions] + others[units - conversions] - both[units] - (converted[0] + others[0] - both[0]) - against)


def log_e(units: Floats, conversions: Floats, *, prior: Prior = UNKNOWN) -> Floats:
    """``betting.log_e``, strata and arms last."""
    counts, converted = units.astype(np.int64), conversions.astype(np.int64)
    pooled = conversions.sum(axis=-1, keepdims=True) / np.maximum(1, units.sum(axis=-1, keepdims=True))
    return np.asarray(evidence(counts, converted, p=np.broadcast_to(pooled, units.shape), prior=prior).sum(axis=(-1, -2)))


def _log_gamma(start: float, until: int) -> Floats:
    return np.array([math.lgamma(start + k) for k in range(until)])


def bernstein(values: Floats, *, alpha: float) -> tuple[Floats, Floats]:
    """``betting.Bernstein`` after every value of every run."""
    number = np.arange(1, values.shape[1] + 1)
    mean = (0.5 + np.cumsum(values, axis=1)) / (number + 1)
    variance = (0.25 + np.cumsum((values - mean) ** 2, axis=1)) / (number + 1)
    mean_before, variance_before = (
        np.concatenate([np.full((len(values), 1), first), part[:, :-1]], axis=1) for first, part in ((0.5, mean), (0.25, variance))
    )
    bet = np.minimum(0.5, np.sqrt(2 * math.log(2 / alpha) / (variance_before * number * np.log1p(number))))
    paid = np.cumsum((values - mean_before) ** 2 * (-np.log1p(-bet) - bet), axis=1)
    bets = np.cumsum(bet, axis=1)
    middle, reach = np.cumsum(bet * values, axis=1) / bets, (math.log(2 / alpha) + paid) / bets
    return np.clip(middle - reach, 0, 1), np.clip(middle + reach, 0, 1)


def _chunks(runs: int) -> Iterator[range]:
    for start in range(0, runs, _CHUNK):
        yield range(start, min(runs, start + _CHUNK))


def _both(name: str, wrong: int, naive: int, *, runs: int) -> Iterator[Figure]:
    limit = most(runs, ALPHA)
    yield figures.at_most(f"{name}: wrong", wrong, f"of {runs}", limit=limit)
    yield replace(figures.stated(f"{name}: wrong by the naive test", naive, f"of {runs}"), goal=f"> {limit}: must fail", ok=naive > limit)
