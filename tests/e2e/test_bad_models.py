"""Models that do not load: the cause is told, the previous revision keeps answering, nothing loops, and the user's cure is enough.

All of them get worse at the same time and are cured at the same time; each test then looks at one of them.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from slipway_testing import calm, onnx_models, stories
from slipway_testing.load import Load
from slipway_testing.stage import DOUBLED, Stage
from slipway_testing.stories import Spec, Story

Y = [{"name": "y", "dtype": "FP32", "shape": [2]}]
CONFIG = b"""
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] } ]
"""
IMPORTS = b"""
import nowhere_to_be_found

class TritonPythonModel:
    def execute(self, requests):
        return []
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A worse spec, what it must say, and what cures it."""

    worse: Spec
    reason: str
    says: str
    cure: Callable[[Stage, str], None]
    stalled: bool = True


def good(**changes: Any) -> Spec:
    """A spec that serves ``onnx_models.doubled``."""
    return DOUBLED | {"uri": "pvc://models/good/1"} | changes


def respecified(**changes: Any) -> Callable[[Stage, str], None]:
    """The cure by a corrected spec."""
    return lambda stage, name: stage.apply(name, **good(**changes))


def uploaded(path: str) -> Callable[[Stage, str], None]:
    """The cure by bringing the model to where the spec says; Triton looks only when it starts, so its pod is deleted."""

    def cure(stage: Stage, name: str) -> None:
        stage.store(path, onnx_models.doubled())
        stage.run("delete", "pod", "--selector", f"slipway.dev/revision={stories.candidate(stage, name)}", "--wait=false")

    return cure


def claimed(name: str) -> Callable[[Stage, str], None]:
    """The cure by making the claim, with the model in it."""

    def cure(stage: Stage, _: str) -> None:
        volume = dataclasses.replace(stage, volume=name)
        volume.make_volume()
        volume.store("good/1/model.onnx", onnx_models.doubled())

    return cure


CASES: Mapping[str, Case] = {
    "a-model-that-is-not-there": Case(
        worse=good(uri="pvc://models/late/1"),
        reason="ModelLoadFailed",
        says="has no model.onnx; it holds nothing",
        cure=uploaded("late/1/model.onnx"),
    ),
    "a-claim-that-is-not-there": Case(
        worse=good(uri="pvc://forgotten/good/1"),
        reason="ClaimMissing",
        says='PersistentVolumeClaim "forgotten" does not exist',
        cure=claimed("forgotten"),
    ),
    "bytes-that-are-no-onnx": Case(
        worse=good(uri="pvc://models/corrupt/1"),
        reason="ModelLoadFailed",
        says="model.onnx",
        cure=respecified(),
    ),
    "an-input-of-another-name": Case(
        worse=good(inputs=[{"name": "pixels", "dtype": "FP32", "shape": [2]}]),
        reason="ModelLoadFailed",
        says="unexpected inference input 'pixels' for model 'an-input-of-another-name': allowed inputs are 'x'",
        cure=respecified(),
    ),
    "an-input-of-another-type": Case(
        worse=good(inputs=[{"name": "x", "dtype": "INT64", "shape": [2]}]),
        reason="ModelLoadFailed",
        says="input 'x' of model 'an-input-of-another-type' is TYPE_INT64 in the configuration and TYPE_FP32 in the model",
        cure=respecified(),
    ),
    "an-output-of-another-shape": Case(
        worse=good(outputs=[{"name": "y", "dtype": "FP32", "shape": [3]}]),
        reason="ModelLoadFailed",
        says="output 'y' of model 'an-output-of-another-shape' has the shape [-1, 3] (the first dimension is the batch) in the configuration and"
        " [-1, 2] in the model",
        cure=respecified(),
    ),
    "a-module-that-is-missing": Case(
        worse=good(uri="pvc://models/imports/1", format="python"),
        reason="ModelLoadFailed",
        says="No module named 'nowhere_to_be_found'",
        cure=respecified(),
    ),
    "a-repository-of-another": Case(
        worse={"uri": "pvc://models/repository", "format": "triton", "inputs": None, "outputs": None},
        reason="ModelLoadFailed",
        says="the repository must hold a model named a-repository-of-another, as the ModelDeployment is; Triton found whole",
        cure=respecified(),
    ),
    "python-called-onnx": Case(
        worse=good(uri="pvc://models/imports/1"),
        reason="ModelLoadFailed",
        says="has no model.onnx; it holds model.py",
        cure=respecified(),
    ),
    "onnx-called-python": Case(
        worse=good(format="python"),
        reason="ModelLoadFailed",
        says="model.py",
        cure=respecified(),
    ),
}


@pytest.fixture(scope="module")
def story(stage: Stage) -> Story:
    """Good, then worse, then cured, with clients that ask all the while."""
    files = {
        "good/1/model.onnx": onnx_models.doubled(),
        "corrupt/1/model.onnx": onnx_models.doubled()[:-40],
        "imports/1/model.py": IMPORTS,
        "repository/whole/1/model.onnx": onnx_models.doubled(),
        "repository/whole/config.pbtxt": CONFIG,
    }
    stage.store_all(files)
    for name in CASES:
        stage.apply(name, **good())
    first = {name: stage.ready(name) for name in CASES}
    with Load(stage, *CASES, pause_s=0.03) as load:
        for name, case in CASES.items():
            stage.apply(name, **case.worse)
        troubled = {name: stories.troubled(stage, name, reason=case.reason) for name, case in CASES.items()}
        unrest = calm.watched(stage.kube, stage.namespace, for_s=8)
        for name, case in CASES.items():
            case.cure(stage, name)
        cured = {name: stories.cured(stage, name) for name in CASES}
    return Story(first=first, troubled=troubled, unrest=unrest, cured=cured, answered=load.answered, failures=load.failures)


@pytest.mark.parametrize("name", CASES)
def test_the_cause_is_told(story: Story, name: str) -> None:
    case, told = CASES[name], story.troubled[name]

    assert told.verdict("Ready") == ("False", case.reason)
    assert case.says in told.message("Ready")
    assert told.message("Ready").endswith(f"Revision {story.first[name]} goes on serving.")
    assert told.verdict("Stalled") == ("True", case.reason)
    assert told.verdict("Reconciling") == ("False", case.reason)
    assert told.verdict("Available") == ("True", "EndpointReady")
    assert told.verdict("Routed") == ("False", "PreviousRouted")
    assert told.observed_generation == told.generation


@pytest.mark.parametrize("name", CASES)
def test_the_previous_revision_keeps_answering(story: Story, name: str) -> None:
    assert [failure for failure in story.failures if failure.startswith(f"{name} ")] == []
    assert story.answered[name] > 50


def test_nothing_loops(story: Story) -> None:
    assert (story.unrest.changed, story.unrest.restarts) == ([], 0)
    assert story.unrest.passes <= len(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_cure_is_enough(story: Story, name: str) -> None:
    assert story.cured[name].verdict("Ready") == ("True", "Serving")
    assert story.cured[name].verdict("Stalled") == ("False", "Settled")
