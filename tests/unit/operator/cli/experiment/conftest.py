"""Looks of simulated experiments, made once."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway_operator import cli
from slipway_testing import simulated_experiments

Run = Callable[..., tuple[int, str, str]]


@functools.cache
def _written(name: str) -> str:
    return "".join(f"{json.dumps(look)}\n" for look in simulated_experiments.looks(simulated_experiments.STORIES[name]))


@pytest.fixture
def bodies() -> Callable[[str], list[dict[str, Any]]]:
    """The looks of a story, to be changed as one likes."""
    return lambda name: [json.loads(line) for line in _written(name).splitlines()]


@pytest.fixture
def looks_file(tmp_path: Path) -> Callable[..., str]:
    """A file of looks: of a story, or of bodies."""

    def write(of: str | list[dict[str, Any]]) -> str:
        file = tmp_path / "looks.jsonl"
        file.write_text(_written(of) if isinstance(of, str) else "".join(f"{json.dumps(look)}\n" for look in of))
        return str(file)

    return write


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``slipway experiment ...`` in a folder of its own: exit status, output, errors."""
    monkeypatch.chdir(tmp_path)

    def ask(*argv: str) -> tuple[int, str, str]:
        status = cli.main(["experiment", *argv])
        return (status, *capsys.readouterr())

    return ask
