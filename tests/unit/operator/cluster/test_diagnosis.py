"""From what pods and controllers say to the one cause a user needs."""

from typing import Any

import pytest

from slipway_operator.cluster import diagnosis
from slipway_operator.cluster.triton import ModelState
from slipway_operator.state.observed import Failure


def diagnose(**given: Any) -> tuple[Failure, ...]:
    nothing: dict[str, Any] = {"model": "digits", "service": None, "deployment": None, "pods": (), "repositories": ()}
    return diagnosis.diagnose(**(nothing | given))


def pod(*, init: dict[str, Any] | None = None, main: dict[str, Any] | None = None, conditions: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    status: dict[str, Any] = {"phase": "Pending"}
    if init:
        status["initContainerStatuses"] = [{"name": "storage-initializer", **init}]
    if main:
        status["containerStatuses"] = [{"name": "kserve-container", "image": "slipway/triton-cpu:x", **main}]
    if conditions:
        status["conditions"] = conditions
    return {"status": status}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(code: int, message: str = "", *, now: bool = False, reason: str = "Error") -> dict[str, Any]:
    terminated = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return {"state": terminated} if now else {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": terminated}


def unscheduled(message: str) -> dict[str, Any]:
    return pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}])


def loaded(state: str = "READY", reason: str = "", name: str = "digits") -> tuple[ModelState, ...]:
    return (ModelState(name=name, state=state, reason=reason),)


def not_reconciled(message: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": "PredictorReady", "status": "False", "reason": "ReconcileFailed", "message": message}]}}


CASES: dict[str, tuple[dict[str, Any], Failure]] = {
    "a model that Triton refuses": (
        {"repositories": [loaded("UNAVAILABLE", "Internal: TritonModelException: unexpected\n  input 'y'\n\nAt:\n  model.py(1)")]},
        Failure(reason="ModelLoadFailed", message="Triton cannot load model digits: unexpected input 'y'"),
    ),
    "a repository whose model has another name": (
        {"repositories": [loaded(name="numbers")]},
        Failure(
            reason="ModelLoadFailed",
            message="the repository must hold a model named digits, as the ModelDeployment is; Triton found numbers",
        ),
    ),
    "an empty repository": (
        {"repositories": [()]},
        Failure(reason="ModelLoadFailed", message="the repository must hold a model named digits, as the ModelDeployment is; Triton found none"),
    ),
    "a transformer without its online store": (
        {"repositories": [(*loaded(), *loaded("STORE_UNAVAILABLE", "it took longer than 50 ms", name="online store"))]},
        Failure(reason="StoreUnavailable", message="the transformer does not get at the online store: it took longer than 50 ms"),
    ),
    "a download that fails, by the last line the initializer wrote": (
        {"pods": [pod(init=ended(1, "Traceback\n  noise\nno such key: s3://models/digits\n"))]},
        Failure(reason="DownloadFailed", message="container storage-initializer exited with 1: no such key: s3://models/digits"),
    ),
    "a download that has just failed": (
        {"pods": [pod(init=ended(1, "access denied", now=True))]},
        Failure(reason="DownloadFailed", message="container storage-initializer exited with 1: access denied"),
    ),
    "an image that cannot be pulled": (
        {"pods": [pod(main=waiting("ImagePullBackOff", "Back-off pulling image"))]},
        Failure(reason="ImagePullFailed", message="image slipway/triton-cpu:x of container kserve-container: Back-off pulling image"),
    ),
    "a server that keeps exiting": (
        {"pods": [pod(main=ended(127, "sh: tritonserver: not found"))]},
        Failure(reason="ContainerFailed", message="container kserve-container exited with 127: sh: tritonserver: not found"),
    ),
    "a server that exits without a word": (
        {"pods": [pod(main=ended(1))]},
        Failure(reason="ContainerFailed", message="container kserve-container exited with 1: Error"),
    ),
    "a server that needs more memory than it may have": (
        {"pods": [pod(main=ended(137, 'I1125 00:00:02.713801 1 model_lifecycle.cc:472] "loading: digits:1"', reason="OOMKilled"))]},
        Failure(reason="ContainerFailed", message="container kserve-container was killed for using more memory than its limit"),
    ),
    "a container that cannot be created": (
        {"pods": [pod(main=waiting("CreateContainerConfigError", 'secret "x" not found'))]},
        Failure(reason="ContainerFailed", message='container kserve-container: secret "x" not found'),
    ),
    "a pod that fits on no node": (
        {"pods": [unscheduled("0/1 nodes")]},
        Failure(reason="Unschedulable", message="0/1 nodes"),
    ),
    "a pod whose claim is not there": (
        {"pods": [unscheduled('0/1 nodes are available: persistentvolumeclaim "models" not found. not found')]},
        Failure(reason="ClaimMissing", message='PersistentVolumeClaim "models" does not exist in this namespace'),
    ),
    "an image that cannot be pulled, between two tries": (
        {"pods": [pod(main=waiting("ImagePullBackOff", 'Back-off pulling image "slipway/triton-cpu:x": ErrImagePull: no such host'))]},
        Failure(reason="ImagePullFailed", message="image slipway/triton-cpu:x of container kserve-container: no such host"),
    ),
    "a server that keeps exiting and happens to run": (
        {"pods": [pod(main={"state": {"running": {}}, "ready": False, "restartCount": 2, "lastState": ended(1, "no", now=True)["state"]})]},
        Failure(reason="ContainerFailed", message="container kserve-container exited with 1: no"),
    ),
    "pods that a quota refuses": (
        {"deployment": {"status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: x"}]}}},
        Failure(reason="PodRefused", message="exceeded quota: x"),
    ),
    "a runtime that KServe does not know": (
        {
            "service": {
                "spec": {"predictor": {"model": {"runtime": "gone"}}},
                "status": {"modelStatus": {"lastFailureInfo": {"reason": "RuntimeNotRecognized", "message": "Waiting for runtime"}}},
            }
        },
        Failure(reason="RuntimeRefused", message="KServe does not take ClusterServingRuntime gone: Waiting for runtime"),
    ),
    "a Deployment that the API server refuses to KServe": (
        {"service": not_reconciled('fails to reconcile predictor: Deployment.apps "d" is invalid: requests: must be less than or equal to limit')},
        Failure(
            reason="RuntimeRefused",
            message='KServe fails to reconcile predictor: Deployment.apps "d" is invalid: requests: must be less than or equal to limit',
        ),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_cause_is_named(case: tuple[dict[str, Any], Failure]) -> None:
    world, expected = case

    assert diagnose(**world) == (expected,)


@pytest.mark.parametrize(
    "world",
    [
        {},
        {"pods": [pod()]},
        {"pods": [pod(init=waiting("PodInitializing"), main=waiting("ContainerCreating"))]},
        {"pods": [pod(init={"state": {"terminated": {"exitCode": 0}}}, main={"state": {"running": {}}})]},
        {"pods": [pod(main={"state": {"running": {}}, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}})]},
        {"pods": [pod(main={"state": {"running": {}}, "ready": True, "restartCount": 7, "lastState": ended(1, "no", now=True)["state"]})]},
        {"repositories": [loaded("LOADING")]},
        {"service": {"status": {"modelStatus": {"lastFailureInfo": {"reason": "ModelLoadFailed", "message": "x"}}}}},
        {"service": not_reconciled("fails to reconcile predictor: Operation cannot be fulfilled: the object has been modified")},
    ],
    ids=[
        "nothing yet",
        "a new pod",
        "containers being created",
        "a server that runs",
        "a server that was restarted and runs",
        "a server that exited often and is ready",
        "a model being loaded",
        "KServe's guess about the model, where Triton's word is better",
        "a write of KServe's that will be tried again",
    ],
)
def test_what_is_only_on_its_way_is_no_failure(world: dict[str, Any]) -> None:
    assert diagnose(**world) == ()


def test_the_gravest_comes_first_and_each_is_said_once() -> None:
    twice = [pod(main=waiting("ImagePullBackOff", "x")), pod(main=waiting("ImagePullBackOff", "x"))]
    refused = {"status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "quota"}]}}

    assert [failure.reason for failure in diagnose(pods=twice, deployment=refused)] == ["PodRefused", "ImagePullFailed"]
