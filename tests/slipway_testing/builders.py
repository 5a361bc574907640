"""Valid values with everything filled in; a test says only what differs."""

from datetime import UTC, datetime, timedelta
from typing import Any

from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from slipway_operator.state.observed import Identity, Observed, Workload
from slipway_operator.state.revision import Revision

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
TRANSFORMER = "slipway/transformer:test"
RUNTIMES = {"slipway-triton": "slipway-triton-11111111"}


def at(seconds: float) -> datetime:
    """A moment relative to NOW."""
    return NOW + timedelta(seconds=seconds)


def model(**changes: Any) -> dict[str, Any]:
    """spec.model of an ONNX classifier."""
    valid: dict[str, Any] = {
        "uri": "pvc://models/digits/1",
        "format": "onnx",
        "inputs": [{"name": "x", "dtype": "FP32", "shape": [64]}],
        "outputs": [{"name": "label", "dtype": "INT64", "shape": []}],
    }
    return {name: value for name, value in (valid | changes).items() if value is not None}


def spec(*, suspend: bool = False, serving: dict[str, Any] | None = None, **model_changes: Any) -> ModelDeploymentSpec:
    """A spec as the API server hands it over."""
    return ModelDeploymentSpec.model_validate({"model": model(**model_changes), "serving": serving or {}, "suspend": suspend})


def manifest(
    *,
    name: str = "digits",
    namespace: str = "shop",
    serving: dict[str, Any] | None = None,
    traffic: dict[str, Any] | None = None,
    transformer: dict[str, Any] | None = None,
    **model_changes: Any,
) -> dict[str, Any]:
    """A ModelDeployment as a user writes it."""
    written: dict[str, Any] = {
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": model(**model_changes)},
    }
    if serving:
        written["spec"]["serving"] = serving
    if transformer is not None:
        written["spec"]["transformer"] = {name: value for name, value in transformer.items() if value is not None}
    if traffic:
        written["spec"]["traffic"] = traffic
    return written


def serving_runtime(name: str) -> dict[str, Any]:
    """The ClusterServingRuntime that revisions are pinned to where no pod ever runs."""
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterServingRuntime",
        "metadata": {"name": name},
        "spec": {
            "supportedModelFormats": [{"name": format_, "version": "1", "autoSelect": False} for format_ in ("onnx", "python", "triton")],
            "protocolVersions": ["v2"],
            "containers": [{"name": "kserve-container", "image": "slipway/triton-cpu:test", "ports": [{"containerPort": 8080, "protocol": "TCP"}]}],
        },
    }


def identity(**changes: Any) -> Identity:
    """ModelDeployment shop/digits."""
    valid: dict[str, Any] = {"name": "digits", "namespace": "shop", "uid": "uid-1", "generation": 1}
    return Identity(**(valid | changes))


def revision(of: ModelDeploymentSpec | None = None, *, number: int = 1, runtime: str = "slipway-triton-11111111") -> Revision:
    """The recorded revision of a spec."""
    made = Revision.of(of or spec(), owner="digits", number=number, runtime=runtime, transformer_image=TRANSFORMER)
    return Revision.recorded(name=made.name, number=number, data=made.data)


def running(*, replicas: int = 1, **changes: Any) -> Workload:
    """A workload with all its pods ready."""
    return Workload(**({"settled": True, "replicas": replicas, "available": replicas} | changes))


def observed(**changes: Any) -> Observed:
    """A ModelDeployment seen for the first time."""
    valid: dict[str, Any] = {
        "identity": identity(),
        "spec": spec(),
        "runtimes": RUNTIMES,
        "transformer_image": TRANSFORMER,
        "now": NOW,
        "drain_s": 15.0,
        "poll_s": 3.0,
    }
    return Observed(**(valid | changes))


def entry(of: Revision, role: str, *, since: datetime = NOW, served: bool = True) -> dict[str, Any]:
    """One revision in the status."""
    return {
        "name": of.name,
        "role": role,
        "since": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "uri": of.model.uri,
        "runtime": of.runtime,
        "served": served,
    }


def long_ago() -> datetime:
    """Before anything that a test says happened."""
    return at(-3600)


def status(*revisions: dict[str, Any], **changes: Any) -> ModelDeploymentStatus:
    """A status that lists ``revisions``."""
    stable = next((known["name"] for known in revisions if known["role"] == "Stable"), None)
    return ModelDeploymentStatus.model_validate({"revisions": list(revisions), "revision": stable} | changes)
