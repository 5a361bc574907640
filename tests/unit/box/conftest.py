"""A site that needs no root and no machine of its own."""

from pathlib import Path

import pytest

from slipway_box.programs import Programs
from slipway_box.site import Ports, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    ports = Ports(etcd=1001, etcd_peer=1002, api=1003, controllers=1004, scheduler=1005, kserve_webhook=1006, kserve_health=1007, kserve_metrics=1008)
    return Site(state=tmp_path / "state", run=tmp_path / "run", address="10.244.0.1", ports=ports)


@pytest.fixture
def programs() -> Programs:
    return Programs(folder=Path("/programs"))
