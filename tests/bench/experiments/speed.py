"""What one look costs, from sums: five arms, ten metrics, three strata; and a bandit of five arms after fifty updates."""

import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np

from bench.operator import figures
from bench.operator.figures import Figure
from slipway_statistics import adaptive, counts, ratios, record, sums, verdict
from slipway_statistics.bandit import Rules
from slipway_statistics.experiment import Design, Joins, Metric, Observed, Step

ARMS = ("control", "one", "two", "three", "four")
STRATA = ("1", "2", "3")
_LOOKS = 100


def whole() -> tuple[Design, Observed]:
    """A primary with a covariate, three guardrails of outcomes, two of routers, and four others; outcomes to date differ from closed windows."""
    primary = Metric(name="primary", kind="Mean", role="Primary", planned_units_per_arm=10_000, minimum_effect=0.01)
    guardrails = tuple(
        Metric(name=f"guardrail {number}", kind="Ratio", role="Guardrail", better="Lower", planned_units_per_arm=10_000, margin=0.01)
        for number in range(3)
    )
    routed = tuple(dataclasses.replace(guardrails[0], name=f"routed {number}", source="Router") for number in range(2))
    others = tuple(Metric(name=f"other {number}", kind="Mean", role="Secondary", planned_units_per_arm=10_000) for number in range(4))
    design = Design(arms=ARMS, metrics=(primary, *guardrails, *routed, *others))
    random = np.random.default_rng(6)
    closed, to_date = (
        {
            metric.name: {arm: {name: _sums(metric, random=random) for name in STRATA} for arm in ARMS}
            for metric in design.metrics
            if metric.source == "Outcomes"
        }
        for _ in range(2)
    )
    requests = counts.Counts(buckets=((100, 1, 5),) * counts.BUCKETS, blocks=dict.fromkeys(range(counts.BUCKETS), (100, 1, 5)))
    looked = ratios.look(requests, requests, outcome="bad", max_increase=0.01, alpha=0.001)
    steps = tuple(Step(name=name, slots=dict.fromkeys(ARMS, 2000), units=dict.fromkeys(ARMS, 50_000)) for name in STRATA)
    return design, Observed(
        elapsed_s=1,
        steps=steps,
        closed=closed,
        open=to_date,
        joins=Joins(units=750_000, in_two_arms=0, newest_outcome_age_s=1),
        routed={metric.name: dict.fromkeys(design.treatments, looked) for metric in routed},
    )


def bandit(strata: int = 50) -> tuple[Design, Observed]:
    """A proportion, as many conversions in every arm and stratum."""
    metric = Metric(name="primary", kind="Proportion", role="Primary", planned_units_per_arm=10_000, minimum_effect=0.01)
    names = [str(number) for number in range(1, strata + 1)]
    data = {metric.name: {arm: {name: sums.Sums(units=200, totals=(20, 0), products=(20, 0, 0)) for name in names} for arm in ARMS}}
    steps = tuple(Step(name=name, slots=dict.fromkeys(ARMS, 2000), units=dict.fromkeys(ARMS, 200)) for name in names)
    return Design(arms=ARMS, metrics=(metric,)), Observed(
        elapsed_s=1, steps=steps, closed=data, open=data, joins=Joins(units=1000 * strata, in_two_arms=0)
    )


def took_ms(looks: int = _LOOKS) -> list[float]:
    """Processor time of each look."""
    design, observed = whole()
    return _times_ms(observed, lambda again: verdict.look(design, again), looks=looks)


def bandit_took_ms(looks: int = 20) -> list[float]:
    """The same of a bandit."""
    design, observed = bandit()
    return _times_ms(observed, lambda again: adaptive.look(design, again, rules=Rules(), reward="Beta"), looks=looks)


def _times_ms(observed: Observed, look: Callable[[Observed], object], *, looks: int) -> list[float]:
    written = record.write(observed)
    times = []
    for _ in range(looks):
        # Sums remember their moments; those of a look come fresh from JSON.
        again = record.read(Observed, written)
        began = time.process_time()
        look(again)
        times.append(1000 * (time.process_time() - began))
    return times


def rows(_: int) -> Iterator[Figure]:
    """The median and the slowest but one."""
    times = took_ms()
    yield figures.at_most("a look at five arms, ten metrics, three strata (median)", figures.quantile(times, 0.5), "ms", limit=5)
    yield figures.stated("the same (99 of 100)", figures.quantile(times, 0.99), "ms")
    yield figures.stated("a look at a bandit of five arms after fifty updates (median)", figures.quantile(bandit_took_ms(), 0.5), "ms")


def _sums(metric: Metric, *, random: np.random.Generator) -> sums.Sums:
    """Of 200 units, as if they had been 50,000."""
    if metric.kind == "Ratio":
        found = sums.of_units(random.integers(1, 20, (200, 4)).tolist(), things=sums.RATIO)
    else:
        found = sums.of_units(random.normal(5, 1, (200, 2)).tolist())
    times = 250
    return dataclasses.replace(
        found, units=found.units * times, totals=tuple(times * one for one in found.totals), products=tuple(times * one for one in found.products)
    )
