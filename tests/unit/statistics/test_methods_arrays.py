"""A short version of the opt-in methods' part of ``python -m bench.experiments``, and what makes its arrays the package."""

import numpy as np
import pytest

from bench.experiments import methods
from slipway_statistics import betting
from slipway_statistics.betting import UNKNOWN, Bernstein, Prior, Share


def test_arrays_have_the_evidence_of_the_package() -> None:
    draw = np.random.default_rng(81)
    units = draw.integers(0, 500, 60)
    conversions = draw.binomial(units, draw.random(60))
    for p, prior in ((0.002, UNKNOWN), (0.3, Prior.around(0.1))):
        expected = [betting.log_evidence(Share(units=int(n), conversions=int(s)), p=p, prior=prior) for n, s in zip(units, conversions, strict=True)]
        assert methods.evidence(units, conversions, p=p, prior=prior).tolist() == pytest.approx(expected, abs=1e-9)


def test_arrays_have_the_e_value_of_the_package() -> None:
    units, converted = methods._on_the_ramp(np.random.default_rng(82), (0.1, 0.002, 0.3), runs=3, every=1000)
    found = methods.log_e(units, converted)
    for run, look in ((0, 0), (1, 9), (2, 39)):
        strata = [
            tuple(Share(units=int(n), conversions=int(s)) for n, s in zip(units[run, look, step], converted[run, look, step], strict=True))
            for step in range(3)
        ]
        assert found[run, look] == pytest.approx(betting.log_e([(control, treatment) for control, treatment in strata]), abs=1e-8)


def test_arrays_have_the_bernstein_sequence_of_the_package() -> None:
    values = np.random.default_rng(83).beta(0.5, 2, (2, 80))
    lower, upper = methods.bernstein(values, alpha=0.05)
    for run in range(2):
        state = Bernstein(alpha=0.05)
        for number, value in enumerate(values[run].tolist()):
            state = state.after(value)
            assert (lower[run, number], upper[run, number]) == pytest.approx((state.interval.lower, state.interval.upper), abs=1e-12)


def test_every_method_keeps_its_word_and_every_naive_test_breaks_it() -> None:
    found = list(methods.rows(100))
    assert len({figure.name for figure in found}) == len(found) == 22
    assert [figure.name for figure in found if not figure.ok and "ratio of p95" not in figure.name] == []


def test_a_difference_on_the_ramp_is_found_where_there_is_one() -> None:
    """Shares go up by 0.05, then by 0.1, while the rate of control doubles."""
    strata = [
        (Share(units=7840, conversions=784), Share(units=160, conversions=24)),
        (Share(units=4000, conversions=800), Share(units=4000, conversions=1200)),
    ]
    found = betting.difference(strata, alpha=0.05)
    assert 0 < found.lower < (157 * 0.05 + 2000 * 0.1) / 2157 < found.upper
