"""``python -m bench.router``: measure, print a table, write build/bench/router.json. BENCH=short measures less of it."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.router import changes, figures, latency, peers, sizes, spike, throughput
from bench.router.figures import Figure
from slipway_box import layout

RESULT = layout.REPOSITORY / "build" / "bench" / "router.json"
_PARTS = {"throughput": throughput.rows, "latency": latency.rows, "changes": changes.rows, "spike": spike.rows}


def main() -> int:
    """Measure every part, or those named on the command line; status 1 when a goal was missed."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    peers.need_programs()
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
            for figure in _PARTS[part](chosen, folder):
                print(f"{figure.name}: {figure.value:g} {figure.unit}", file=sys.stderr, flush=True)  # noqa: T201
                yield figure


if __name__ == "__main__":
    sys.exit(main())
