"""A control plane with KServe for the campaign, and one clean run that every lane is compared with."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.harness import ADMIN, Ledger
from slipway_box import environments
from slipway_box.controlplane import ControlPlane
from slipway_faults import campaign
from slipway_faults.lane import Lane, Recording
from slipway_operator.api import crd
from slipway_testing import builders


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for the session, with KServe, Slipway's kinds and a runtime."""
    directory = tmp_path_factory.mktemp("faults")
    kinds = directory / "crds.json"
    items = [crd.crd(kind) for kind in crd.KINDS]
    kinds.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    with ControlPlane(directory, kserve=True, manifests=[kinds]) as started:
        started.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(builders.serving_runtime("slipway-triton-test")))
        yield started


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where kubeconfigs go."""
    return tmp_path_factory.mktemp("gates")


@pytest.fixture(scope="session", params=[False, True], ids=["pods", "routers"])
def routed(request: pytest.FixtureRequest) -> bool:
    """Whether the address leads to pods, as without routers, or through them."""
    return bool(request.param)


@pytest.fixture(scope="session")
def clean(plane: ControlPlane, folder: Path, routed: bool) -> Recording:
    """The scenario with nothing going wrong."""
    return _recorded(plane, folder, routed=routed)


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A real ledger for all lanes that play an experiment, and the operators' token for it."""
    folder = tmp_path_factory.mktemp("ledger")
    (folder / "operator-token").write_text(ADMIN)
    with Ledger(folder, python=environments.need("ledger-tests") / "bin" / "python") as started:
        yield started


@pytest.fixture(scope="session")
def clean_experiment(plane: ControlPlane, folder: Path, ledger: Ledger) -> Recording:
    """The scenario of an experiment with nothing going wrong."""
    return _recorded(plane, folder, routed=True, ledger=ledger)


def _recorded(plane: ControlPlane, folder: Path, **options: Any) -> Recording:
    for chatty in ("aiohttp", "kopf"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)

    async def record() -> Recording:
        async with campaign.staged(plane.kubeconfig, folder) as stage:
            lane = Lane(stage, campaign.namespace("clean"), **options)
            recording = await lane.record()
            assert lane.problems == []
            return recording

    return campaign.run(record())
