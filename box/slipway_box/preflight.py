"""Whether this machine can hold the box, asked before anything is changed."""

import os
import platform
import shutil
from pathlib import Path

from slipway_box import addresses, cgroups, layout, machine, packages
from slipway_box.errors import BoxError

DEBIAN_PACKAGES = ("containerd", "runc", "containernetworking-plugins", "nftables", "conntrack", "socat", "iproute2", "openssl")
_SPACE_BYTES = 3 * 1024**3


def check() -> None:
    """Raise BoxError for the first thing that is in the way; install the Debian packages that are missing."""
    require_root(os.geteuid())
    require_platform(platform.system(), platform.machine(), _release())
    cgroups.require()
    _require_space()
    _require_own_network()
    require_forwarding(machine.output("nft", "list", "chain", "ip", "filter", "FORWARD"))
    packages.need(*DEBIAN_PACKAGES)


def require_root(user: int) -> None:
    """Only root can make network namespaces, mounts and control groups."""
    if user:
        raise BoxError("The box runs containers, and needs root for that: run it again with sudo.")


def require_platform(system: str, processor: str, release: dict[str, str]) -> None:
    """The container runtime comes from Debian 12's packages, for amd64."""
    if system != "Linux" or processor != "x86_64" or release.get("ID") != "debian" or release.get("VERSION_ID") != "12":
        seen = release.get("PRETTY_NAME") or system
        raise BoxError(
            f"The box runs on Debian 12 on amd64; this is {seen} on {processor}. With a container engine, CLUSTER=kind does; "
            "with a cluster, CLUSTER=existing."
        )


def require_forwarding(chain: str) -> None:
    """Another program's rules can drop what the pods send each other; no rule of ours could allow it again."""
    if "policy drop" in chain and addresses.BRIDGE not in chain:
        bridge = addresses.BRIDGE
        raise BoxError(
            "This machine drops forwarded packets (Docker and ufw set that up), which would cut off the pods: "
            f"`iptables -I FORWARD -i {bridge} -j ACCEPT; iptables -I FORWARD -o {bridge} -j ACCEPT`, then try again."
        )


def _release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    pairs = [line.partition("=") for line in lines]
    return {key: value.strip('"') for key, _, value in pairs if key}


def _require_space() -> None:
    folder = layout.STATE if layout.STATE.exists() else layout.STATE.parent
    available = shutil.disk_usage(folder).free
    if available < _SPACE_BYTES:
        raise BoxError(f"The box needs 3 GiB of disk under {folder} and finds {available / 1024**3:.1f} GiB: free some, then try again.")


def _require_own_network() -> None:
    for network in (addresses.PODS, addresses.SERVICES):
        routes = [line for line in machine.run("ip", "route", "show", "root", network).splitlines() if addresses.BRIDGE not in line]
        if routes:
            raise BoxError(f"The box uses the network {network}, which this machine already routes elsewhere (`{routes[0].strip()}`).")
