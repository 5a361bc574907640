"""etcd: what the API server remembers."""

from slipway_box.component import Component
from slipway_box.identities import LOOPBACK
from slipway_box.probe import Http
from slipway_box.programs import Programs
from slipway_box.site import Site

NAME = "etcd"


def component(site: Site, programs: Programs) -> Component:
    """One member, on the loopback address only, without fsync: data survives a crash of the process, not of the machine's power."""
    client, peer = f"http://{LOOPBACK}:{site.ports.etcd}", f"http://{LOOPBACK}:{site.ports.etcd_peer}"
    argv = (
        programs.path("etcd"),
        "--name=box",
        f"--data-dir={site.state / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=box={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    )
    listens = ((LOOPBACK, site.ports.etcd), (LOOPBACK, site.ports.etcd_peer))
    return Component(name=NAME, argv=argv, probe=Http(LOOPBACK, site.ports.etcd, "/readyz"), listens=listens)
