"""A real API server with a real KServe, and no nodes: pods never run, tests write the statuses that a kubelet would."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway_box.controlplane import ControlPlane
from slipway_operator.api import crd
from slipway_testing.kube import Kube

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for the session, with KServe and Slipway's kinds."""
    directory = tmp_path_factory.mktemp("plane")
    kinds = directory / "crds.json"
    items = [crd.crd(kind) for kind in crd.KINDS]
    kinds.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    with ControlPlane(directory, kserve=True, manifests=[kinds]) as started:
        yield started


@pytest.fixture(scope="session")
def kubeconfig(plane: ControlPlane) -> Path:
    """Its administrator's kubeconfig."""
    return plane.kubeconfig


@pytest.fixture(scope="session")
def kube(kubeconfig: Path) -> Kube:
    """A client of the control plane."""
    return Kube(kubeconfig)


@pytest.fixture
def namespace(kube: Kube) -> str:
    """A namespace of the test's own."""
    name = f"shop-{next(_numbers)}"
    kube.make_namespace(name)
    return name
