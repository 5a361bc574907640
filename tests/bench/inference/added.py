"""Everything that is not the model: what the transformer, and router and transformer, add to a request's time at half load."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench import cores, load
from bench.inference import asked, figures, peers, triton, turns
from bench.inference.figures import Figure
from bench.inference.sizes import Sizes
from bench.router import peers as router_peers

P99_MS = 1.0


def rows(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Turns of Triton alone and of what is before it, at the same rate. All that is before it is on one core, Triton and who asks on the other."""
    with contextlib.ExitStack() as running:
        server = running.enter_context(triton.running(folder))
        transformer = running.enter_context(peers.slipway(folder, server, host="0.0.0.0"))  # noqa: S104 - the router knows pods by addresses
        router, control = running.enter_context(router_peers.router(folder, transformer.port))
        ports = {"transformer": transformer.port, "router and transformer": router.port}
        # The transformer merges requests: what it carries with Triton behind it can be more than Triton carries alone.
        alone = _full(sizes, folder, server.http_port)
        rates = {name: min(alone, _full(sizes, folder, port)) / 2 for name, port in ports.items()}
        for process in (server.pid, transformer.pid, control.master):
            cores.at_once(process)
        for name, port in ports.items():
            yield from _added(sizes, name, {"Triton alone": server.http_port, name: port}, rates[name])


def _added(sizes: Sizes, name: str, ports: Mapping[str, int], rate: float) -> Iterator[Figure]:
    p50: dict[str, list[float]] = {who: [] for who in ports}
    p99: dict[str, list[float]] = {who: [] for who in ports}
    for _ in range(2 * sizes.turns):
        for who, at in ports.items():
            times = load.steadily("127.0.0.1", at, asked.INFER, body=asked.BODY, per_second=rate, seconds=sizes.turn_s)
            p50[who].append(figures.quantile(times, 0.5) * 1000)
            p99[who].append(figures.quantile(times, 0.99) * 1000)
    # What else the machine does comes on top of any turn, and of the least disturbed one the least.
    best = {who: min(values) for who, values in p99.items()}
    yield figures.at_most(f"{name}: p99 added at half load", best[name] - best["Triton alone"], "ms", limit=P99_MS)
    yield figures.stated(f"{name}: p50 added at half load", min(p50[name]) - min(p50["Triton alone"]), "ms")
    yield figures.stated(f"{name}: half load", rate, "/s")
    for who in ports:
        yield figures.stated(f"{name}: {who}, p50", min(p50[who]), "ms")
        yield figures.stated(f"{name}: {who}, p99", best[who], "ms")


def _full(sizes: Sizes, folder: Path, port: int) -> float:
    """Requests a second, once it is warm."""
    load.as_fast_as_possible(folder, port, script=asked.SCRIPT, connections=turns.CONNECTIONS, seconds=sizes.warm_up_s)
    return load.as_fast_as_possible(folder, port, script=asked.SCRIPT, connections=turns.CONNECTIONS, seconds=sizes.turn_s).per_second
