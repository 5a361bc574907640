"""How many requests one core carries: the router against plain nginx and against Envoy, in turns."""

import contextlib
import statistics
import threading
from collections.abc import Iterator
from pathlib import Path

from bench import processor
from bench.router import figures, load, peers
from bench.router.figures import Figure
from bench.router.sizes import Sizes
from router.harness import Router

CONNECTIONS = 32


def rows(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Ratios of requests a second of the server's processor time, which is what others on this machine take away from all alike."""
    with contextlib.ExitStack() as running:
        pod_port = running.enter_context(peers.pods(folder))
        router, control = running.enter_context(peers.router(folder, pod_port))
        contenders = [router, running.enter_context(peers.plain(folder, pod_port)), running.enter_context(peers.envoy(folder, pod_port))]
        running.enter_context(_agent(control))
        for each in contenders:
            load.as_fast_as_possible(folder, each.port, connections=CONNECTIONS, seconds=sizes.warm_up_s)
        per_second: dict[str, list[float]] = {each.name: [] for each in contenders}
        per_core: dict[str, list[float]] = {each.name: [] for each in contenders}
        for _ in range(sizes.turns):
            for each in contenders:
                before = processor.used_s(each.port)
                run = load.as_fast_as_possible(folder, each.port, connections=CONNECTIONS, seconds=sizes.turn_s)
                assert run.failed == 0, (each, run)
                per_second[each.name].append(run.per_second)
                per_core[each.name].append(run.per_second * sizes.turn_s / (processor.used_s(each.port) - before))
    against_nginx, against_envoy = (_ratio(per_core["router"], per_core[other]) for other in ("nginx proxy_pass", "Envoy"))
    yield figures.at_least("router: requests a core against nginx proxy_pass", against_nginx, "x", limit=0.8)
    yield figures.at_least("router: requests a core against Envoy with weighted clusters", against_envoy, "x", limit=1.5)
    for name in per_second:
        yield figures.stated(f"{name}: requests for each second of processor time", statistics.median(per_core[name]), "/s")
        yield figures.stated(f"{name}: best turn", max(per_second[name]), "/s")


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over turns: both were measured within seconds of each other."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


@contextlib.contextmanager
def _agent(router: Router) -> Iterator[None]:
    """Takes what was counted every second, as the agent does."""
    stop = threading.Event()

    def take() -> None:
        while not stop.wait(1):
            router.taken()

    thread = threading.Thread(target=take)
    thread.start()
    yield
    stop.set()
    thread.join()
