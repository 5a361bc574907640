"""Models in an S3 store: served, and what is said when they cannot be fetched. The first run builds the server and the image of the downloader."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from slipway_box import object_store
from slipway_box.box import Box
from slipway_testing import calm, onnx_models, stories
from slipway_testing.load import Load
from slipway_testing.stage import DOUBLED, Stage
from slipway_testing.store import ObjectStore
from slipway_testing.stories import Spec, Story

CONFIG = b"""
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] } ]
"""
BUCKET = "models"
NOBODY = "http://10.244.0.1:9"
"""An address of the box at which nothing listens."""

RESTART_S = 330.0
"""A container that failed is started again after 10 s, then twice as long each time, up to five minutes."""

# The store keeps what an earlier run put there to cure its models; these are missing at first, in every run.
LATE, FORGOTTEN = (f"{name}-{secrets.token_hex(4)}" for name in ("late", "forgotten"))


@pytest.fixture(scope="module")
def store() -> ObjectStore:
    """The store of the box, with a model and a whole repository in it."""
    box = Box()
    box.start(object_store.NAME)
    box.load("storage-initializer")
    keys = object_store.keys(box.site)
    endpoint = f"http://{box.site.address}:{object_store.PORT}"
    started = ObjectStore(endpoint=endpoint, access_key=keys.access_key, secret_key=keys.secret_key, region=object_store.REGION)
    started.make_bucket(BUCKET)
    started.put(BUCKET, "good/1/model.onnx", onnx_models.doubled())
    started.put(BUCKET, "repository/whole/config.pbtxt", CONFIG)
    started.put(BUCKET, "repository/whole/1/model.onnx", onnx_models.doubled())
    return started


@pytest.fixture(scope="module")
def readers(stage: Stage, store: ObjectStore) -> None:
    """A service account for each way to be right or wrong."""
    account(stage, "reader", store)
    account(stage, "unknown", store, access_key="nobody")
    account(stage, "mistaken", store, secret_key="not-the-secret")
    account(stage, "astray", store, endpoint=NOBODY)


def account(stage: Stage, name: str, store: ObjectStore, **wrong: str) -> None:
    """A Secret with KServe's annotations and the ServiceAccount that lists it, as KServe's documents say."""
    has = {"endpoint": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key} | wrong
    annotations = {
        "serving.kserve.io/s3-endpoint": has["endpoint"].removeprefix("http://"),
        "serving.kserve.io/s3-usehttps": "0",
        "serving.kserve.io/s3-region": store.region,
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "annotations": annotations},
        "stringData": {"AWS_ACCESS_KEY_ID": has["access_key"], "AWS_SECRET_ACCESS_KEY": has["secret_key"]},
    }
    reader = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}, "secrets": [{"name": name}]}
    stage.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [secret, reader]}))


@pytest.mark.usefixtures("readers")
def test_a_model_and_a_whole_repository_are_served_from_s3(stage: Stage) -> None:
    stage.apply("single", uri=f"s3://{BUCKET}/good/1", serviceAccountName="reader", **DOUBLED)
    stage.apply("whole", uri=f"s3://{BUCKET}/repository", serviceAccountName="reader", format="triton", inputs=None, outputs=None)

    for name in ("single", "whole"):
        stage.ready(name)
        assert stage.doubled(name, [[1, 2], [3, 4]]) == [2, 4, 6, 8]
    stage.run("delete", "mdep", "single", "whole")  # the story needs nearly all of the node


@dataclass(frozen=True, kw_only=True)
class Case:
    """A worse spec, what it must say, and what cures it."""

    worse: Spec
    says: str
    cure: Callable[[Stage, str, ObjectStore], None]


def good(**changes: Any) -> Spec:
    """A spec that is served from the store."""
    return DOUBLED | {"uri": f"s3://{BUCKET}/good/1", "serviceAccountName": "reader"} | changes


def corrected(stage: Stage, name: str, store: ObjectStore) -> None:
    """The cure by the right keys in the Secret; KServe copies addresses into the pod and refers to the keys."""
    account(stage, CASES[name].worse["serviceAccountName"], store)


def respecified(stage: Stage, name: str, _: ObjectStore) -> None:
    """The cure by a corrected spec."""
    stage.apply(name, **good())


def uploaded(_: Stage, __: str, store: ObjectStore) -> None:
    """The cure by bringing the model to where the spec says."""
    store.put(BUCKET, f"{LATE}/1/model.onnx", onnx_models.doubled())


def founded(_: Stage, __: str, store: ObjectStore) -> None:
    """The cure by making the bucket."""
    store.make_bucket(FORGOTTEN)
    store.put(FORGOTTEN, "good/1/model.onnx", onnx_models.doubled())


CASES: Mapping[str, Case] = {
    "an-unknown-key": Case(
        worse=good(serviceAccountName="unknown"),
        says="does not know this access key: correct AWS_ACCESS_KEY_ID",
        cure=corrected,
    ),
    "a-wrong-secret": Case(
        worse=good(serviceAccountName="mistaken"),
        says="the secret key does not belong to the access key: correct AWS_SECRET_ACCESS_KEY",
        cure=corrected,
    ),
    "no-credentials": Case(
        worse={name: value for name, value in good().items() if name != "serviceAccountName"},
        says="there are no credentials",
        cure=respecified,
    ),
    "a-missing-object": Case(
        worse=good(uri=f"s3://{BUCKET}/{LATE}/1"),
        says="there is no object under this path",
        cure=uploaded,
    ),
    "a-missing-bucket": Case(
        worse=good(uri=f"s3://{FORGOTTEN}/good/1"),
        says="the bucket does not exist at",
        cure=founded,
    ),
    "nobody-at-the-endpoint": Case(
        worse=good(serviceAccountName="astray"),
        says=f"{NOBODY} cannot be reached",
        cure=respecified,
    ),
}


@pytest.fixture(scope="module")
def story(stage: Stage, store: ObjectStore, readers: None) -> Story:
    """Good, then worse, then cured, with clients that ask all the while."""
    for name in CASES:
        stage.apply(name, **good())
    first = {name: stage.ready(name) for name in CASES}
    with Load(stage, *CASES, pause_s=0.05) as load:
        for name, case in CASES.items():
            stage.apply(name, **case.worse)
        troubled = {name: stories.troubled(stage, name, reason="DownloadFailed") for name in CASES}
        unrest = calm.watched(stage.kube, stage.namespace, for_s=8)
        for name, case in CASES.items():
            case.cure(stage, name, store)
        cured = {name: stories.cured(stage, name, within_s=RESTART_S) for name in CASES}
    return Story(first=first, troubled=troubled, unrest=unrest, cured=cured, answered=load.answered, failures=load.failures)


@pytest.mark.parametrize("name", CASES)
def test_the_cause_is_told(story: Story, name: str) -> None:
    told = story.troubled[name]

    assert told.verdict("Ready") == ("False", "DownloadFailed")
    assert f"The model at {CASES[name].worse['uri']} could not be downloaded: " in told.message("Ready")
    assert CASES[name].says in told.message("Ready")
    assert told.message("Ready").endswith(f"Revision {story.first[name]} goes on serving.")
    assert told.verdict("Stalled") == ("True", "DownloadFailed")
    assert told.verdict("Reconciling") == ("False", "DownloadFailed")
    assert told.verdict("Available") == ("True", "EndpointReady")
    assert told.observed_generation == told.generation


def test_no_key_is_told(story: Story, store: ObjectStore) -> None:
    told = "".join(each.message("Ready") for each in story.troubled.values())

    assert not [secret for secret in (store.secret_key, store.access_key, "not-the-secret") if secret in told]


@pytest.mark.parametrize("name", CASES)
def test_the_previous_revision_keeps_answering(story: Story, name: str) -> None:
    assert [failure for failure in story.failures if failure.startswith(f"{name} ")] == []
    assert story.answered[name] > 50


def test_nothing_loops(story: Story) -> None:
    """A download that is tried again wakes the operator each time, and changes nothing."""
    assert (story.unrest.changed, story.unrest.restarts) == ([], 0)
    assert story.unrest.passes <= 5 * len(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_cure_is_enough(story: Story, name: str) -> None:
    assert story.cured[name].verdict("Ready") == ("True", "Serving")
    assert story.cured[name].verdict("Stalled") == ("False", "Settled")


def test_a_store_that_was_away_is_asked_again(stage: Stage, store: ObjectStore, readers: None) -> None:
    stage.apply("patient", **good())
    first = stage.ready("patient")
    store.put(BUCKET, "good/2/model.onnx", onnx_models.doubled())
    with Load(stage, "patient") as load:
        Box().stop(object_store.NAME)
        try:
            stage.apply("patient", **good(uri=f"s3://{BUCKET}/good/2"))
            told = stories.troubled(stage, "patient", reason="DownloadFailed")
        finally:
            Box().start(object_store.NAME)
        cured = stories.cured(stage, "patient")

    assert f"{store.endpoint} cannot be reached" in told.message("Ready")
    assert told.message("Ready").endswith(f"Revision {first} goes on serving.")
    assert cured.verdict("Ready") == ("True", "Serving")
    assert load.failures == []
