import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import strata, sums
from slipway_statistics.sums import RATIO, Sums

Rows = list[tuple[float, float]]
VALUES = st.floats(-100, 100)
ARM = st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=12)
STRATA = st.lists(st.tuples(ARM, ARM), min_size=1, max_size=4)


def named(arms: list[Rows]) -> dict[str, Sums]:
    return {str(place): sums.of_units(rows) for place, rows in enumerate(arms)}


def proportion(good: int, units: int) -> Sums:
    return Sums(units=units, totals=(good, 0), products=(good, 0, 0))


@given(pairs=STRATA)
def test_the_difference_is_that_of_the_units(pairs: list[tuple[Rows, Rows]]) -> None:
    """θ, δ and V from single units, as they are written in the literature."""
    crossed = squares = 0.0
    for pair in pairs:
        for rows in pair:
            y, x = statistics.fmean(row[0] for row in rows), statistics.fmean(row[1] for row in rows)
            crossed += math.fsum((row[0] - y) * (row[1] - x) for row in rows)
            squares += math.fsum((row[1] - x) ** 2 for row in rows)
    expected_theta = crossed / squares if squares > 1e-6 else None
    control, arm = named([pair[0] for pair in pairs]), named([pair[1] for pair in pairs])
    theta = strata.theta([control, arm])
    if expected_theta is None:
        return
    assert theta == pytest.approx(expected_theta, rel=1e-6, abs=1e-9)
    weights, differences, variances = [], [], []
    for ours, theirs in ((pair[1], pair[0]) for pair in pairs):
        left, right = [y - theta * x for y, x in theirs], [y - theta * x for y, x in ours]
        weights.append(len(left) * len(right) / (len(left) + len(right)))
        differences.append(statistics.fmean(right) - statistics.fmean(left))
        both = statistics.variance(left + right)
        variances.append(sum(max(statistics.variance(side), both) / len(side) for side in (left, right)))
    found = strata.compare(control, arm, kind="Mean", theta=theta)
    assert found is not None
    assert found.information == pytest.approx(sum(weights))
    assert found.estimate == pytest.approx(sum(h * d for h, d in zip(weights, differences, strict=True)) / sum(weights), rel=1e-6, abs=1e-6)
    expected = sum(h * h * v for h, v in zip(weights, variances, strict=True)) / sum(weights) ** 2
    if expected > 1e-6:
        assert found.standard_error == pytest.approx(math.sqrt(expected), rel=1e-5)


def test_the_weights() -> None:
    """Ten and ninety are 9, a hundred and a hundred 50: δ = (9 · 0.1 + 50 · 0.3) / 59."""
    found = strata.compare({"1": proportion(45, 90), "2": proportion(40, 100)}, {"1": proportion(6, 10), "2": proportion(70, 100)}, kind="Proportion")
    assert found is not None
    assert found.information == pytest.approx(59)
    assert found.estimate == pytest.approx((9 * 0.1 + 50 * 0.3) / 59)
    assert (found.control_units, found.arm_units) == (190, 110)


def test_simpsons_paradox_is_none() -> None:
    """The arm is worse in either stratum. Added up it looks better, since most of its units came when all converted more."""
    control, arm = {"low": proportion(100, 1000), "high": proportion(50, 100)}, {"low": proportion(9, 100), "high": proportion(480, 1000)}
    added = 489 / 1100 - 150 / 1100
    assert added > 0.3
    found = strata.compare(control, arm, kind="Proportion")
    assert found is not None
    assert found.estimate == pytest.approx((-0.01 - 0.02) / 2)


def test_a_stratum_that_one_arm_lacks_is_left_out() -> None:
    control, arm = {"1": proportion(10, 100), "2": proportion(99, 100)}, {"1": proportion(20, 100), "3": proportion(0, 100)}
    assert strata.compare(control, arm, kind="Proportion") == strata.compare({"1": control["1"]}, {"1": arm["1"]}, kind="Proportion")
    assert strata.compare({"1": control["1"]}, {"2": arm["1"]}, kind="Proportion") is None
    assert strata.compare({"1": sums.nothing(2)}, {"1": arm["1"]}, kind="Proportion") is None


def test_a_small_arm_without_the_tail_has_the_variance_of_both() -> None:
    """20 units that bought nothing beside 1,000 of which ten spent a thousand: their own variance is 0, and they would be worse for certain."""
    control = sums.of_units([(1000.0, 0)] * 10 + [(0.0, 0)] * 990)
    arm = sums.of_units([(0.0, 0)] * 20)
    found = strata.compare({"1": control}, {"1": arm}, kind="Mean")
    assert found is not None
    spread = statistics.variance([1000.0] * 10 + [0.0] * 1010)
    assert found.standard_error == pytest.approx(math.sqrt(spread / 20 + control.variance / 1000), rel=1e-3)
    assert found.estimate / found.standard_error > -1


def test_all_against_none_is_finite() -> None:
    """No arm varies by itself. Together they do."""
    found = strata.compare({"1": proportion(0, 100)}, {"1": proportion(100, 100)}, kind="Proportion")
    assert found is not None
    assert found.standard_error == pytest.approx(math.sqrt(0.25 * 200 / 199 * 2 / 100))


def test_none_against_none_is_half_an_event() -> None:
    nothing = {"1": proportion(0, 100)}
    found = strata.compare(nothing, nothing, kind="Proportion")
    assert found is not None
    assert found.standard_error == pytest.approx(math.sqrt(0.5 / 201 * 2 / 100))
    mean = strata.compare(nothing, nothing, kind="Mean")
    assert mean is not None
    assert mean.standard_error == math.inf


def test_the_covariate_takes_out_what_was_there_before() -> None:
    """Units spend twice what they spent before, and the arm adds 1; it got the richer ones by chance."""
    control = [(2.0 * x + noise, float(x)) for x in range(10, 20) for noise in (-0.5, 0.5)]
    arm = [(2.0 * x + 1 + noise, float(x)) for x in range(12, 22) for noise in (-0.5, 0.5)]
    ours, theirs = {"1": sums.of_units(arm)}, {"1": sums.of_units(control)}
    theta = strata.theta([ours, theirs])
    assert theta == pytest.approx(2)
    plain, adjusted = strata.compare(theirs, ours, kind="Mean"), strata.compare(theirs, ours, kind="Mean", theta=theta)
    assert plain is not None
    assert adjusted is not None
    assert (plain.estimate, adjusted.estimate) == pytest.approx((5, 1))
    assert adjusted.standard_error < plain.standard_error / 5


def test_no_covariate_is_no_theta() -> None:
    assert strata.theta([{"1": proportion(3, 10)}, {"1": sums.nothing(2)}]) == 0


def test_a_ratio_is_a_sum_over_a_sum() -> None:
    """Errors over requests: 30 of 300 and 60 of 400, with users who send unlike numbers."""
    control = [(1, 10), (2, 20)] * 10
    arm = [(1, 10), (5, 30)] * 10
    found = strata.compare(
        {"1": sums.of_units([(*row, 0, 0) for row in control], things=RATIO)},
        {"1": sums.of_units([(*row, 0, 0) for row in arm], things=RATIO)},
        kind="Ratio",
    )
    assert found is not None
    assert (found.control, found.arm) == pytest.approx((30 / 300, 60 / 400))


@pytest.mark.parametrize(("control", "arm", "lift"), [(6, 7, 1 / 6), (-6, -5, 1 / 6), (-6, -7, -1 / 6), (-6, 3, 1.5), (6, -3, -1.5)])
def test_a_lift_has_the_sign_of_the_difference(control: int, arm: int, lift: float) -> None:
    around = [sums.of_units([(middle + step,) for step in (-1, 0, 1) for _ in range(300)]) for middle in (control, arm)]
    found = strata.compare(*({"1": each} for each in around), kind="Mean")
    assert found is not None
    assert found.lift is not None
    assert found.lift.estimate == pytest.approx(lift)


def test_the_lift_and_its_error() -> None:
    """B/A - 1 with Var(B)/A² + B² Var(A)/A⁴: 20 % of 1,000 against 25 %."""
    found = strata.compare({"1": proportion(200, 1000)}, {"1": proportion(250, 1000)}, kind="Proportion")
    assert found is not None
    assert found.lift is not None
    both, ours = statistics.variance([1.0] * 450 + [0.0] * 1550), statistics.variance([1.0] * 250 + [0.0] * 750)
    assert found.lift.estimate == pytest.approx(0.25)
    assert ours > both, "so the arm has its own variance, and control that of both"
    assert found.lift.standard_error == pytest.approx(math.sqrt(ours / 1000 / 0.2**2 + 0.25**2 * both / 1000 / 0.2**4))


def test_few_conversions_of_control_cannot_be_divided_by() -> None:
    found = strata.compare({"1": proportion(5, 1000)}, {"1": proportion(9, 1000)}, kind="Proportion")
    assert found is not None
    assert found.lift is None
