from pathlib import Path

import pytest

from bench.experiments import oracles


def test_without_the_environment_of_the_others_there_is_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracles, "PYTHON", Path("/there/is/none"))
    found = list(oracles.rows(1))
    assert [(figure.ok, figure.goal) for figure in found] == [(False, "run `make build/venvs/oracles` first")]
