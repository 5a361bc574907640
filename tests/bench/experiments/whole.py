"""Whole experiments by ``verdict.look`` itself: two arms that are no different, a guardrail, a ramp. How often do they end wrongly?"""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from bench.guardrails.false_rollbacks import most
from bench.operator import figures
from bench.operator.figures import Figure
from slipway_statistics import verdict
from slipway_statistics.experiment import Design, Joins, Memory, Metric, Observed, Step
from slipway_statistics.sums import Sums
from slipway_statistics.verdict import Look

ARMS = ("control", "one", "two")
MARGIN = 0.005
RATE, ERRORS = 0.1, 0.01
PRIMARY = Metric(name="conversion", kind="Proportion", role="Primary", planned_units_per_arm=10_000, minimum_effect=0.01)
GUARDRAIL = Metric(name="errors", kind="Proportion", role="Guardrail", better="Lower", planned_units_per_arm=10_000, margin=MARGIN)
DESIGN = Design(arms=ARMS, metrics=(PRIMARY, GUARDRAIL), minimum_duration_s=20, maximum_duration_s=60)

# Units between two looks, of control and each arm, by the number of the look.
_STEPS = {"1": (range(15), (400, 40)), "2": (range(15, 60), (400, 400))}


def play(*, random: np.random.Generator, rates: Mapping[str, float], errors: Mapping[str, float]) -> Look:
    """Look once a second for a minute, until something is decided; the last look."""
    totals = {metric: {arm: {name: [0, 0] for name in _STEPS} for arm in ARMS} for metric in ("conversion", "errors")}
    memory, look = Memory(), None
    for number in range(60):
        name, sizes = next((name, sizes) for name, (numbers, sizes) in _STEPS.items() if number in numbers)
        for metric, shares in (("conversion", rates), ("errors", errors)):
            for arm in ARMS:
                size = sizes[0] if arm == "control" else sizes[1]
                cell = totals[metric][arm][name]
                cell[0] += size
                cell[1] += int(random.binomial(size, shares[arm]))
        look = verdict.look(DESIGN, _observed(number, totals, memory))
        memory = look.memory
        if look.verdict in ("Winning", "Harmful", "NoPracticalEffect", "Inconclusive"):
            return look
    if look is None:
        raise AssertionError("there is at least one look")
    return look


def rows(runs: int) -> Iterator[Figure]:
    """As bad as allowed: no better on the primary, worse on the guardrail by exactly its margin."""
    alike = dict.fromkeys(ARMS, RATE)
    for seed, (name, errors) in enumerate({"alike": dict.fromkeys(ARMS, ERRORS), "at the margin": _with(ERRORS, one=MARGIN, two=MARGIN)}.items()):
        found = [play(random=random, rates=alike, errors=errors) for random in _generators(2500 + seed, runs)]
        wrong = sum(look.verdict in ("Winning", "Harmful") for look in found)
        yield figures.at_most(f"two arms, {name}: wins and harms", wrong, f"of {runs}", limit=most(runs, DESIGN.declared_error))
        yield figures.stated(f"two arms, {name}: unhealthy", sum(look.verdict == "Unhealthy" for look in found), f"of {runs}")
    better = [play(random=random, rates=_with(RATE, two=0.03), errors=dict.fromkeys(ARMS, ERRORS)) for random in _generators(2510, runs)]
    yield figures.stated("two arms, one better by three points: it wins", sum(look.winner == "two" for look in better), f"of {runs}")
    worse = [play(random=random, rates=_with(RATE, one=-0.05), errors=dict.fromkeys(ARMS, ERRORS)) for random in _generators(2511, runs)]
    stopped = sum(look.verdict == "Harmful" and look.arms["one"].verdict == "Harmful" for look in worse)
    yield Figure(name="two arms, one half as good: it is stopped", value=stopped, unit=f"of {runs}", goal=f"{runs}", ok=stopped == runs)


def _observed(number: int, totals: Mapping[str, Mapping[str, Mapping[str, list[int]]]], memory: Memory) -> Observed:
    sums = {
        metric: {
            arm: {name: Sums(units=n, totals=(seen, 0), products=(seen, 0, 0)) for name, (n, seen) in strata.items() if n}
            for arm, strata in arms.items()
        }
        for metric, arms in totals.items()
    }
    counts = totals["conversion"]
    steps = tuple(
        Step(name=name, slots=dict(zip(ARMS, (sizes[0], sizes[1], sizes[1]), strict=True)), units={arm: counts[arm][name][0] for arm in ARMS})
        for name, (_, sizes) in _STEPS.items()
    )
    units = sum(n for strata in counts.values() for n, _ in strata.values())
    found = Observed(elapsed_s=number + 1, steps=steps, closed=sums, open=sums, joins=Joins(units=units, in_two_arms=0))
    return dataclasses.replace(found, memory=memory)


def _with(level: float, **more: float) -> dict[str, float]:
    return {arm: level + more.get(arm, 0.0) for arm in ARMS}


def _generators(seed: int, runs: int) -> Iterator[np.random.Generator]:
    return (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(runs))
