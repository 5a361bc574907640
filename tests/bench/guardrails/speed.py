"""What one look costs: ten routers, two revisions, two guardrails, an hour of blocks."""

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.operator import figures
from bench.operator.figures import Figure
from slipway_statistics import boundary, counts, decision, latency, ratios

ROUTERS, BLOCKS, BINS = 10, 900, 200
_LOOKS = 100
_ALPHA = boundary.alpha_of_one(0.01, guardrails=2, steps=3)


def answers(routers: int = ROUTERS) -> list[dict[str, Any]]:
    """What the routers answer, as read from JSON."""
    random = np.random.default_rng(1)
    return [
        json.loads(json.dumps({"blockSeconds": 4, "revisions": {name: _revision(random) for name in ("stable", "candidate")}}))
        for _ in range(routers)
    ]


def look(found: list[dict[str, Any]]) -> decision.Decision:
    """Everything that one look does after the answers have been read from JSON."""
    parsed = [counts.parse(answer) for answer in found]
    candidate, stable = (counts.merge(router[name] for router in parsed if name in router) for name in ("candidate", "stable"))
    looks = {
        "ErrorRate": ratios.look(candidate, stable, outcome="bad", max_increase=0.005, alpha=_ALPHA),
        "LatencyP95": ratios.look(candidate, stable, outcome="slow", max_increase=0.0, alpha=_ALPHA),
    }
    latency.edges(stable.latency, max_increase=0.2)
    return decision.decide(looks, held_s=3600, hold_s=60, detect=0.02)


def took_ms(looks: int = _LOOKS) -> list[float]:
    """Processor time of each look."""
    found = answers()
    times = []
    for _ in range(looks):
        began = time.process_time()
        look(found)
        times.append(1000 * (time.process_time() - began))
    return times


def rows(_: int) -> Iterator[Figure]:
    """The median and the slowest but one."""
    times = took_ms()
    yield figures.at_most("a look at ten routers, two revisions, two guardrails, 900 blocks (median)", figures.quantile(times, 0.5), "ms", limit=10)
    yield figures.stated("the same (99 of 100)", figures.quantile(times, 0.99), "ms")


def _revision(random: np.random.Generator) -> dict[str, Any]:
    blocks = zip(random.integers(1, 9, BLOCKS).tolist(), random.integers(0, 2, BLOCKS).tolist(), random.integers(0, 2, BLOCKS).tolist(), strict=True)
    return {
        "buckets": [[70, int(bad), int(slow)] for bad, slow in random.integers(0, 9, (counts.BUCKETS, 2))],
        "blocks": {str(440_000_000 + number): list(cell) for number, cell in enumerate(blocks)},
        "latency": {str(number): int(random.integers(1, 99)) for number in range(100, 100 + BINS)},
    }
