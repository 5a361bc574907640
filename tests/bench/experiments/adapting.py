"""Whole bandits by ``adaptive.look`` itself: shares that become slots, a stratum for each update, windows that close a batch later.

How often arms that are alike end as better or worse, and how soon one that is better has most of the units.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bench.guardrails.false_rollbacks import most
from bench.operator import figures
from bench.operator.figures import Figure
from slipway_statistics import adaptive
from slipway_statistics.adaptive import Look
from slipway_statistics.bandit import Rules
from slipway_statistics.experiment import Design, Joins, Memory, Metric, Observed, Step
from slipway_statistics.sums import Sums

ARMS = ("control", "one", "two")
RULES = Rules(floor=0.1)
BATCHES, SIZE = 40, 750
SLOTS = 10_000
DESIGN = Design(
    arms=ARMS,
    metrics=(Metric(name="conversion", kind="Proportion", role="Primary", planned_units_per_arm=BATCHES * SIZE // 3, minimum_effect=0.01),),
    minimum_duration_s=20,
    maximum_duration_s=BATCHES,
)


@dataclass(frozen=True, kw_only=True)
class Played:
    """How it ended, and what it cost."""

    look: Look
    units: int
    lost: float
    """Conversions lost to always giving the best arm, in expectation."""


def play(*, random: np.random.Generator, rates: Mapping[str, float], rules: Rules = RULES) -> Played:
    """A batch of units a second, a look and an update after each; outcomes of a batch are known when the next one has come."""
    steps: list[Step] = []
    sums: dict[str, dict[str, Sums]] = {arm: {} for arm in ARMS}
    slots, memory, look, lost = adaptive.slots(dict.fromkeys(ARMS, 1 / 3), total=SLOTS, floor=rules.floor), Memory(), None, 0.0
    for number in range(1, BATCHES + 1):
        came = random.multinomial(SIZE, [slots[arm] / SLOTS for arm in ARMS])
        steps.append(Step(name=str(number), slots=slots, units=dict(zip(ARMS, came.tolist(), strict=True))))
        look = adaptive.look(DESIGN, _observed(number, steps, sums, memory), rules=rules, reward="Beta")
        memory = look.said.memory
        lost += sum(int(n) * (max(rates.values()) - rates[arm]) for arm, n in zip(ARMS, came, strict=True))
        if look.said.verdict in ("Winning", "Harmful", "NoPracticalEffect", "Inconclusive"):
            break
        for arm, n in zip(ARMS, came.tolist(), strict=True):
            good = int(random.binomial(n, rates[arm]))
            sums[arm][str(number)] = Sums(units=n, totals=(good, 0), products=(good, 0, 0))
        slots = adaptive.slots(look.moves.next_shares, total=SLOTS, floor=rules.floor)
    if look is None:
        raise AssertionError("there is at least one look")
    return Played(look=look, units=len(steps) * SIZE, lost=lost)


def rows(runs: int) -> Iterator[Figure]:
    """Alike, one better, one half as good; and one better where nothing may win."""
    alike = [play(random=random, rates=dict.fromkeys(ARMS, 0.1)).look.said.verdict for random in _generators(2900, runs)]
    for verdict in ("Winning", "Harmful"):
        name = f"bandit of three, alike: {verdict.lower()}"
        yield figures.at_most(name, alike.count(verdict), f"of {runs}", limit=most(runs, DESIGN.alpha / 2))
    fewer = max(1, runs // 4)
    better = [play(random=random, rates=_with(two=0.03)) for random in _generators(2901, fewer)]
    won = sum(one.look.said.winner == "two" for one in better)
    yield Figure(name="bandit of three, 10 % and 13 %: it wins", value=won, unit=f"of {fewer}", goal=f">= {0.9 * fewer:g}", ok=won >= 0.9 * fewer)
    yield figures.stated(
        "bandit of three, 10 % and 13 %: units until it wins (median)", figures.quantile([one.units for one in better], 0.5), "units"
    )
    worse = [play(random=random, rates=_with(one=-0.05)) for random in _generators(2902, fewer)]
    stopped = sum(one.look.said.arms["one"].verdict == "Harmful" for one in worse)
    yield Figure(name="bandit of three, one half as good: it is stopped", value=stopped, unit=f"of {fewer}", goal=f"{fewer}", ok=stopped == fewer)
    low = [play(random=random, rates=_with(two=0.03), rules=dataclasses.replace(RULES, floor=0.05)) for random in _generators(2903, fewer)]
    wins = sum(one.look.said.verdict == "Winning" for one in low)
    yield figures.at_most("bandit of three, 10 % and 13 %, floor 0.05: it wins", wins, f"of {fewer}", limit=0)
    lost, equal = float(np.mean([one.lost for one in low])), float(np.mean([one.units for one in low])) * 0.02
    yield Figure(
        name="bandit of three, 10 % and 13 %, floor 0.05: conversions lost over those of equal shares",
        value=round(lost / equal, 3),
        unit="",
        goal="< 0.5",
        ok=lost < 0.5 * equal,
    )


def _observed(number: int, steps: list[Step], sums: Mapping[str, Mapping[str, Sums]], memory: Memory) -> Observed:
    closed = {"conversion": {arm: dict(strata) for arm, strata in sums.items()}}
    joins = Joins(units=number * SIZE, in_two_arms=0)
    return Observed(elapsed_s=number, steps=tuple(steps), closed=closed, open=closed, joins=joins, memory=memory)


def _with(**more: float) -> dict[str, float]:
    return {arm: 0.1 + more.get(arm, 0.0) for arm in ARMS}


def _generators(seed: int, runs: int) -> Iterator[np.random.Generator]:
    return (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(runs))
