import dataclasses

import pytest

from slipway_statistics import fixed
from slipway_statistics.fixed import AlreadyRead, Declared, ReadOut, TooEarly

DECLARED = Declared(units=1000, alpha=0.05)


def read(*, estimate: float = 0.02, units: tuple[int, int] = (1000, 1000), declared: Declared = DECLARED, before: ReadOut | None = None) -> ReadOut:
    return fixed.read(estimate=estimate, standard_error=0.01, units=units, declared=declared, before=before)


def test_a_read_out() -> None:
    """From a printed table of the normal: two standard errors leave 0.0455 outside, 1.95996 of them 0.05."""
    assert dataclasses.asdict(read()) == pytest.approx(
        {"estimate": 0.02, "standard_error": 0.01, "lower": 0.0004004, "upper": 0.0395996, "p": 0.0455003, "significant": True}, abs=1e-7
    )


@pytest.mark.parametrize(("estimate", "significant"), [(0.0196, True), (0.0195, False), (-0.0196, True), (-0.0195, False), (0.0, False)])
def test_either_direction_counts(estimate: float, significant: bool) -> None:
    found = read(estimate=estimate)
    assert found.significant == significant == (not found.lower <= 0 <= found.upper)


@pytest.mark.parametrize("units", [(999, 1000), (1000, 999), (0, 5000)])
def test_it_has_no_answer_before_the_declared_size(units: tuple[int, int]) -> None:
    with pytest.raises(TooEarly, match=rf"declared with 1000 units an arm, and an arm has {min(units)}: read it when {1000 - min(units)} more"):
        read(units=units)


def test_it_answers_once() -> None:
    with pytest.raises(AlreadyRead, match=r"was read at its declared 1000 units an arm; its answer, p = 0\.0455, stands"):
        read(estimate=0.03, units=(2000, 2000), before=read())


@pytest.mark.parametrize(("units", "alpha"), [(1, 0.05), (1000, 0.0), (1000, 1.0)])
def test_what_cannot_be_declared(units: int, alpha: float) -> None:
    with pytest.raises(ValueError, match=r"declared with at least 2|above 0 and below 1"):
        Declared(units=units, alpha=alpha)


@pytest.mark.parametrize("error", [0.0, -1.0, float("nan"), float("inf")])
def test_without_a_standard_error_there_is_no_test(error: float) -> None:
    with pytest.raises(ValueError, match="finite standard error above 0"):
        fixed.read(estimate=0.1, standard_error=error, units=(1000, 1000), declared=DECLARED, before=None)
