"""Whole rollouts, and single steps until a bad candidate is found."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from bench.guardrails import looks, traffic
from bench.guardrails.looks import Series
from bench.guardrails.traffic import Truth
from slipway_statistics import boundary, latency, ratios

FALSE_ROLLBACK_PROBABILITY = 0.01
GUARDRAILS = 2
MARGIN = 0.2
"""What latency may rise by."""

REAL_MARGIN = latency.GROWTH ** math.ceil(math.log1p(MARGIN) / math.log(latency.GROWTH))
"""The same, up to the next edge: 0.218."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the rollout."""

    share: float
    seconds: int
    detect: float


STEPS = (Step(share=0.01, seconds=60, detect=0.1), Step(share=0.1, seconds=300, detect=0.02), Step(share=0.5, seconds=300, detect=0.02))
ALPHA = boundary.alpha_of_one(FALSE_ROLLBACK_PROBABILITY, guardrails=GUARDRAILS, steps=len(STEPS))
NAIVE = NormalDist().inv_cdf(1 - ALPHA)
NAIVE_REQUESTS = 30
"""Candidate requests before the naive test looks at all."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What each way of testing would have done, had every step lasted its hold time."""

    rolled_back: bool
    by_errors: bool
    by_latency: bool
    by_buckets_alone: bool
    by_candidate_groups_alone: bool
    by_naive_test: bool
    passing: tuple[bool, ...]
    """For each step: whether it passes at the end of its hold time."""


def play(truth: Truth, *, random: np.random.Generator, max_increase: float = 0.0) -> Rollout:
    """One rollout that nobody stops."""
    series = [_step(truth, step, random=random, max_increase=max_increase) for step in STEPS]
    every = [one for pair in series for one in pair]
    by_errors, by_latency = (any(bool(pair[index].crossed.any()) for pair in series) for index in (0, 1))
    return Rollout(
        rolled_back=by_errors or by_latency,
        by_errors=by_errors,
        by_latency=by_latency,
        by_buckets_alone=any(bool(one.buckets_crossed.any()) for one in every),
        by_candidate_groups_alone=any(bool(one.candidate_groups_crossed.any()) for one in every),
        by_naive_test=any(bool(((one.naive_z >= NAIVE) & (one.requests >= NAIVE_REQUESTS)).any()) for one in every),
        passing=tuple(
            all(bool(one.groups[-1] >= 5 and one.detectable[-1] <= step.detect) for one in pair) for step, pair in zip(STEPS, series, strict=True)
        ),
    )


def _step(truth: Truth, step: Step, *, random: np.random.Generator, max_increase: float) -> tuple[Series, Series]:
    seen = traffic.requests(truth, share=step.share, seconds=step.seconds, random=random)
    phase = int(random.integers(looks.BLOCK_S))
    return (
        looks.errors(seen, phase=phase, max_increase=max_increase, alpha=ALPHA),
        looks.latencies(seen, phase=phase, max_increase=MARGIN, alpha=ALPHA),
    )


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """When a bad candidate was found; infinite where it was not."""

    requests: float
    seconds: float


def until_stopped(truth: Truth, *, share: float, seconds: int, random: np.random.Generator, max_increase: float = 0.005) -> tuple[Stopped, Stopped]:
    """When errors and when latency would have stopped the candidate."""
    pair = _step(truth, Step(share=share, seconds=seconds, detect=0.1), random=random, max_increase=max_increase)
    return _stopped(pair[0]), _stopped(pair[1])


def _stopped(series: Series) -> Stopped:
    if not series.crossed.any():
        return Stopped(requests=math.inf, seconds=math.inf)
    first = int(series.crossed.argmax())
    return Stopped(requests=float(series.requests[first]), seconds=float((first + 1) * looks.EVERY_S))


def many(truth: Truth, *, runs: int, seed: int, max_increase: float = 0.0) -> Iterator[Rollout]:
    """Rollouts from a seed, each with random numbers of its own."""
    for one in np.random.SeedSequence(seed).spawn(runs):
        yield play(truth, random=np.random.default_rng(one), max_increase=max_increase)


@dataclass(frozen=True, kw_only=True)
class Passed:
    """Whether a step passes by its guardrail on errors before that rolls back."""

    corrected: bool
    uncorrected: bool
    """If what is detectable did not pay for few groups."""


def passes_first(truth: Truth, step: Step, *, hold_s: int, random: np.random.Generator) -> Passed:
    """A step that passes as soon as it may after hold_s, by errors alone."""
    series = looks.errors(
        traffic.requests(truth, share=step.share, seconds=step.seconds, random=random),
        phase=int(random.integers(looks.BLOCK_S)),
        max_increase=0,
        alpha=ALPHA,
    )
    ready = (np.arange(1, len(series.z) + 1) * looks.EVERY_S >= hold_s) & (series.groups >= ratios.ENOUGH_GROUPS)
    stopped = _first(series.crossed)
    return Passed(
        corrected=_first(ready & (series.detectable <= step.detect)) < stopped,
        uncorrected=_first(ready & (series.uncorrected <= step.detect)) < stopped,
    )


def requests_to_pass(truth: Truth, step: Step, *, random: np.random.Generator) -> tuple[float, float]:
    """Candidate requests after which errors, and after which latency, would first let the step pass; infinite if they never do."""
    errors, latencies = (
        [
            (float(n) if ok else math.inf)
            for n, ok in zip(one.requests, (one.groups >= ratios.ENOUGH_GROUPS) & (one.detectable <= step.detect), strict=True)
        ]
        for one in _step(truth, step, random=random, max_increase=0.0)
    )
    return min(errors), min(latencies)


def _first(looks_that: looks.Booleans) -> float:
    return float(looks_that.argmax()) if looks_that.any() else math.inf
