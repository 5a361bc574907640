"""ModelDeployments that must be refused, with the field to blame, and such that must be accepted.

The validator and the real API server are asked about the same tables: where they disagree, one of them lies to a user.
"""

import copy
from dataclasses import dataclass
from typing import Any, Final

from slipway_testing import builders

REMOVED: Final = object()
Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A bad object and the field that the refusal must name."""

    because: str
    body: Body
    field: str
    server_field: str
    """The same field as far as the server tells it: what it decodes before it validates, it tells less exactly."""


def valid() -> Body:
    """An object with nothing wrong."""
    return builders.manifest(name="ranker")


def changed(path: str, value: Any, *, of: Body | None = None) -> Body:
    """``of``, or a valid object, with ``value`` at ``path`` (``spec.model.inputs.0.name``); REMOVED takes the field away."""
    body = copy.deepcopy(of or valid())
    *parents, last = path.split(".")
    node: Any = body
    for step in parents:
        node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
    if value is REMOVED:
        del node[last]
    elif isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = value
    return body


def triton(**serving: Any) -> Body:
    """A valid object of format triton."""
    return builders.manifest(name="ranker", format="triton", inputs=None, outputs=None, serving=serving)


def _refused(because: str, path: str, value: Any, *, field: str | None = None, server_field: str | None = None, of: Body | None = None) -> Refused:
    field = field or path
    return Refused(because=because, body=changed(path, value, of=of), field=field, server_field=server_field or field)


_TENSOR: Final = {"name": "x", "dtype": "FP32", "shape": [64]}

REFUSED: Final = (
    _refused("there is no spec", "spec", REMOVED),
    _refused("the spec is a list", "spec", [1]),
    _refused("there is no model", "spec.model", REMOVED),
    _refused("the model is a string", "spec.model", "s3://models/ranker"),
    _refused("the model has a second source", "spec.model.registry", {"name": "ranker"}),
    _refused("the model has no address", "spec.model.uri", REMOVED),
    _refused("the address is null", "spec.model.uri", None),
    _refused("the address has no scheme", "spec.model.uri", "models/ranker"),
    _refused("the address holds a blank", "spec.model.uri", "s3://models/the ranker"),
    _refused("the address holds a letter beyond ASCII", "spec.model.uri", "s3://models/\u00fcber"),
    _refused("the address is too long", "spec.model.uri", "s3://models/" + "x" * 1024),
    _refused("the address is a number", "spec.model.uri", 7),
    _refused("the format is unknown", "spec.model.format", "onx"),
    _refused("there is no format", "spec.model.format", REMOVED),
    _refused("onnx has no inputs", "spec.model.inputs", REMOVED, field="spec.model"),
    _refused("onnx has no outputs", "spec.model.outputs", REMOVED, field="spec.model"),
    _refused("onnx has an empty list of inputs", "spec.model.inputs", [], field="spec.model"),
    _refused("triton has inputs", "spec.model.inputs", [_TENSOR], of=triton(), field="spec.model"),
    _refused("triton has outputs", "spec.model.outputs", [_TENSOR], of=triton(), field="spec.model"),
    _refused("triton has batching", "spec.serving.batching", {"maxBatchSize": 8}, of=triton()),
    _refused("a data type is unknown", "spec.model.inputs.0.dtype", "FLOAT", field="spec.model.inputs[0].dtype"),
    _refused("a tensor has no data type", "spec.model.inputs.0.dtype", REMOVED, field="spec.model.inputs[0].dtype"),
    _refused("a dimension is below -1", "spec.model.inputs.0.shape", [64, -2], field="spec.model.inputs[0].shape[1]"),
    _refused("a dimension is a fraction", "spec.model.inputs.0.shape", [1.5], field="spec.model.inputs[0].shape[0]"),
    _refused("a shape is a string", "spec.model.inputs.0.shape", "64", field="spec.model.inputs[0].shape"),
    _refused("a shape has nine dimensions", "spec.model.inputs.0.shape", [1] * 9, field="spec.model.inputs[0].shape"),
    _refused("a tensor has no shape", "spec.model.inputs.0.shape", REMOVED, field="spec.model.inputs[0].shape"),
    _refused("there are 65 inputs", "spec.model.inputs", [_TENSOR | {"name": f"x{i}"} for i in range(65)]),
    _refused("two inputs share a name", "spec.model.inputs", [_TENSOR, _TENSOR], field="spec.model.inputs[1]"),
    _refused("a tensor's name holds a blank", "spec.model.inputs.0.name", "the input", field="spec.model.inputs[0].name"),
    _refused("a tensor's name is empty", "spec.model.inputs.0.name", "", field="spec.model.inputs[0].name"),
    _refused("a tensor's name is a boolean", "spec.model.inputs.0.name", True, field="spec.model.inputs[0].name"),
    _refused("an input is a string", "spec.model.inputs.0", "x", field="spec.model.inputs[0]"),
    _refused("a service account is in capitals", "spec.model.serviceAccountName", "Reader"),
    _refused("min is over max", "spec.serving.replicas", {"min": 3, "max": 2}, field="spec.serving.replicas.min"),
    _refused("min is zero", "spec.serving.replicas.min", 0),
    _refused("min is negative", "spec.serving.replicas.min", -1),
    _refused("min is a string", "spec.serving.replicas.min", "2"),
    _refused("min is a fraction", "spec.serving.replicas.min", 1.5),
    _refused("min is a boolean", "spec.serving.replicas.min", True),
    _refused("max is too large", "spec.serving.replicas.max", 1001),
    _refused("replicas is a number", "spec.serving.replicas", 2),
    _refused("a header with a space", "spec.traffic.unit", {"header": "x user"}, field="spec.traffic.unit.header"),
    _refused("a unit without a header", "spec.traffic.unit", {"onMissing": "Stable"}, field="spec.traffic.unit.header"),
    _refused("no time at all", "spec.traffic.limits.timeoutMilliseconds", 0),
    _refused("steps that fall", "spec.traffic.rollout.steps", [{"percent": 10}, {"percent": 1}], field="spec.traffic.rollout"),
    _refused("steps that stand still", "spec.traffic.rollout.steps", [{"percent": 10}, {"percent": 10}], field="spec.traffic.rollout"),
    _refused("no steps", "spec.traffic.rollout.steps", []),
    _refused("a step for everybody", "spec.traffic.rollout.steps", [{"percent": 1}, {"percent": 100}], field="spec.traffic.rollout.steps[1].percent"),
    _refused(
        "a step that is to detect nothing",
        "spec.traffic.rollout.steps",
        [{"percent": 1}, {"percent": 2, "detect": "0"}],
        field="spec.traffic.rollout.steps[1]",
    ),
    _refused("a share in percent", "spec.traffic.rollout.falseRollbackProbability", "1%"),
    _refused("a share as a number", "spec.traffic.rollout.falseRollbackProbability", 0.01),
    _refused("certainty", "spec.traffic.rollout.falseRollbackProbability", "0", field="spec.traffic.rollout"),
    _refused("worse than a coin", "spec.traffic.rollout.falseRollbackProbability", "0.5", field="spec.traffic.rollout"),
    _refused(
        "errors bounded in percent",
        "spec.traffic.rollout.guardrails",
        [{"metric": "ErrorRate", "maxIncreasePercent": 5}],
        field="spec.traffic.rollout.guardrails[0]",
    ),
    _refused(
        "latency bounded in shares",
        "spec.traffic.rollout.guardrails",
        [{"metric": "LatencyP95", "maxIncrease": "0.1"}],
        field="spec.traffic.rollout.guardrails[0]",
    ),
    _refused(
        "a guardrail twice",
        "spec.traffic.rollout.guardrails",
        [{"metric": "ErrorRate", "maxIncrease": "0.1"}, {"metric": "ErrorRate", "maxIncrease": "0.2"}],
        field="spec.traffic.rollout.guardrails[1]",
    ),
    _refused("a quantity has an unknown suffix", "spec.serving.resources.requests.memory", "1GB"),
    _refused("a quantity is a negative number", "spec.serving.resources.requests.cpu", -1),
    _refused("a quantity is a negative string", "spec.serving.resources.requests.cpu", "-1"),
    _refused("a quantity is a fraction", "spec.serving.resources.limits.cpu", 0.5),
    _refused("a quantity is a list", "spec.serving.resources.limits.cpu", ["1"]),
    _refused("a quantity is empty", "spec.serving.resources.limits.cpu", ""),
    _refused("there are nine resources", "spec.serving.resources.requests", {f"r{i}": 1 for i in range(9)}),
    _refused("an accelerator has no type", "spec.serving.accelerator", {"count": 1}, field="spec.serving.accelerator.type"),
    _refused("an accelerator has no vendor", "spec.serving.accelerator", {"type": "gpu"}, field="spec.serving.accelerator.type"),
    _refused(
        "there are no accelerators of a type",
        "spec.serving.accelerator",
        {"type": "nvidia.com/gpu", "count": 0},
        field="spec.serving.accelerator.count",
    ),
    _refused("a batch has no size", "spec.serving.batching", {}, field="spec.serving.batching.maxBatchSize"),
    _refused("a batch is of size zero", "spec.serving.batching.maxBatchSize", 0),
    _refused(
        "a delay is negative",
        "spec.serving.batching",
        {"maxBatchSize": 8, "maxQueueDelayMicroseconds": -1},
        field="spec.serving.batching.maxQueueDelayMicroseconds",
    ),
    _refused("a cache has no size", "spec.serving.responseCache", {}, field="spec.serving.responseCache.sizeMebibytes"),
    _refused("history is too long", "spec.serving.revisionHistoryLimit", 11),
    _refused("a runtime's name is in capitals", "spec.serving.runtime", "Triton"),
    _refused("a node label is a boolean", "spec.serving.pod.nodeSelector.gpu", True),
    _refused("a node label is too long", "spec.serving.pod.nodeSelector.gpu", "x" * 64),
    _refused("a toleration is a string", "spec.serving.pod.tolerations", ["gpu"], field="spec.serving.pod.tolerations[0]"),
    _refused("a variable's name holds a dash", "spec.serving.pod.env", [{"name": "a-b"}], field="spec.serving.pod.env[0].name"),
    _refused("a variable is a number", "spec.serving.pod.env", [{"name": "A", "value": 1}], field="spec.serving.pod.env[0].value"),
    _refused("two variables share a name", "spec.serving.pod.env", [{"name": "A"}, {"name": "A"}], field="spec.serving.pod.env[1]"),
    _refused(
        "two pull secrets share a name",
        "spec.serving.pod.imagePullSecrets",
        [{"name": "a"}, {"name": "a"}],
        field="spec.serving.pod.imagePullSecrets[1]",
    ),
    _refused("suspend is a string", "spec.suspend", "true"),
    _refused("a field beside spec is unknown", "specs", {}),
    _refused("a field of spec is unknown", "spec.modle", {}),
    _refused("a field of an item is unknown", "spec.model.inputs.0.dims", [1], field="spec.model.inputs[0].dims"),
    _refused("a field is written in snake case", "spec.model.service_account_name", "reader"),
    _refused("a field of metadata is unknown", "metadata.lables", {}),
    _refused("a label is a number", "metadata.labels.team", 7, server_field="metadata.labels"),
    _refused("there is no name", "metadata.name", REMOVED),
    _refused("the name is a number", "metadata.name", 7),
    _refused("the name is too long", "metadata.name", "a" * 40),
    _refused("the name begins with a digit", "metadata.name", "7ranker"),
    _refused("the name is in capitals", "metadata.name", "Ranker"),
    _refused("the name holds a dot", "metadata.name", "ranker.v7"),
)

ACCEPTED: Final[dict[str, Body]] = {
    "an onnx model with nothing else said": valid(),
    "a python model": builders.manifest(name="ranker", format="python"),
    "a whole repository": triton(),
    "a whole repository with empty lists of tensors": triton() | {"spec": {"model": {**triton()["spec"]["model"], "inputs": [], "outputs": []}}},
    "a name of 39 characters": changed("metadata.name", "a" * 39),
    "a generated name": changed("metadata.generateName", "ranker-", of=changed("metadata.name", REMOVED)),
    "dimensions that vary, and none at all": changed("spec.model.inputs.0.shape", [-1, 3], of=changed("spec.model.outputs.0.shape", [])),
    "only an upper bound of replicas": changed("spec.serving.replicas", {"max": 3}),
    "a rollout of defaults": changed("spec.traffic.rollout", {}),
    "a rollout by time alone": changed("spec.traffic.rollout", {"steps": [{"percent": 5}], "guardrails": []}),
    "a rollout with everything": changed(
        "spec.traffic.rollout",
        {
            "steps": [{"percent": 1, "holdSeconds": 0, "detect": "0.5"}, {"percent": 99, "holdSeconds": 86400}],
            "guardrails": [{"metric": "LatencyP95", "maxIncreasePercent": 10}, {"metric": "ErrorRate", "maxIncrease": "0"}],
            "falseRollbackProbability": "0.49",
            "onFailure": "Pause",
            "progressDeadlineSeconds": 10,
        },
    ),
    "as many replicas at most as at least": changed("spec.serving.replicas", {"min": 3, "max": 3}),
    "quantities as numbers and as strings": changed(
        "spec.serving.resources", {"requests": {"cpu": 1, "memory": "1.5Gi"}, "limits": {"memory": 2_147_483_648}}
    ),
    "nulls where nothing is meant": changed("spec.serving", {"accelerator": None, "replicas": {"max": None, "min": None}}),
    "a toleration in words of its own": changed("spec.serving.pod.tolerations", [{"key": "gpu", "operator": "Exists"}]),
    "a status, which the server ignores": changed("status", {"revision": 7}),
    "labels, annotations and finalizers": changed(
        "metadata",
        {"name": "ranker", "namespace": "shop", "labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["example.com/keep"]},
    ),
    "every field": builders.manifest(
        name="ranker",
        serviceAccountName="models-reader",
        serving={
            "runtime": "slipway-triton-1a2b3c4d",
            "replicas": {"min": 2, "max": 20, "targetCpuUtilizationPercent": 60},
            "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            "accelerator": {"type": "nvidia.com/mig-1g.10gb", "count": 1},
            "batching": {"maxBatchSize": 64, "maxQueueDelayMicroseconds": 500},
            "responseCache": {"sizeMebibytes": 64},
            "revisionHistoryLimit": 0,
            "pod": {
                "nodeSelector": {"gpu": "yes"},
                "tolerations": [{"operator": "Exists"}],
                "topologySpreadConstraints": [{"maxSkew": 1}],
                "imagePullSecrets": [{"name": "registry"}],
                "priorityClassName": "high",
                "env": [{"name": "A", "value": "1"}, {"name": "B"}],
            },
        },
    ),
}
