"""The transformer before Triton against kserve's own transformer before the same: 32 clients that ask again as soon as they are answered."""

import contextlib
import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.inference import figures, peers, triton, turns
from bench.inference.figures import Figure
from bench.inference.peers import NotMeasured
from bench.inference.sizes import Sizes

TIMES, P99_SHARE = 4.0, 0.5
_KSERVE = {"kserve, gRPC": peers.kserve_grpc, "kserve, HTTP": peers.kserve_rest}


def rows(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """The goals hold against the faster of kserve's two ways to ask a predictor."""
    with contextlib.ExitStack() as running:
        server = running.enter_context(triton.running(folder))
        servers, reasons = [running.enter_context(peers.slipway(folder, server))], {}
        for name, started in _KSERVE.items():
            try:
                servers.append(running.enter_context(started(folder, server)))
            except NotMeasured as error:
                reasons[name] = str(error)
        found = turns.taken(sizes, folder, servers)
    for name, reason in reasons.items():
        yield figures.missing(f"before Triton, slipway's of {name}", reason)
    rates = {name: statistics.median(turn.per_second for turn in taken) for name, taken in found.items()}
    own = found["slipway"]
    others = [name for name in found if name != "slipway"]
    for name in others:
        times = turns.ratio([turn.per_second for turn in own], [turn.per_second for turn in found[name]])
        share = turns.ratio([turn.p99_s for turn in own], [turn.p99_s for turn in found[name]])
        whats = f"before Triton, requests a second, slipway's of {name}", f"before Triton, p99 of 32 clients, slipway's of {name}"
        if name == max(others, key=rates.__getitem__):
            yield figures.at_least(whats[0], times, "x", limit=TIMES)
            yield figures.at_most(whats[1], share, "x", limit=P99_SHARE)
        else:
            yield figures.stated(whats[0], times, "x")
            yield figures.stated(whats[1], share, "x")
    for name, taken in found.items():
        yield figures.stated(f"before Triton, {name}: requests a second", rates[name], "/s")
        yield figures.stated(
            f"before Triton, {name}: requests for each second of processor time", statistics.median(turn.per_core for turn in taken), "/s"
        )
        yield figures.stated(f"before Triton, {name}: p99 of 32 clients", statistics.median(turn.p99_s for turn in taken) * 1000, "ms")
