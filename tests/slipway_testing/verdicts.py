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


def transformed(**transformer: Any) -> Body:
    """A valid object whose transformer has one feature of a user and the price that the client sends, and what else is given."""
    valid: dict[str, Any] = {
        "request": [{"name": "user", "dtype": "INT64", "shape": [1]}, {"name": "price", "dtype": "FP32", "shape": []}],
        "features": {
            "redis": "redis://redis.shop:6379/0",
            "project": "shop",
            "into": "x",
            "columns": [{"view": "user_stats", "feature": "ctr"}, {"input": "price"}],
            "entities": [{"view": "user_stats", "keys": [{"name": "user_id", "input": "user"}]}],
        },
    }
    return builders.manifest(
        name="ranker",
        inputs=[{"name": "x", "dtype": "FP32", "shape": [2]}],
        outputs=[{"name": "score", "dtype": "FP32", "shape": [1]}, {"name": "text", "dtype": "BYTES", "shape": [1]}],
        serving={"batching": {"maxBatchSize": 8}},
        transformer=valid | transformer,
    )


def _refused(because: str, path: str, value: Any, *, field: str | None = None, server_field: str | None = None, of: Body | None = None) -> Refused:
    field = field or path
    return Refused(because=because, body=changed(path, value, of=of), field=field, server_field=server_field or field)


_TENSOR: Final = {"name": "x", "dtype": "FP32", "shape": [64]}

_REFUSED: Final = (
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
    _refused("a label is a number", "metadata.labels.team", 7, server_field="labels"),
    _refused("there is no name", "metadata.name", REMOVED),
    _refused("the name is a number", "metadata.name", 7, server_field="name"),
    _refused("the name is too long", "metadata.name", "a" * 40),
    _refused("the name begins with a digit", "metadata.name", "7ranker"),
    _refused("the name is in capitals", "metadata.name", "Ranker"),
    _refused("the name holds a dot", "metadata.name", "ranker.v7"),
)

_RULE: Final = {"input": "price"}
_TRANSFORMER: Final = "spec.transformer"


def _wrong(because: str, path: str, value: Any, *, field: str | None = None, **transformer: Any) -> Refused:
    """As ``_refused``, of an object with a transformer; paths begin below spec.transformer."""
    below = f"{_TRANSFORMER}.{path}"
    return _refused(because, below, value, field=below if field is None else f"{_TRANSFORMER}{field}", of=transformed(**transformer))


_REFUSED_TRANSFORMERS: Final = (
    _refused("a transformer before a repository", "spec.transformer", {}, of=triton()),
    _refused(
        "a transformer before the repository of a shadow",
        "spec.traffic.shadow",
        {"model": {"uri": "pvc://models/ranker", "format": "triton"}},
        of=changed("spec.serving", {}, of=changed("spec.transformer", {}, of=valid())),
        field=_TRANSFORMER,
    ),
    _refused(
        "a transformer before the repository of a fallback",
        "spec.traffic.fallback",
        {"model": {"uri": "pvc://models/ranker", "format": "triton"}},
        of=changed("spec.transformer", {}, of=valid()),
        field=_TRANSFORMER,
    ),
    _wrong("an input of a kind that numpy has not", "request", [{"name": "x", "dtype": "BF16", "shape": [2]}], field="", features=None),
    _wrong("an input of no values", "request", [{"name": "x", "dtype": "FP32", "shape": [2, 0]}], field="", features=None),
    _refused("an output of a kind that numpy has not", "spec.model.outputs.1.dtype", "BF16", of=transformed(), field=_TRANSFORMER),
    _wrong("an input twice", "request", [{"name": "x", "dtype": "FP32", "shape": [2]}] * 2, field=".request[1]", features=None),
    _wrong("an input of the model that nothing gives", "features", None, field=""),
    _wrong("a rule about an input that nobody sends", "validation", {"rules": [{"input": "x"}]}),
    _wrong("a rule about an input that the model does not have", "validation", {"rules": [_RULE]}, request=[], features=None),
    _wrong("a rule about nothing", "validation", {"rules": [{"column": 0}]}, field=".validation.rules[0].input"),
    _wrong("a column before the first", "validation", {"rules": [_RULE | {"column": -1}]}, field=".validation.rules[0].column"),
    _wrong("a bound as a number", "validation", {"rules": [_RULE | {"minimum": 1}]}, field=".validation.rules[0].minimum"),
    _wrong("a bound of text", "validation", {"rules": [_RULE | {"maximum": "NaN"}]}, field=".validation.rules[0].maximum"),
    _wrong("no values at all", "validation", {"rules": [_RULE | {"allowed": []}]}, field=".validation.rules[0].allowed"),
    _wrong("a value that is too long", "validation", {"rules": [_RULE | {"allowed": ["1", "x" * 65]}]}, field=".validation.rules[0].allowed[1]"),
    _wrong("an unknown way", "validation", {"onInvalid": "Drop"}, field=".validation.onInvalid"),
    _wrong("an unknown way of a rule", "validation", {"rules": [_RULE | {"onInvalid": "Drop"}]}, field=".validation.rules[0].onInvalid"),
    _wrong("a rule that puts nothing there", "validation", {"rules": [_RULE | {"onInvalid": "Impute"}]}),
    _wrong("rules that put nothing there", "validation", {"onInvalid": "Impute", "rules": [_RULE | {"impute": "0"}, _RULE]}),
    _wrong(
        "a bound of strings",
        "validation",
        {"rules": [{"input": "x", "minimum": "1"}]},
        request=[{"name": "x", "dtype": "BYTES", "shape": [2]}],
        features=None,
    ),
    _wrong("65 rules", "validation", {"rules": [_RULE] * 65}, field=".validation.rules"),
    _wrong("a store of another kind", "features.redis", "http://redis.shop"),
    _wrong("a password in the open", "features.redis", "redis://:secret@redis.shop:6379/0"),
    _wrong("a port that is none", "features.redis", "redis://redis.shop:65536/0"),
    _wrong("a database that is no number", "features.redis", "redis://redis.shop/main"),
    _wrong("features of no project", "features.project", REMOVED),
    _wrong("features into no input", "features.into", "y", field=".features"),
    _refused(
        "features into whole numbers",
        "spec.model.inputs.0.dtype",
        "INT64",
        of=transformed(),
        field="spec.transformer.features",
    ),
    _wrong("features into what is sent", "request.1.name", "x", field=".features"),
    _wrong("features and nothing that is sent", "request", [], field=".features"),
    _wrong("no columns", "features.columns", []),
    _wrong("513 columns", "features.columns", [{"input": "price"}] * 513),
    _wrong("a column of two kinds", "features.columns.0", {"view": "user_stats", "input": "price"}, field=".features.columns[0]"),
    _wrong("a column of no kind", "features.columns.0", {}, field=".features.columns[0]"),
    _wrong("a view without a feature", "features.columns.0", {"view": "user_stats"}, field=".features.columns[0]"),
    _wrong("a column that nobody sends", "features.columns.1.input", "cost", field=".features"),
    _wrong("a key that nobody sends", "features.entities.0.keys.0.input", "account", field=".features"),
    _wrong("a view whose rows cannot be found", "features.columns.0.view", "item_stats", field=".features"),
    _wrong("a view without keys", "features.entities.0.keys", [], field=".features.entities[0].keys"),
    _wrong("a default that is no number", "features.default", "none"),
    _wrong("no time at all", "features.timeoutMilliseconds", 0),
    _refused("features without rows", "spec.serving.batching", REMOVED, of=transformed(), field=_TRANSFORMER),
    _wrong("hooks that nobody has", "hooks", {"class": "shop:Ranker"}),
    _wrong("hooks without a class", "hooks", {"class": "shop"}, field=".hooks.class", image="shop:1"),
    _wrong("a parameter that is a number", "hooks", {"class": "shop:R", "parameters": {"a": 1}}, field=".hooks.parameters.a", image="shop:1"),
    _wrong("labels of no output", "answer", {"output": "y"}),
    _wrong("labels of strings", "answer", {"output": "text"}),
    _wrong("labels of nothing", "answer", {}, field=".answer.output"),
    _wrong("the best none", "answer", {"output": "score", "topK": 0}, field=".answer.topK"),
    _wrong("a threshold of text", "answer", {"output": "score", "threshold": "high"}, field=".answer.threshold"),
    _wrong("a sample beyond all", "log", {"samplePercent": "101"}, field=".log.samplePercent"),
    _wrong("a sample as a number", "log", {"samplePercent": 5}, field=".log.samplePercent"),
    _wrong("a log of nothing", "log", {}, field=".log.samplePercent"),
    _wrong("an image with a blank", "image", "shop ranker"),
    _wrong("resources that are too many", "resources", {"limits": {f"r{i}": 1 for i in range(9)}}, field=".resources.limits"),
)
REFUSED: Final = _REFUSED + _REFUSED_TRANSFORMERS

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
    "a transformer of defaults": changed("spec.transformer", {}),
    "a transformer with features": transformed(),
    "a transformer with hooks, which may give any input and output": transformed(
        features=None, hooks={"class": "shop.hooks:Ranker"}, answer={"output": "made_up"}, image="registry.example.com/shop/ranker@sha256:0a1b"
    ),
    "a transformer with everything": transformed(
        validation={
            "onInvalid": "Flag",
            "rules": [
                {"input": "price", "minimum": "-0.5", "maximum": "1000", "nullable": False, "onInvalid": "Impute", "impute": "0"},
                {"input": "user", "column": 0, "allowed": ["1", "2"]},
            ],
        },
        features=transformed()["spec"]["transformer"]["features"]
        | {"passwordFrom": {"name": "redis"}, "onMissing": "Null", "default": "-1.5", "onUnavailable": "Default", "timeoutMilliseconds": 20},
        hooks={"class": "shop:Ranker", "onError": "Skip", "parameters": {"floor": "0.5"}},
        answer={"output": "score", "labels": ["no", "yes"], "topK": 1, "threshold": "0.25"},
        log={"samplePercent": "0.5"},
        image="shop:1",
        resources={"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}},
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
