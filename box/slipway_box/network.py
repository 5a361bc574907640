"""The network of the pods: one bridge, one table of rules for the way out, one file for the CNI plugins."""

import json
from pathlib import Path
from typing import Any

from slipway_box import addresses, machine, proxy
from slipway_box.site import Site

_TABLE = ("ip", "slipway-box")


def ensure(site: Site) -> None:
    """Bridge, rules and configuration, made where they are missing."""
    if not Path("/sys/class/net", addresses.BRIDGE).exists():
        machine.run("ip", "link", "add", addresses.BRIDGE, "address", addresses.BRIDGE_MAC, "type", "bridge")
    prefix = addresses.PODS.partition("/")[2]
    machine.run("ip", "address", "replace", f"{addresses.GATEWAY}/{prefix}", "dev", addresses.BRIDGE)
    machine.run("ip", "link", "set", addresses.BRIDGE, "up")
    machine.run("nft", "--file", "-", stdin=masquerading())
    folder = site.state / "cni"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "10-slipway.conflist").write_text(json.dumps(plugins(site), indent=2) + "\n")


def masquerading() -> str:
    """Pods leave the machine with its address.

    A table of our own instead of the plugins' ipMasq: those leave one iptables chain a pod behind when a pod dies with the machine.
    Adding and deleting first makes the file say the same on every run.
    """
    family, name = _TABLE
    rule = f'ip saddr {addresses.PODS} ip daddr != {addresses.PODS} oifname != "{addresses.BRIDGE}" masquerade'
    return f"""\
add table {family} {name}
delete table {family} {name}
table {family} {name} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        {rule}
    }}
}}
"""


def plugins(site: Site) -> dict[str, Any]:
    """The chain of CNI plugins; leases lie in the run folder, so that a reboot forgets them with the pods that held them."""
    leases = {"type": "host-local", "ranges": [[{"subnet": addresses.PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": addresses.BRIDGE, "isGateway": True, "hairpinMode": True, "ipMasq": False}
    return {
        "cniVersion": "1.0.0",
        "name": "slipway",
        "plugins": [bridge | {"ipam": leases | {"dataDir": str(site.run / "cni")}}],
    }


def remove() -> None:
    """Take away the bridge and every table that the box or its kube-proxy made."""
    if Path("/sys/class/net", addresses.BRIDGE).exists():
        machine.run("ip", "link", "delete", addresses.BRIDGE)
    for family, name in (_TABLE, *proxy.TABLES):
        if machine.succeeds("nft", "list", "table", family, name):
            machine.run("nft", "delete", "table", family, name)
