import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway_statistics import boundary, counts, ratios
from slipway_statistics.counts import Cell, Counts
from slipway_statistics.ratios import Look, Outcome

steady = settings(max_examples=50)

ALPHA = 0.01 / 6


def even(*, requests: int, bad: int, slow: int = 0, blocks: int = 16) -> Counts:
    """Counts that are the same in every bucket (64 of them) and block; each number is of one bucket."""
    whole = (64 * requests, 64 * bad, 64 * slow)
    assert all(number % blocks == 0 for number in whole)
    return Counts(
        buckets=((requests, bad, slow),) * 64, blocks=dict.fromkeys(range(blocks), (whole[0] // blocks, whole[1] // blocks, whole[2] // blocks))
    )


def uneven(seed: int, *, requests: float = 40, rate: float = 0.1, blocks: int = 30) -> Counts:
    """Counts that differ between buckets and blocks."""
    random = np.random.default_rng(seed)
    return Counts(
        buckets=_cells(random, requests, rate, groups=64), blocks=dict(enumerate(_cells(random, requests * 64 / blocks, rate, groups=blocks)))
    )


def _cells(random: np.random.Generator, requests: float, rate: float, *, groups: int) -> tuple[Cell, ...]:
    sizes = random.poisson(random.gamma(2, requests / 2, groups))
    rates = random.beta(2, 2 / rate - 2, groups)
    return tuple((int(n), int(random.binomial(n, p)), int(random.binomial(n, p / 2))) for n, p in zip(sizes, rates, strict=True))


def look(candidate: Counts, stable: Counts, *, outcome: Outcome = "bad", max_increase: float = 0.0, alpha: float = ALPHA) -> Look:
    return ratios.look(candidate, stable, outcome=outcome, max_increase=max_increase, alpha=alpha)


@pytest.mark.parametrize(("outcome", "column"), [("bad", 1), ("slow", 2)])
@pytest.mark.parametrize("seed", range(8))
def test_the_formulas_in_another_hand(seed: int, outcome: Outcome, column: int) -> None:
    """Written again with arrays, from the specification."""
    # Odd seeds have few requests in blocks that differ more than the buckets do, so that either variance is the larger one in some.
    candidate = uneven(seed, requests=8 if seed % 2 else 60, blocks=9 if seed % 2 else 60)
    stable = uneven(seed + 100, requests=200, rate=0.08, blocks=60)
    found = look(candidate, stable, outcome=outcome, max_increase=0.005)
    variances, groups, rates = [], [], []
    for arm in (candidate, stable):
        requests, seen = (np.array([cell[index] for cell in arm.buckets], dtype=float) for index in (0, column))
        total, rate = requests.sum(), seen.sum() / requests.sum()
        variances.append(64 / 63 * ((seen - rate * requests) ** 2).sum() / total**2)
        groups.append(total**2 / (requests**2).sum())
        rates.append(rate)
    size = max(max(arm.blocks) for arm in (candidate, stable)) + 1
    shares = []
    for arm in (candidate, stable):
        requests, seen = (np.array([arm.blocks.get(block, (0, 0, 0))[index] for block in range(size)], dtype=float) for index in (0, column))
        shares.append((seen - seen.sum() / requests.sum() * requests) / requests.sum())
        groups.append(requests.sum() ** 2 / (requests**2).sum())
    between_blocks = size / (size - 1) * ((shares[0] - shares[1]) ** 2).sum()
    error = math.sqrt(max(sum(variances), between_blocks))
    freedom = min(groups) - 1
    t = (rates[0] - rates[1] - 0.005) / error
    z = math.copysign((8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log(1 + t * t / freedom)), t)
    assert (found.estimate, found.standard_error, found.groups) == pytest.approx((rates[0] - rates[1], error, min(groups)))
    assert found.z == pytest.approx(z)
    assert found.boundary == boundary.boundary(candidate.requests, alpha=ALPHA)


def test_a_look_tells_everything() -> None:
    """64 buckets of 100 requests, 16 blocks of 400, and no variance between them: what is left is that of independent requests."""
    found = look(even(requests=100, bad=50), even(requests=100, bad=25), max_increase=0.1)
    variance = sum((bad + 0.5) / 6401 * (1 - (bad + 0.5) / 6401) / 6400 for bad in (3200, 1600))
    reach = boundary.t_of_normal(found.boundary, freedom=15) * math.sqrt(variance)
    assert dataclasses.astuple(found) == pytest.approx(
        dataclasses.astuple(
            Look(
                candidate_requests=6400,
                stable_requests=6400,
                candidate_rate=0.5,
                stable_rate=0.25,
                max_increase=0.1,
                estimate=0.25,
                standard_error=math.sqrt(variance),
                lower=0.25 - reach,
                upper=0.25 + reach,
                z=boundary.normal_of_t(0.15 / math.sqrt(variance), freedom=15),
                boundary=boundary.boundary(6400, alpha=ALPHA),
                groups=16.0,
                detectable=reach,
            )
        )
    )
    assert (found.comparable, found.enough_groups, found.crossed) == (True, True, True)


NOTHING_YET = {"estimate": 0.0, "standard_error": math.inf, "lower": -1.0, "upper": 1.0, "z": 0.0, "groups": 0.0, "detectable": math.inf}


@pytest.mark.parametrize(
    ("candidate", "stable", "expected"),
    [
        (counts.NONE, counts.NONE, NOTHING_YET | {"candidate_requests": 0, "stable_requests": 0, "boundary": math.inf}),
        (counts.NONE, even(requests=4, bad=0), NOTHING_YET | {"candidate_requests": 0, "stable_requests": 256, "boundary": math.inf}),
        (
            even(requests=4, bad=4),
            counts.NONE,
            NOTHING_YET | {"candidate_requests": 256, "stable_requests": 0, "estimate": 1.0, "boundary": boundary.boundary(256, alpha=ALPHA)},
        ),
    ],
    ids=["no requests at all", "a candidate that nobody asks", "no stable left"],
)
def test_with_nothing_to_compare_everything_is_possible(candidate: Counts, stable: Counts, expected: dict[str, Any]) -> None:
    found = look(candidate, stable)
    assert {name: getattr(found, name) for name in expected} == expected
    assert (found.comparable, found.enough_groups, found.crossed) == (False, False, False)


def test_one_bucket_decides_nothing() -> None:
    single = Counts(buckets=((5000, 5000, 0), *[(0, 0, 0)] * 63), blocks=dict.fromkeys(range(50), (100, 100, 0)))
    found = look(single, even(requests=1000, bad=0))
    assert (found.groups, found.z, found.detectable, found.crossed) == (1.0, 0.0, math.inf, False)


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_few_blocks_decide_nothing_though_everything_fails(blocks: int) -> None:
    found = look(even(requests=100, bad=100, blocks=blocks), even(requests=100, bad=0, blocks=blocks))
    assert (found.groups, found.enough_groups, found.crossed) == (blocks if blocks > 1 else 0.0, False, False)


@pytest.mark.parametrize("lost", [{}, {7: (0, 0, 0), 8: (0, 0, 0)}], ids=["no blocks", "empty blocks"])
@pytest.mark.parametrize("which", ["candidate", "stable"])
def test_without_requests_in_blocks_nothing_is_decided(which: str, lost: dict[int, Cell]) -> None:
    """Buckets and blocks come from the same requests; if a router ever loses one of them, nobody is rolled back for it."""
    arms = {"candidate": even(requests=100, bad=100), "stable": even(requests=100, bad=0)}
    arms[which] = dataclasses.replace(arms[which], blocks=lost)
    found = look(arms["candidate"], arms["stable"])
    assert (found.groups, found.z, found.detectable, found.crossed) == (0.0, 0.0, math.inf, False)


def test_stable_that_one_unit_dominates_decides_nothing() -> None:
    """Whatever that unit meets would be taken for what stable does to everybody."""
    heavy = Counts(buckets=((50_000, 0, 0), *[(100, 5, 0)] * 63), blocks=dict.fromkeys(range(50), (1126, 6, 0)))
    found = look(even(requests=100, bad=5), heavy)
    assert found.groups < 2
    assert not found.crossed


def test_all_against_none_is_no_zero_by_zero() -> None:
    """No variance between buckets or blocks: 60 requests are enough, if they are of five units and five blocks, and 12 are not."""
    stable = even(requests=64, bad=0)

    def failing(requests: int) -> Counts:
        sixth = requests // 6
        return Counts(
            buckets=((sixth, sixth, 0),) * 6 + ((0, 0, 0),) * 58,
            blocks=dict.fromkeys(range(6), (sixth, sixth, 0)),
        )

    assert (look(failing(60), stable).crossed, look(failing(12), stable).crossed) == (True, False)


def test_no_errors_anywhere_is_not_knowing_everything() -> None:
    few, many = (look(even(requests=n, bad=0), even(requests=n, bad=0)) for n in (1, 100))
    assert few.detectable > 0.05 > 0.001 > many.detectable > 0
    assert (few.z, few.crossed) == (0.0, False)


def test_what_happens_to_all_requests_of_some_seconds_is_paid_for_once() -> None:
    """A pod of the candidate stands still for one block of 40: bad in all buckets, so between buckets it looks like an increase without variance."""
    buckets = ((40, 1, 0),) * 64
    stalled = Counts(buckets=buckets, blocks=dict.fromkeys(range(39), (64, 0, 0)) | {39: (64, 64, 0)})
    spread = Counts(buckets=buckets, blocks=dict.fromkeys(range(40), (64, 0, 0)) | dict.fromkeys(range(32), (64, 2, 0)))
    stable = even(requests=400, bad=0)
    assert look(spread, stable).crossed
    assert 0.9 < look(stalled, stable).estimate / look(stalled, stable).standard_error < 1.1


def test_what_hits_both_at_the_same_time_cancels() -> None:
    outage = {block: (64, 64 if block in {7, 8} else 0, 0) for block in range(40)}
    same = Counts(buckets=((40, 2, 0),) * 64, blocks=outage)
    calm = Counts(buckets=((40, 2, 0),) * 64, blocks=dict.fromkeys(range(40), (64, 0, 0)) | dict.fromkeys(range(32), (64, 4, 0)))
    assert look(same, same).standard_error < look(same, calm).standard_error / 5


def test_one_unit_that_sends_many_bad_requests_is_one_unit() -> None:
    buckets = ((40, 40, 0), *[(40, 0, 0)] * 63)
    one = Counts(buckets=buckets, blocks=dict.fromkeys(range(40), (64, 1, 0)))
    found = look(one, even(requests=400, bad=0))
    assert found.estimate / found.standard_error == pytest.approx(1.0, rel=0.02)


def test_blocks_of_different_lengths_are_compared_in_the_longer_ones() -> None:
    short = uneven(1)
    long = counts.with_blocks_of(uneven(2), block_seconds=8)
    assert look(short, long) == look(counts.with_blocks_of(short, block_seconds=8), long)


@pytest.mark.parametrize("max_increase", [-0.01, 1.01, math.nan])
def test_an_increase_is_a_share(max_increase: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        look(uneven(1), uneven(2), max_increase=max_increase)


@pytest.mark.parametrize(
    ("sizes", "expected"), [([10, 10, 10, 10], 4.0), ([37, 1, 1, 1], 1600 / 1372), ([0, 5, 0, 5], 2.0), ([], 0.0), ([0, 0], 0.0)]
)
def test_effective_groups(sizes: list[int], expected: float) -> None:
    assert ratios.effective(sizes) == pytest.approx(expected)


SEEDS = st.integers(0, 10_000)


@steady
@given(seed=SEEDS, max_increase=st.floats(0, 0.3))
def test_the_interval_and_the_boundary_say_the_same(seed: int, max_increase: float) -> None:
    found = look(uneven(seed, rate=0.25), uneven(seed + 1, rate=0.05), max_increase=max_increase)
    assert (found.lower > max_increase) == (found.z > found.boundary)
    assert found.lower <= found.estimate <= found.upper


@steady
@given(seed=SEEDS, first=st.floats(0, 0.5), second=st.floats(0, 0.5))
def test_allowing_more_never_alarms_earlier(seed: int, first: float, second: float) -> None:
    low, high = sorted([first, second])
    candidate, stable = uneven(seed, rate=0.3), uneven(seed + 1)
    assert look(candidate, stable, max_increase=low).z >= look(candidate, stable, max_increase=high).z


@steady
@given(seed=SEEDS)
def test_without_an_allowance_the_two_can_change_places(seed: int) -> None:
    there, back = look(uneven(seed), uneven(seed + 1)), look(uneven(seed + 1), uneven(seed))
    assert (there.estimate, there.standard_error, there.groups, there.z) == pytest.approx((-back.estimate, back.standard_error, back.groups, -back.z))


@steady
@given(seed=SEEDS, factor=st.integers(2, 50))
def test_every_unit_sending_more_of_the_same_changes_nothing_but_the_boundary(seed: int, factor: int) -> None:
    """Units are what was drawn; their requests are not. (Above the floor of independent requests, which rarely rules with units that differ.)"""

    def times(of: Counts) -> Counts:
        many = {block: (q * factor, b * factor, s * factor) for block, (q, b, s) in of.blocks.items()}
        return dataclasses.replace(of, buckets=tuple((q * factor, b * factor, s * factor) for q, b, s in of.buckets), blocks=many)

    candidate, stable = uneven(seed), uneven(seed + 1)
    once, often = look(candidate, stable), look(times(candidate), times(stable))
    assert (often.estimate, often.groups) == pytest.approx((once.estimate, once.groups))
    assert often.standard_error == pytest.approx(once.standard_error, rel=0.02)


@steady
@given(more=st.integers(1, 30))
def test_one_more_bad_request_in_every_bucket_raises_the_statistic(more: int) -> None:
    stable = even(requests=400, bad=4)
    blocks = dict.fromkeys(range(16), (160, 0, 0))

    def candidate(bad: int) -> Counts:
        return Counts(buckets=((40, bad, 0),) * 64, blocks=blocks | dict.fromkeys(range(16), (160, 4 * bad, 0)))

    assert look(candidate(more), stable).z > look(candidate(more - 1), stable).z
