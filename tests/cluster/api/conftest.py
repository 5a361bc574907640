"""Objects put to the real API server, and Slipway installed on it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from slipway_box.controlplane import ControlPlane
from slipway_testing.golden import REPOSITORY

NAMESPACE = "shop"


@pytest.fixture(scope="package")
def create(plane: ControlPlane) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What an object is like after admission; BoxError when the server, or kubectl before it, refuses. Nothing is kept."""
    plane.kubectl("create", "namespace", NAMESPACE)

    def created(body: dict[str, Any]) -> dict[str, Any]:
        answer = plane.kubectl("create", "--dry-run=server", f"--namespace={NAMESPACE}", "--output=json", "--filename=-", stdin=json.dumps(body))
        decoded: dict[str, Any] = json.loads(answer)
        return decoded

    return created


@pytest.fixture(scope="package")
def installed(plane: ControlPlane) -> ControlPlane:
    """The control plane with manifests/crds.yaml and manifests/install.yaml applied."""
    for file in ("crds.yaml", "install.yaml"):
        plane.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={REPOSITORY / 'manifests' / file}")
    return plane
