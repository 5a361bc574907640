import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import holm

PS = st.dictionaries(st.integers(), st.floats(0, 1), min_size=1, max_size=6)


def test_a_worked_example() -> None:
    assert holm.adjusted({"b": 0.02, "a": 0.01, "c": 0.04}) == pytest.approx({"b": 0.04, "a": 0.03, "c": 0.04})
    assert list(holm.adjusted({"b": 0.02, "a": 0.01})) == ["b", "a"]


@given(p=PS, alpha=st.floats(0.001, 0.5))
def test_it_finds_what_the_closed_test_of_bonferroni_finds(p: dict[int, float], alpha: float) -> None:
    """Holm is the closure of Bonferroni: a finding is one that every group it belongs to finds, by least p of the group times its size."""

    def closed(key: int) -> float:
        others = [other for other in p if other != key]
        groups = (group for size in range(len(p)) for group in itertools.combinations(others, size))
        return max(min(1.0, (len(group) + 1) * min(p[key], *(p[other] for other in group), 1.0)) for group in groups)

    assert holm.adjusted(p) == pytest.approx({key: closed(key) for key in p})


@given(p=PS)
def test_none_is_below_itself_or_above_bonferroni(p: dict[int, float]) -> None:
    assert all(p[key] <= value <= min(1, p[key] * len(p)) for key, value in holm.adjusted(p).items())


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="p of b is from 0 to 1"):
        holm.adjusted({"a": 0.5, "b": wrong})
