"""The transformer of a revision: its configuration, its container, and what it asks of the container behind it."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from slipway_operator.api.v1alpha1.tensors import Tensor
from slipway_operator.api.v1alpha1.transformer import Transformer
from slipway_operator.render import service
from slipway_operator.state.revision import Revision

CONTAINER: Final = "transformer-container"
"""By this name KServe knows it, and points its own Service at it."""

CONFIGURATION_VERSION: Final = 1
TRITON_HTTP_PORT: Final = 8180
TRITON_GRPC_PORT: Final = 9001
TRITON_METRICS_PORT: Final = 8002
METRICS_PORT: Final = 8082
LOG_FOLDER: Final = "/var/log/slipway"
LOG_FILE: Final = f"{LOG_FOLDER}/predictions.jsonl"

DRAIN_S: Final = 5
"""The transformer takes requests for so long after SIGTERM, while the pod's address is forgotten."""

GRACE_S: Final = 25
"""After that, for requests under way. Triton waits for the transformer's end, and ends itself within the pod's 40 s."""

LOOPBACK_ARGUMENTS: Final = (
    "--http-address=127.0.0.1",
    f"--http-port={TRITON_HTTP_PORT}",
    "--grpc-address=127.0.0.1",
    f"--grpc-port={TRITON_GRPC_PORT}",
    "--metrics-address=0.0.0.0",
)
"""Nothing goes around the transformer. serve gives the ports too; of a flag given twice Triton takes the last one. Metrics would follow the address
of HTTP, and Prometheus and the kubelet ask for them from outside the pod."""

# Five files of 64 MiB at most, and room for the one that is about to go.
_LOG_SIZE: Final = "512Mi"
_LOG_VOLUME: Final = "slipway-predictions"
_TMP_VOLUME: Final = "slipway-transformer-tmp"


def configuration(revision: Revision, transformer: Transformer, *, model_name: str) -> str:
    """transformer.json; docs/design/20261128-request-path.md has the format."""
    batching = revision.serving.batching
    written: dict[str, Any] = {
        "version": CONFIGURATION_VERSION,
        "model": model_name,
        "maxBatchSize": batching.max_batch_size if batching else 0,
        "inputs": _tensors(revision.model.inputs),
        "outputs": _tensors(revision.model.outputs),
    }
    if transformer.request:
        written["request"] = _tensors(transformer.request)
    parts = transformer.model_dump(mode="json", by_alias=True, exclude_none=True, include={"validation", "features", "hooks", "answer"})
    if "features" in parts:
        parts["features"].pop("passwordFrom", None)  # it comes by an environment variable
    log = {"log": {"samplePercent": transformer.log.sample_percent, "file": LOG_FILE}} if transformer.log else {}
    lines = [f'  "{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in (written | parts | log).items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _tensors(tensors: Iterable[Tensor]) -> list[dict[str, Any]]:
    """One value a row is a dimension of one, as in config.pbtxt."""
    return [{"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape) or [1]} for tensor in tensors]


def container(revision: Revision, transformer: Transformer, *, model_name: str, mounts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The container that owns the pod's port 8080."""
    resources = transformer.resources
    amounts = {
        kind: {name: str(amount) for name, amount in given.items()}
        for kind, given in (("requests", resources.requests), ("limits", resources.limits))
        if given
    }
    return {
        "name": CONTAINER,
        "image": revision.transformer_image,
        "imagePullPolicy": "IfNotPresent",
        "env": list(_environment(transformer)),
        # KServe's Service points at the first one. The names differ from those of the runtime: Services and PodMonitors may go by them.
        "ports": [
            {"name": "http", "containerPort": service.HTTP_PORT, "protocol": "TCP"},
            {"name": "transformer", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        # A user's hooks may import much: five minutes.
        "startupProbe": _probe("/v2/health/live", port=service.HTTP_PORT, period_s=2, timeout_s=2, failures=150),
        # Ready is what Triton says of the model by the name that clients use, and the store where nothing can be answered without it.
        "readinessProbe": _probe(f"/v2/models/{model_name}/ready", port=service.HTTP_PORT, period_s=2, timeout_s=3, failures=3),
        "livenessProbe": _probe("/v2/health/live", port=service.HTTP_PORT, period_s=10, timeout_s=5, failures=6),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": amounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsGroup": 1000,
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [*mounts, {"name": _TMP_VOLUME, "mountPath": "/tmp"}, *_log_mounts(transformer)],  # noqa: S108 - a volume of its own
    }


def volumes(transformer: Transformer) -> Iterator[dict[str, Any]]:
    """What the container writes to."""
    yield {"name": _TMP_VOLUME, "emptyDir": {"sizeLimit": "256Mi"}}
    if transformer.log:
        yield {"name": _LOG_VOLUME, "emptyDir": {"sizeLimit": _LOG_SIZE}}


def triton_probes() -> dict[str, Any]:
    """Of the container behind. The kubelet asks at the pod's address, where of Triton only the metrics are; their port opens with the others."""
    return {
        "startupProbe": {"httpGet": {"path": "/metrics", "port": TRITON_METRICS_PORT}},
        "readinessProbe": {
            "httpGet": {"path": "/metrics", "port": TRITON_METRICS_PORT},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 3,
        },
        "livenessProbe": {"httpGet": {"path": "/metrics", "port": TRITON_METRICS_PORT}},
    }


def _environment(transformer: Transformer) -> Iterator[dict[str, Any]]:
    # Ports are said although they are the defaults: of a Service named slipway the kubelet would make a SLIPWAY_PORT that is none.
    settings = {
        "SLIPWAY_PORT": service.HTTP_PORT,
        "SLIPWAY_METRICS_PORT": METRICS_PORT,
        "SLIPWAY_TRITON_PORT": TRITON_HTTP_PORT,
        "SLIPWAY_DRAIN_SECONDS": DRAIN_S,
        "SLIPWAY_GRACE_SECONDS": GRACE_S,
    }
    yield from ({"name": name, "value": str(value)} for name, value in settings.items())
    secret = transformer.features.password_from if transformer.features else None
    if secret:
        yield {"name": "SLIPWAY_REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": secret.name, "key": "password"}}}


def _log_mounts(transformer: Transformer) -> Iterator[dict[str, Any]]:
    if transformer.log:
        yield {"name": _LOG_VOLUME, "mountPath": LOG_FOLDER}


def _probe(path: str, *, port: int, period_s: int, timeout_s: int, failures: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port}, "periodSeconds": period_s, "timeoutSeconds": timeout_s, "failureThreshold": failures}
