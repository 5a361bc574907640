"""The transformer before Triton against kserve's own transformer before the same: 32 clients that ask again as soon as they are answered."""

import contextlib
import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.inference import figures, peers, triton, turns
from bench.inference.figures import Figure
from bench.inference.peers import NotMeasured
from bench.inference.sizes import Sizes
from bench.inference.turns import Turn

TIMES, P99_SHARE = 4.0, 0.5
_KSERVE = {"kserve by gRPC": peers.kserve_grpc, "kserve by HTTP": peers.kserve_rest}


def rows(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """The goals hold against the faster of kserve's two ways to ask a predictor."""
    with contextlib.ExitStack() as running:
        server = running.enter_context(triton.running(folder))
        servers = [running.enter_context(peers.slipway(folder, server))]
        for name, started in _KSERVE.items():
            try:
                servers.append(running.enter_context(started(folder, server)))
            except NotMeasured as error:
                yield figures.missing(f"before Triton: requests a second against {name}", str(error))
        found = turns.taken(sizes, folder, servers)
    rates = {name: statistics.median(turn.per_second for turn in taken) for name, taken in found.items()}
    others = sorted((name for name in found if name != "slipway"), key=rates.__getitem__, reverse=True)
    for name in others:
        yield from _against(name, found["slipway"], found[name], judged=name == others[0])
    for name, taken in found.items():
        yield figures.stated(f"before Triton, {name}: requests a second", rates[name], "/s")
        per_core = statistics.median(turn.per_core for turn in taken)
        yield figures.stated(f"before Triton, {name}: requests for each second of processor time", per_core, "/s")
        yield figures.stated(f"before Triton, {name}: p99 of 32 clients", statistics.median(turn.p99_s for turn in taken) * 1000, "ms")


def _against(name: str, own: list[Turn], theirs: list[Turn], *, judged: bool) -> Iterator[Figure]:
    times = turns.ratio([turn.per_second for turn in own], [turn.per_second for turn in theirs])
    share = turns.ratio([turn.p99_s for turn in own], [turn.p99_s for turn in theirs])
    rate, late = f"before Triton: requests a second against {name}", f"before Triton: p99 of 32 clients against {name}"
    yield figures.at_least(rate, times, "x", limit=TIMES) if judged else figures.stated(rate, times, "x")
    yield figures.at_most(late, share, "x", limit=P99_SHARE) if judged else figures.stated(late, share, "x")
