import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import sequences

ALPHAS = st.floats(1e-6, 0.4)
INFORMATION = st.floats(1e-3, 1e4)


@pytest.mark.parametrize(("alpha", "expected"), [(0.05, 5.9914645 + 1.9446900), (1.0, 0.0), (1 / math.e, 2 + math.log(3))])
def test_kappa(alpha: float, expected: float) -> None:
    assert sequences.kappa(alpha) == pytest.approx(expected, abs=1e-6)


@given(alpha=ALPHAS, units=st.floats(10, 1e7), planned=st.floats(10, 1e7), variance=st.floats(1e-6, 1e6))
def test_the_two_sided_interval_is_equation_9_of_the_paper(alpha: float, units: float, planned: float, variance: float) -> None:
    """With r of the whole sample N where the package has u: half-width √(N V) · √[2(Nr+1)/(N²r) · ln(√(Nr+1)/alpha)]."""
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / planned)
    scaled = units * rho**2
    half_width = math.sqrt(units * variance) * math.sqrt(2 * (scaled + 1) / (units**2 * rho**2) * math.log(math.sqrt(scaled + 1) / alpha))
    u = sequences.information(units, planned=planned, alpha=alpha)
    assert sequences.two_sided(u, alpha=alpha) * math.sqrt(variance) == pytest.approx(half_width, rel=1e-9)


@given(alpha=ALPHAS, units=st.floats(10, 1e7), planned=st.floats(10, 1e7))
def test_the_one_sided_interval_is_equation_134_of_the_paper(alpha: float, units: float, planned: float) -> None:
    rho = math.sqrt((-2 * math.log(2 * alpha) + math.log(-2 * math.log(2 * alpha) + 1)) / planned)
    scaled = units * rho**2
    half_width = math.sqrt(units * 2 * (scaled + 1) / (units**2 * rho**2) * math.log(1 + math.sqrt(scaled + 1) / (2 * alpha)))
    u = sequences.information(units, planned=planned, alpha=2 * alpha)
    assert sequences.one_sided(u, alpha=alpha) == pytest.approx(half_width, rel=1e-9)


@given(alpha=ALPHAS, u=INFORMATION)
def test_the_e_value_reaches_one_over_alpha_where_the_interval_leaves_zero(alpha: float, u: float) -> None:
    line = sequences.two_sided(u, alpha=alpha)
    assert sequences.log_e_value(line, u=u) == pytest.approx(-math.log(alpha))
    assert sequences.log_e_value(-line, u=u) == pytest.approx(-math.log(alpha))


@given(alpha=st.floats(1e-6, 0.4), u=INFORMATION)
def test_the_one_sided_interval_is_never_ahead_of_its_e_value(alpha: float, u: float) -> None:
    assert sequences.log_one_sided_e_value(sequences.one_sided(u, alpha=alpha), u=u) >= -math.log(alpha) - 1e-9


@pytest.mark.parametrize("u", [0.3, 8.0, 60.0])
def test_e_values_have_a_mean_of_one_without_an_effect(u: float) -> None:
    """Numerically, over a z that is standard normal: what makes 1/e a p-value."""
    grid = [step * 0.05 for step in range(-1000, 1001)]
    for log_e in (sequences.log_e_value, sequences.log_one_sided_e_value):
        total = sum(math.exp(log_e(z, u=u) - z * z / 2) for z in grid)
        assert 0.05 * total / math.sqrt(2 * math.pi) == pytest.approx(1, abs=0.01)


@given(tau=st.floats(0.001, 1), variance=st.floats(1e-8, 1), estimate=st.floats(-1, 1))
def test_the_mixture_ratio_test_of_a_normal_prior_is_the_same_thing(tau: float, variance: float, estimate: float) -> None:
    """Λ = √(V/(V+τ²)) · exp(τ²δ²/(2V(V+τ²))): Johari, Koomen, Pekelis and Walsh, KDD 2017. It is the e-value at u = τ²/V."""
    log_ratio = 0.5 * math.log(variance / (variance + tau**2)) + tau**2 * estimate**2 / (2 * variance * (variance + tau**2))
    assert sequences.log_e_value(estimate / math.sqrt(variance), u=tau**2 / variance) == pytest.approx(log_ratio, rel=1e-6, abs=1e-6)


def test_what_is_far_on_the_other_side_is_finite() -> None:
    """ln Φ(-30.001) and ln Φ(-29.999) differ by 30 · 0.002, though one is computed otherwise; beyond -38 no float holds Φ."""
    below, above = (
        sequences.log_one_sided_e_value(z * math.sqrt(6 / 5), u=5.0) - sequences.log_e_value(z * math.sqrt(6 / 5), u=5.0) for z in (-30.001, -29.999)
    )
    assert above - below == pytest.approx(0.06, abs=0.003)
    assert math.isfinite(sequences.log_one_sided_e_value(-500, u=5.0))


def test_the_p_value_never_rises() -> None:
    p = 1.0
    seen = [p := sequences.always_valid_p(log_e, before=p) for log_e in (-1.0, math.log(4), 0.0, math.log(20), math.log(10))]
    assert seen == pytest.approx([1, 0.25, 0.25, 0.05, 0.05])


def test_what_is_seen_is_pulled_to_zero_as_a_normal_prior_would() -> None:
    """A prior of variance τ² and an estimate of variance V have their mean at δ τ²/(τ² + V)."""
    tau_squared, variance = 0.0004, 0.0001
    assert sequences.shrunk(0.01, u=tau_squared / variance) == pytest.approx(0.01 * tau_squared / (tau_squared + variance))


def test_nothing_known_is_no_interval() -> None:
    assert (sequences.two_sided(0, alpha=0.05), sequences.one_sided(0, alpha=0.05)) == (math.inf, math.inf)


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.0, math.nan])
def test_what_is_no_probability_is_refused(alpha: float) -> None:
    for compute in (sequences.two_sided, sequences.one_sided):
        with pytest.raises(ValueError, match="a probability of error is above 0 and below"):
            compute(1.0, alpha=alpha)


@pytest.mark.parametrize(("now", "planned"), [(-1, 10), (5, 0), (math.nan, 10)])
def test_information_grows_towards_a_plan(now: float, planned: float) -> None:
    with pytest.raises(ValueError, match="grows from 0 towards a plan above 0"):
        sequences.information(now, planned=planned, alpha=0.05)
