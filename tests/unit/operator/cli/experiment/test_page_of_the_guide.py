"""docs/guides/experiment-report.md shows what the commands print."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from slipway_testing import pages
from slipway_testing.golden import REPOSITORY

PAGE = (REPOSITORY / "docs/guides/experiment-report.md").read_text()


def _fences(info: str) -> list[str]:
    return [fence.text for fence in pages.fences(PAGE) if fence.info == info]


def test_the_plan_is_what_the_command_prints(run: Any, tmp_path: Path) -> None:
    [manifest], [command] = _fences("yaml"), _fences("bash")
    (tmp_path / "ranker-v8.yaml").write_text(manifest)
    status, out, _ = run(*shlex.split(command)[2:])
    assert (status, out) == (0, _fences("text")[-1])


def test_replays_are_what_the_command_prints(run: Any, looks_file: Any, bodies: Any) -> None:
    same, different, _ = _fences("text")
    assert run("replay", "--looks", looks_file("win"))[1] == same
    told = bodies("win")
    told[2]["said"]["verdict"] = "Winning"
    assert run("replay", "--looks", looks_file(told))[1] == different


@pytest.mark.parametrize("command", ["plan", "status", "report", "replay", "looks"])
def test_every_command_has_a_row(command: str, run: Any) -> None:
    assert re.search(rf"^\| `slipway experiment {command} ", PAGE, re.MULTILINE)
    with pytest.raises(SystemExit) as ended:
        run(command, "--help")
    assert ended.value.code == 0
