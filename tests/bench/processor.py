"""The processor time that a server took, whoever else was on its core."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path


def used_s(port: int) -> float:
    """Seconds of processor time so far of all processes that listen on a port of 127.0.0.1, with all their threads."""
    return sum(process_s(int(process)) for process in _listeners(port))


def used_by_s(process: int) -> float:
    """Of a process and all that it started, as long as they live."""
    return process_s(process) + sum(used_by_s(child) for child in children(process))


def threads(process: int) -> Iterator[int]:
    """Of a process and all that it started."""
    with contextlib.suppress(FileNotFoundError):
        yield from (int(task.name) for task in Path(f"/proc/{process}/task").iterdir())
    for child in children(process):
        yield from threads(child)


def children(process: int) -> Iterator[int]:
    """The processes that it started."""
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                yield from map(int, (task / "children").read_text().split())


def process_s(process: int) -> float:
    """Of one process, with all its threads."""
    found = 0.0
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += int((task / "schedstat").read_text().split()[0]) / 1e9
    return found


def _listeners(port: int) -> Iterator[str]:
    said = subprocess.run(["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    yield from sorted(set(re.findall(r"pid=(\d+)", said)))
