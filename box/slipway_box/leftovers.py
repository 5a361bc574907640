"""What the box has outside its own folders, found and taken away however the box ended."""

import contextlib
import shutil
from pathlib import Path

from slipway_box import cgroups, containerd, kernel, mounts, network, process
from slipway_box.programs import PROGRAMS
from slipway_box.site import Site

_SHIM_SOCKETS = Path("/run/containerd/s")
_CNI_RESULTS = Path("/var/lib/cni/results")
_CONTAINER_LOGS = Path("/var/log/containers")
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
_OWN_DEVICE_FILES = ("kubelet.sock", "kubelet_internal_checkpoint", "DEPRECATION")
# Not kubectl: a port-forward that somebody left running names our kubeconfig too, and is theirs.
_COMPONENTS = frozenset({*PROGRAMS, "containerd", "versitygw"} - {"kubectl"})


def end_components(site: Site, *, but: frozenset[int] = frozenset()) -> None:
    """End components whose record is lost: they hold ports and locks that their successors need. ``but`` are processes to leave."""
    for running in process.strays(programs=_COMPONENTS, mention=(site.state, site.run)):
        if running.pid not in but:
            running.end(grace_s=2)


def end_shims(site: Site) -> None:
    """End the processes that stand between containerd and each container; they outlive both."""
    for running in process.strays(programs=frozenset({containerd.SHIM}), mention=(site.run,)):
        running.end(grace_s=0)


def remove(site: Site) -> list[str]:
    """Take everything away; a sentence for each thing that could not be."""
    sockets = _shim_sockets(site)
    left = [f"the control group {group} is still in use" for group in cgroups.remove()]
    end_components(site)
    end_shims(site)
    mounts.detach(site.run, site.state)
    network.remove()
    for path in (*sockets, *_foreign_files(site)):
        path.unlink(missing_ok=True)
    _remove_when_empty(
        _SHIM_SOCKETS, _SHIM_SOCKETS.parent, _CNI_RESULTS, _CNI_RESULTS.parent, _CONTAINER_LOGS, _DEVICE_PLUGINS, _DEVICE_PLUGINS.parent
    )
    left += [f"the kernel setting {name} could not be put back" for name in kernel.restore(site.state / "kernel.json")]
    return left + _remove_folders(site)


def _foreign_files(site: Site) -> list[Path]:
    """Files that programs insist on writing at fixed places."""
    results = list(_CNI_RESULTS.glob("slipway-*"))
    logs = [link for link in _CONTAINER_LOGS.glob("*") if link.is_symlink() and site.state in link.readlink().parents]
    return [*results, *logs, *(_DEVICE_PLUGINS / name for name in _OWN_DEVICE_FILES)]


def _shim_sockets(site: Site) -> list[Path]:
    """Sockets of our container shims: they lie in a folder that every containerd of the machine shares, under names that say nothing."""
    addresses = (site.run / "containerd").glob("io.containerd.runtime.v2.task/*/*/address")
    return [Path(file.read_text().strip().removeprefix("unix://")) for file in addresses]


def _remove_when_empty(*folders: Path) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _remove_folders(site: Site) -> list[str]:
    still_mounted = mounts.below(site.run, site.state)
    if still_mounted:
        return [f"{still_mounted[0]} is still mounted, so that {site.state} was not removed"]
    for folder in (site.state, site.run):
        shutil.rmtree(folder, ignore_errors=True)
    return [f"{folder} could not be removed" for folder in (site.state, site.run) if folder.exists()]
