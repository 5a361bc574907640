"""``python -m bench.experiments``: play experiments, print a table, write build/bench/experiments.json. BENCH=short plays a tenth of them."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.experiments import bandits, false_verdicts, guardrails, methods, oracles, power, speed, split, stopping, whole
from bench.operator import figures
from bench.operator.figures import Figure

RESULT = Path(__file__).parents[3] / "build" / "bench" / "experiments.json"
_PARTS: Mapping[str, tuple[Callable[[int], Iterator[Figure]], int]] = {
    "false_verdicts": (false_verdicts.rows, 2000),
    "reasons": (false_verdicts.reasons, 2000),
    "guardrails": (guardrails.rows, 2000),
    "power": (power.rows, 2000),
    "stopping": (stopping.rows, 2000),
    "split": (split.rows, 2000),
    "whole": (whole.rows, 300),
    "methods": (methods.rows, 2000),
    "bandits": (bandits.rows, 2000),
    "oracles": (oracles.rows, 1000),
    "speed": (speed.rows, 1),
}


def main() -> int:
    """Measure every part, or those named on the command line; status 1 when a goal was missed."""
    found = list(_measured(sys.argv[1:] or list(_PARTS), fewer=10 if os.environ.get("BENCH") == "short" else 1))
    print(figures.table(found))  # noqa: T201
    figures.write(RESULT, found)
    return 0 if all(figure.ok for figure in found) else 1


def _measured(parts: list[str], *, fewer: int) -> Iterator[Figure]:
    for part in parts:
        rows, runs = _PARTS[part]
        for figure in rows(max(1, runs // fewer)):
            print(f"{figure.name}: {figure.value:g} {figure.unit}", file=sys.stderr, flush=True)  # noqa: T201
            yield figure


if __name__ == "__main__":
    sys.exit(main())
