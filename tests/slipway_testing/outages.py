"""Bad days made on purpose: programs of the box killed and started again, processes of pods killed."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from slipway_box import programs
from slipway_box.box import Box
from slipway_box.programs import PROGRAMS
from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object
from slipway_testing.kube import Kube, eventually

_LEASE = "slipway-operator"
_SYSTEM = "slipway-system"


@contextlib.contextmanager
def without(component: str) -> Iterator[None]:
    """The block runs while a program of the box (``kserve-manager``, ``kube-apiserver``) is dead."""
    box = Box()
    started = {each.name: each for each in box.components(programs.need(*PROGRAMS))}[component]
    box.supervisor.kill(component)
    try:
        yield
    finally:
        box.supervisor.ensure(started)


def kill_container(pod: Object) -> None:
    """End the processes of a pod's first container as ``kill -9`` does, found by the control group that carries the container's id."""
    container = pod["status"]["containerStatuses"][0]["containerID"].partition("://")[2]
    assert re.fullmatch(r"[0-9a-f]{64}", container), container
    killed = [pid for pid in _processes() if container in _control_groups(pid)]
    assert killed, f"no process of container {container}"
    for pid in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def leader(kube: Kube) -> Object:
    """The operator's pod that leads."""

    def found() -> Object:
        lease = kube.get(resources.LEASES, _LEASE, namespace=_SYSTEM) or {"spec": {}}
        holder = str(lease["spec"].get("holderIdentity") or "").partition("_")[0]
        return (kube.get(resources.PODS, holder, namespace=_SYSTEM) or {}) if holder else {}

    return eventually(found, within_s=60)


def reachable(kube: Kube) -> bool:
    """Whether the API server answers."""
    try:
        kube.request("GET", "/api/v1/namespaces/default")
    except OSError:
        return False
    return True


def seconds_until(began: float) -> float:
    """Since ``began``, by the same clock."""
    return time.monotonic() - began


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _control_groups(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""
