"""Things die, and people meddle, while models are asked: the answers go on, and the world comes back by itself."""

import time
from typing import Any

import pytest

from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object, Resource
from slipway_testing import calm, onnx_models, outages, stories
from slipway_testing.kube import Kube, eventually
from slipway_testing.load import Load
from slipway_testing.stage import DOUBLED, Stage
from slipway_testing.stories import Told

KSERVE_AWAY_S = 30.0
API_AWAY_S = 20.0
SMALL = {"requests": {"cpu": "20m", "memory": "128Mi"}}
CHILDREN = (
    resources.INFERENCE_SERVICES,
    resources.SERVICES,
    resources.CONFIG_MAPS,
    resources.CONTROLLER_REVISIONS,
    resources.HORIZONTAL_POD_AUTOSCALERS,
    resources.DEPLOYMENTS,
    resources.PODS,
)


@pytest.fixture(scope="module", autouse=True)
def models(stage: Stage) -> None:
    """The same model at three addresses, and one that does not load."""
    good = {f"good/{version}/model.onnx": onnx_models.doubled() for version in (1, 2, 3)}
    stage.store_all(good | {"broken/1/model.onnx": b"no model"})


def spec(version: int | str, *, replicas: int = 1) -> dict[str, Any]:
    """A spec that serves the model at ``version``."""
    uri = f"pvc://models/{version}" if isinstance(version, str) else f"pvc://models/good/{version}"
    return DOUBLED | {"uri": uri, "serving": DOUBLED["serving"] | {"resources": SMALL, "replicas": {"min": replicas}}}


def roles(stage: Stage, name: str) -> dict[str, str]:
    """Role of each revision, by model."""
    return {entry["uri"].removeprefix("pvc://models/"): entry["role"] for entry in stage.live(name)["status"]["revisions"]}


def parked(stage: Stage, name: str, expected: dict[str, str]) -> None:
    """Wait until the revisions have these roles, and exist as objects once each."""
    eventually(lambda: roles(stage, name) == expected, within_s=60)
    eventually(lambda: len(owned(stage, resources.INFERENCE_SERVICES, name)) == len(expected), within_s=60)
    assert len(owned(stage, resources.CONTROLLER_REVISIONS, name)) == len(expected)


def owned(stage: Stage, resource: Resource, name: str) -> list[Object]:
    """What carries the label of a ModelDeployment."""
    return stage.kube.list(resource, namespace=stage.namespace, selector=f"slipway.dev/modeldeployment={name}")


def candidate_starts(stage: Stage, name: str) -> None:
    """Wait until a second revision has a pod."""
    eventually(lambda: len(owned(stage, resources.PODS, name)) > 1, within_s=60)


def test_an_operator_killed_in_the_middle_of_an_update_is_replaced_and_the_update_ends_well(stage: Stage, kube: Kube) -> None:
    stage.apply("survivor", **spec(1))
    stage.ready("survivor")
    with Load(stage, "survivor") as load:
        stage.apply("survivor", **spec(2))
        candidate_starts(stage, "survivor")
        killed = outages.leader(kube)

        outages.kill_container(killed)

        told = stories.cured(stage, "survivor")
    assert told.verdict("Ready") == ("True", "Serving")
    assert load.failures == []
    parked(stage, "survivor", {"good/2": "Stable", "good/1": "Parked"})


def test_kserve_away_while_a_spec_changes_is_told_and_caught_up_with(stage: Stage, kube: Kube) -> None:
    stage.apply("patient", **spec(1))
    first = stage.ready("patient")
    restarts = calm.operator_restarts(kube)
    with Load(stage, "patient", pause_s=0.02) as load:
        with outages.without("kserve-manager"):
            began = time.monotonic()
            stage.apply("patient", **spec(2))
            told = unreachable(stage, "patient")
            eventually(lambda: time.monotonic() - began > KSERVE_AWAY_S, within_s=KSERVE_AWAY_S + 5)
            still = Told(stage.live("patient"))
        cured = stories.cured(stage, "patient")

    assert told.verdict("Ready") == ("False", "ApiUnavailable")
    assert "failed calling webhook" in told.message("Ready")
    assert told.verdict("Reconciling") == ("True", "ApiUnavailable")
    assert told.verdict("Stalled") == ("False", "ApiUnavailable")
    assert told.verdict("Available") == ("True", "EndpointReady")
    assert told.observed_generation == told.generation - 1, "kstatus readers go on waiting"
    assert still.live["metadata"]["resourceVersion"] == told.live["metadata"]["resourceVersion"], "it is said once"
    assert still.live["status"]["revision"] == first
    assert cured.verdict("Ready") == ("True", "Serving")
    assert load.failures == []
    parked(stage, "patient", {"good/2": "Stable", "good/1": "Parked"})
    assert calm.operator_restarts(kube) == restarts


def unreachable(stage: Stage, name: str) -> Told:
    """The object as soon as it says that something does not answer; its generation counts as not observed yet."""

    def look() -> Told | None:
        told = Told(stage.live(name))
        return told if told.verdict("Ready")[1] == "ApiUnavailable" else None

    found = eventually(look, within_s=30)
    assert found is not None
    return found


def test_the_api_server_away_under_load_fails_no_request_and_ends_no_operator(stage: Stage, kube: Kube) -> None:
    stage.apply("steady", **spec(1, replicas=2))
    stage.apply("moving", **spec(1))
    stage.ready("steady")
    stage.ready("moving")
    restarts = calm.operator_restarts(kube)
    with Load(stage, "steady", "moving", pause_s=0.005) as load:
        stage.apply("moving", **spec(2))
        candidate_starts(stage, "moving")
        with outages.without("kube-apiserver"):
            began, answered = time.monotonic(), load.total
            eventually(lambda: time.monotonic() - began > API_AWAY_S, within_s=API_AWAY_S + 5)
            meanwhile = load.total - answered
        eventually(lambda: outages.reachable(kube), within_s=60)
        cured = stories.cured(stage, "moving")
        stage.apply("moving", **spec(3))
        again = stories.cured(stage, "moving")

    assert load.failures == []
    assert meanwhile > 1000
    assert (cured.verdict("Ready"), again.verdict("Ready")) == (("True", "Serving"), ("True", "Serving"))
    assert calm.operator_restarts(kube) == restarts
    assert Told(stage.live("steady")).verdict("Ready") == ("True", "Serving")


def test_a_pod_deleted_by_hand_is_replaced_and_no_request_fails(stage: Stage) -> None:
    stage.apply("twice", **spec(1, replicas=2))
    revision = stage.ready("twice")
    with Load(stage, "twice") as load:
        victim = owned(stage, resources.PODS, "twice")[0]["metadata"]["name"]
        stage.run("delete", "pod", victim, "--wait=false")
        eventually(lambda: victim not in {pod["metadata"]["name"] for pod in owned(stage, resources.PODS, "twice")}, within_s=60)
        stage.ready("twice")

    assert load.failures == []
    assert len(owned(stage, resources.PODS, "twice")) == 2
    assert stage.live("twice")["status"]["revision"] == revision


def test_children_edited_and_deleted_by_hand_are_put_back_while_requests_flow(stage: Stage, kube: Kube) -> None:
    stage.apply("meddled", **spec(1))
    revision = stage.ready("meddled")
    namespace = stage.namespace
    pods = {pod["metadata"]["name"] for pod in owned(stage, resources.PODS, "meddled")}
    with Load(stage, "meddled") as load:
        model = {"spec": {"predictor": {"model": {"storageUri": "pvc://models/good/3"}}}}
        unlabelled = {"metadata": {"labels": {"slipway.dev/modeldeployment": None, "app.kubernetes.io/managed-by": "somebody"}}}
        kube.merge(resources.INFERENCE_SERVICES, revision, model, namespace=namespace)
        kube.merge(resources.SERVICES, "meddled", unlabelled, namespace=namespace)
        kube.delete(resources.CONFIG_MAPS, revision, namespace=namespace)
        kube.delete(resources.CONTROLLER_REVISIONS, revision, namespace=namespace)

        def put_back() -> bool:
            service, inference = kube.get(resources.SERVICES, "meddled", namespace=namespace), owned(stage, resources.INFERENCE_SERVICES, "meddled")
            assert service is not None
            assert service["metadata"]["labels"].get("slipway.dev/modeldeployment") == "meddled"
            assert inference[0]["spec"]["predictor"]["model"]["storageUri"] == "pvc://models/good/1"
            assert kube.get(resources.CONFIG_MAPS, revision, namespace=namespace)
            return kube.get(resources.CONTROLLER_REVISIONS, revision, namespace=namespace) is not None

        eventually(put_back, within_s=5)
        assert stage.ready("meddled") == revision
        eventually(lambda: {pod["metadata"]["name"] for pod in owned(stage, resources.PODS, "meddled")} == pods, within_s=60)

    assert load.failures == []


def test_a_service_turned_away_by_hand_leads_back_in_seconds(stage: Stage, kube: Kube) -> None:
    """Put back at once; where the nodes have followed already, they need a second to follow again."""
    stage.apply("diverted", **spec(1))
    stage.ready("diverted")
    with Load(stage, "diverted") as load:
        port = {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 9999}]}}
        kube.merge(resources.SERVICES, "diverted", port, namespace=stage.namespace)

        def put_back() -> bool:
            live = kube.get(resources.SERVICES, "diverted", namespace=stage.namespace)
            return live is not None and [each["targetPort"] for each in live["spec"]["ports"]] == [8080, 9000]

        eventually(put_back, within_s=5)
        answered = load.total
        eventually(lambda: load.total > answered + 300, within_s=20)

    assert load.outage_s < 3


def test_a_deleted_inference_service_is_back_in_seconds(stage: Stage, kube: Kube) -> None:
    """Its pods go with it; they answer for five more seconds, in which new ones may get ready."""
    stage.apply("robbed", **spec(1))
    revision = stage.ready("robbed")
    with Load(stage, "robbed") as load:
        before = owned(stage, resources.PODS, "robbed")
        kube.delete(resources.INFERENCE_SERVICES, revision, namespace=stage.namespace)
        eventually(lambda: not {name_of(pod) for pod in before} & {name_of(pod) for pod in owned(stage, resources.PODS, "robbed")}, within_s=60)
        assert stage.ready("robbed") == revision
        answered = load.total
        eventually(lambda: load.total > answered + 100, within_s=10)

    assert load.outage_s < 15


def test_a_deleted_service_is_back_in_seconds(stage: Stage, kube: Kube) -> None:
    """With another cluster address, which clients get by its name."""
    stage.apply("nameless", **spec(1))
    stage.ready("nameless")
    before = stage.address("nameless")

    kube.delete(resources.SERVICES, "nameless", namespace=stage.namespace)

    def answers() -> bool:
        try:
            return stage.address("nameless") != before and stage.doubled("nameless", [[1, 2]]) == [2, 4]
        except OSError as error:
            raise AssertionError from error

    eventually(answers, within_s=5)
    stage.ready("nameless")


def name_of(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def test_deleted_while_its_candidate_starts_everything_goes(stage: Stage) -> None:
    stage.apply("doomed", **spec(1))
    stage.ready("doomed")
    stage.apply("doomed", **spec(2))
    candidate_starts(stage, "doomed")

    stage.run("delete", "modeldeployment", "doomed")

    time.monotonic()
    eventually(lambda: not [each["metadata"]["name"] for kind in CHILDREN for each in owned(stage, kind, "doomed")], within_s=90)


def test_of_two_updates_in_quick_succession_the_second_wins_and_nothing_of_the_first_stays(stage: Stage) -> None:
    stage.apply("hasty", **spec(1))
    stage.ready("hasty")
    with Load(stage, "hasty") as load:
        stage.apply("hasty", **spec(2))
        stage.apply("hasty", **spec(3))
        stage.ready("hasty")

    assert load.failures == []
    parked(stage, "hasty", {"good/3": "Stable", "good/1": "Parked"})


def test_after_a_broken_update_a_good_one_takes_over_and_the_broken_revision_goes(stage: Stage) -> None:
    stage.apply("learned", **spec(1))
    stage.ready("learned")
    with Load(stage, "learned") as load:
        stage.apply("learned", **spec("broken/1"))
        told = stories.troubled(stage, "learned", reason="ModelLoadFailed")
        stage.apply("learned", **spec(2))
        cured = stories.cured(stage, "learned")

    assert told.verdict("Stalled") == ("True", "ModelLoadFailed")
    assert cured.verdict("Ready") == ("True", "Serving")
    assert load.failures == []
    parked(stage, "learned", {"good/2": "Stable", "good/1": "Parked"})
