"""The control group that holds every container of the box, and nothing else."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from slipway_box.errors import BoxError
from slipway_box.kubelet import CGROUP

_ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "cpuset", "memory", "devices", "freezer", "pids", "blkio", "cpuacct")


def ensure() -> None:
    """Make the group in every hierarchy: the kubelet refuses a root that does not exist."""
    for hierarchy in _hierarchies():
        (hierarchy / CGROUP).mkdir(exist_ok=True)
        _hand_down(hierarchy)


def require() -> None:
    """Raise BoxError when this machine has no usable cgroup mounts."""
    missing = [] if _unified() else [name for name in NEEDED if not (_ROOT / name).is_dir()]
    if missing:
        raise BoxError(
            f"The control groups {', '.join(missing)} are not mounted under {_ROOT}: mount them (Debian: apt-get install cgroupfs-mount), "
            "or boot with cgroup v2."
        )


def remove() -> list[str]:
    """End every process in the group and remove it; what is left, if anything."""
    end_processes()
    left = []
    for group in _groups():
        try:
            group.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            left.append(str(group))
    return left


def end_processes() -> None:
    """End every process in the group: all containers at once."""
    until = time.monotonic() + 10
    while (pids := {pid for group in _groups() for pid in _processes(group)}) and time.monotonic() < until:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _hierarchies() -> Iterator[Path]:
    """The folders in which a group must be made: one with cgroup v2, one for each controller with v1."""
    if _unified():
        yield _ROOT
        return
    yield from sorted(path for path in _ROOT.iterdir() if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists())


def _unified() -> bool:
    return (_ROOT / "cgroup.controllers").exists()


def _hand_down(hierarchy: Path) -> None:
    if (hierarchy / "cgroup.controllers").exists():  # cgroup v2: a group's children get only what it hands down
        given = " ".join(f"+{name}" for name in (hierarchy / "cgroup.controllers").read_text().split())
        for group in (hierarchy, hierarchy / CGROUP):
            with contextlib.suppress(OSError):
                (group / "cgroup.subtree_control").write_text(given)
    for name in ("cpuset.cpus", "cpuset.mems"):  # cgroup v1: a new cpuset is empty and can hold nothing
        own = hierarchy / CGROUP / name
        if own.exists() and not own.read_text().strip() and (hierarchy / "cgroup.clone_children").exists():
            own.write_text((hierarchy / name).read_text())


def _groups() -> list[Path]:
    """All groups of the box, the deepest first. Those of containers that end go while this looks, which os.walk takes no offence at."""
    found = [Path(path) for hierarchy in _hierarchies() for path, _, _ in os.walk(hierarchy / CGROUP)]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def _processes(group: Path) -> list[int]:
    try:
        return [int(line) for line in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []
