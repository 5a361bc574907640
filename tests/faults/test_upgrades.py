"""Upgrades and downgrades against the real API server: a pretended next version, with its own CRD, rendering and runtime."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway_box import ports
from slipway_box.controlplane import ControlPlane
from slipway_operator.api import crd
from slipway_operator.cluster import resources
from slipway_operator.render import model_config
from slipway_operator.render import revision as objects
from slipway_operator.state.observed import Identity
from slipway_operator.state.revision import Revision
from slipway_testing import builders
from slipway_testing.kube import Kube, eventually, steady
from slipway_testing.operators import RunningOperator
from slipway_testing.shop import Shop

ONE = "pvc://models/digits/1"
KEPT = (resources.INFERENCE_SERVICES, resources.SERVICES, resources.CONFIG_MAPS, resources.CONTROLLER_REVISIONS, resources.DEPLOYMENTS)


@pytest.fixture
def shop(plane: ControlPlane, request: pytest.FixtureRequest) -> Shop:
    name = f"upgrade-{abs(hash(request.node.name)) % 10**8}"
    plane.kubectl("create", "namespace", name)
    return Shop(Kube(plane.kubeconfig), name)


@pytest.fixture
def next_crd(plane: ControlPlane, folder: Path) -> Iterator[Path]:
    """The CRD of the next version, not applied yet; this version's is put back at the end."""
    ours = crd.crd(crd.MODEL_DEPLOYMENT)
    theirs = copy.deepcopy(ours)
    serving = theirs["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["serving"]
    serving["properties"]["patienceSeconds"] = {"description": "New.", "type": "integer", "format": "int32", "default": 5}
    path = folder / "next.json"
    path.write_text(json.dumps(theirs))
    yield path
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(ours))


def operator(plane: ControlPlane, shop: Shop, **changes: Any) -> RunningOperator:
    options = {"namespace": shop.namespace, "lease_namespace": shop.namespace} | changes
    return RunningOperator(plane.kubeconfig, probe_port=ports.free(1)[0], **options)


def apply_crd(plane: ControlPlane, path: Path) -> None:
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(path))


def children(shop: Shop) -> dict[str, Any]:
    """The children whole, but for what others say about them."""
    live = [each for kind in KEPT for each in shop.kube.list(kind, namespace=shop.namespace)]
    for each in live:
        each.pop("status", None)
        for changing in ("resourceVersion", "managedFields"):
            each["metadata"].pop(changing, None)
    return {each["metadata"]["uid"]: each for each in live}


def test_the_next_version_restarts_no_pod(plane: ControlPlane, shop: Shop, next_crd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with operator(plane, shop):
        shop.serve(uri=ONE)
    before = children(shop)

    apply_crd(plane, next_crd)
    monkeypatch.setattr(objects, "TERMINATION_GRACE_S", 99)
    monkeypatch.setattr(model_config, "config_pbtxt", lambda revision, *, model_name: f"# {model_name}, written anew\n")
    with operator(plane, shop, runtimes={"slipway-triton": "slipway-triton-newer"}):
        newer = {"patienceSeconds": 5, "replicas": {"min": 1}}
        eventually(lambda: shop.apply(uri=ONE, serving=newer))  # an API server takes a moment to know a new field everywhere
        eventually(lambda: shop.ready() and shop.digits()["spec"]["serving"]["patienceSeconds"] == 5)

        assert steady(lambda: children(shop), for_s=3) == before


def test_an_earlier_version_takes_nothing_from_what_a_later_one_wrote(plane: ControlPlane, shop: Shop, next_crd: Path) -> None:
    apply_crd(plane, next_crd)
    live = eventually(lambda: shop.apply(uri=ONE, serving={"patienceSeconds": 9}))
    owner = Identity(name="digits", namespace=shop.namespace, uid=live["metadata"]["uid"], generation=1)
    ours = objects.born(Revision.of(builders.spec(uri=ONE), owner="digits", number=1, runtime="slipway-triton-test"), owner=owner)
    record = json.loads(json.dumps(objects.controller_revision(ours, owner=owner)))
    record["data"] |= {"later": {"a": 1}}
    record["data"]["rendered"]["predictor"]["terminationGracePeriodSeconds"] = 77
    shop.kube.apply(record, manager="slipway")

    with operator(plane, shop):
        shop.serve(uri=ONE, serving={"patienceSeconds": 9})

    service = shop.kube.get(resources.INFERENCE_SERVICES, ours.name, namespace=shop.namespace)
    kept = shop.kube.get(resources.CONTROLLER_REVISIONS, ours.name, namespace=shop.namespace)
    assert service is not None
    assert kept is not None
    assert service["spec"]["predictor"]["terminationGracePeriodSeconds"] == 77
    assert kept["data"] == record["data"]
    assert shop.digits()["spec"]["serving"]["patienceSeconds"] == 9
