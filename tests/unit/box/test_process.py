"""Processes are started, found again and never mistaken for each other."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slipway_box import process
from slipway_box.process import Running

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    started = process.spawn(SLEEP, environment=os.environ, log=tmp_path / "log", fingerprint="f")
    while process._command_line(started.pid) != SLEEP:
        os.sched_yield()  # the kernel lets us go on a moment before the new command line can be read
    yield started
    started.end(grace_s=5)


def test_a_record_is_read_back_whole(running: Running) -> None:
    assert process.load(running.dump()) == running


def test_a_process_is_alive_until_it_is_ended(running: Running) -> None:
    assert running.alive()
    running.end(grace_s=5)
    assert not running.alive()


def test_a_killed_child_is_not_alive_as_a_zombie(running: Running) -> None:
    os.kill(running.pid, signal.SIGKILL)
    assert running.gone(within_s=5)


@pytest.mark.parametrize("other", [{"started_ticks": 1}, {"argv": ("something", "else")}])
def test_another_process_with_the_same_id_is_not_ours(running: Running, other: dict[str, object]) -> None:
    stranger = replace(running, **other)  # type: ignore[arg-type]
    assert not stranger.alive()
    stranger.end(grace_s=0)
    assert running.alive()


def test_one_that_does_not_listen_is_ended_all_the_same(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    log = tmp_path / "log"
    started = process.spawn((sys.executable, "-c", deaf), environment=os.environ, log=log, fingerprint="")
    while "deaf" not in log.read_text():
        os.sched_yield()
    started.end(grace_s=0.1)
    assert not started.alive()


def test_output_is_added_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    said = process.spawn((sys.executable, "-c", "print('after')"), environment=os.environ, log=log, fingerprint="")
    assert said.gone(within_s=10)
    assert log.read_text() == "before\nafter\n"


def test_a_stray_is_found_by_program_and_folder(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", "import time; time.sleep(600)", str(tmp_path))
    stray = process.spawn(argv, environment=os.environ, log=tmp_path / "log", fingerprint="")
    python = frozenset({Path(sys.executable).name})
    try:
        assert [found.pid for found in process.strays(programs=python, mention=[tmp_path])] == [stray.pid]
        assert process.strays(programs=frozenset({"etcd"}), mention=[tmp_path]) == []
        assert process.strays(programs=python, mention=[tmp_path / "elsewhere"]) == []
    finally:
        stray.end(grace_s=5)
