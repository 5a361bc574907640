"""Pods that do not come to be: the cause is told, the previous revision keeps answering, nothing loops, and the user's cure is enough.

All of them get worse at the same time and are cured at the same time; each test then looks at one of them.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from slipway_operator.cluster import resources
from slipway_testing import calm, onnx_models, stories
from slipway_testing.kube import Kube, eventually
from slipway_testing.load import Load
from slipway_testing.stage import DOUBLED, Stage
from slipway_testing.stories import Spec, Story, Told

SMALL = {"requests": {"cpu": "20m", "memory": "128Mi"}}
RUNTIMES = "/apis/serving.kserve.io/v1alpha1/clusterservingruntimes"


def good(**serving: Any) -> dict[str, Any]:
    """A spec that serves ``onnx_models.doubled``."""
    return DOUBLED | {"uri": "pvc://models/good/1", "serving": DOUBLED["serving"] | {"resources": SMALL} | serving}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A worse spec, what it must say, and what cures it."""

    worse: Spec
    reason: str
    says: str
    cure: Callable[[Stage, str], None]
    stalled: bool = True


def respecified(stage: Stage, name: str) -> None:
    """The cure by a corrected spec."""
    stage.apply(name, **good())


def accounted(stage: Stage, _: str) -> None:
    """The cure by making the service account."""
    stage.run("create", "serviceaccount", "forgotten")


def installed(stage: Stage, _: str) -> None:
    """The cure by making the runtime."""
    make_runtime(stage.kube, "e2e-forgotten")


def unquotaed(stage: Stage, _: str) -> None:
    """The cure by taking the quota away."""
    stage.run("delete", "resourcequota", "few-pods")


CASES: dict[str, Case] = {
    "an-image-nobody-has": Case(
        worse=good(runtime="e2e-unpullable"),
        reason="ImagePullFailed",
        says="image registry.invalid/triton:1 of container kserve-container: failed to pull and unpack image",
        cure=respecified,
    ),
    "a-program-nobody-has": Case(
        worse=good(runtime="e2e-unstartable"),
        reason="ContainerFailed",
        says='exec: "/no/such/program"',
        cure=respecified,
    ),
    "a-server-that-exits": Case(
        worse=good(runtime="e2e-exiting"),
        reason="ContainerFailed",
        says="container kserve-container exited with 3: cannot find my shoes",
        cure=respecified,
    ),
    "a-runtime-nobody-has": Case(
        worse=good(runtime="e2e-forgotten"),
        reason="RuntimeRefused",
        says="KServe does not take ClusterServingRuntime e2e-forgotten: ",
        cure=installed,
    ),
    "an-account-nobody-has": Case(
        worse=good() | {"serviceAccountName": "forgotten"},
        reason="PodRefused",
        says='serviceaccount "forgotten" not found',
        cure=accounted,
    ),
    "a-request-over-its-limit": Case(
        worse=good(resources={"requests": {"cpu": "20m", "memory": "256Mi"}, "limits": {"memory": "128Mi"}}),
        reason="RuntimeRefused",
        says="must be less than or equal to memory limit of 128Mi",
        cure=respecified,
    ),
    "a-pod-for-no-node": Case(
        worse=good(resources={"requests": {"cpu": "20m", "memory": "4Ti"}}),
        reason="Unschedulable",
        says="1 Insufficient memory",
        cure=respecified,
        stalled=False,
    ),
    "a-server-without-memory": Case(
        worse=good(resources={"requests": {"cpu": "20m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}}),
        reason="ContainerFailed",
        says="container kserve-container was killed for using more memory than its limit",
        cure=respecified,
    ),
}
STRICT: dict[str, Case] = {
    "a-quota-used-up": Case(
        worse=good() | {"uri": "pvc://models/good/2"},
        reason="PodRefused",
        says="exceeded quota: few-pods, requested: pods=1, used: pods=5, limited: pods=5",
        cure=unquotaed,
    ),
    "more-than-is-allowed": Case(
        worse=good(resources={"requests": {"cpu": "20m", "memory": "300Mi"}, "limits": {"memory": "300Mi"}}),
        reason="PodRefused",
        says="maximum memory usage per Container is 256Mi, but limit is 300Mi",
        cure=respecified,
    ),
}


@pytest.fixture(scope="module")
def strict(kube: Kube, kubectl: tuple[str, ...]) -> Iterator[Stage]:
    """A namespace of a quota and a limit range."""
    prepared = Stage(kube, kubectl, "e2e-strict")
    prepared.set_up()
    yield prepared
    prepared.tear_down()


@pytest.fixture(scope="module")
def runtimes(kube: Kube) -> Iterator[None]:
    """ClusterServingRuntimes that cannot work, made from the one that does."""
    make_runtime(kube, "e2e-unpullable", image="registry.invalid/triton:1")
    make_runtime(kube, "e2e-unstartable", command=["/no/such/program"])
    make_runtime(kube, "e2e-exiting", command=["/bin/sh", "-c", "echo cannot find my shoes >&2; exit 3"])
    yield
    for name in ("e2e-unpullable", "e2e-unstartable", "e2e-exiting", "e2e-forgotten"):
        kube.request("DELETE", f"{RUNTIMES}/{name}")


def make_runtime(kube: Kube, name: str, **container: Any) -> None:
    """A runtime like the current one of Slipway's family, with another container."""
    ours = kube.request("GET", f"{RUNTIMES}?labelSelector=slipway.dev/runtime=slipway-triton")["items"][-1]
    spec = ours["spec"] | {"containers": [ours["spec"]["containers"][0] | container]}
    made = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ClusterServingRuntime", "metadata": {"name": name}, "spec": spec}
    kube.request("PATCH", f"{RUNTIMES}/{name}?fieldManager=test&force=true", body=made, content_type="application/apply-patch+yaml")


@pytest.fixture(scope="module")
def story(stage: Stage, strict: Stage, runtimes: None) -> Story:
    """Good, then worse, then cured, with clients that ask all the while."""
    at: dict[str, Stage] = dict.fromkeys(CASES, stage) | dict.fromkeys(STRICT, strict)
    cases = CASES | STRICT
    for each in (stage, strict):
        each.store_all({f"good/{number}/model.onnx": onnx_models.doubled() for number in (1, 2)})
    for name, where in at.items():
        where.apply(name, **good())
    first = {name: where.ready(name) for name, where in at.items()}
    bound(strict)
    with Load(stage, *CASES, pause_s=0.04) as load, Load(strict, *STRICT, pause_s=0.1) as strict_load:
        for name, case in cases.items():
            at[name].apply(name, **case.worse)
        troubled = {name: stories.troubled(at[name], name, reason=case.reason) for name, case in cases.items()}
        unrest = calm.watched(stage.kube, stage.namespace, for_s=8)
        for name, case in cases.items():
            case.cure(at[name], name)
        cured = {name: stories.cured(at[name], name) for name in cases}
    return Story(
        first=first,
        troubled=troubled,
        unrest=unrest,
        cured=cured,
        answered=load.answered + strict_load.answered,
        failures=[*load.failures, *strict_load.failures],
    )


def bound(strict: Stage) -> None:
    """No pod more than there are, and none that is large."""
    limits = {"limits": [{"type": "Container", "max": {"memory": "256Mi"}, "default": {"memory": "256Mi"}}]}
    for kind, name, spec in (("ResourceQuota", "few-pods", {"hard": {"pods": "5"}}), ("LimitRange", "small-pods", limits)):
        strict.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}))
    eventually(lambda: strict.run("get", "resourcequota", "few-pods", "-o", "jsonpath={.status.used.pods}") == "5")


@pytest.mark.parametrize("name", [*CASES, *STRICT])
def test_the_cause_is_told(story: Story, name: str) -> None:
    case, told = (CASES | STRICT)[name], story.troubled[name]

    assert told.verdict("Ready") == ("False", case.reason)
    assert case.says in told.message("Ready")
    assert told.message("Ready").endswith(f"Revision {story.first[name]} goes on serving.")
    assert told.verdict("Stalled") == (str(case.stalled), case.reason)
    assert told.verdict("Reconciling") == (str(not case.stalled), case.reason)
    assert told.verdict("Available") == ("True", "EndpointReady")
    assert told.verdict("Routed") == ("False", "PreviousRouted")
    assert told.observed_generation == told.generation


@pytest.mark.parametrize("name", [*CASES, *STRICT])
def test_the_previous_revision_keeps_answering(story: Story, name: str) -> None:
    assert [failure for failure in story.failures if failure.startswith(f"{name} ")] == []
    assert story.answered[name] > 50


def test_nothing_loops(story: Story) -> None:
    """A container that is started again and again wakes the operator each time, and changes nothing."""
    assert (story.unrest.changed, story.unrest.restarts) == ([], 0)
    assert story.unrest.passes <= 5 * len(CASES)


@pytest.mark.parametrize("name", [*CASES, *STRICT])
def test_the_cure_is_enough(story: Story, name: str) -> None:
    assert story.cured[name].verdict("Ready") == ("True", "Serving")
    assert story.cured[name].verdict("Stalled") == ("False", "Settled")


def test_a_service_of_that_name_that_is_not_ours_is_left_alone_until_it_is_gone(stage: Stage) -> None:
    stage.store("good/1/model.onnx", onnx_models.doubled())
    stage.run("create", "service", "clusterip", "taken", "--tcp=80:80")
    theirs = stage.kube.get(resources.SERVICES, "taken", namespace=stage.namespace)

    stage.apply("taken", **good())

    told = stories.troubled(stage, "taken", reason="NameTaken")
    assert told.verdict("Stalled") == ("True", "NameTaken")
    assert told.verdict("Reconciling") == ("False", "NameTaken")
    assert f"Service {stage.namespace}/taken already exists and has no controller; delete it" in told.message("Ready")
    assert told.observed_generation == told.generation
    assert stage.kube.get(resources.SERVICES, "taken", namespace=stage.namespace) == theirs
    assert not [each for each in stage.kube.list(resources.INFERENCE_SERVICES, namespace=stage.namespace) if "taken" in each["metadata"]["name"]]

    stage.run("delete", "service", "taken")

    cured: Told = stories.cured(stage, "taken", within_s=60)
    assert cured.verdict("Ready") == ("True", "Serving")
