"""The largest look that an Experiment can have is kept by a ledger, and read again by all who read looks."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.harness import ADMIN, READER, Ledger
from slipway_box import environments
from slipway_ledger import looks
from slipway_ledger.settings import Settings
from slipway_operator import cli
from slipway_operator.cluster import ledger as ledgers
from slipway_operator.state.experiment import Journal
from slipway_testing import largest_experiment

UID = "1a2b3c4d-0000-4000-8000-000000000000"
LEDGER_NAME = "checkout-1a2b3c4d"
PATH = f"/v1/experiments/shop/{LEDGER_NAME}"
MEMORY_MIB = 512
"""The limit of the ledger's pod (kustomize/base/ledger/ledger.yaml)."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path, python=environments.need("ledger-tests") / "bin" / "python") as running:
        running.register(PATH)
        yield running


def test_the_largest_look_is_kept_and_read(ledger: Ledger, tmp_path: Path) -> None:
    """Three of them, which are more than one answer holds."""
    largest = largest_experiment.look()
    length = len(json.dumps(largest, separators=(",", ":")))
    assert Settings().body_bytes < length < 0.8 * looks.MOST_BYTES
    (tmp_path / "admin").write_text(ADMIN)
    (tmp_path / "reader").write_text(READER)
    url = f"http://127.0.0.1:{ledger.port}"

    async def kept() -> Journal:
        async with ledgers.Ledger(url, token_file=tmp_path / "admin") as client:
            for sequence in (1, 2, 3):
                await client.append("shop", LEDGER_NAME, largest | {"sequence": sequence})
            return await client.journal("shop", LEDGER_NAME, after=0)

    found = asyncio.run(kept())
    assert (found.sequence, set(found.memory.primary)) == (3, set(largest["said"]["arms"]))
    assert len(ledger.get(f"{PATH}/looks").said["looks"]) < 3

    file = tmp_path / "looks.jsonl"
    asked = ("checkout", "--namespace", "shop", "--uid", UID, "--ledger", url, "--token-file", str(tmp_path / "reader"), "-o", str(file))
    assert cli.main(["experiment", "looks", *asked]) == 0
    assert [json.loads(line) for line in file.read_text().splitlines()] == [largest | {"sequence": sequence} for sequence in (1, 2, 3)]
    assert ledger.resident_mib < MEMORY_MIB / 2
