"""Where one control plane lives: its folders, its address and its ports.

The full box has one fixed site; every control plane of the tests has its own.
"""

from dataclasses import dataclass
from pathlib import Path

from slipway_box.addresses import GATEWAY
from slipway_box.identities import Identities
from slipway_box.layout import RUN, STATE


@dataclass(frozen=True)
class Ports:
    """TCP ports of the components that a control plane runs."""

    etcd: int
    etcd_peer: int
    api: int
    controllers: int
    scheduler: int
    kserve_webhook: int
    kserve_health: int
    kserve_metrics: int


@dataclass(frozen=True)
class Site:
    """Folders, address and ports of one control plane."""

    state: Path
    run: Path
    address: str
    ports: Ports

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.address}:{self.ports.api}"

    @property
    def logs(self) -> Path:
        """Where every component writes its log."""
        return self.state / "logs"

    @property
    def identities(self) -> Identities:
        """The certificates of this control plane."""
        return Identities(folder=self.state / "pki", server=self.server)


BOX = Site(
    state=STATE,
    run=RUN,
    address=GATEWAY,
    ports=Ports(
        etcd=12379,
        etcd_peer=12380,
        api=6443,
        controllers=10257,
        scheduler=10259,
        kserve_webhook=19443,
        kserve_health=19081,
        kserve_metrics=19080,
    ),
)
