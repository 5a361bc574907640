"""How soon a change of tables is live, and whether anybody notices."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench.router import figures, load, peers
from bench.router.figures import Figure
from bench.router.load import Run
from bench.router.sizes import Sizes
from router.harness import Router, split


def rows(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Every change gives all slots to the other revision; it is live once a request is answered by that one."""
    with peers.pods(folder) as pod_port, peers.router(folder, pod_port) as (peer, router):
        runs: list[Run] = []
        seconds = sizes.changes * sizes.between_changes_s + 2

        def ask() -> None:
            runs.append(load.as_fast_as_possible(folder, peer.port, connections=16, seconds=int(seconds)))

        asking = threading.Thread(target=ask)
        asking.start()
        times = [_live_after_s(router, number, sizes) for number in range(sizes.changes)]
        asking.join()
    yield figures.at_most("a change of tables is live, p99", figures.quantile(times, 0.99) * 1000, "ms", limit=1000)
    yield figures.stated("a change of tables is live, p50", figures.quantile(times, 0.5) * 1000, "ms")
    yield figures.at_most(f"failed requests over {sizes.changes} changes", runs[0].failed, "", limit=0)
    yield figures.stated("requests meanwhile", runs[0].per_second, "/s")


def _live_after_s(router: Router, number: int, sizes: Sizes) -> float:
    revision = ("ranker-old", "ranker-new")[number % 2]
    started = time.monotonic()
    router.serve(split(10000 * (number % 2), epoch=number + 8), pods=peers.revisions())
    while router.ask(x_user_id="user-1").revision != revision:
        pass
    took = time.monotonic() - started
    time.sleep(max(0.0, sizes.between_changes_s - took))
    return took
