"""What an experiment settles once, what it has the ledger measure, and what a look is taken by."""

import dataclasses
import math
from typing import Any

import pytest

from slipway_operator.api.v1alpha1.experiment import ExperimentSpec, MetricStatus
from slipway_operator.reconcile.experiment import designs
from slipway_operator.state.experiment import Sums
from slipway_statistics import sums as statistics
from slipway_testing import builders
from slipway_testing import experiments as xp

REVENUE = {"name": "revenue", "role": "Secondary", "type": "Mean", "capPercentile": "99.9", "cuped": {"days": 14}}
CLICKS = {"name": "ctr", "role": "Observe", "type": "Ratio", "denominator": "views", "windowSeconds": 3_600}
REFUNDS = {"name": "refunds", "role": "Guardrail", "type": "Proportion", "direction": "Down", "margin": "0.01"}
LATENCY = {"name": "latency-p95", "role": "Guardrail", "source": "Router", "direction": "Down", "marginPercent": 10}


def spec(*metrics: dict[str, Any], primary: dict[str, Any] | None = None, **changes: Any) -> ExperimentSpec:
    first = {name: value for name, value in (xp.CONVERSION | (primary or {})).items() if value is not None}
    return xp.spec(metrics=[first, *metrics], **changes)


def seen(units: int = 10_000, *, rate: float = 0.1, metric: str = "conversion", quantiles: dict[str, float] | None = None) -> Sums:
    """So many units in control and as many in v8; of v8 nobody converted, so that together it is half the rate."""
    heap = {"control": {"1": xp.conversions(units, 2 * rate)}, "v8": {"1": xp.conversions(units, 0.0)}}
    return Sums(
        now=builders.NOW,
        closed={},
        open={metric: heap},
        units={},
        waiting=0,
        in_two_arms=0,
        newest_outcome=None,
        quantiles=quantiles or {},
    )


def settled(of: ExperimentSpec, sums: Sums, known: dict[str, MetricStatus] | None = None) -> dict[str, MetricStatus]:
    return designs.by_name(designs.settled(of, known or {}, sums))


def units_per_arm(rate: float, effect: float, *, alpha: float, power_z: float = 0.841621) -> int:
    """The textbook's n = (z_alpha/2 + z_power)² · 2 · p (1 - p) / effect²; z of 0.8 is 0.841621."""
    z_alpha = {0.05: 1.959964, 0.025: 2.241403}[alpha]
    return math.ceil((z_alpha + power_z) ** 2 * 2 * rate * (1 - rate) / effect**2)


def test_the_ledger_measures_what_applications_send() -> None:
    of = spec(REVENUE, CLICKS, REFUNDS, xp.ERRORS, LATENCY)
    assert designs.definition(of, settled={}) == {
        "service": "digits",
        "arms": ["control", "v8"],
        "metrics": [
            {"name": "conversion", "type": "Proportion", "windowSeconds": 60},
            {"name": "revenue", "type": "Mean", "windowSeconds": 86_400, "cuped": {"days": 14}},
            {"name": "ctr", "type": "Ratio", "windowSeconds": 3_600, "denominator": "views"},
            {"name": "refunds", "type": "Proportion", "windowSeconds": 86_400},
        ],
    }


def test_a_cap_goes_to_the_ledger_once_it_is_known() -> None:
    of = spec(REVENUE)
    assert [metric.name for metric in designs.uncapped(of, {})] == ["revenue"]
    found = settled(of, seen(quantiles={"revenue": 99.5}))
    assert found["revenue"].cap == "99.5"
    assert designs.uncapped(of, found) == ()
    assert designs.definition(of, settled=found)["metrics"][1]["cap"] == 99.5


@pytest.mark.parametrize(
    ("percentile", "cap", "flat"), [(0.0, None, ["revenue"]), (-2.5, None, ["revenue"]), (1e-6, "1e-06", []), (3e12, "1000000000", [])]
)
def test_a_cap_that_the_ledger_would_refuse_is_none(percentile: float, cap: str | None, flat: list[str]) -> None:
    of = spec(REVENUE)
    found = settled(of, seen(quantiles={"revenue": percentile}))
    assert found["revenue"].cap == cap
    assert [metric.name for metric in designs.flat(of, {}, seen(quantiles={"revenue": percentile}))] == flat


def test_a_cap_that_nobody_can_tell_yet_is_not_flat() -> None:
    assert designs.flat(spec(REVENUE), {}, seen()) == ()


def test_no_plan_is_for_more_units_than_a_status_can_tell() -> None:
    tiny = {"minimumEffect": {"absolute": "0.000001"}, "type": "Mean", "baseline": None}
    of = spec({"name": "refunds", "role": "Guardrail", "type": "Mean", "direction": "Down", "margin": "0.000001"}, primary=tiny)
    rich = statistics.of_units([(number * 1e6,) for number in range(1_000)])
    heap = {name: {"control": {"1": rich}, "v8": {"1": rich}} for name in ("conversion", "refunds")}
    found = settled(of, dataclasses.replace(seen(), open=heap))
    assert [found[name].planned_units_per_arm for name in heap] == [10**15, 10**15]


def test_what_was_settled_is_never_found_again() -> None:
    of = spec(REVENUE, primary={"baseline": None})
    first = settled(of, seen(quantiles={"revenue": 99.5}))
    assert first["conversion"].planned_units_per_arm
    assert settled(of, seen(rate=0.3, quantiles={"revenue": 7.0}), first) == first


def test_a_known_baseline_settles_the_plan_at_once() -> None:
    found = settled(spec(), seen(units=0))["conversion"]
    assert (found.minimum_effect, found.planned_units_per_arm) == ("0.01", 14_128)


def test_without_one_the_units_of_all_arms_settle_it_together() -> None:
    """Control converts at 0.2 and the arm not at all: the plan is made of 0.1."""
    found = settled(spec(primary={"baseline": None}), seen())["conversion"]
    assert found.minimum_effect == "0.01"
    assert found.planned_units_per_arm == pytest.approx(units_per_arm(0.1, 0.01, alpha=0.05), rel=1e-3)


def test_too_few_events_settle_nothing() -> None:
    found = settled(spec(primary={"baseline": None}), seen(units=50, rate=0.05))["conversion"]
    assert (found.minimum_effect, found.planned_units_per_arm) == (None, None)


def test_an_effect_relative_to_nothing_waits_for_something() -> None:
    of = spec(primary={"type": "Mean", "baseline": None})
    around_zero = {"control": {"1": statistics.Sums(units=1_000, totals=(1, 0), products=(5_000, 0, 0))}}
    nothing = Sums(now=builders.NOW, closed={}, open={"conversion": around_zero}, units={}, waiting=0, in_two_arms=0, newest_outcome=None)
    assert settled(of, nothing)["conversion"] == MetricStatus(name="conversion")


def test_an_absolute_effect_is_what_it_says() -> None:
    of = spec(primary={"baseline": None, "minimumEffect": {"absolute": "0.02"}})
    assert settled(of, seen())["conversion"].minimum_effect == "0.02"


def test_several_arms_share_alpha_in_the_plan() -> None:
    of = spec(arms=("v8", "v9"))
    assert settled(of, seen(units=0))["conversion"].planned_units_per_arm == pytest.approx(units_per_arm(0.1, 0.01, alpha=0.025), rel=1e-3)


def test_a_guardrail_of_outcomes_is_planned_by_its_margin() -> None:
    """One-sided at 0.01: z of 0.99 is 2.326348."""
    found = settled(spec(REFUNDS), seen(metric="refunds"))["refunds"].planned_units_per_arm
    assert found
    classical = (2.326348 + 0.841621) ** 2 * 2 * 0.1 * 0.9 / 0.01**2
    assert found > classical, "to be shown at every look takes more than at one"
    assert settled(spec(REFUNDS), seen(units=10, metric="refunds"))["refunds"].planned_units_per_arm is None


def test_what_routers_count_settles_nothing() -> None:
    found = settled(spec(xp.ERRORS, LATENCY), seen())
    assert (found["error-rate"], found["latency-p95"]) == (MetricStatus(name="error-rate"), MetricStatus(name="latency-p95"))


def test_a_design_has_what_the_spec_says_and_what_was_settled() -> None:
    of = spec(REVENUE, CLICKS, REFUNDS | {"alpha": "0.002"}, xp.ERRORS, LATENCY, analysis={"alpha": "0.1", "minUnitsPerArm": 500})
    found = designs.design(of, settled(of, seen()))
    assert (found.arms, found.alpha, found.minimum_units_per_arm, found.maximum_duration_s) == (("control", "v8"), 0.1, 500, 86_400)
    assert [(metric.name, metric.kind, metric.better, metric.margin, metric.alpha, metric.source) for metric in found.metrics] == [
        ("conversion", "Proportion", "Higher", None, None, "Outcomes"),
        ("revenue", "Mean", "Higher", None, None, "Outcomes"),
        ("ctr", "Ratio", "Higher", None, None, "Outcomes"),
        ("refunds", "Proportion", "Lower", 0.01, 0.002, "Outcomes"),
        ("error-rate", "Ratio", "Lower", 0.01, None, "Router"),
        ("latency-p95", "Ratio", "Lower", 0.0, None, "Router"),
    ]
    assert found.primary.minimum_effect == 0.01


def test_before_it_is_settled_no_interval_is_within_the_least_effect() -> None:
    of = spec(primary={"baseline": None})
    found = designs.design(of, {})
    assert found.primary.minimum_effect
    assert found.primary.minimum_effect < 1e-9
    assert found.primary.planned_units_per_arm == of.analysis.min_units_per_arm


@pytest.mark.parametrize(
    ("arms", "steps", "confirm_s", "strata"), [(("v8",), 3, 0, 3), (("v8", "v9", "v10"), 3, 0, 5), (("v8",), 0, 0, 1), (("v8",), 0, 61, 2)]
)
def test_strata_are_steps_a_fresh_estimate_and_arms_that_may_be_stopped_on_the_way(
    arms: tuple[str, ...], steps: int, confirm_s: int, strata: int
) -> None:
    of = spec(arms=arms, ramp=list(xp.RAMP)[:steps] or None, decision={"confirmSeconds": confirm_s})
    assert designs.most_strata(of) == strata


@pytest.mark.parametrize(
    "changes",
    [{}, {"ramp": None}, {"arms": ("v8", "v9")}, {"ramp": None, "mode": "Bandit", "bandit": {"updateSeconds": 960}}],
    ids=["a ramp", "one step", "two arms", "ninety updates"],
)
def test_however_often_pods_go_and_come_a_guardrail_of_routers_errs_no_more_than_it_may(changes: dict[str, Any]) -> None:
    of = spec(xp.ERRORS | {"alpha": "0.02"}, **changes)
    whole = designs.design(of, {})
    (metric,) = whole.guardrails
    spent = [designs.alpha_of_stratum(of, whole, metric, number=number) for number in range(1, 100_001)]
    assert 0.999 * 0.02 < len(of.treatments) * sum(spent) <= 0.02
    assert spent == sorted(spent, reverse=True)
