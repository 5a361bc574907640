"""How soon bad candidates are found, and what passes."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np

from bench.guardrails import rollouts
from bench.guardrails.rollouts import STEPS, Stopped
from bench.guardrails.traffic import Truth
from bench.operator import figures
from bench.operator.figures import Figure


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A bad candidate, and when it is to be found."""

    name: str
    truth: Callable[[float], Truth]
    """For so many requests a second."""

    guardrail: int
    """0: errors, 1: latency."""

    requests: float = math.inf
    seconds: float = math.inf
    """Either is enough; neither: stated."""


CANDIDATES = (
    Candidate(
        name="all errors", truth=lambda rate: Truth(error_rate=0.01, requests_per_second=rate, more_errors=1), guardrail=0, requests=120, seconds=20
    ),
    Candidate(
        name="20 % errors",
        truth=lambda rate: Truth(error_rate=0.01, requests_per_second=rate, more_errors=0.2),
        guardrail=0,
        requests=400,
        seconds=30,
    ),
    Candidate(name="5 points more errors", truth=lambda rate: Truth(error_rate=0.01, requests_per_second=rate, more_errors=0.05), guardrail=0),
    Candidate(
        name="twice as slow, p95 2.3 times the median", truth=lambda rate: Truth(error_rate=0.01, requests_per_second=rate, slower=2), guardrail=1
    ),
    Candidate(
        name="twice as slow, p95 1.6 times the median",
        truth=lambda rate: Truth(error_rate=0.01, requests_per_second=rate, slower=2, latency_spread=0.3),
        guardrail=1,
        requests=450,
        seconds=30,
    ),
)
PLACES = ((0.01, 200.0), (0.01, 1000.0), (0.1, 100.0), (0.5, 10.0), (0.5, 100.0))
"""Share of the candidate, and requests a second of both."""

_CANDIDATE_REQUESTS = 3000
"""How long a step goes on for: every candidate but the five points more must have been found by then."""


def rows(runs: int) -> Iterator[Figure]:
    """Every candidate at every place; then what passes the first step unseen, and what an equal one needs to pass."""
    for candidate in CANDIDATES:
        for share, rate in PLACES:
            yield from _found(candidate, share=share, rate=rate, runs=runs)
    yield from _passed(runs)
    yield from _needed(runs)
    played = list(rollouts.many(Truth(error_rate=0.01), runs=runs, seed=3000))
    for index, step in enumerate(STEPS):
        name = f"equal candidate, 100 requests a second: passes {step.share:.0%} after {step.seconds} s"
        yield figures.stated(name, sum(one.passing[index] for one in played) / runs, "of all")


def _found(candidate: Candidate, *, share: float, rate: float, runs: int) -> Iterator[Figure]:
    seconds = min(max(60, int(_CANDIDATE_REQUESTS / share / rate)), 1200)
    stopped = [
        rollouts.until_stopped(candidate.truth(rate), share=share, seconds=seconds, random=np.random.default_rng(seed))[candidate.guardrail]
        for seed in np.random.SeedSequence(2000).spawn(runs)
    ]
    yield _judged(candidate, stopped, name=f"{candidate.name}, at {share:.0%} of {rate:g} requests a second")


def _judged(candidate: Candidate, stopped: list[Stopped], *, name: str) -> Figure:
    requests, seconds = median(one.requests for one in stopped), median(one.seconds for one in stopped)
    missed = sum(math.isinf(one.requests) for one in stopped)
    row = figures.stated(f"{name}: until rollback ({seconds:g} s; {missed} of {len(stopped)} never)", requests, "candidate requests")
    if math.isinf(candidate.requests):
        return row
    goal = f"<= {candidate.requests:g}" + ("" if math.isinf(candidate.seconds) else f" or {candidate.seconds:g} s")
    return Figure(
        name=row.name, value=row.value, unit=row.unit, goal=goal, ok=missed == 0 and (requests <= candidate.requests or seconds <= candidate.seconds)
    )


def _passed(runs: int) -> Iterator[Figure]:
    """Of candidates with so many points more errors: how many pass the first step of 300 requests a second before they are rolled back."""
    step = rollouts.Step(share=0.01, seconds=600, detect=0.1)
    for more in (0.1, 0.15, 0.2):
        truth = Truth(error_rate=0.01, requests_per_second=300, more_errors=more)
        both = [
            rollouts.passes_first(truth, step, hold_s=20, random=np.random.default_rng(seed)) for seed in np.random.SeedSequence(2500).spawn(runs)
        ]
        name = f"{100 * more:.0f} points more errors pass the first step unseen"
        yield figures.stated(name, sum(one.corrected for one in both) / runs, "of all")
        yield figures.stated(f"{name}, if few groups were not paid for", sum(one.uncorrected for one in both) / runs, "of all")


def _needed(runs: int) -> Iterator[Figure]:
    """How many candidate requests it takes until an equal candidate may pass."""
    for step, rate in ((STEPS[0], 300.0), (STEPS[1], 100.0), (STEPS[2], 100.0), (dataclasses.replace(STEPS[2], detect=0.05), 100.0)):
        longer = dataclasses.replace(step, seconds=900)
        truth = Truth(error_rate=0.01, requests_per_second=rate)
        pairs = [rollouts.requests_to_pass(truth, longer, random=np.random.default_rng(seed)) for seed in np.random.SeedSequence(2700).spawn(runs)]
        for guardrail, needed in (("errors", [one[0] for one in pairs]), ("latency", [one[1] for one in pairs])):
            name = f"equal candidate, {step.share:.0%} of {rate:g} requests a second: {guardrail} pass at detect {step.detect:g} after"
            yield figures.stated(name, median(needed), "candidate requests")
