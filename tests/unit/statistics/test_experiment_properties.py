"""What holds of every experiment, whatever its numbers are."""

import dataclasses
import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import strata, sums, verdict
from slipway_statistics.experiment import Design, Joins, Memory, Metric, Observed, Step
from slipway_statistics.strata import Difference
from slipway_statistics.sums import Sums

ROWS = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=3, max_size=10)
PAIRS = st.lists(st.tuples(ROWS, ROWS), min_size=1, max_size=3)
Rows = list[tuple[int, int]]


def compared(pairs: list[tuple[Rows, Rows]], *, times: int = 1, plus: int = 0) -> Difference | None:
    control, arm = ({str(n): sums.of_units([(times * y + plus, x) for y, x in pair[side]]) for n, pair in enumerate(pairs)} for side in (0, 1))
    return strata.compare(control, arm, kind="Mean", theta=strata.theta([control, arm]))


def z(found: Difference | None) -> float:
    return 0.0 if found is None or not 0 < found.standard_error < math.inf else found.estimate / found.standard_error


@given(pairs=PAIRS, times=st.integers(1, 1000), plus=st.integers(-1000, 1000))
def test_the_unit_of_a_metric_does_not_matter(pairs: list[tuple[Rows, Rows]], times: int, plus: int) -> None:
    """Cents in place of euros, and a constant on top, are the same experiment."""
    assert z(compared(pairs, times=times, plus=plus)) == pytest.approx(z(compared(pairs)), rel=1e-6, abs=1e-6)


@given(pairs=PAIRS)
def test_the_arms_may_be_swapped(pairs: list[tuple[Rows, Rows]]) -> None:
    there, back = compared(pairs), compared([(arm, control) for control, arm in pairs])
    assert there is not None
    assert back is not None
    assert (back.estimate, back.standard_error) == pytest.approx((-there.estimate, there.standard_error), abs=1e-9)


@given(pairs=PAIRS)
def test_the_order_of_the_strata_does_not_matter(pairs: list[tuple[Rows, Rows]]) -> None:
    assert z(compared(pairs[::-1])) == pytest.approx(z(compared(pairs)), abs=1e-6)


@given(pairs=PAIRS, level=st.lists(st.integers(-500, 500), min_size=3, max_size=3))
def test_a_base_rate_that_moves_with_the_strata_is_no_effect(pairs: list[tuple[Rows, Rows]], level: list[int]) -> None:
    """A constant on all units of a stratum, of both arms, another in each stratum: nothing changes."""
    moved = [tuple([(y + level[n], x) for y, x in rows] for rows in pair) for n, pair in enumerate(pairs)]
    assert z(compared([(pair[0], pair[1]) for pair in moved])) == pytest.approx(z(compared(pairs)), rel=1e-6, abs=1e-6)


PRIMARY = Metric(name="primary", kind="Proportion", role="Primary", planned_units_per_arm=5000, minimum_effect=0.02)
GUARDRAIL = Metric(name="guardrail", kind="Proportion", role="Guardrail", better="Lower", planned_units_per_arm=5000, margin=0.01)
DESIGN = Design(arms=("control", "one", "two"), metrics=(PRIMARY, GUARDRAIL), minimum_duration_s=100, maximum_duration_s=1000)


@st.composite
def proportions(draw: st.DrawFn, units: int) -> Sums:
    seen = draw(st.integers(0, units))
    return Sums(units=units, totals=(seen, 0), products=(seen, 0, 0))


@st.composite
def looks(draw: st.DrawFn) -> Observed:
    """Anything, mostly with effects that are large enough for something to follow."""
    units: Mapping[str, int] = {arm: draw(st.integers(0, 20_000)) for arm in DESIGN.arms}

    def data() -> dict[str, dict[str, dict[str, Sums]]]:
        return {metric.name: {arm: {"1": draw(proportions(units[arm]))} for arm in DESIGN.arms} for metric in DESIGN.metrics}

    return Observed(
        elapsed_s=draw(st.floats(0, 1200)),
        steps=(Step(name="1", slots=dict.fromkeys(DESIGN.arms, 1), units=units),),
        closed=data(),
        open=data(),
        joins=Joins(units=1000, in_two_arms=draw(st.sampled_from([0, 500]))),
        unresolved_caps=draw(st.sampled_from([(), ("primary",), ("guardrail",)])),
        stopped=draw(st.sampled_from([(), ("one",)])),
        memory=Memory(sample_ratio=draw(st.sampled_from([1.0, 0.0005]))),
    )


@given(observed=looks())
def test_a_win_has_all_its_conditions_at_the_same_look(observed: Observed) -> None:
    look = verdict.look(DESIGN, observed)
    if look.verdict != "Winning":
        return
    assert look.winner is not None
    arm = look.arms[look.winner]
    found = arm.closed["primary"]
    assert found is not None
    assert found.lower > 0
    assert arm.guardrails == {"guardrail": "Shown"}
    assert observed.elapsed_s >= DESIGN.minimum_duration_s
    assert look.sample_ratio.p > DESIGN.sample_ratio_alpha
    assert observed.joins.in_two_arms == 0
    assert observed.unresolved_caps == ()
    assert not any(other.verdict == "Harmful" for other in look.arms.values())
    assert look.winner not in observed.stopped


@given(observed=looks())
def test_harm_is_never_hidden(observed: Observed) -> None:
    """Whatever else is wrong: an arm whose primary to date is below zero with all its interval, and that is old enough, is called harmful."""
    look = verdict.look(DESIGN, observed)
    worse = [
        name
        for name, arm in look.arms.items()
        for found in (arm.to_date["primary"],)
        if found is not None and found.upper < 0 and found.expected_events >= 10 and "primary" not in observed.unresolved_caps
    ]
    assert all(look.arms[name].verdict == "Harmful" for name in worse)
    assert look.verdict == "Harmful" or not worse


@given(observed=looks())
def test_a_second_look_at_the_same_is_the_same(observed: Observed) -> None:
    """With the memory of the first: the least p-values are what they were."""
    first = verdict.look(DESIGN, observed)
    again = verdict.look(DESIGN, dataclasses.replace(observed, memory=first.memory))
    assert (again.verdict, again.findings, again.memory) == (first.verdict, first.findings, first.memory)
