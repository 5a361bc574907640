"""``python -m bench.operator``: measure, print a table, write build/bench/operator.json. BENCH=short measures less of it."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.operator import contenders, figures, rest, sizes, speed
from bench.operator.figures import Figure

RESULT = contenders.REPOSITORY / "build" / "bench" / "operator.json"
_PARTS = {"speed": speed.rows, "rest": rest.rows, "kserve": speed.kserve_rows}


def main() -> int:
    """Measure every part, or those named on the command line; status 1 when a goal was missed."""
    # So that what was started is ended: asyncio and the context managers know SIGINT, which a shell may have had us ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    chosen = sizes.SHORT if os.environ.get("BENCH") == "short" else sizes.WHOLE
    found = list(_measured(chosen, sys.argv[1:] or list(_PARTS)))
    print(figures.table(found))  # noqa: T201
    figures.write(RESULT, found)
    return 0 if all(figure.ok for figure in found) else 1


def _measured(chosen: sizes.Sizes, parts: list[str]) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as directory:
        for part in parts:
            for figure in _PARTS[part](chosen, Path(directory)):
                print(f"{figure.name}: {figure.value:g} {figure.unit}", file=sys.stderr, flush=True)  # noqa: T201
                yield figure


if __name__ == "__main__":
    sys.exit(main())
