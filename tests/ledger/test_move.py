"""``python -m slipway_ledger.move``: a SQLite file goes to PostgreSQL."""

import os
import subprocess
import sys
from pathlib import Path

from ledger import test_kills
from ledger.conftest import Start
from ledger.harness import Ledger, at, definition, exposure
from slipway_box import layout
from slipway_testing.postgres_server import PostgresServer


def moved(source: Path, target: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"SLIPWAY_MOVE_FROM": str(source), "SLIPWAY_DATABASE": target, "PYTHONPATH": str(layout.REPOSITORY / "inference")}
    return subprocess.run([sys.executable, "-m", "slipway_ledger.move"], env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_moved_ledger_says_the_same_and_goes_on(start: Start, tmp_path: Path, postgres: PostgresServer) -> None:
    path, now = "/v1/experiments/shop/kills", f"/sums?now={at(-60).replace('+', '%2B')}"
    first = start(close_seconds=1000)
    first.put(path, test_kills.DEFINITION)
    exposures, outcomes = test_kills.made(3)
    first.expose(*exposures)
    first.observe(*outcomes)
    first.post(f"{path}/looks", {"sequence": 1})
    said, looks = first.get(path + now).said, first.get(f"{path}/looks").body
    first.end()

    target = postgres.database()
    done = moved(tmp_path / "ledger.db", target)
    assert done.returncode == 0, done.stderr
    assert "look: 1\n" in done.stdout
    again = moved(tmp_path / "ledger.db", target)
    assert (again.returncode, again.stderr) == (1, "slipway-ledger: the table stream of the database is not empty: move into a new one\n")

    second: Ledger = start(target, close_seconds=1000)
    assert [group["sums"] for group in second.get(path + now).said["metrics"]] == [group["sums"] for group in said["metrics"]]
    assert second.get(f"{path}/looks").body == looks
    assert second.expose(*exposures)["refused"] == []
    assert second.observe(*outcomes) == {"accepted": 0, "duplicates": len(outcomes), "refused": []}
    assert second.put("/v1/experiments/shop/checkout", definition()).status == 201
    second.expose(exposure("ada"))


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    done = moved(tmp_path / "nothing.db", "postgresql://127.0.0.1:1/none")
    assert (done.returncode, "SLIPWAY_MOVE_FROM should be the path" in done.stderr) == (2, True)
