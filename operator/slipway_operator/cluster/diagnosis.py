"""Why pods are not ready, read off the objects that say so. Pure; what Triton says is asked elsewhere and handed in."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from slipway_operator.api import conditions
from slipway_operator.cluster.resources import Object
from slipway_operator.cluster.triton import Repository
from slipway_operator.state.observed import Failure

STORAGE_CONTAINER: Final = "storage-initializer"

_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"})
_STARTING = frozenset(
    {"CreateContainerError", "CreateContainerConfigError", "RunContainerError", "CrashLoopBackOff", "StartError", "PostStartHookError"}
)

# Gravest first: a refused pod explains everything after it.
_GRAVITY = (
    conditions.RUNTIME_REFUSED,
    conditions.POD_REFUSED,
    conditions.MODEL_LOAD_FAILED,
    conditions.CLAIM_MISSING,
    conditions.DOWNLOAD_FAILED,
    conditions.IMAGE_PULL_FAILED,
    conditions.CONTAINER_FAILED,
    conditions.STORE_UNAVAILABLE,
    conditions.UNSCHEDULABLE,
)

_NO_STORE: Final = "STORE_UNAVAILABLE"
"""How a transformer says that it has no online store."""

_CLAIM_NOT_FOUND = re.compile(r'persistentvolumeclaim "(?P<name>[^"]+)" not found')
"""How the scheduler says it."""

_PULL_BACKOFF = re.compile(r'^Back-off pulling image "[^"]*": (?:ErrImagePull: )?')
"""What the kubelet puts before the cause between two tries; without it both say the same."""

HABIT: Final = 2
"""Restarts after which a server that exits is expected to do so again: it is not on its way whenever it happens to run."""

# What the API server says about an object that it will refuse again, word for word. KServe repeats it and tries for ever.
_REFUSALS = (" is invalid: ", " is forbidden: ", "denied the request")

# Reasons in modelStatus.lastFailureInfo that are about the InferenceService itself, not about its pods.
_RUNTIME_REASONS = frozenset({"RuntimeDisabled", "NoSupportingRuntime", "RuntimeNotRecognized", "InvalidPredictorSpec"})


def diagnose(
    *, model: str, service: Object | None, deployment: Object | None, pods: Iterable[Object], repositories: Iterable[Repository]
) -> tuple[Failure, ...]:
    """Everything that keeps a revision from being ready, gravest first, each said once.

    ``model`` is the name by which Triton must know the model, ``repositories`` the answers of servers that are not ready.
    """
    found = [*_refused_by_kserve(service), *_refused_to_kserve(service), *_refused_pods(deployment)]
    for repository in repositories:
        found.extend(_not_loaded(model, repository))
        found.extend(_without_store(repository))
    for pod in pods:
        found.extend(_of_pod(pod))
    return tuple(sorted(dict.fromkeys(found), key=lambda failure: _GRAVITY.index(failure.reason)))


def _refused_by_kserve(service: Object | None) -> Iterator[Failure]:
    info = ((service or {}).get("status") or {}).get("modelStatus", {}).get("lastFailureInfo", {})
    if info.get("reason") in _RUNTIME_REASONS:
        runtime = (service or {}).get("spec", {}).get("predictor", {}).get("model", {}).get("runtime", "")
        said = str(info.get("message") or info["reason"])
        yield Failure(reason=conditions.RUNTIME_REFUSED, message=f"KServe does not take ClusterServingRuntime {runtime}: {said}")


def _refused_to_kserve(service: Object | None) -> Iterator[Failure]:
    """An object that KServe makes of the InferenceService is refused, for example a Deployment whose requests are over its limits."""
    for condition in _conditions(service):
        said = _one_line(condition.get("message") or "")
        if condition.get("type") == "PredictorReady" and condition.get("reason") == "ReconcileFailed" and any(words in said for words in _REFUSALS):
            yield Failure(reason=conditions.RUNTIME_REFUSED, message=f"KServe {said}")


def _refused_pods(deployment: Object | None) -> Iterator[Failure]:
    for condition in _conditions(deployment):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            yield Failure(reason=conditions.POD_REFUSED, message=str(condition.get("message", "pods are refused")))


def _not_loaded(model: str, repository: Repository) -> Iterator[Failure]:
    models = [known for known in repository if known.state != _NO_STORE]
    for known in models:
        if known.state == "UNAVAILABLE" and known.reason and known.reason != "unloaded":
            yield Failure(reason=conditions.MODEL_LOAD_FAILED, message=f"Triton cannot load model {known.name}: {_sentence(known.reason)}")
    if model not in {known.name for known in models}:
        held = ", ".join(known.name for known in models) or "none"
        message = f"the repository must hold a model named {model}, as the ModelDeployment is; Triton found {held}"
        yield Failure(reason=conditions.MODEL_LOAD_FAILED, message=message)


def _without_store(repository: Repository) -> Iterator[Failure]:
    """Of a transformer that waits for features: it puts this beside Triton's models."""
    for known in repository:
        if known.state == _NO_STORE:
            yield Failure(reason=conditions.STORE_UNAVAILABLE, message=f"the transformer does not get at the online store: {known.reason}")


def _of_pod(pod: Object) -> Iterator[Failure]:
    status = pod.get("status") or {}
    for condition in _conditions(pod):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            yield _unscheduled(str(condition.get("message") or "no node takes the pod"))
    for container in status.get("initContainerStatuses") or ():
        yield from _of_container(container, failed=conditions.DOWNLOAD_FAILED if container.get("name") == STORAGE_CONTAINER else None)
    for container in status.get("containerStatuses") or ():
        yield from _of_container(container, failed=None)


def _unscheduled(said: str) -> Failure:
    missing = _CLAIM_NOT_FOUND.search(said)
    if missing:
        claim = missing["name"]
        return Failure(reason=conditions.CLAIM_MISSING, message=f'PersistentVolumeClaim "{claim}" does not exist in this namespace')
    return Failure(reason=conditions.UNSCHEDULABLE, message=said)


def _of_container(container: Mapping[str, Any], *, failed: str | None) -> Iterator[Failure]:
    """The container's trouble; ``failed`` is the reason for one that ran and exited with an error, where it is known better."""
    name = container.get("name", "")
    waiting = (container.get("state") or {}).get("waiting") or {}
    ended = (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    if waiting.get("reason") in _PULLING:
        said = waiting.get("message") or waiting["reason"]
        yield Failure(reason=conditions.IMAGE_PULL_FAILED, message=f"image {container.get('image', '')} of container {name}: {_pull(said)}")
    elif ended.get("exitCode") and (failed or waiting.get("reason") in _STARTING or _exits_by_habit(container)):
        yield Failure(reason=failed or conditions.CONTAINER_FAILED, message=_exit(name, ended))
    elif waiting.get("reason") in _STARTING:
        said = waiting.get("message") or waiting["reason"]
        yield Failure(reason=conditions.CONTAINER_FAILED, message=f"container {name}: {_one_line(said)}")


def _exits_by_habit(container: Mapping[str, Any]) -> bool:
    return not container.get("ready") and int(container.get("restartCount") or 0) >= HABIT


def _pull(said: str) -> str:
    return _PULL_BACKOFF.sub("", _one_line(said))


def _exit(name: str, ended: Mapping[str, Any]) -> str:
    if ended.get("reason") == "OOMKilled":  # what it wrote last has nothing to do with its end
        return f"container {name} was killed for using more memory than its limit"
    said = _last_line(str(ended.get("message") or "")) or str(ended.get("reason", ""))
    return f"container {name} exited with {ended['exitCode']}: {said}"


def _conditions(obj: Object | None) -> Iterable[Mapping[str, Any]]:
    return ((obj or {}).get("status") or {}).get("conditions") or ()


def _sentence(reason: str) -> str:
    """Triton's reason without what only a developer of the backend reads: the exception's class before it, the traceback after it."""
    return _one_line(reason.partition("\n\nAt:")[0]).removeprefix("Internal: ").removeprefix("TritonModelException: ")


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
