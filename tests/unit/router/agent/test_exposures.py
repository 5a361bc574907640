"""Exposures on disk, and a disk that does not want them."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from slipway_router.agent.exposures import Exposures


def exposure(number: int) -> dict[str, Any]:
    return {"unit": f"ü-{number:04}"}


def units(path: Path) -> list[int]:
    return [int(json.loads(line)["unit"][2:]) for line in path.read_text().splitlines()]


async def test_exposures_are_lines_of_json_in_order(tmp_path: Path) -> None:
    exposures = Exposures(tmp_path / "x", file_bytes=10**6, files=2)
    exposures.put(map(exposure, range(1500)), lost=3)
    await exposures.flush()
    exposures.put([exposure(1500)], lost=0)
    await exposures.flush()
    assert units(tmp_path / "x") == list(range(1501))
    assert (exposures.written, exposures.lost, exposures.dropped) == (1501, 3, 0)


async def test_full_files_are_kept_up_to_a_number(tmp_path: Path) -> None:
    exposures = Exposures(tmp_path / "x", file_bytes=50, files=2)  # two lines of 19 bytes each
    for number in range(9):
        exposures.put([exposure(number)], lost=0)
        await exposures.flush()
    assert {name: units(tmp_path / name) for name in os.listdir(tmp_path)} == {"x": [8], "x.1": [6, 7], "x.2": [4, 5]}
    assert (exposures.written, exposures.lost, exposures.dropped) == (9, 0, 4)


async def test_half_a_line_of_a_killed_agent_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "x").write_text('{"unit":"ü-0001"}\n{"unit":"ü-00')
    exposures = Exposures(tmp_path / "x", file_bytes=10**6, files=2)
    exposures.put([exposure(2)], lost=0)
    await exposures.flush()
    assert units(tmp_path / "x") == [1, 2]


async def test_a_full_disk_costs_exposures_and_one_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x").symlink_to("/dev/full")
    exposures = Exposures(tmp_path / "x", file_bytes=10**6, files=2)
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            exposures.put([exposure(number)], lost=0)
            await exposures.flush()
    assert (exposures.written, exposures.lost) == (0, 5)
    assert [record.message for record in caplog.records] == [f"1 exposures are lost, 1 since the start: No space left on device ({tmp_path / 'x'})"]


async def test_a_folder_that_is_not_there_costs_exposures_only(tmp_path: Path) -> None:
    exposures = Exposures(tmp_path / "none" / "x", file_bytes=10**6, files=2)
    exposures.put([exposure(1)], lost=0)
    await exposures.flush()
    assert exposures.lost == 1


async def test_what_waits_for_the_disk_is_bounded(tmp_path: Path) -> None:
    exposures = Exposures(tmp_path / "x", file_bytes=10**9, files=2)
    exposures.put(map(exposure, range(20_100)), lost=0)
    assert exposures.lost == 100
    await exposures.flush()
    assert exposures.written == 20_000
