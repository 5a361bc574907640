"""A control plane with KServe for the campaign, and one clean run that every lane is compared with."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    kinds.write_text(json.dumps(crd.crd(crd.MODEL_DEPLOYMENT)))
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
    for chatty in ("aiohttp", "kopf"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)

    async def record() -> Recording:
        async with campaign.staged(plane.kubeconfig, folder) as stage:
            lane = Lane(stage, campaign.namespace("clean"), routed=routed)
            recording = await lane.record()
            assert lane.problems == []
            return recording

    return campaign.run(record())
