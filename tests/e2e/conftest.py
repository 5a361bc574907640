"""The box as a user has it: real pods, real Triton, the operator installed in the cluster. `make test-e2e` brings it up."""

import secrets
from collections.abc import Iterator

import pytest

from slipway_box import clusters, on_box, volumes
from slipway_testing.kube import Kube
from slipway_testing.stage import Stage


@pytest.fixture(scope="session")
def kubectl() -> tuple[str, ...]:
    """kubectl on the cluster that $CLUSTER names."""
    return tuple(clusters.chosen().kubectl())


@pytest.fixture(scope="session")
def kube(kubectl: tuple[str, ...]) -> Kube:
    """A client of it."""
    return Kube(clusters.chosen().kubeconfig())


@pytest.fixture(scope="module", autouse=True)
def volumes_offered_again() -> None:
    """Sixteen volumes are enough for one module; those of the modules before are given back."""
    if isinstance(chosen := clusters.chosen(), on_box.OnBox):
        volumes.recycle(chosen.box.site, chosen.box.kubectl())


@pytest.fixture(scope="module")
def stage(kube: Kube, kubectl: tuple[str, ...]) -> Iterator[Stage]:
    """A namespace for the tests of one module."""
    prepared = Stage(kube, kubectl, f"e2e-{secrets.token_hex(2)}")
    prepared.set_up()
    yield prepared
    prepared.tear_down()
