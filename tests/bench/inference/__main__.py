"""``python -m bench.inference``: measure, print a table, write build/bench/inference.json. BENCH=short measures less of it."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.inference import added, before_triton, echo, figures, memory, sizes
from bench.inference.figures import Figure
from bench.inference.peers import NotMeasured
from bench.router import peers as router_peers
from slipway_box import layout

RESULT = layout.REPOSITORY / "build" / "bench" / "inference.json"
_PARTS = {"echo": echo.rows, "before-triton": before_triton.rows, "added": added.rows, "memory": memory.rows}


def main() -> int:
    """Measure every part, or those named on the command line; status 1 when a goal was missed."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    router_peers.need_programs()
    chosen = sizes.SHORT if os.environ.get("BENCH") == "short" else sizes.WHOLE
    found = list(_measured(chosen, sys.argv[1:] or list(_PARTS)))
    print(figures.table(found))  # noqa: T201
    figures.write(RESULT, found)
    return 0 if all(figure.ok for figure in found) else 1


def _measured(chosen: sizes.Sizes, parts: list[str]) -> Iterator[Figure]:
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="slipway-bench-") as directory:
            folder = Path(directory)
            folder.chmod(0o777)
            for figure in _of_part(part, chosen, folder):
                print(f"{figure.name}: {figure.value:g} {figure.unit}", file=sys.stderr, flush=True)  # noqa: T201
                yield figure


def _of_part(part: str, chosen: sizes.Sizes, folder: Path) -> Iterator[Figure]:
    try:
        yield from _PARTS[part](chosen, folder)
    except NotMeasured as error:  # what the other parts measure is worth having
        yield figures.missing(part, str(error))


if __name__ == "__main__":
    sys.exit(main())
