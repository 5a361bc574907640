"""Objects put to the real API server, and Slipway installed on it."""

from collections.abc import Callable
from typing import Any

import pytest

from slipway_box.controlplane import ControlPlane
from slipway_testing.golden import REPOSITORY
from slipway_testing.kube import Kube

NAMESPACE = "shop"


@pytest.fixture(scope="package")
def create(kube: Kube) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What an object is like after admission, unknown fields refused as by kubectl; Refused when the server refuses. Nothing is kept."""
    kube.make_namespace(NAMESPACE)
    return kube.tried


@pytest.fixture(scope="package")
def installed(plane: ControlPlane) -> ControlPlane:
    """The control plane with manifests/crds.yaml and manifests/install.yaml applied."""
    for file in ("crds.yaml", "install.yaml"):
        plane.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={REPOSITORY / 'manifests' / file}")
    return plane
