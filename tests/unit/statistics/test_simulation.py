"""The test of the test: is the error what it is said to be, and are bad candidates found?

A short version of ``python -m bench.guardrails``, with seeds of its own.
"""

import math
from collections.abc import Iterator
from statistics import median

import numpy as np
import pytest

from bench.guardrails import false_rollbacks, looks, power, rollouts, speed, traffic
from bench.guardrails.traffic import CANDIDATE, STABLE, Requests, Truth
from slipway_statistics import latency, ratios
from slipway_statistics.counts import BUCKETS, Cell, Counts
from slipway_testing import yardstick

ALPHA = 0.01 / 6


def counted(of: Requests, *, arm: int, until: int, phase: int, edge: int) -> Counts:
    """What routers would have counted of one revision up to and with a second."""
    chosen = (of.arm == arm) & (of.second <= until)
    slow = of.bin >= edge
    bins, sizes = np.unique(of.bin[chosen], return_counts=True)
    return Counts(
        block_seconds=looks.BLOCK_S,
        buckets=tuple(_cells(of, slow, chosen, of.bucket, range(BUCKETS))),
        blocks=dict(enumerate(_cells(of, slow, chosen, (of.second + phase) // looks.BLOCK_S, range((until + phase) // looks.BLOCK_S + 1)))),
        latency=dict(zip(bins.tolist(), sizes.tolist(), strict=True)),
    )


def _cells(of: Requests, slow: looks.Booleans, chosen: looks.Booleans, groups: looks.Ints, numbers: range) -> Iterator[Cell]:
    for number in numbers:
        here = chosen & (groups == number)
        yield int(here.sum()), int((here & of.bad).sum()), int((here & slow).sum())


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_the_simulation_tests_as_the_package_does(share: float) -> None:
    truth = Truth(error_rate=0.1, more_errors=0.1, slower=1.3, stall_s=3, requests_per_second=60)
    of = traffic.requests(truth, share=share, seconds=60, random=np.random.default_rng(5))
    errors = looks.errors(of, phase=3, max_increase=0.005, alpha=ALPHA)
    latencies = looks.latencies(of, phase=3, max_increase=0.2, alpha=ALPHA)
    asked: latency.Edges | None = None
    compared = 0
    for index in range(30):
        edges = asked
        candidate, stable = (
            counted(of, arm=arm, until=2 * index + 1, phase=3, edge=edge)
            for arm, edge in ((CANDIDATE, edges.candidate if edges else 0), (STABLE, edges.stable if edges else 0))
        )
        asked = latency.edges(stable.latency, max_increase=0.2)
        if not candidate.requests or not stable.requests:
            continue
        found = [ratios.look(candidate, stable, outcome="bad", max_increase=0.005, alpha=ALPHA)]
        there = [errors]
        if edges:
            found.append(ratios.look(candidate, stable, outcome="slow", max_increase=0.0, alpha=ALPHA))
            there.append(latencies)
        for mine, series in zip(found, there, strict=True):
            assert (mine.groups, mine.z, mine.detectable) == pytest.approx((series.groups[index], series.z[index], series.detectable[index]))
            assert (mine.candidate_requests, mine.crossed) == (series.requests[index], series.crossed[index])
            compared += 1
    assert compared > 40
    assert errors.crossed.any() or share < 0.1


RUNS = 100


@pytest.mark.parametrize("cell", ["no stalls", "stalls of 3 s", "few users have all the errors"])
def test_false_rollbacks_are_as_rare_as_they_are_said_to_be(cell: str) -> None:
    """As bad as allowed, no worse. The same rollouts go wrong in half of all cases and more with a z-test per request at the same alpha."""
    played = list(rollouts.many(false_rollbacks.CELLS[cell], runs=RUNS, seed=17))
    assert sum(one.rolled_back for one in played) <= false_rollbacks.most(RUNS, 0.01)
    assert sum(one.by_naive_test for one in played) > RUNS / 2


def test_buckets_alone_take_a_stalling_pod_for_a_bad_candidate() -> None:
    played = list(rollouts.many(false_rollbacks.CELLS["stalls of 3 s"], runs=60, seed=18))
    assert sum(one.by_buckets_alone for one in played) > false_rollbacks.most(60, 0.01) * 3


def test_the_groups_of_the_candidate_alone_take_one_big_user_for_all_of_stable() -> None:
    played = list(rollouts.many(false_rollbacks.CELLS["one user sends nine tenths"], runs=10, seed=24))
    assert [one.rolled_back for one in played] == [False] * 10
    assert sum(one.by_candidate_groups_alone for one in played) > 5


def test_worse_than_allowed_is_found_in_the_same_rollouts() -> None:
    """So it is no test that never says anything."""
    bad = Truth(slower=rollouts.REAL_MARGIN, stall_s=3, more_errors=0.1)
    slow = Truth(slower=2, stall_s=3)
    assert all(one.by_errors for one in rollouts.many(bad, runs=20, seed=19))
    assert all(one.by_latency for one in rollouts.many(slow, runs=20, seed=20))


@pytest.mark.parametrize(("share", "rate"), [(0.01, 200.0), (0.1, 100.0), (0.5, 10.0)])
@pytest.mark.parametrize(
    ("more_errors", "requests", "seconds"),
    [(1.0, 120, 20), (0.2, 400, 30)],
    ids=["all errors", "20 % errors"],
)
def test_bad_candidates_are_stopped_early(share: float, rate: float, more_errors: float, requests: int, seconds: int) -> None:
    truth = Truth(error_rate=0.01, requests_per_second=rate, more_errors=more_errors)
    found = [
        rollouts.until_stopped(truth, share=share, seconds=600, random=np.random.default_rng(seed))[0]
        for seed in np.random.SeedSequence(21).spawn(30)
    ]
    assert not any(math.isinf(one.requests) for one in found)
    assert median(one.requests for one in found) <= requests or median(one.seconds for one in found) <= seconds


def test_what_a_step_is_to_detect_does_not_pass_it() -> None:
    """At exactly the size, chance decides; half as much again is always stopped first. Without paying for few groups most of it passes."""
    step = rollouts.Step(share=0.01, seconds=600, detect=0.1)
    truth = Truth(error_rate=0.01, requests_per_second=300, more_errors=0.15)
    passed = [rollouts.passes_first(truth, step, hold_s=20, random=np.random.default_rng(seed)) for seed in np.random.SeedSequence(22).spawn(40)]
    assert sum(one.corrected for one in passed) <= 1
    assert sum(one.uncorrected for one in passed) >= 15


def test_an_equal_candidate_passes() -> None:
    played = list(rollouts.many(Truth(error_rate=0.01, requests_per_second=300), runs=20, seed=23))
    assert sum(one.passing[2] for one in played) >= 19


@pytest.mark.parametrize(("runs", "probability", "expected"), [(2000, 0.01, 31), (2000, 0.025, 67), (1, 0.5, 1), (10, 0.01, 1)])
def test_the_bound_of_chance(runs: int, probability: float, expected: int) -> None:
    assert false_rollbacks.most(runs, probability) == expected


def test_a_look_is_cheap() -> None:
    """Ten routers, two revisions, two guardrails, an hour of blocks. The bench has the goal of 10 ms, the yardstick's; this is for far more."""
    assert yardstick.multiples(lambda: speed.took_ms(looks=1)[0]) < 5


def test_rows_of_the_bench() -> None:
    """Every part tells what it is to tell; few runs, so nothing is judged here."""
    names = [row.name for row in [*false_rollbacks.rows(1), *false_rollbacks.limits(1), *power.rows(1)]]
    assert len(names) == len(set(names)) == 4 * len(false_rollbacks.CELLS) + 2 + len(power.CANDIDATES) * len(power.PLACES) + 14 + len(rollouts.STEPS)
