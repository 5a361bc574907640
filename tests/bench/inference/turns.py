"""Servers that take turns at being asked by 32 connections, so that what else the machine does disturbs all alike."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load, processor
from bench.inference import asked, peers
from bench.inference.peers import NotMeasured, Peer
from bench.inference.sizes import Sizes

CONNECTIONS = 32


@dataclass(frozen=True)
class Turn:
    """What one server did in one turn."""

    per_second: float
    per_core: float
    """Requests for each second of processor time of the server and all that it started."""
    p99_s: float


def taken(sizes: Sizes, folder: Path, servers: Sequence[Peer]) -> dict[str, list[Turn]]:
    """The turns of each. NotMeasured: one of them failed a request, or answers otherwise than before."""
    for each in servers:
        load.as_fast_as_possible(folder, each.port, script=asked.SCRIPT, connections=CONNECTIONS, seconds=sizes.warm_up_s)
    turns: dict[str, list[Turn]] = {each.name: [] for each in servers}
    for _ in range(sizes.turns):
        for each in servers:
            turns[each.name].append(_turn(sizes, folder, each))
    for each in servers:
        peers.check(each)
    return turns


def _turn(sizes: Sizes, folder: Path, server: Peer) -> Turn:
    before = processor.used_by_s(server.pid)
    run = load.as_fast_as_possible(folder, server.port, script=asked.SCRIPT, connections=CONNECTIONS, seconds=sizes.turn_s)
    if run.failed:
        raise NotMeasured(f"{server.name}: {run.failed} requests failed")
    used_s = processor.used_by_s(server.pid) - before
    return Turn(run.per_second, run.per_second * sizes.turn_s / used_s, run.p99_s)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over turns: both were measured within seconds of each other."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
