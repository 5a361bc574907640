"""What one look costs: five arms, ten metrics, three strata, from sums."""

import dataclasses
import time
from collections.abc import Iterator

import numpy as np

from bench.operator import figures
from bench.operator.figures import Figure
from slipway_statistics import record, sums, verdict
from slipway_statistics.experiment import Design, Joins, Metric, Observed, Step

ARMS = ("control", "one", "two", "three", "four")
STRATA = ("1", "2", "3")
_LOOKS = 100


def whole() -> tuple[Design, Observed]:
    """A primary with a covariate, three guardrails (two of them ratios) and six others; outcomes to date differ from closed windows."""
    primary = Metric(name="primary", kind="Mean", role="Primary", planned_units_per_arm=10_000, minimum_effect=0.01)
    guardrails = tuple(
        Metric(name=f"guardrail {number}", kind="Ratio", role="Guardrail", better="Lower", planned_units_per_arm=10_000, margin=0.01)
        for number in range(3)
    )
    others = tuple(Metric(name=f"other {number}", kind="Mean", role="Secondary", planned_units_per_arm=10_000) for number in range(6))
    design = Design(arms=ARMS, metrics=(primary, *guardrails, *others))
    random = np.random.default_rng(6)
    closed, to_date = (
        {metric.name: {arm: {name: _sums(metric, random=random) for name in STRATA} for arm in ARMS} for metric in design.metrics} for _ in range(2)
    )
    steps = tuple(Step(name=name, slots=dict.fromkeys(ARMS, 2000), units=dict.fromkeys(ARMS, 50_000)) for name in STRATA)
    return design, Observed(elapsed_s=1, steps=steps, closed=closed, open=to_date, joins=Joins(units=750_000, in_two_arms=0, newest_outcome_age_s=1))


def took_ms(looks: int = _LOOKS) -> list[float]:
    """Processor time of each look."""
    design, observed = whole()
    written = record.write(observed)
    times = []
    for _ in range(looks):
        # Sums remember their moments; those of a look come fresh from JSON.
        observed = record.read(Observed, written)
        began = time.process_time()
        verdict.look(design, observed)
        times.append(1000 * (time.process_time() - began))
    return times


def rows(_: int) -> Iterator[Figure]:
    """The median and the slowest but one."""
    times = took_ms()
    yield figures.at_most("a look at five arms, ten metrics, three strata (median)", figures.quantile(times, 0.5), "ms", limit=5)
    yield figures.stated("the same (99 of 100)", figures.quantile(times, 0.99), "ms")


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
