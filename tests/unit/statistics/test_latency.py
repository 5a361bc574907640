import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import latency
from slipway_statistics.latency import Edges


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, 0), (0.0001, 0), (0.0005, 0), (0.00051, 0), (0.00052, 1), (0.001, 28), (0.02, 149), (1.0, 307), (68.4, 478), (69.0, 479), (1e9, 479)],
)
def test_the_bin_of_a_latency(seconds: float, expected: int) -> None:
    assert latency.bin_of(seconds) == expected


@given(number=st.integers(0, 479))
def test_a_bin_begins_at_its_edge(number: int) -> None:
    assert latency.bin_of(latency.edge_s(number) * 1.000001) == number
    assert latency.bin_of(latency.edge_s(number) * 0.999999) == max(number - 1, 0)


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ({}, None),
        ({10: 100}, 11),
        ({10: 94, 20: 5, 30: 1}, 21),
        ({10: 95, 20: 5}, 11),
        ({10: 95, 20: 4, 30: 1}, 11),
        ({10: 94, 479: 6}, None),
        ({10: 95, 479: 5}, 11),
        ({478: 100}, 479),
    ],
)
def test_no_more_than_a_twentieth_is_at_or_above_the_quantile(requests: dict[int, int], expected: int | None) -> None:
    assert latency.quantile_bin(requests, share=0.95) == expected


def test_a_tenth_is_a_tenth_in_binary_too() -> None:
    assert latency.quantile_bin({10: 90, 20: 10}, share=0.9) == 11


def test_two_hundred_requests_are_enough() -> None:
    assert latency.edges({100: 200}, max_increase=0.0) == Edges(stable=101, candidate=101)


def test_the_last_edge_can_be_asked_for() -> None:
    assert latency.edges({470: 1000}, max_increase=0.2) == Edges(stable=471, candidate=479)


def test_the_quantile_is_the_95th_percentile_unless_another_is_asked_for() -> None:
    requests = {100: 930, 120: 70}
    assert latency.edges(requests, max_increase=0.0) == Edges(stable=121, candidate=121)
    assert latency.edges(requests, max_increase=0.0, share=0.9) == Edges(stable=101, candidate=101)


@given(requests=st.dictionaries(st.integers(0, 479), st.integers(1, 500), min_size=1), share=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_quantile_is_the_first_such_bin(requests: dict[int, int], share: float) -> None:
    total = sum(requests.values())
    held = [edge for edge in range(480) if sum(n for number, n in requests.items() if number >= edge) <= (1 - share) * total + 1e-9]
    assert latency.quantile_bin(requests, share=share) == (held[0] if held else None)


@pytest.mark.parametrize(
    ("max_increase", "steps", "margin"),
    [(0.0, 0, 0.0), (0.025, 1, 0.025), (0.2, 8, 0.2184), (1.025**3 - 1, 3, 0.0769), (1.0, 29, 1.0464), (1e-6, 1, 0.025)],
)
def test_the_margin_is_rounded_up_to_an_edge(max_increase: float, steps: int, margin: float) -> None:
    found = latency.edges({100: 1000}, max_increase=max_increase)
    assert found == Edges(stable=101, candidate=101 + steps)
    assert found.margin == pytest.approx(margin, abs=1e-4)
    assert found.margin >= max_increase - 1e-9
    assert found.candidate_s == pytest.approx(found.stable_s * (1 + found.margin))
    assert found.stable_s == pytest.approx(0.0005 * 1.025**101)


@pytest.mark.parametrize(
    "requests",
    [{100: 199}, {479: 1000}, {471: 1000}],
    ids=["too few to know a quantile", "no edge above the quantile", "no edge above the margin"],
)
def test_there_may_be_nothing_to_test_with(requests: dict[int, int]) -> None:
    assert latency.edges(requests, max_increase=0.2) is None


def test_a_margin_below_stable_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        latency.edges({100: 1000}, max_increase=-0.1)


@given(scale=st.integers(1, 50))
def test_edges_move_with_the_latencies(scale: int) -> None:
    assert latency.edges({100 + scale: 950, 130 + scale: 50}, max_increase=0.2) == Edges(stable=101 + scale, candidate=109 + scale)


def test_the_last_edge_is_beyond_every_timeout_of_a_minute() -> None:
    assert math.isclose(latency.edge_s(479), 68.5, abs_tol=0.01)
