import math
from statistics import NormalDist

import numpy as np
import pytest

from slipway_statistics import plan, sequences, sums
from slipway_statistics.plan import RampStep, Spread

SPREAD = plan.of_proportion(0.1, effect=0.01)
PLANNED = 14_749


def test_units_of_a_fixed_test() -> None:
    """0.10 → 0.11, two-sided 0.05, power 0.8: the published 14,749 an arm."""
    assert plan.units_per_arm(SPREAD, effect=0.01) == PLANNED


@pytest.mark.parametrize(("effect", "alpha", "power"), [(0.01, 0.05, 0.8), (-0.02, 0.01, 0.9)])
def test_a_fixed_test_of_that_size_has_that_power(effect: float, alpha: float, power: float) -> None:
    n = plan.units_per_arm(SPREAD, effect=effect, alpha=alpha, power=power)
    normal = NormalDist()
    assert normal.cdf(abs(effect) / math.sqrt(SPREAD.both / n) - normal.inv_cdf(1 - alpha / 2)) == pytest.approx(power, abs=1e-3)


@pytest.mark.parametrize(("times", "power", "mean"), [(1, 0.52, 0.78), (1.5, 0.75, 0.96), (2, 0.88, 1.05)])
def test_power_and_mean_size_are_the_published_ones(times: float, power: float, mean: float) -> None:
    """Simulated with a look each 100 units; these are for looks all the time, so a little more power and a little earlier."""
    assert plan.power(times * PLANNED, planned=PLANNED, spread=SPREAD, effect=0.01) == pytest.approx(power, abs=0.02)
    assert plan.mean_units(times * PLANNED, planned=PLANNED, spread=SPREAD, effect=0.01) / PLANNED == pytest.approx(mean, abs=0.025)


@pytest.mark.parametrize(("effect", "power", "mean"), [(0.015, 0.99, 0.54), (0.02, 1.0, 0.34)])
def test_a_larger_effect_ends_sooner(effect: float, power: float, mean: float) -> None:
    spread = plan.of_proportion(0.1, effect=effect)
    assert plan.power(1.5 * PLANNED, planned=PLANNED, spread=spread, effect=effect) == pytest.approx(power, abs=0.01)
    assert plan.mean_units(1.5 * PLANNED, planned=PLANNED, spread=spread, effect=effect) / PLANNED == pytest.approx(mean, abs=0.02)


@pytest.mark.parametrize("times", [0.7, 1.6])
def test_power_is_that_of_a_simulated_motion(times: float) -> None:
    """4,000 random walks of 300 steps; a walk may miss what happens between two looks, and 4,000 are off by 0.016 in 99 of 100 cases."""
    random, looks = np.random.default_rng(8), 300
    units = times * PLANNED * np.arange(1, looks + 1) / looks
    walks = np.cumsum(random.normal(0, math.sqrt(SPREAD.both * units[0]), (4000, looks)) + 0.01 * units[0], axis=1)
    line = np.array([sequences.two_sided(sequences.information(n / 2, planned=PLANNED / 2, alpha=0.05), alpha=0.05) for n in units])
    seen = (walks / np.sqrt(SPREAD.both * units) >= line).any(axis=1).mean()
    assert plan.power(times * PLANNED, planned=PLANNED, spread=SPREAD, effect=0.01) == pytest.approx(seen, abs=0.03)


def test_nothing_is_found_where_there_is_nothing() -> None:
    """On one side, with looks for ever: half of alpha at most."""
    assert 0.001 < plan.power(1e3 * PLANNED, planned=PLANNED, spread=SPREAD, effect=0) <= 0.025
    assert plan.power(0, planned=PLANNED, spread=SPREAD, effect=0.01) == 0


@pytest.mark.parametrize(("margin", "published"), [(0.005, 14_000), (0.002, 89_000)])
def test_what_a_guardrail_costs(margin: float, published: int) -> None:
    """At 1 % errors, alpha 0.01, to be shown with probability 0.8."""
    assert plan.units_to_show(plan.of_proportion(0.01, effect=0), margin=margin, alpha=0.01) == pytest.approx(published, rel=0.03)


def test_a_guardrail_of_no_margin_is_never_shown() -> None:
    with pytest.raises(ValueError, match="may not get worse by more than 0"):
        plan.units_to_show(SPREAD, margin=0, alpha=0.01)


def test_the_smallest_effect_has_the_power_that_was_asked_for() -> None:
    found = plan.smallest_effect(20_000, planned=PLANNED, spread=SPREAD)
    assert plan.power(20_000, planned=PLANNED, spread=SPREAD, effect=found) == pytest.approx(0.8, abs=1e-3)
    assert plan.smallest_effect(40_000, planned=PLANNED, spread=SPREAD) < found


def test_a_covariate_takes_its_part() -> None:
    half = SPREAD.with_covariate(math.sqrt(0.5))
    assert plan.units_per_arm(half, effect=0.01) == pytest.approx(PLANNED / 2, abs=1)


def test_variances_of_units_of_the_time_before() -> None:
    found = sums.of_units([(0, 0)] * 90 + [(1, 0)] * 10)
    assert plan.of_units(found).control == pytest.approx(0.09 * 100 / 99)
    ratio = plan.of_units(sums.of_units([(1, 10, 0, 0), (3, 10, 0, 0)] * 50, things=4))
    assert ratio.control == pytest.approx(0.01 * 100 / 99)


def test_duration_of_a_constant_split() -> None:
    """Ten units a second, half and half: 14,749 an arm in 2,950 s, and an hour for the last ones."""
    ramp = [RampStep(control=0.5, arm=0.5, hold_s=0)]
    assert plan.duration_s(PLANNED, ramp=ramp, units_per_second=10, window_s=3600) == pytest.approx(2 * PLANNED / 10 + 3600)


def test_duration_of_a_ramp() -> None:
    """The first step has h = 0.02 · 0.5/0.52 a unit, for 1,000 s; the rest comes from the last step with a quarter."""
    ramp = [RampStep(control=0.5, arm=0.02, hold_s=1000), RampStep(control=0.5, arm=0.5, hold_s=0)]
    first = 1000 * 0.02 * 0.5 / 0.52
    assert plan.duration_s(1000, ramp=ramp, units_per_second=1) == pytest.approx(1000 + (500 - first) / 0.25)
    assert plan.duration_s(20, ramp=ramp, units_per_second=1) == pytest.approx(10 / (0.02 * 0.5 / 0.52))


def test_the_outline_is_what_its_parts_say() -> None:
    """The guardrail of 0.002 is dearer than twice the fixed size, so it sets the time: 87,186 an arm at ten units a second, and an hour."""
    errors = plan.of_proportion(0.01, effect=0)
    found = plan.outline(
        SPREAD,
        effect=0.01,
        alpha=0.05,
        guardrails={"errors": (errors, 0.002, 0.01), "timeouts": (errors, 0.005, 0.01)},
        ramp=[RampStep(control=0.5, arm=0.5, hold_s=0)],
        units_per_second=10,
        window_s=3600,
    )
    dearest = plan.units_to_show(errors, margin=0.002, alpha=0.01)
    assert found.units_per_arm == PLANNED
    assert (found.power, found.mean_units / PLANNED) == pytest.approx((0.88, 1.05), abs=0.01)
    assert found.guardrails == {"errors": dearest, "timeouts": plan.units_to_show(errors, margin=0.005, alpha=0.01)}
    assert found.seconds == pytest.approx(2 * dearest / 10 + 3600)
    assert 0.009 < found.smallest_effect < 0.01


def test_more_arms_need_more_units() -> None:
    """Each has a third of alpha: (2.394 + 0.842)² over (1.960 + 0.842)², a third more."""
    found = plan.outline(SPREAD, effect=0.01, alpha=0.05 / 3, guardrails={}, ramp=[RampStep(control=0.5, arm=0.1, hold_s=0)], units_per_second=1)
    assert found.units_per_arm / PLANNED == pytest.approx((2.394 + 0.8416) ** 2 / (1.95996 + 0.8416) ** 2, abs=1e-3)
    assert found.seconds == pytest.approx(found.units_per_arm / (0.5 * 0.1 / 0.6))


def test_what_cannot_be_planned_is_refused() -> None:
    for wrong, message in (
        (lambda: plan.units_per_arm(SPREAD, effect=0), "an effect of 0"),
        (lambda: plan.of_proportion(0.9, effect=0.2), r"not 1\.1"),
        (lambda: Spread(control=0, arm=0), "not both 0"),
        (lambda: SPREAD.with_covariate(1), "above -1 and below 1"),
        (lambda: plan.of_units(sums.nothing(2)), "two units or more"),
        (lambda: plan.duration_s(10, ramp=[], units_per_second=1), "never ends"),
        (lambda: plan.smallest_effect(0, planned=1, spread=SPREAD), "not in 0"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
