import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import plan, settle, sums
from slipway_statistics.experiment import Arms
from slipway_statistics.plan import Spread
from slipway_statistics.settle import Baseline, Effect, NoBaseline, Settled
from slipway_statistics.sums import Sums

TENTH = Effect(size=0.1, scale="Relative")


def proportion(units: int, good: int) -> Sums:
    return Sums(units=units, totals=(good, 0), products=(good, 0, 0))


def fixed_size(variance: float, effect: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Of the textbook, n = 2 (z + z)² σ²/δ²."""
    normal = NormalDist()
    return math.ceil(2 * (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) ** 2 * variance / effect**2)


def numbers(found: Settled | None) -> tuple[float, int]:
    assert found is not None
    return found.minimum_effect, found.planned_units_per_arm


def test_a_known_rate_and_the_worked_line() -> None:
    assert numbers(settle.primary("Proportion", settle.of_rate(0.1), effect=TENTH, alpha=0.05)) == pytest.approx((0.01, fixed_size(0.09, 0.01)))
    assert fixed_size(0.09, 0.01) == 14_128


@given(arms=st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("123"), st.integers(0, 400)), min_size=1))
def test_arms_and_strata_are_one_heap(arms: dict[str, dict[str, int]]) -> None:
    """Whoever converted where: only how many did of how many counts."""
    heap = settle.pooled({arm: {name: proportion(500, good) for name, good in strata.items()} for arm, strata in arms.items()})
    counted = [good for strata in arms.values() for good in strata.values()]
    assert heap == (proportion(500 * len(counted), sum(counted)) if counted else None)


def test_settled_by_the_first_units() -> None:
    """120 of 1,000 converted; the variance is that of a sample, p(1 - p) n/(n - 1)."""
    arms: Arms = {"control": {"1": proportion(600, 60)}, "v8": {"1": proportion(300, 20), "2": proportion(100, 40)}}
    found = settle.primary("Proportion", settle.pooled(arms), effect=TENTH, alpha=0.025, power=0.9)
    assert numbers(found) == pytest.approx((0.012, fixed_size(0.12 * 0.88 * 1000 / 999, 0.012, alpha=0.025, power=0.9)))


@pytest.mark.parametrize(
    ("heap", "expected"),
    [(None, False), (proportion(0, 0), False), (proportion(5000, 9), False), (proportion(5000, 10), True), (proportion(5000, 5000), False)],
)
def test_ten_events_settle_a_proportion(heap: Sums | None, expected: bool) -> None:
    """Where all convert nothing varied, and no number of units follows."""
    assert (settle.primary("Proportion", heap, effect=TENTH, alpha=0.05) is not None) == expected
    assert (settle.guardrail("Proportion", heap, margin=0.01, alpha=0.01) is not None) == expected


def values(count: int, *, mean: float) -> Sums:
    """Half of them one more than the mean, half one less."""
    return sums.of_units([(mean + (1 if number % 2 else -1),) for number in range(count)])


def test_a_hundred_units_settle_a_mean() -> None:
    assert settle.primary("Mean", values(98, mean=5.0), effect=TENTH, alpha=0.05) is None
    found = settle.primary("Mean", values(100, mean=5.0), effect=TENTH, alpha=0.05)
    assert numbers(found) == pytest.approx((0.5, fixed_size(100 / 99, 0.5)))


def test_a_ratio_is_settled_by_events_and_the_variance_of_its_units() -> None:
    """Ten of fifty users have 2 errors in 10 requests, the others none in 10: 20 errors of 500, ten events of one size."""
    rows = [(2, 10, 0, 0)] * 10 + [(0, 10, 0, 0)] * 40
    found = settle.primary("Ratio", sums.of_units(rows, things=sums.RATIO), effect=Effect(size=0.02, scale="Absolute"), alpha=0.05)
    residuals = [(m - 0.04 * d) / 10 for m, d, _, _ in rows]
    assert found == Settled(minimum_effect=0.02, planned_units_per_arm=fixed_size(sum(one * one for one in residuals) / 49, 0.02))
    assert settle.primary("Ratio", sums.of_units(rows[1:], things=sums.RATIO), effect=TENTH, alpha=0.05) is None


@pytest.mark.parametrize("mean", [0.0, -3.0, 0.39])
def test_no_share_of_a_mean_that_may_be_none(mean: float) -> None:
    """Of a hundred values one from their mean the standard error is 0.1005: 0.39 is less than four of it, 0.41 more."""
    heap = values(100, mean=mean)
    with pytest.raises(NoBaseline, match=r"10 % of a baseline of .* is not known to be above 0; give the effect in the metric's unit"):
        settle.primary("Mean", heap, effect=TENTH, alpha=0.05)
    assert settle.primary("Mean", heap, effect=Effect(size=0.2, scale="Absolute"), alpha=0.05) is not None
    assert settle.primary("Mean", values(100, mean=0.41), effect=TENTH, alpha=0.05) is not None


def test_a_guardrail_is_planned_until_it_is_shown() -> None:
    """At 1 % errors a margin of 0.005 takes 13,950 units an arm at alpha 0.01, by docs/statistics.md."""
    assert settle.guardrail("Proportion", settle.of_rate(0.01), margin=0.005, alpha=0.01) == 13_950
    heap = proportion(10_000, 100)
    assert settle.guardrail("Proportion", heap, margin=0.005, alpha=0.01) == plan.units_to_show(plan.of_units(heap), margin=0.005, alpha=0.01)
    with pytest.raises(ValueError, match="never shown"):
        settle.guardrail("Proportion", heap, margin=0.0, alpha=0.01)


def test_a_margin_can_be_a_share_of_the_baseline() -> None:
    known = Baseline(value=0.02, spread=Spread(control=1, arm=1))
    assert settle.absolute(Effect(size=0.25, scale="Relative"), of=known, kind="Ratio") == pytest.approx(0.005)
    with pytest.raises(NoBaseline):
        settle.absolute(TENTH, of=Baseline(value=0.0, spread=Spread(control=1, arm=1)), kind="Ratio")


@pytest.mark.parametrize("size", [0.0, -1.0, math.inf, math.nan])
def test_effects_that_are_none(size: float) -> None:
    with pytest.raises(ValueError, match="above 0 and finite"):
        Effect(size=size, scale="Relative")
