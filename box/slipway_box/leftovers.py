"""What the box has outside its own folders, found and taken away however the box ended."""

import contextlib
import shutil
from pathlib import Path

from slipway_box import cgroups, containerd, kernel, mounts, network, process
from slipway_box.probe import UnixSocket
from slipway_box.programs import PROGRAMS
from slipway_box.site import Site

_SHIM_SOCKETS = Path("/run/containerd/s")
_CNI_RESULTS = Path("/var/lib/cni/results")
_CNI_CONFIGURATION = Path("/etc/cni/net.d")
_CONTAINER_LOGS = Path("/var/log/containers")
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
_OWN_DEVICE_FILES = ("kubelet.sock", "kubelet_internal_checkpoint", "DEPRECATION")
# Not kubectl: a port-forward that somebody left running names our kubeconfig too, and is theirs.
_COMPONENTS = frozenset({*PROGRAMS, "containerd", "versitygw", "redis-server"} - {"kubectl"})


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
    left = [f"the control group {group} is still in use" for group in cgroups.remove()]
    end_components(site)
    end_shims(site)
    mounts.detach(site.run, site.state)
    network.remove()
    for path in (*_foreign_files(site), *_abandoned(_SHIM_SOCKETS)):
        path.unlink(missing_ok=True)
    for folder in (_SHIM_SOCKETS, _CNI_RESULTS, _CONTAINER_LOGS, _DEVICE_PLUGINS, _CNI_CONFIGURATION):
        _remove_while_empty(folder)
    left += [f"the kernel setting {name} could not be put back" for name in kernel.restore(site.state / "kernel.json")]
    return left + _remove_folders(site)


def _foreign_files(site: Site) -> list[Path]:
    """Files that programs insist on writing at fixed places."""
    sandboxes = (site.state / "containerd" / "io.containerd.grpc.v1.cri" / "sandboxes").glob("*")
    results = [result for sandbox in sandboxes for result in _CNI_RESULTS.glob(f"*-{sandbox.name}-*")]
    logs = [link for link in _CONTAINER_LOGS.glob("*") if link.is_symlink() and site.state in link.readlink().parents]
    lock = _CNI_CONFIGURATION / "cni.lock"  # buildah makes it, even where it uses no network of CNI's
    alone = [lock] if [path.name for path in _CNI_CONFIGURATION.glob("*")] == [lock.name] else []
    return [*results, *logs, *alone, *(_DEVICE_PLUGINS / name for name in _OWN_DEVICE_FILES)]


def _abandoned(folder: Path) -> list[Path]:
    """Sockets in ``folder`` that nobody listens on any more.

    All containerds of a machine share this folder, under names that do not tell whose a socket is; but one without a listener is
    nobody's.
    """
    return [path for path in folder.glob("*") if path.is_socket() and not UnixSocket(path).healthy()]


def _remove_while_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


def _remove_folders(site: Site) -> list[str]:
    still_mounted = mounts.below(site.run, site.state)
    if still_mounted:
        return [f"{still_mounted[0]} is still mounted, so that {site.state} was not removed"]
    for folder in (site.state, site.run):
        shutil.rmtree(folder, ignore_errors=True)
    return [f"{folder} could not be removed" for folder in (site.state, site.run) if folder.exists()]
