"""Benchmarks that play the same thing many times: their parts, how often each is played, and what is done with the figures."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.operator import figures
from bench.operator.figures import Figure

Parts = Mapping[str, tuple[Callable[[int], Iterator[Figure]], int]]
"""By name: what gives the figures of so many runs, and how many there are in full."""


def main(parts: Parts, result: Path) -> int:
    """Measure every part, or those named on the command line, and print a table; status 1 when a goal was missed. BENCH=short plays a tenth."""
    found = list(_measured(parts, sys.argv[1:] or list(parts), fewer=10 if os.environ.get("BENCH") == "short" else 1))
    print(figures.table(found))  # noqa: T201
    figures.write(result, found)
    return 0 if all(figure.ok for figure in found) else 1


def _measured(parts: Parts, chosen: list[str], *, fewer: int) -> Iterator[Figure]:
    for part in chosen:
        rows, runs = parts[part]
        for figure in rows(max(1, runs // fewer)):
            print(f"{figure.name}: {figure.value:g} {figure.unit}", file=sys.stderr, flush=True)  # noqa: T201
            yield figure
