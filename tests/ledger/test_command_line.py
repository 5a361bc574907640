"""``slipway experiment`` against a real ledger: what was appended is read, whole and in order, and computed again."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ledger.conftest import Start
from ledger.harness import ADMIN, READER, definition
from slipway_box import layout
from slipway_testing import simulated_experiments

UID = "1a2b3c4d-0000-4000-8000-000000000000"
EXPERIMENT = f"/v1/experiments/shop/ranker-v8-{UID[:8]}"


def slipway(port: int, token_file: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    """A command that asks the ledger, in the environment that has the operator's dependencies."""
    python = layout.REPOSITORY / "build" / "venvs" / "dev" / "bin" / "python"
    asked = ["--ledger", f"http://127.0.0.1:{port}", "--token-file", str(token_file), "-n", "shop", "--uid", UID]
    return subprocess.run(
        [python if python.exists() else sys.executable, "-m", "slipway_operator.cli", "experiment", *argv, "ranker-v8", *asked],
        env={**os.environ, "PYTHONPATH": str(layout.REPOSITORY / "operator")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_looks_are_read_as_they_were_appended_and_computed_again(start: Start, tmp_path: Path) -> None:
    ledger = start()
    token = tmp_path / "reader"
    token.write_text(READER)
    appended = simulated_experiments.looks(simulated_experiments.ALIKE)
    assert len(appended) > 100  # more than one answer holds
    assert ledger.put(EXPERIMENT, definition(arms=["control", "v8"])).status == 201
    for look in appended:
        assert ledger.post(f"{EXPERIMENT}/looks", look, ADMIN).status == 201

    read = slipway(ledger.port, token, "looks")
    assert [json.loads(line) for line in read.stdout.splitlines()] == appended
    replayed = slipway(ledger.port, token, "replay")
    assert (replayed.returncode, replayed.stdout) == (0, f"shop/ranker-v8: {len(appended)} looks, all {len(appended)} verdicts are the same\n")


def test_a_ledger_that_knows_nothing_of_it(start: Start, tmp_path: Path) -> None:
    ledger = start()
    token = tmp_path / "reader"
    token.write_text(READER)
    asked = slipway(ledger.port, token, "report")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert " has no looks in the ledger at " in asked.stderr
