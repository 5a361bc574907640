"""``python -m slipway_operator``: what cannot work ends with a sentence."""

import pytest

from slipway_operator import __main__ as entry
from slipway_operator import errors
from slipway_operator.handlers import app
from slipway_operator.settings import Settings


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway_operator.logs.configure", lambda *, level: None)


def test_missing_settings_end_it_with_the_name_of_the_setting(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("SLIPWAY_RUNTIMES", raising=False)

    assert entry.main() == 2
    assert capsys.readouterr().err.startswith("slipway-operator cannot start: SLIPWAY_RUNTIMES is not set")


def test_credentials_that_cannot_work_end_it_with_the_reason(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(configured: Settings) -> None:
        raise errors.CredentialsError("no kubeconfig")

    monkeypatch.setenv("SLIPWAY_RUNTIMES", "a=a-1")
    monkeypatch.setattr(app, "run", refuse)

    assert entry.main() == 2
    assert capsys.readouterr().err == "slipway-operator cannot start: no kubeconfig\n"


def test_an_operator_that_was_told_to_stop_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []
    monkeypatch.setenv("SLIPWAY_RUNTIMES", "a=a-1")
    monkeypatch.setattr(app, "run", seen.append)

    assert entry.main() == 0
    assert seen == [Settings(runtimes={"a": "a-1"})]
