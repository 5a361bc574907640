"""Open Inference Protocol in JSON, 1 x 200 floats, no model behind: the transformer against other servers, one by one in turns with it."""

import contextlib
import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.inference import environments, figures, peers, turns
from bench.inference.figures import Figure
from bench.inference.peers import NotMeasured
from bench.inference.sizes import Sizes
from bench.inference.turns import Turn

_GOALS = {"kserve": 6.0, "fastapi": 2.5}


def rows(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """The ratio to each that can be measured, and why the others cannot."""
    own: list[Turn] = []
    for name, started in peers.ECHOES.items():
        what = " ".join(environments.versions(name))
        place = folder / name
        place.mkdir()
        try:
            with contextlib.ExitStack() as running:
                servers = [running.enter_context(peers.slipway_echo(place)), running.enter_context(started(place))]
                taken = turns.taken(sizes, place, servers)
        except NotMeasured as error:
            yield figures.missing(f"echo: requests a second against {what}", str(error), judged=name in _GOALS)
            continue
        own += taken["slipway"]
        yield from _against(what, taken["slipway"], taken[name], _GOALS.get(name))
    if own:
        yield from _absolute("slipway", own)


def _against(what: str, own: list[Turn], theirs: list[Turn], goal: float | None) -> Iterator[Figure]:
    times = turns.ratio([turn.per_second for turn in own], [turn.per_second for turn in theirs])
    name = f"echo: requests a second against {what}"
    yield figures.stated(name, times, "x") if goal is None else figures.at_least(name, times, "x", limit=goal)
    times = turns.ratio([turn.per_core for turn in own], [turn.per_core for turn in theirs])
    yield figures.stated(f"echo: requests a core against {what}", times, "x")
    yield from _absolute(what, theirs)


def _absolute(what: str, found: list[Turn]) -> Iterator[Figure]:
    yield figures.stated(f"echo, {what}: requests a second", statistics.median(turn.per_second for turn in found), "/s")
    yield figures.stated(f"echo, {what}: requests for each second of processor time", statistics.median(turn.per_core for turn in found), "/s")
