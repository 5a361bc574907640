"""Two cores: on one what is measured, on the other what asks it and what it asks."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import processor

MEASURED_CORE, OTHER_CORE = "0", "1"
READY_S = 15.0
_ENDED_S = 30.0
FIRST = -15
"""The nice value of everything that takes part."""


def on_core(core: str) -> list[str]:
    """How a command begins that runs on one core, before whatever else is on it, where that is allowed."""
    return ["nice", "-n", str(FIRST), "taskset", "-c", core]


def at_once(process: int) -> None:
    """From now on it and all that it started run as soon as they have something to do, where that is allowed: other work on the machine waits.

    Not for what takes all of a core: the kernel stops it for 50 ms in each second then.
    """
    for thread in processor.threads(process):
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(1))


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    core: str,
    address: tuple[str, int],
    ready_s: float = READY_S,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    log: Path | None = None,
) -> Iterator[int]:
    """A server, from when it listens; its process id. RuntimeError: it ended before, or is not ready in time; ``log`` has what it said."""
    with (log or Path("/dev/null")).open("wb") as said:
        process = subprocess.Popen([*on_core(core), *command], stdout=said, stderr=said, env=environment, cwd=folder, start_new_session=True)
    try:
        end = time.monotonic() + ready_s
        while not _listens(address):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command[0]} did not start: {' '.join(command)}")
            time.sleep(0.05)
        yield process.pid
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_ENDED_S)
    with contextlib.suppress(ProcessLookupError):  # itself, or what it started and left behind
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True
