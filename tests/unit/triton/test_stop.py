"""The preStop hook of the runtimes, with a stand-in for sleep that says how long and hardly does."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from slipway_testing.golden import REPOSITORY

RUNTIMES = sorted((REPOSITORY / "kustomize/runtimes").glob("*.yaml"))


def hook(runtime: Path) -> list[str]:
    container = yaml.safe_load(runtime.read_text())["spec"]["containers"][0]
    command: list[str] = container["lifecycle"]["preStop"]["exec"]["command"]
    return command


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The folder of the stand-in; it writes to ``slept`` there."""
    script = tmp_path / "sleep"
    script.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/slept\nexec /bin/sleep 0.01\n')
    script.chmod(0o755)
    return tmp_path


@pytest.fixture
def transformer() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))  # noqa: S104 - as the transformer does
        listening.listen()
        yield listening


def started(runtime: Path, program: Path, port: int | None) -> "subprocess.Popen[bytes]":
    environment = {"PATH": f"{program}:{os.environ['PATH']}"} | ({} if port is None else {"SLIPWAY_TRANSFORMER_PORT": str(port)})
    return subprocess.Popen(hook(runtime), env=environment)


def slept(program: Path) -> list[str]:
    return (program / "slept").read_text().split()


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.stem)
def test_without_a_transformer_it_takes_five_seconds(runtime: Path, program: Path) -> None:
    assert started(runtime, program, None).wait(10) == 0
    assert slept(program) == ["5"]


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.stem)
def test_a_transformer_that_is_not_there_is_not_waited_for(runtime: Path, program: Path, transformer: socket.socket) -> None:
    port = transformer.getsockname()[1]
    transformer.close()
    assert started(runtime, program, port).wait(10) == 0
    assert slept(program) == ["5"]


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.stem)
def test_it_ends_when_the_transformer_listens_no_more(runtime: Path, program: Path, transformer: socket.socket) -> None:
    port = transformer.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    process = started(runtime, program, port)
    until = time.monotonic() + 10
    while not (program / "slept").exists() or len(slept(program)) < 10:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    transformer.close()  # a connection that is still closing is nobody who listens
    assert process.wait(10) == 0
    assert slept(program)[:2] == ["5", "0.2"]
    assert len(slept(program)) < 140
    client.close()


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.stem)
def test_it_does_not_wait_for_ever(runtime: Path, program: Path, transformer: socket.socket) -> None:
    assert started(runtime, program, transformer.getsockname()[1]).wait(30) == 0
    assert slept(program) == ["5"] + ["0.2"] * 140
