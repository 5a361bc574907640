"""How often a candidate that is no worse than allowed is rolled back.

The candidates are as bad as they may be: as many errors as stable where none more are allowed, and slower by exactly the margin that is tested. Any
better candidate is rolled back less often.
"""

import math
from collections.abc import Iterator, Mapping

from bench.guardrails import rollouts
from bench.guardrails.traffic import Truth
from bench.operator import figures
from bench.operator.figures import Figure

CELLS: Mapping[str, Truth] = {
    "no stalls": Truth(slower=rollouts.REAL_MARGIN),
    "stalls of 3 s": Truth(slower=rollouts.REAL_MARGIN, stall_s=3),
    "stalls of 15 s": Truth(slower=rollouts.REAL_MARGIN, stall_s=15),
    "ten requests a second, 10 % errors": Truth(slower=rollouts.REAL_MARGIN, requests_per_second=10, error_rate=0.1),
    "few users have all the errors": Truth(slower=rollouts.REAL_MARGIN, error_rate=0.05, spread=0.03),
    "one user sends nine tenths": Truth(slower=rollouts.REAL_MARGIN, error_rate=0.05, requests_per_second=30, heavy_share=0.9),
}


def rows(runs: int) -> Iterator[Figure]:
    """Every cell: the test, judged by what chance allows it; beside it parts of it, and the naive test."""
    limit = most(runs, rollouts.FALSE_ROLLBACK_PROBABILITY)
    for seed, (name, truth) in enumerate(CELLS.items()):
        played = list(rollouts.many(truth, runs=runs, seed=1000 + seed))
        yield figures.at_most(f"{name}: false rollbacks", sum(one.rolled_back for one in played), f"of {runs}", limit=limit)
        yield figures.stated(f"{name}: with the variance between buckets alone", sum(one.by_buckets_alone for one in played), f"of {runs}")
        alone = sum(one.by_candidate_groups_alone for one in played)
        yield figures.stated(f"{name}: with the groups of the candidate alone", alone, f"of {runs}")
        naive = sum(one.by_naive_test for one in played)
        yield Figure(name=f"{name}: by a z-test per request", value=naive, unit=f"of {runs}", goal=f"> {limit}: must fail", ok=naive > limit)


def limits(runs: int) -> Iterator[Figure]:
    """Where the promise ends: pods of either revision that stand still for longer. Nobody says that it holds there, so nothing is judged."""
    for stall_s in (30, 60):
        truth = Truth(slower=rollouts.REAL_MARGIN, stall_s=stall_s)
        wrong = sum(one.rolled_back for one in rollouts.many(truth, runs=runs, seed=1100))
        yield figures.stated(f"stalls of {stall_s} s: false rollbacks", wrong, f"of {runs}")


def most(runs: int, probability: float, *, confidence: float = 0.99) -> int:
    """How many of the runs may go wrong by chance: the least k with P(X > k) <= 1 - confidence for a binomial X. 31 of 2,000 at 0.01."""
    below, k = 0.0, -1
    while below < confidence:
        k += 1
        ways = math.lgamma(runs + 1) - math.lgamma(k + 1) - math.lgamma(runs - k + 1)
        below += math.exp(ways + k * math.log(probability) + (runs - k) * math.log1p(-probability))
    return k
