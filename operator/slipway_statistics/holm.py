"""Several findings in one report, with one alpha for all of them.

S. Holm, *A simple sequentially rejective multiple test procedure* (Scandinavian Journal of Statistics 1979). It never finds less than alpha shared
out equally (Bonferroni), whatever the findings have to do with each other. It is for the final report: while an experiment runs, every arm is judged
by its share of alpha, since which of them is the smallest p may change from look to look.
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def adjusted(p: Mapping[Key, float]) -> dict[Key, float]:
    """Each p as it counts among all: one that is at most alpha is a finding, and all findings together are wrong with probability alpha at most.

    The smallest of m is multiplied by m, the next by m - 1, and none falls below the one before: 0.01, 0.02 and 0.04 become 0.03, 0.04 and 0.04.
    Always-valid p (the least over all looks of 1/e) may be given as well as fixed ones.

    Args:
        p: by arm and primary metric, or whatever the findings are named by.

    Returns:
        In the order given.

    Raises:
        ValueError: a p is not from 0 to 1.

    """
    for key, value in p.items():
        if not 0 <= value <= 1:
            raise ValueError(f"p of {key} is from 0 to 1, not {value}")
    found: dict[Key, float] = {}
    least = 0.0
    for rank, key in enumerate(sorted(p, key=p.__getitem__)):
        least = max(least, min(1.0, (len(p) - rank) * p[key]))
        found[key] = least
    return {key: found[key] for key in p}
