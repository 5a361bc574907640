"""Plans, against published figures and arithmetic of their own."""

import json
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest

from slipway_operator.api.v1alpha1.experiment import ExperimentSpec
from slipway_operator.cli.experiment import sizing
from slipway_operator.cli.experiment.looks import Unanswerable
from slipway_operator.cli.experiment.sizing import Known, Sized

CONVERSION: dict[str, Any] = {
    "name": "conversion",
    "role": "Primary",
    "type": "Proportion",
    "windowSeconds": 86_400,
    "minimumEffect": {"absolute": "0.01"},
}
ERRORS: dict[str, Any] = {"name": "errors", "role": "Guardrail", "type": "Proportion", "direction": "Down", "margin": "0.005"}
ROUTED: dict[str, Any] = {"name": "error-rate", "role": "Guardrail", "source": "Router", "direction": "Down", "margin": "0.005"}
LATENCY: dict[str, Any] = {"name": "latency-p95", "role": "Guardrail", "source": "Router", "direction": "Down", "marginPercent": 10}
KNOWN = Known(units_per_day=10_000, baseline=0.1)


def _spec(*metrics: dict[str, Any], arms: int = 2, **changes: Any) -> ExperimentSpec:
    written = {
        "targetRef": {"name": "ranker"},
        "arms": [{"name": "control"}, *({"name": f"v{number}", "model": {"uri": f"s3://models/{number}"}} for number in range(1, arms))],
        "assignment": {"unit": {"header": "x-user-id"}},
        "metrics": list(metrics) or [CONVERSION],
        "analysis": {"minDurationSeconds": 0},
    }
    return ExperimentSpec.model_validate(written | changes)


def _sized(*metrics: dict[str, Any], known: Known = KNOWN, **changes: Any) -> Sized:
    return sizing.size(_spec(*metrics, **changes), known)


def _fixed(variances: float, effect: float, *, alpha: float = 0.05) -> int:
    """Units an arm of the z-test with a fixed end: (z₁₋ₐ/₂ + z₀.₈)² · variances / effect²."""
    quantile = NormalDist().inv_cdf
    return math.ceil((quantile(1 - alpha / 2) + quantile(0.8)) ** 2 * variances / effect**2)


def test_a_proportion_takes_what_the_textbook_says() -> None:
    """0.10 → 0.11 at 0.05 and 0.8: 14,749 units an arm."""
    found = _sized()
    assert (found.units_per_arm, found.units_per_arm) == (14_749, _fixed(0.1 * 0.9 + 0.11 * 0.89, 0.01))


def test_a_relative_effect_is_of_the_baseline() -> None:
    relative = CONVERSION | {"minimumEffect": {"relativePercent": "10"}}
    assert _sized(relative).minimum_effect == pytest.approx(0.01)
    assert _sized(relative).units_per_arm == 14_749


def test_less_may_be_better() -> None:
    assert _sized(CONVERSION | {"direction": "Down"}).units_per_arm == _fixed(0.1 * 0.9 + 0.09 * 0.91, 0.01)


def test_a_mean_takes_its_deviation() -> None:
    revenue = {"name": "revenue", "role": "Primary", "type": "Mean", "minimumEffect": {"absolute": "0.5"}}
    assert _sized(revenue, known=Known(units_per_day=1000, baseline=2, deviation=10)).units_per_arm == _fixed(200, 0.5)


def test_a_covariate_takes_its_share_of_the_variance_away() -> None:
    cuped = CONVERSION | {"cuped": {"days": 14}}
    found = _sized(cuped, known=Known(units_per_day=10_000, baseline=0.1, correlation=0.5))
    assert found.units_per_arm == _fixed(0.75 * (0.1 * 0.9 + 0.11 * 0.89), 0.01)


def test_each_of_three_arms_has_half_of_alpha() -> None:
    assert _sized(arms=3).alpha == 0.025
    assert _sized(arms=3).units_per_arm == _fixed(0.1 * 0.9 + 0.11 * 0.89, 0.01, alpha=0.025)


def test_days_are_units_by_the_day_and_the_window() -> None:
    """Half and half from the beginning: twice the plan in each of two arms at 10,000 a day, and a day for the last of them."""
    found = _sized()
    assert [one.days for one in found.powers] == pytest.approx([times * 2 * 14_749 / 10_000 + 1 for times in (1, 1.5, 2)])
    assert found.longest_days == pytest.approx(4 * 14_749 / 10_000 + 1)


def test_days_of_a_ramp() -> None:
    """A day at 10 % beside half in control, then half and half: the first brings h = 5,000 · 1,000/6,000, the second 2,500 a day."""
    found = _sized(ramp=[{"percent": 10, "holdSeconds": 86_400}, {"percent": 50}])
    first = 5000 * 1000 / 6000
    assert found.powers[0].days == pytest.approx(1 + (14_749 / 2 - first) / 2500 + 1)


def test_control_keeps_what_the_last_step_leaves_it() -> None:
    [first, last] = sizing.ramp(_spec(arms=3, ramp=[{"percent": 10, "holdSeconds": 60}, {"percent": 60}]))
    assert (first.control, first.arm, last.control, last.arm) == pytest.approx((0.4, 0.05, 0.4, 0.3))
    assert (first.hold_s, last.hold_s) == (60, 0)


def test_the_shortest_time_counts_in() -> None:
    found = _sized(analysis={"minDurationSeconds": 30 * 86_400, "maxDurationSeconds": 31 * 86_400})
    assert (found.expected_days, found.longest_days, found.fits) == (30, 30, True)


def test_what_the_end_of_the_spec_reaches() -> None:
    """Nine days and one for the window, at 5,000 units an arm and day."""
    found = _sized(analysis={"minDurationSeconds": 0, "maxDurationSeconds": 10 * 86_400})
    assert found.at_maximum.units_per_arm == pytest.approx(45_000, abs=1)
    assert found.at_maximum.times == pytest.approx(45_000 / 14_749, rel=1e-4)
    assert _sized(analysis={"minDurationSeconds": 0, "maxDurationSeconds": 86_401}).at_maximum.power == 0


def test_a_plan_that_does_not_fit() -> None:
    assert not _sized(analysis={"minDurationSeconds": 0, "maxDurationSeconds": 5 * 86_400}).fits


@pytest.mark.parametrize(("margin", "units"), [("0.005", 14_000), ("0.002", 89_000)])
def test_a_guardrail_of_one_per_cent_costs_what_is_published(margin: str, units: int) -> None:
    """At 1 % errors about 14,000 units an arm for half a point, 89,000 for a fifth."""
    [cost] = _sized(CONVERSION, ERRORS | {"margin": margin}, known=Known(units_per_day=10_000, baseline=0.1, guardrails={"errors": 0.01})).guardrails
    assert cost.units_per_arm == pytest.approx(units, rel=0.03)
    assert cost.days == pytest.approx((cost.units_per_arm or 0) * 2 / 10_000 + 1)
    assert cost.alpha == 0.01


def test_the_dearest_guardrail_makes_the_plan_longer() -> None:
    found = _sized(CONVERSION, ERRORS | {"margin": "0.002"}, known=Known(units_per_day=10_000, baseline=0.1, guardrails={"errors": 0.01}))
    [cost] = found.guardrails
    assert (found.expected_days, found.longest_days) == (cost.days, cost.days)


def test_what_routers_count_is_of_the_last_step() -> None:
    """Its alpha is shared over the steps and one part more, requests come by the unit, and the steps before it only pass."""
    ramp = [{"percent": 10, "holdSeconds": 43_200}, {"percent": 50}]
    known = Known(units_per_day=10_000, baseline=0.1, guardrails={"error-rate": 0.01}, requests_per_unit=4)
    [cost] = _sized(CONVERSION, ROUTED, known=known, ramp=ramp).guardrails
    assert cost.alpha == pytest.approx(0.01 / 3)
    assert cost.units_per_arm is None
    assert cost.days == pytest.approx(0.5 + (cost.requests_per_arm or 0) / 4 * 2 / 10_000)


def test_a_latency_that_is_no_worse_has_fewer_slow_requests_than_five_in_a_hundred() -> None:
    known = Known(units_per_day=10_000, baseline=0.1, guardrails={"latency-p95": 0.03})
    [cost] = _sized(CONVERSION, LATENCY, known=known).guardrails
    nearer = Known(units_per_day=10_000, baseline=0.1, guardrails={"latency-p95": 0.04})
    [dearer] = _sized(CONVERSION, LATENCY, known=nearer).guardrails
    assert (dearer.requests_per_arm or 0) > 3 * (cost.requests_per_arm or 0) > 3000


@pytest.mark.parametrize(
    ("metric", "missing"),
    [
        (ERRORS, "give the share of units with --guardrail-baseline errors=SHARE"),
        (ERRORS | {"type": "Mean"}, "give the standard deviation between units with --guardrail-deviation errors=NUMBER"),
        (ERRORS | {"margin": "0"}, "a guardrail with a margin of 0 is never shown to be kept by an arm that is as good; give it a margin"),
        (ROUTED, "give the share of bad requests with --guardrail-baseline error-rate=SHARE"),
    ],
)
def test_a_guardrail_of_which_nothing_is_known(metric: dict[str, Any], missing: str) -> None:
    [cost] = _sized(CONVERSION, metric).guardrails
    assert (cost.missing, cost.days) == (missing, None)


def test_the_table_of_effects() -> None:
    found = _sized()
    assert [one.units_per_arm for one in found.effects] == [
        _fixed(0.09 + (0.1 + effect) * (0.9 - effect), effect) for effect in (0.005, 0.0075, 0.01, 0.015, 0.02, 0.03)
    ]
    assert [one.relative for one in found.effects] == pytest.approx([0.05, 0.075, 0.1, 0.15, 0.2, 0.3])


def test_effects_that_no_share_can_have_are_left_out() -> None:
    assert [
        one.times for one in _sized(CONVERSION | {"minimumEffect": {"absolute": "0.4"}}, known=Known(units_per_day=100, baseline=0.5)).effects
    ] == [
        0.5,
        0.75,
        1.0,
    ]


@pytest.mark.parametrize(
    ("metric", "known", "complaint"),
    [
        (CONVERSION, Known(units_per_day=1), "what is control's conversion now? Give it with --baseline"),
        (CONVERSION, Known(units_per_day=1, baseline=1.5), "a proportion is above 0 and below 1"),
        (CONVERSION, Known(units_per_day=1, baseline=0.1, correlation=0.5), "conversion has no cuped"),
        (CONVERSION, Known(units_per_day=1, baseline=0.1, guardrails={"x": 1}), "x is no guardrail of this experiment; it has none"),
        (CONVERSION | {"type": "Mean"}, Known(units_per_day=1, baseline=2), "conversion is a Mean: give the standard deviation"),
        (
            CONVERSION | {"type": "Mean", "minimumEffect": {"relativePercent": "5"}},
            Known(units_per_day=1, baseline=0, deviation=1),
            "is no effect: it is not known to be above 0",
        ),
    ],
)
def test_questions_that_have_no_answer(metric: dict[str, Any], known: Known, complaint: str) -> None:
    with pytest.raises(Unanswerable) as raised:
        _sized(metric, known=known)
    assert complaint in str(raised.value)


MANIFEST = """\
apiVersion: slipway.dev/v1alpha1
kind: Experiment
metadata: {name: ranker-v8, namespace: shop}
spec:
  targetRef: {name: ranker}
  arms: [{name: control}, {name: v8, model: {uri: s3://models/ranker/8}}]
  assignment: {unit: {header: x-user-id}}
  metrics: [{name: conversion, role: Primary, type: Proportion, minimumEffect: {absolute: "0.01"}}]
"""


def test_the_command(run: Any, tmp_path: Path) -> None:
    (tmp_path / "xp.yaml").write_text(MANIFEST)
    status, out, err = run("plan", "-f", "xp.yaml", "--baseline", "0.1", "--units-per-day", "10000")
    assert (status, err) == (0, "")
    assert "a decision is expected at                 14,749 units" in out
    assert "There is no guardrail." in out


def test_the_command_for_machines(run: Any, tmp_path: Path) -> None:
    (tmp_path / "xp.yaml").write_text(MANIFEST)
    status, out, _ = run("plan", "-f", "xp.yaml", "--baseline", "0.1", "--units-per-day", "10000", "--json")
    told = json.loads(out)
    assert (status, told["unitsPerArm"], told["powers"][2]["unitsPerArm"]) == (0, 14_749, 29_498)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [", "give a YAML or JSON file with one Experiment"),
        ("kind: ConfigMap\napiVersion: v1\n", "xp.yaml has no Experiment; give a file with one"),
        (f"{MANIFEST}---\n{MANIFEST}", "xp.yaml has 2 Experiments; give a file with one"),
        (MANIFEST.replace("Primary", "primary"), 'spec.metrics[0].role: Unsupported value: "primary"'),
    ],
)
def test_a_manifest_that_cannot_be_planned(text: str, complaint: str, run: Any, tmp_path: Path) -> None:
    (tmp_path / "xp.yaml").write_text(text)
    status, out, err = run("plan", "-f", "xp.yaml", "--baseline", "0.1", "--units-per-day", "10000")
    assert (status, out) == (2, "")
    assert complaint in err


@pytest.mark.parametrize(
    "wrong",
    [
        ("--units-per-day", "0"),
        ("--units-per-day", "x"),
        ("--units-per-day", "1", "--correlation", "1"),
        ("--units-per-day", "1", "--baseline", "nan"),
    ],
)
def test_numbers_that_cannot_be(wrong: tuple[str, ...], run: Any) -> None:
    with pytest.raises(SystemExit) as raised:
        run("plan", "-f", "xp.yaml", *wrong)
    assert raised.value.code == 2
