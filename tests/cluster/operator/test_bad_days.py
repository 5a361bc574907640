"""What goes wrong around a ModelDeployment, and what it then says and does."""

import json
from pathlib import Path

import pytest

from slipway_box import ports
from slipway_box.controlplane import ControlPlane
from slipway_operator.api import crd
from slipway_operator.cluster import resources
from slipway_testing import builders
from slipway_testing.kube import Kube, eventually, steady
from slipway_testing.operators import RunningOperator
from slipway_testing.shop import Shop

ONE, TWO = "pvc://models/digits/1", "pvc://models/digits/2"


def stranger(shop: Shop) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "digits", "namespace": shop.namespace},
        "spec": {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "somebody-else"}},
    }


@pytest.mark.usefixtures("operator")
def test_a_service_of_that_name_that_is_not_ours_is_left_alone_and_told(shop: Shop) -> None:
    theirs = shop.kube.apply(stranger(shop))

    shop.apply(uri=ONE)

    eventually(lambda: shop.condition("Stalled")["reason"] == "NameTaken")
    assert f"Service {shop.namespace}/digits already exists" in shop.condition("Ready")["message"]
    live = shop.kube.get(resources.SERVICES, "digits", namespace=shop.namespace)
    assert live is not None
    assert live["metadata"]["resourceVersion"] == theirs["metadata"]["resourceVersion"]
    assert shop.kube.list(resources.INFERENCE_SERVICES, namespace=shop.namespace) == []


@pytest.mark.usefixtures("operator")
def test_when_the_name_becomes_free_it_goes_on_by_itself(shop: Shop) -> None:
    shop.kube.apply(stranger(shop))
    shop.apply(uri=ONE)
    eventually(lambda: shop.reason() == "NameTaken")

    shop.kube.delete(resources.SERVICES, "digits", namespace=shop.namespace)

    eventually(lambda: shop.reason() == "Starting", within_s=25)


@pytest.mark.usefixtures("operator")
def test_a_stranger_with_our_labels_is_not_pruned(shop: Shop) -> None:
    revision = shop.serve(uri=ONE)
    ours = shop.kube.get(resources.CONFIG_MAPS, revision, namespace=shop.namespace)
    assert ours is not None
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "notes", "namespace": shop.namespace, "labels": ours["metadata"]["labels"]},
        "data": {"kept": "yes"},
    }
    shop.kube.apply(theirs)

    shop.serve(uri=TWO)

    kept = shop.kube.get(resources.CONFIG_MAPS, "notes", namespace=shop.namespace)
    assert kept is not None


@pytest.mark.usefixtures("operator")
def test_a_quota_without_room_is_told_with_the_servers_own_words(plane: ControlPlane, shop: Shop) -> None:
    plane.kubectl("create", "quota", "no-services", "--hard=count/services=0", "--namespace", shop.namespace)
    eventually(
        lambda: "count/services" in plane.kubectl("get", "quota", "no-services", "--namespace", shop.namespace, "-o", "jsonpath={.status.used}")
    )

    shop.apply(uri=ONE)

    eventually(lambda: shop.condition("Stalled")["reason"] == "QuotaExceeded")
    assert "exceeded quota: no-services" in shop.condition("Ready")["message"]


@pytest.mark.usefixtures("operator")
def test_refused_pods_are_told_while_the_previous_revision_serves(shop: Shop) -> None:
    first = shop.serve(uri=ONE)
    shop.apply(uri=TWO)
    second = shop.candidate()
    refusal = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": 'pods "x" is forbidden: exceeded quota: pods'}
    shop.deployment(second)

    shop.kube.merge(
        resources.DEPLOYMENTS, f"{second}-predictor", {"status": {"conditions": [refusal]}}, namespace=shop.namespace, subresource="status"
    )

    eventually(lambda: shop.condition("Stalled")["reason"] == "PodRefused")
    assert f"Revision {first} goes on serving." in shop.condition("Ready")["message"]
    assert shop.selected() == first
    assert shop.condition("Available")["status"] == "True"


@pytest.mark.usefixtures("operator")
def test_a_runtime_that_does_not_exist_is_told(shop: Shop) -> None:
    shop.apply(uri=ONE, serving={"runtime": "no-such-runtime"})

    eventually(lambda: shop.reason() == "RuntimeRefused")
    assert "no-such-runtime" in shop.condition("Ready")["message"]


@pytest.mark.usefixtures("operator")
def test_a_name_too_long_for_its_namespace_is_told_and_makes_nothing(kube: Kube, plane: ControlPlane) -> None:
    namespace = "a-namespace-of-forty-one-characters-in-al"
    plane.kubectl("create", "namespace", namespace)
    long = Shop(kube, namespace)

    long.apply()

    eventually(lambda: long.condition("Stalled")["reason"] == "NameTooLong")
    assert kube.list(resources.SERVICES, namespace=namespace) == []


@pytest.mark.usefixtures("operator")
def test_kserve_away_is_told_and_recovered_from(plane: ControlPlane, shop: Shop) -> None:
    first = shop.serve(uri=ONE)
    plane.kill("kserve-manager")
    try:
        shop.apply(uri=TWO)
        eventually(lambda: shop.reason() == "ApiUnavailable", within_s=30)
        assert shop.selected() == first
    finally:
        plane.start("kserve-manager")

    second = eventually(lambda: next((name for name in services(shop) if name != first), ""))
    shop.roll_out(second)
    shop.connect(second)

    eventually(lambda: shop.ready() and shop.selected() == second)
    assert len(services(shop)) == 2


def test_the_api_server_away_is_survived(plane: ControlPlane, operator: RunningOperator, shop: Shop) -> None:
    first = shop.serve(uri=ONE)
    plane.kill("kube-apiserver")
    plane.start("kube-apiserver")

    shop.apply(uri=TWO)

    second = eventually(lambda: next((name for name in services(shop) if name != first), ""), within_s=60)
    shop.roll_out(second)
    eventually(lambda: shop.selected() == second, within_s=60)
    assert sorted(services(shop)) == sorted({first, second})
    operator.stop()


def test_a_restarted_operator_goes_on_where_the_last_one_stopped(kubeconfig: Path, runtime: None, shop: Shop) -> None:
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0]):
        first = shop.serve(uri=ONE)
        shop.apply(uri=TWO)
        second = shop.candidate()
    shop.roll_out(second)

    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0]):
        eventually(lambda: shop.roles() == {TWO: "Stable", ONE: "Parked"})

    assert (shop.selected(), shop.stopped(first)) == (second, True)


def test_a_restarted_operator_changes_nothing(kubeconfig: Path, runtime: None, shop: Shop) -> None:
    """Also with a newer current runtime: an upgrade restarts no pod."""
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0]):
        shop.serve(uri=ONE)

    def versions() -> list[str]:
        kinds = (resources.INFERENCE_SERVICES, resources.SERVICES, resources.CONFIG_MAPS, resources.CONTROLLER_REVISIONS, resources.MODEL_DEPLOYMENTS)
        return [each["metadata"]["resourceVersion"] for kind in kinds for each in shop.kube.list(kind, namespace=shop.namespace)]

    before = eventually(lambda: steady(versions, for_s=1))  # KServe may still have something to say
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], runtimes={"slipway-triton": "slipway-triton-newer"}):
        assert steady(versions, for_s=4) == before


def test_without_kserve_the_missing_kind_is_named(tmp_path: Path) -> None:

    kinds = tmp_path / "crds.json"
    kinds.write_text(json.dumps(crd.crd(crd.MODEL_DEPLOYMENT)))
    with ControlPlane(tmp_path, kserve=False, manifests=[kinds]) as bare:
        bare.kubectl("create", "namespace", "shop")
        shop = Shop(Kube(bare.kubeconfig), "shop")
        with RunningOperator(bare.kubeconfig, probe_port=ports.free(1)[0]):
            shop.kube.apply(builders.manifest(namespace="shop"))

            eventually(lambda: shop.reason() == "DependencyMissing")
            conditions = shop.digits()["status"]["conditions"]
            assert "InferenceService" in next(each["message"] for each in conditions if each["type"] == "Ready")


def services(shop: Shop) -> list[str]:
    return [each["metadata"]["name"] for each in shop.kube.list(resources.INFERENCE_SERVICES, namespace=shop.namespace)]
