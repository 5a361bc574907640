"""Components are started once, restarted when they changed, and told apart from those that fail."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from slipway_box.component import Component, Supervisor
from slipway_box.errors import BoxError


@dataclass(frozen=True)
class Always:
    answer: bool

    def healthy(self) -> bool:
        return self.answer


SLEEPER = Component(name="sleeper", argv=(sys.executable, "-c", "import time; time.sleep(600)"), probe=Always(True))


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(run=tmp_path / "run", logs=tmp_path / "logs")
    yield made
    made.kill(*made.recorded())


def pid(supervisor: Supervisor, name: str = "sleeper") -> int:
    running = supervisor.running(name)
    assert running is not None
    return running.pid


def test_what_runs_is_left_alone(supervisor: Supervisor) -> None:
    supervisor.ensure(SLEEPER)
    first = pid(supervisor)
    supervisor.ensure(SLEEPER)
    assert pid(supervisor) == first


def test_what_was_killed_comes_back(supervisor: Supervisor) -> None:
    supervisor.ensure(SLEEPER)
    first = pid(supervisor)
    supervisor.kill("sleeper")
    assert supervisor.running("sleeper") is None
    supervisor.ensure(SLEEPER)
    assert pid(supervisor) != first


def test_a_changed_configuration_restarts_it_with_the_new_file(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.ensure(SLEEPER)
    first = pid(supervisor)
    supervisor.ensure(replace(SLEEPER, files={tmp_path / "configuration": "new"}))
    assert pid(supervisor) != first
    assert (tmp_path / "configuration").read_text() == "new"


def test_stopping_forgets_it_and_stopping_again_is_nothing(supervisor: Supervisor) -> None:
    supervisor.ensure(SLEEPER)
    supervisor.stop("sleeper", "sleeper")
    assert supervisor.recorded() == []


def test_one_that_dies_is_told_with_its_last_words(supervisor: Supervisor) -> None:
    dying = replace(SLEEPER, argv=(sys.executable, "-c", "print('no such flag')"), probe=Always(False))
    with pytest.raises(BoxError, match=r"sleeper ended by itself\. The end of its log, .*sleeper\.log:\n  no such flag"):
        supervisor.ensure(dying)


def test_one_that_never_gets_ready_is_told_with_its_time(supervisor: Supervisor) -> None:
    with pytest.raises(BoxError, match="sleeper is not up after 0 s"):
        supervisor.ensure(replace(SLEEPER, probe=Always(False), ready_within_s=0))


def test_a_record_that_was_cut_off_counts_as_none(supervisor: Supervisor) -> None:
    supervisor.run.mkdir()
    (supervisor.run / "sleeper.pid.json").write_text('{"pid": 1')
    assert supervisor.running("sleeper") is None
