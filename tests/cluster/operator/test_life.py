"""A ModelDeployment from birth to end, with the real API server and the real KServe."""

import pytest

from slipway_operator.cluster import resources
from slipway_testing.kube import Kube, eventually, steady
from slipway_testing.shop import Shop

pytestmark = pytest.mark.usefixtures("operator")

ONE, TWO = "pvc://models/digits/1", "pvc://models/digits/2"


def test_a_new_object_gets_its_children_and_serves_when_its_pods_are_ready(shop: Shop) -> None:
    shop.apply(uri=ONE)
    revision = shop.candidate()

    assert shop.condition("Ready")["reason"] == "Starting"
    assert shop.selected() is None

    shop.roll_out(revision)

    eventually(lambda: shop.selected() == revision)
    eventually(lambda: shop.reason() == "Routing")
    shop.connect(revision)
    eventually(shop.ready)
    assert shop.status()["url"] == f"http://digits.{shop.namespace}.svc"
    assert shop.roles() == {ONE: "Stable"}


def test_kserve_makes_the_pods_that_slipway_asked_for(shop: Shop) -> None:
    revision = shop.serve(uri=ONE, serving={"replicas": {"min": 2}})

    pod = shop.deployment(revision)["spec"]["template"]["spec"]
    container = next(each for each in pod["containers"] if each["name"] == "kserve-container")

    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/models/digits/ready"
    assert {"name": "SLIPWAY_MODEL_NAME", "value": "digits"} in container["env"]
    assert pod["automountServiceAccountToken"] is False
    eventually(lambda: shop.deployment(revision)["spec"]["replicas"] == 2)
    assert shop.kube.list(resources.HORIZONTAL_POD_AUTOSCALERS, namespace=shop.namespace) == []


def test_a_new_model_takes_over_when_it_is_ready_and_the_old_one_is_parked(shop: Shop) -> None:
    first = shop.serve(uri=ONE)
    shop.apply(uri=TWO)
    second = shop.candidate()

    assert shop.selected() == first
    assert shop.condition("Available")["status"] == "True"

    shop.roll_out(second)

    eventually(lambda: shop.selected() == second)
    eventually(lambda: shop.roles() == {TWO: "Stable", ONE: "Parked"})
    assert shop.stopped(first)
    assert not shop.stopped(second)


def test_going_back_wakes_the_earlier_revision(shop: Shop) -> None:
    first = shop.serve(uri=ONE)
    shop.serve(uri=TWO)
    eventually(lambda: shop.roles()[ONE] == "Parked")

    shop.apply(uri=ONE)

    assert shop.candidate() == first
    assert not shop.stopped(first)
    shop.roll_out(first)
    eventually(lambda: shop.selected() == first)


def test_changing_the_number_of_pods_makes_no_revision(shop: Shop) -> None:
    revision = shop.serve(uri=ONE)

    shop.apply(uri=ONE, serving={"replicas": {"min": 3}})

    eventually(lambda: shop.deployment(revision)["spec"]["replicas"] == 3)
    shop.roll_out(revision)
    eventually(shop.ready)
    assert shop.roles() == {ONE: "Stable"}


def test_an_autoscaled_model_gets_an_autoscaler_and_loses_it_again(shop: Shop) -> None:
    revision = shop.serve(uri=ONE, serving={"replicas": {"min": 1, "max": 4}})
    scaler = shop.kube.get(resources.HORIZONTAL_POD_AUTOSCALERS, revision, namespace=shop.namespace)
    assert scaler is not None
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (1, 4)
    assert shop.kube.get(resources.POD_DISRUPTION_BUDGETS, revision, namespace=shop.namespace) is not None

    shop.apply(uri=ONE, serving={"replicas": {"min": 1}})

    eventually(lambda: shop.kube.get(resources.HORIZONTAL_POD_AUTOSCALERS, revision, namespace=shop.namespace) is None)
    eventually(lambda: shop.kube.get(resources.POD_DISRUPTION_BUDGETS, revision, namespace=shop.namespace) is None)


def test_history_is_kept_as_long_as_it_says(shop: Shop) -> None:
    serving = {"revisionHistoryLimit": 1}
    for number in range(3):
        shop.serve(uri=f"pvc://models/digits/{number}", serving=serving)

    eventually(lambda: shop.roles() == {"pvc://models/digits/2": "Stable", "pvc://models/digits/1": "Parked"})
    for kind in (resources.INFERENCE_SERVICES, resources.CONTROLLER_REVISIONS):
        eventually(lambda kind=kind: len(shop.kube.list(kind, namespace=shop.namespace)) == 2)  # type: ignore[misc]


def test_suspended_a_changed_spec_waits(shop: Shop) -> None:
    first = shop.serve(uri=ONE)
    shop.kube.merge(resources.MODEL_DEPLOYMENTS, "digits", {"spec": {"suspend": True, "model": {"uri": TWO}}}, namespace=shop.namespace)

    eventually(lambda: shop.condition("Ready")["reason"] == "Suspended")
    assert len(shop.kube.list(resources.INFERENCE_SERVICES, namespace=shop.namespace)) == 1

    shop.kube.merge(resources.MODEL_DEPLOYMENTS, "digits", {"spec": {"suspend": False}}, namespace=shop.namespace)

    assert shop.candidate() != first


@pytest.mark.parametrize("kind", ["services", "configmaps", "inferenceservices", "controllerrevisions"])
def test_a_deleted_child_is_put_back(shop: Shop, kind: str) -> None:
    revision = shop.serve(uri=ONE)
    resource = next(known for known in vars(resources).values() if isinstance(known, resources.Resource) and known.plural == kind)
    name = "digits" if kind == "services" else revision
    before = shop.kube.get(resource, name, namespace=shop.namespace)
    assert before is not None

    shop.kube.delete(resource, name, namespace=shop.namespace)

    def back() -> bool:
        live = shop.kube.get(resource, name, namespace=shop.namespace)
        return live is not None and live["metadata"]["uid"] != before["metadata"]["uid"] and "deletionTimestamp" not in live["metadata"]

    eventually(back)


def test_a_child_edited_by_hand_is_put_back(shop: Shop) -> None:
    revision = shop.serve(uri=ONE)

    patch = {"spec": {"predictor": {"model": {"storageUri": "pvc://elsewhere/x"}}}}
    shop.kube.merge(resources.INFERENCE_SERVICES, revision, patch, namespace=shop.namespace)
    shop.kube.merge(resources.SERVICES, "digits", {"spec": {"selector": {"component": "other"}}}, namespace=shop.namespace)

    def model() -> str:
        live = shop.kube.get(resources.INFERENCE_SERVICES, revision, namespace=shop.namespace)
        assert live is not None
        return str(live["spec"]["predictor"]["model"]["storageUri"])

    def component() -> str:
        live = shop.kube.get(resources.SERVICES, "digits", namespace=shop.namespace)
        assert live is not None
        return str(live["spec"]["selector"]["component"])

    eventually(lambda: (model(), component()) == (ONE, "predictor"))


def test_at_rest_nothing_is_written(shop: Shop) -> None:
    revision = shop.serve(uri=ONE)
    eventually(shop.ready)

    def versions() -> list[str]:
        kinds = (resources.INFERENCE_SERVICES, resources.SERVICES, resources.CONFIG_MAPS, resources.CONTROLLER_REVISIONS, resources.MODEL_DEPLOYMENTS)
        return [each["metadata"]["resourceVersion"] for kind in kinds for each in shop.kube.list(kind, namespace=shop.namespace)]

    eventually(lambda: steady(versions, for_s=1))  # KServe may still have something to say
    assert len(steady(versions, for_s=5)) == 6, revision  # the namespace's own kube-root-ca ConfigMap is the sixth


def test_deleting_it_deletes_everything(shop: Shop) -> None:
    shop.serve(uri=ONE)

    shop.kube.delete(resources.MODEL_DEPLOYMENTS, "digits", namespace=shop.namespace)

    def left() -> list[str]:
        kinds = (resources.INFERENCE_SERVICES, resources.SERVICES, resources.CONTROLLER_REVISIONS, resources.MODEL_DEPLOYMENTS)
        return [each["metadata"]["name"] for kind in kinds for each in shop.kube.list(kind, namespace=shop.namespace)]

    eventually(lambda: not left(), within_s=60)


def test_the_steps_are_told_as_events(kube: Kube, shop: Shop) -> None:
    shop.serve(uri=ONE)
    shop.serve(uri=TWO)
    eventually(lambda: shop.roles()[ONE] == "Parked")

    def reasons() -> set[str]:
        return {event["reason"] for event in kube.list(resources.EVENTS, namespace=shop.namespace) if event["regarding"]["kind"] == "ModelDeployment"}

    eventually(lambda: {"RevisionCreated", "RevisionPromoted", "RevisionParked"} <= reasons())
