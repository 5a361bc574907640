"""Ten times as many requests for a while: those that the pods can take are served, the others told at once to come again."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.router import figures, load, peers
from bench.router.figures import Figure
from bench.router.load import Answered
from bench.router.sizes import Sizes

POD_S = 0.1
PENDING_PER_POD = 40
PODS = 2
CAPACITY = PENDING_PER_POD * PODS / POD_S
USUAL = 200.0
SPIKE = 10 * USUAL
SETTLED_S = 5


def rows(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Pods that take 100 ms, 40 at a time each: 800 requests a second. 200 a second are usual, the spike has 2,000."""
    limits = {"bodyBytes": 1048576, "pendingPerPod": PENDING_PER_POD}
    with peers.pods(folder, each_s=POD_S) as pod_port, peers.router(folder, pod_port, limits=limits) as (peer, router):
        router.serve(peers.stable_only(limits), pods=peers.revisions())
        before = load.answers_at_a_rate(folder, "127.0.0.1", peer.port, per_second=USUAL, seconds=SETTLED_S)
        during = load.answers_at_a_rate(folder, "127.0.0.1", peer.port, per_second=SPIKE, seconds=sizes.spike_s, clients=100)
        after = load.answers_at_a_rate(folder, "127.0.0.1", peer.port, per_second=USUAL, seconds=2 * SETTLED_S)
        told = router.taken()["totals"]
    shed = [one for one in during if one.status == 503]
    served = [one for one in during if one.status == 200]
    yield figures.at_most("spike: failed requests before it", _failed(before), "", limit=0)
    yield figures.at_most("spike: answers that are neither 200 nor 503", len(during) - len(shed) - len(served), "", limit=0)
    yield figures.at_most("spike: p99 of a 503", figures.quantile([one.seconds for one in shed], 0.99) * 1000, "ms", limit=50)
    yield figures.at_least("spike: served, of what the pods can take", len(served) / sizes.spike_s / CAPACITY, "x", limit=0.9)
    yield figures.at_most("spike: until the last failed request after it", _last_failure_s(after), "s", limit=SETTLED_S)
    yield figures.stated("spike: refused", len(shed) / len(during) * 100, "%")
    yield figures.stated("spike: p50 of those served", statistics.median(one.seconds for one in served) * 1000, "ms")
    yield figures.stated("spike: counted as shed", sum(row[6] for row in told if row[5] == "shed"), "")


def _failed(answers: list[Answered]) -> int:
    return sum(one.status != 200 for one in answers)


def _last_failure_s(answers: list[Answered]) -> float:
    start = min(one.started_s for one in answers)
    return max((one.started_s - start for one in answers if one.status != 200), default=0.0)
