"""A later version of Slipway restarts nobody's pods, and an earlier one takes nothing from what a later one wrote."""

import copy
from typing import Any

import pytest
import yaml
from pydantic import Field

from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec, Resources, Serving
from slipway_operator.render import model_config
from slipway_operator.render import revision as objects
from slipway_operator.state import revision as revisions
from slipway_operator.state.revision import Revision, revision_name
from slipway_testing import builders, golden, strategies
from slipway_testing.simulator import Cluster

ONE = {"model": builders.model()}
TWO = {"model": builders.model(uri="pvc://models/digits/2")}


class NextServing(Serving):
    """A field more, and another default."""

    patience_seconds: int = Field(default=5)
    resources: Resources = Field(default=Resources(requests={"cpu": "1", "memory": "1Gi"}))


class NextSpec(ModelDeploymentSpec):
    serving: NextServing = Field(default=NextServing())


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next version: it renders pods and their configuration differently."""
    monkeypatch.setattr(objects, "TERMINATION_GRACE_S", 99)
    monkeypatch.setattr(objects, "STORAGE_CONTAINER", "another-initializer")
    monkeypatch.setattr(model_config, "config_pbtxt", lambda revision, *, model_name: f"# {model_name}, written anew\n")


def serving(*written: dict[str, Any]) -> Cluster:
    cluster = Cluster()
    for spec in written:
        cluster.edit(spec)
        cluster.settle()
    return cluster


def test_a_version_that_renders_differently_changes_no_child(request: pytest.FixtureRequest) -> None:
    cluster = serving(ONE, TWO)
    before = copy.deepcopy(cluster.children)
    request.getfixturevalue("upgraded")

    cluster.settle()

    assert cluster.children == before


def test_a_version_that_renders_differently_does_so_for_new_revisions(request: pytest.FixtureRequest) -> None:
    cluster = serving(ONE)
    request.getfixturevalue("upgraded")

    cluster.edit(TWO)
    cluster.settle()

    graces = sorted(
        child["spec"]["predictor"]["terminationGracePeriodSeconds"] for (kind, _), child in cluster.children.items() if kind == "InferenceService"
    )
    assert graces == [40, 99]


def test_going_back_to_an_earlier_revision_brings_back_the_pods_it_had(request: pytest.FixtureRequest) -> None:
    cluster = serving(ONE, TWO, ONE)
    before = copy.deepcopy(cluster.children)
    cluster = serving(ONE, TWO)
    request.getfixturevalue("upgraded")

    cluster.edit(ONE)
    cluster.settle()

    assert cluster.children == before


def test_a_new_runtime_changes_no_child() -> None:
    cluster = serving(ONE)
    before = copy.deepcopy(cluster.children)

    cluster.runtimes["slipway-triton"] = "slipway-triton-22222222"
    cluster.settle()

    assert cluster.children == before


def test_a_new_field_at_its_default_renames_no_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "BORN", {**revisions.BORN, "serving.patienceSeconds": 5})
    stored = {"resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}}

    later = NextSpec.model_validate({**ONE, "serving": stored | {"patienceSeconds": 5}})

    assert revision_name(later, owner="digits") == revision_name(strategies.parsed({**ONE, "serving": stored}), owner="digits")


def test_a_changed_default_renames_no_revision_whose_object_is_stored() -> None:
    """The API server wrote the old default into the object when it was made."""
    stored = {**ONE, "serving": {"resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}}}

    assert revision_name(strategies.parsed(stored), owner="digits") == revision_name(strategies.parsed(ONE), owner="digits")
    assert NextSpec.model_validate(ONE).serving.resources.requests["cpu"] == "1"


def test_a_record_of_a_later_version_is_carried_out_word_for_word_and_keeps_what_we_do_not_know() -> None:
    cluster = serving(ONE)
    name = next(name for kind, name in cluster.children if kind == "ControllerRevision")
    data = copy.deepcopy(cluster.children["ControllerRevision", name]["data"])
    data["later"] = {"a": 1}
    data["inputs"]["serving"]["patienceSeconds"] = 9
    data["rendered"]["predictor"]["later"] = {"b": 2}
    cluster.children["ControllerRevision", name]["data"] = copy.deepcopy(data)

    cluster.settle()

    assert cluster.children["ControllerRevision", name]["data"] == data
    assert cluster.children["InferenceService", name]["spec"]["predictor"] == data["rendered"]["predictor"]


def test_a_record_without_its_rendering_is_rendered_now_and_stays_as_it_is() -> None:
    old = Revision.of(strategies.parsed(ONE), owner="digits", number=1, runtime="slipway-triton-11111111")

    children = objects.controller_revision(old, owner=builders.identity()), objects.inference_service(old, owner=builders.identity(), stopped=False)

    assert "rendered" not in children[0]["data"]
    assert children[1]["spec"]["predictor"]["terminationGracePeriodSeconds"] == objects.TERMINATION_GRACE_S


def test_the_record_of_a_released_version_is_read_as_it_was_meant() -> None:
    """The golden record is what 0.1 writes: add one for each release that writes another form, and never change one."""
    record = yaml.safe_load((golden.FOLDER / "records/0.1.yaml").read_text())

    read = Revision.recorded(name=record["metadata"]["name"], number=record["revision"], data=record["data"])

    service = objects.inference_service(read, owner=builders.identity(), stopped=False)
    settings = objects.config_map(read, owner=builders.identity())
    golden.check("records/0.1-children.yaml", yaml.safe_dump_all([service, settings], sort_keys=False))
    assert objects.controller_revision(read, owner=builders.identity())["data"] == record["data"]
    assert read.name == revision_name(strategies.parsed(strategies.FULL), owner="digits")
