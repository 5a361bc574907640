"""The package against other people's: gbstats, statsmodels, scipy and confseq, in an environment of their own (``make build/venvs/oracles``).

``rows()`` asks a Python there; ``python -m bench.experiments.oracles`` is what it asks.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.operator.figures import Figure

REPOSITORY = Path(__file__).parents[3]
PYTHON = REPOSITORY / "build" / "venvs" / "oracles" / "bin" / "python"


def rows(sets: int = 1000) -> Iterator[Figure]:
    """One row for each thing that both compute: the largest relative difference over so many random data sets.

    Without the environment there is one row that says so, and is not ok.
    """
    if not PYTHON.exists():
        yield Figure(name="compared with other packages", value=0, unit="", goal="run `make build/venvs/oracles` first", ok=False)
        return
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY / 'tests'}"}
    done = subprocess.run([PYTHON, "-m", "bench.experiments.oracles", str(sets)], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{PYTHON} could not compare; its last lines:\n{done.stderr[-2000:]}")
    yield from (Figure(**one) for one in json.loads(done.stdout))


if __name__ == "__main__":
    from bench.experiments import compared

    json.dump([dataclasses.asdict(one) for one in compared.rows(int(sys.argv[1]) if sys.argv[1:] else 1000)], sys.stdout, indent=2)
