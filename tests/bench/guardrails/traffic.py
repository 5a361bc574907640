"""Users and pods of a pretended canary: what a router would have counted in one step.

Users arrive at random, send 1 to 50 requests each, some seconds apart, and differ in how often they meet an error and in how long they wait. All
requests of a user go to the same revision. Pods stand still now and then, those of stable as often as those of the candidate: what comes to one in
that time waits for its end and counts as bad.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipway_statistics import latency
from slipway_statistics.counts import BUCKETS

STABLE, CANDIDATE = 0, 1
MEAN_REQUESTS_OF_A_USER = 25.5
MEAN_GAP_S = 3.0

# Users who began before the step are in the middle of their requests when it begins; 50 requests take 150 s.
_BEFORE_S = 150
_STABLE_PODS = 4
_STALL_EVERY_S = 300.0
_MEDIAN_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Truth:
    """How the revisions really behave."""

    requests_per_second: float = 100.0
    error_rate: float = 0.02
    """Mean over the users of stable."""

    spread: float = 0.3
    """First parameter of the beta distribution of the users' error rates: the smaller, the fewer users have all the errors."""

    more_errors: float = 0.0
    """Share of the candidate's good answers that are errors instead."""

    slower: float = 1.0
    """Factor on the candidate's latencies."""

    latency_spread: float = 0.5
    """Standard deviation of the logarithm of a latency, three fifths of it between users; the median is 20 ms."""

    stall_s: float = 0.0
    """How long each pod stands still every five minutes."""

    heavy_share: float = 0.0
    """Share of all requests that one more user of stable sends, without an error; they come on top of the others."""


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Requests of one step; arrays of one length."""

    seconds: int
    """How long the step is."""

    second: NDArray[np.int64]
    """When, since the step began."""

    arm: NDArray[np.int64]
    bucket: NDArray[np.int64]
    bad: NDArray[np.bool_]
    bin: NDArray[np.int64]


def requests(truth: Truth, *, share: float, seconds: int, random: np.random.Generator) -> Requests:
    """One step with this share of the users on the candidate."""
    users = random.poisson(truth.requests_per_second / MEAN_REQUESTS_OF_A_USER * (seconds + _BEFORE_S))
    each = random.integers(1, 51, users)
    of = np.repeat(np.arange(users), each)
    gaps = random.exponential(MEAN_GAP_S, of.size)
    passed = np.cumsum(gaps)
    first = np.cumsum(each) - each
    time = (random.uniform(-_BEFORE_S, seconds, users) - passed[first])[of] + passed if users else gaps
    within = (time >= 0) & (time < seconds)
    of, time = of[within], time[within]
    arm = (random.random(users) < share).astype(np.int64)[of]
    bucket = random.integers(0, BUCKETS, users)[of]
    rate = random.beta(truth.spread, truth.spread * (1 / truth.error_rate - 1), users)[of]
    rate = np.where(arm == CANDIDATE, 1 - (1 - rate) * (1 - truth.more_errors), rate)
    own = random.normal(0, 0.6 * truth.latency_spread, users)[of]
    log_s = (
        math.log(_MEDIAN_S) + own + random.normal(0, 0.8 * truth.latency_spread, of.size) + np.where(arm == CANDIDATE, math.log(truth.slower), 0.0)
    )
    bad = random.random(of.size) < rate
    if truth.stall_s:
        wait = _wait(time, arm, share=share, stall_s=truth.stall_s, random=random)
        bad |= wait > 0
        log_s = np.log(np.exp(log_s) + wait)
    if truth.heavy_share:
        more = random.poisson(truth.requests_per_second * seconds * truth.heavy_share / (1 - truth.heavy_share))
        time = np.append(time, random.uniform(0, seconds, more))
        arm, bucket, bad = (
            np.append(arm, np.full(more, STABLE)),
            np.append(bucket, np.zeros(more, np.int64)),
            np.append(bad, np.zeros(more, np.bool_)),
        )
        log_s = np.append(log_s, np.full(more, math.log(_MEDIAN_S)))
    return Requests(seconds=seconds, second=time.astype(np.int64), arm=arm, bucket=bucket, bad=bad, bin=_bins(log_s))


def _bins(log_s: NDArray[np.float64]) -> NDArray[np.int64]:
    bins = np.floor((log_s - math.log(latency.FIRST_EDGE_S)) / math.log(latency.GROWTH)).astype(np.int64)
    return np.clip(bins, 0, latency.BINS - 1)


def _wait(time: NDArray[np.float64], arm: NDArray[np.int64], *, share: float, stall_s: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Seconds until the pod of each request goes on; 0 where it does not stand still."""
    pods = np.where(arm == CANDIDATE, max(1, math.ceil(_STABLE_PODS * share)), _STABLE_PODS)
    pod = np.where(arm == CANDIDATE, _STABLE_PODS, 0) + (random.random(time.size) * pods).astype(np.int64)
    into = (time + random.uniform(0, _STALL_EVERY_S, 3 * _STABLE_PODS)[pod]) % _STALL_EVERY_S
    left: NDArray[np.float64] = stall_s - into
    return left.clip(min=0)
