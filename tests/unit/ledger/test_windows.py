"""Which cell an outcome goes to."""

import pytest

from slipway_ledger import windows
from slipway_ledger.definitions import Cuped, Definition, Metric
from slipway_ledger.windows import SECOND

DAY = 86_400
MEAN = Metric(name="m", type="Mean", window_seconds=50, cuped=Cuped(days=1))


def plan(*metrics: Metric) -> windows.Plan:
    return windows.plan(Definition(arms=("a", "b"), metrics=metrics))


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (100, [5, 0, 0]),
        (149.999999, [5, 0, 0]),
        (150, [0, 0, 1]),
        (99.999999, [0, 5, 0]),
        (100 - DAY, [0, 5, 0]),
        (99.999999 - DAY, [0, 0, 0]),
    ],
    ids=["at the exposure", "the last of the window", "after it", "the last before", "the first of the history", "before it"],
)
def test_the_ends_of_window_and_history(second: float, expected: list[int]) -> None:
    assert windows.cells(plan(MEAN), exposed_at=100 * SECOND, outcomes=[("m", round(second * SECOND), 5)]) == expected


def test_without_a_covariate_what_came_before_is_nothing() -> None:
    chosen = plan(Metric(name="m", type="Mean", window_seconds=50))
    assert windows.cells(chosen, exposed_at=100, outcomes=[("m", 99, 5), ("other", 100, 5)]) == [0, 0, 0]


def test_one_name_may_be_in_several_metrics() -> None:
    ratio = Metric(name="c", type="Ratio", denominator="m", window_seconds=10)
    found = windows.cells(plan(MEAN, ratio), exposed_at=0, outcomes=[("m", 20 * SECOND, 5), ("m", 0, 7), ("c", 0, 11)])
    assert found == [12, 0, 0, 11, 7, 0, 0, 1]


@pytest.mark.parametrize(
    ("metric", "numbers", "expected"),
    [
        (Metric(name="m", type="Proportion", window_seconds=1), [3, 0, 9], (1_000_000, 0)),
        (Metric(name="m", type="Mean", window_seconds=1), [3, -4, 9], (3, -4)),
        (Metric(name="m", type="Mean", window_seconds=1, cap=2.5), [2_500_001, 9_000_000, 9], (2_500_000, 2_500_000)),
        (Metric(name="m", type="Ratio", denominator="d", window_seconds=1, cap=1), [10**7, 10**7, 10**7, 10**7, 9], (10**6, 10**7, 10**6, 10**7)),
    ],
    ids=["a proportion", "a mean", "a capped mean", "a capped ratio"],
)
def test_what_a_unit_counts_as(metric: Metric, numbers: list[int], expected: tuple[int, ...]) -> None:
    assert windows.vector(metric, numbers) == expected
