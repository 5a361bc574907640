"""Random specs that the API server would take, made from the schema that it judges by; and the leaves of that schema, one by one."""

import copy
from collections.abc import Iterator
from typing import Any, Final

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from slipway_operator.api import crd
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec
from slipway_testing import transformers

Schema = dict[str, Any]
Path = tuple[str | int, ...]

SPEC: Final[Schema] = crd.crd(crd.MODEL_DEPLOYMENT)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
_MOST: Final = 3
"""Items of a list, entries of a map: more of the same finds nothing new."""

_KEYS: Final = {
    "requests": ["cpu", "memory", "ephemeral-storage"],
    "limits": ["cpu", "memory", "ephemeral-storage"],
    "nodeSelector": ["disk", "zone"],
    "parameters": ["floor", "boost"],
}
_FOREIGN: Final[dict[str, list[dict[str, Any]]]] = {
    "tolerations": [{"key": "gpu", "operator": "Exists"}, {"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"},
        {"maxSkew": 2, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"},
    ],
}


def specs() -> st.SearchStrategy[dict[str, Any]]:
    """spec of a ModelDeployment as a user may write it."""
    return _values(SPEC, name="spec").map(_agreeing)


def examples(count: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of specs, always the same, for tests beside which something else uses ``random``: hypothesis would take that for flakiness."""
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []

    @given(st.tuples(specs(), specs()))
    @settings(derandomize=True, deadline=None, max_examples=count, database=None, phases=[Phase.generate])
    def collect(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
        found.append(pair)

    collect()
    return found


def parsed(written: dict[str, Any]) -> ModelDeploymentSpec:
    """What the operator makes of it."""
    return ModelDeploymentSpec.model_validate(written)


def _values(schema: Schema, *, name: str) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.one_of(st.integers(1, 64), _strings(schema))
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return st.sampled_from(_FOREIGN[name])
    match schema["type"]:
        case "string":
            return _strings(schema)
        case "integer":
            return _integers(schema)
        case "boolean":
            return st.booleans()
        case "array":
            return _lists(schema, name=name)
        case _:
            return _objects(schema, name=name)


def _strings(schema: Schema) -> st.SearchStrategy[str]:
    longest = min(schema.get("maxLength", 16), 24)
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True, alphabet=st.characters(codec="ascii")).filter(lambda text: len(text) <= longest)
    return st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=schema.get("minLength", 0), max_size=longest)


def _integers(schema: Schema) -> st.SearchStrategy[int]:
    return st.integers(schema.get("minimum", 0), schema.get("maximum", 2**31 - 1))


def _lists(schema: Schema, *, name: str) -> st.SearchStrategy[list[Any]]:
    keys = schema.get("x-kubernetes-list-map-keys")
    unique = (lambda item: tuple(item[key] for key in keys)) if keys else None
    return st.lists(_values(schema["items"], name=name), max_size=min(schema["maxItems"], _MOST), unique_by=unique)


def _objects(schema: Schema, *, name: str) -> st.SearchStrategy[dict[str, Any]]:
    if "additionalProperties" in schema:
        return st.dictionaries(st.sampled_from(_KEYS[name]), _values(schema["additionalProperties"], name=name), max_size=_MOST)
    fields = {child: _values(part, name=child) for child, part in schema["properties"].items()}
    needed = schema.get("required", [])
    return st.fixed_dictionaries(
        {child: fields[child] for child in needed}, optional={child: fields[child] for child in fields if child not in needed}
    )


def _agreeing(written: dict[str, Any]) -> dict[str, Any]:
    """The rules between fields, which a schema says in CEL and a strategy must be helped with."""
    serving, traffic = written.get("serving", {}), written.get("traffic", {})
    if "fallback" in traffic:
        traffic["fallback"] = _fallback(traffic["fallback"])
    models = [written["model"], *(traffic[role]["model"] for role in ("shadow", "fallback") if "model" in traffic.get(role, {}))]
    for model in models:
        _with_tensors(model)
    if any(model["format"] == "triton" for model in models):
        serving.pop("batching", None)
        written.pop("transformer", None)
    if "transformer" in written:
        written["transformer"] = transformers.agreeing(written["transformer"], models, serving)
        written["serving"] = serving
    replicas = serving.get("replicas", {})
    if "max" in replicas:
        replicas["min"] = min(replicas.get("min", 1), replicas["max"])
    if "tokens" in traffic:
        traffic["router"] = "Dedicated"
    if "rollout" in traffic:
        traffic["rollout"] = _rollout(traffic["rollout"])
    return written


def _with_tensors(model: dict[str, Any]) -> None:
    for field in ("inputs", "outputs"):
        if model["format"] == "triton":
            model.pop(field, None)
        else:
            model[field] = model.get(field) or [{"name": field, "dtype": "FP32", "shape": [4]}]


def _fallback(written: dict[str, Any]) -> dict[str, Any]:
    """One of its fields; which one follows from what was drawn."""
    return dict([next(iter(sorted(written.items())), ("revision", "Previous"))])


def _rollout(written: dict[str, Any]) -> dict[str, Any]:
    agreeing = {name: value for name, value in written.items() if name != "falseRollbackProbability"}
    if "steps" in written:
        by_percent = {step["percent"]: step for step in written["steps"]} or {1: {"percent": 1}}
        # What is to be detected may be so little that no traffic would show it.
        agreeing["steps"] = [by_percent[percent] | {"detect": "0.05"} for percent in sorted(by_percent)]
    if "guardrails" in written:
        bounds: dict[str, dict[str, Any]] = {"ErrorRate": {"maxIncrease": "0.01"}, "LatencyP95": {"maxIncreasePercent": 30}}
        agreeing["guardrails"] = [{"metric": each["metric"]} | bounds[each["metric"]] for each in written["guardrails"]]
    return agreeing


_OTHER_MODEL: Final[dict[str, Any]] = {
    "format": "onnx",
    "serviceAccountName": "reader",
    "inputs": [{"name": "x", "dtype": "FP32", "shape": [64]}],
    "outputs": [{"name": "label", "dtype": "INT64", "shape": [1]}],
}

FULL: Final[dict[str, Any]] = {
    "model": {
        "uri": "pvc://models/digits/1",
        "format": "onnx",
        "serviceAccountName": "reader",
        "inputs": [{"name": "x", "dtype": "FP32", "shape": [64]}],
        "outputs": [{"name": "label", "dtype": "INT64", "shape": [1]}],
    },
    "serving": {
        "runtime": "slipway-triton",
        "replicas": {"min": 1, "max": 4, "targetCpuUtilizationPercent": 70, "targetPendingRequests": 4, "targetRequestsPerSecond": 90},
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        "accelerator": {"type": "nvidia.com/gpu", "count": 1},
        "batching": {"maxBatchSize": 8, "maxQueueDelayMicroseconds": 100},
        "responseCache": {"sizeMebibytes": 8},
        "revisionHistoryLimit": 3,
        "pod": {
            "nodeSelector": {"disk": "fast"},
            "tolerations": [_FOREIGN["tolerations"][0]],
            "topologySpreadConstraints": [_FOREIGN["topologySpreadConstraints"][0]],
            "imagePullSecrets": [{"name": "registry"}],
            "priorityClassName": "high",
            "env": [{"name": "A", "value": "1"}],
        },
    },
    "traffic": {
        "unit": {"header": "x-user-id", "onMissing": "Stable"},
        "limits": {"timeoutMilliseconds": 500, "bodyMebibytes": 8, "pendingPerPod": 64},
        "rollout": {
            "steps": [{"percent": 5, "holdSeconds": 30, "detect": "0.05"}],
            "guardrails": [{"metric": "ErrorRate", "maxIncrease": "0.01"}],
            "falseRollbackProbability": "0.02",
            "onFailure": "RollBack",
            "progressDeadlineSeconds": 600,
        },
        "shadow": {"model": _OTHER_MODEL | {"uri": "pvc://models/digits/next"}, "percent": 5},
        "fallback": {"model": _OTHER_MODEL | {"uri": "pvc://models/digits/simple"}},
        "router": "Dedicated",
        "tokens": {"name": "keys"},
    },
    "suspend": False,
}
"""A spec with every field set that goes with the others; a transformer goes with few models, and has one of its own."""


def leaves_of_a_transformer() -> Iterator[tuple[Path, Any]]:
    """Each leaf of spec.transformer with another value than ``transformers.WHOLE`` has there."""
    yield from leaves(SPEC["properties"]["transformer"], path=("transformer",), value=transformers.WHOLE["transformer"])


def leaves(schema: Schema = SPEC, *, path: Path = (), value: Any = FULL) -> Iterator[tuple[Path, Any]]:
    """Each leaf of the schema with another value than ``FULL`` has there."""
    if path in transformers.INSTEAD:
        yield transformers.INSTEAD[path]
        return
    if path == ("traffic", "rollout"):
        return  # its fields show while a rollout is under way: test_rollout.py has them
    if path == ("traffic", "router"):
        yield path[:-1], {name: other for name, other in FULL["traffic"].items() if name not in ("router", "tokens")}
        return
    if path == ("traffic", "fallback"):
        # One of its fields excludes the others.
        schema = {"properties": {"model": schema["properties"]["model"]}}
        yield path, {"revision": "Previous"}
        yield path, {"response": {"body": "{}"}}
    if "properties" in schema:
        for name, child in schema["properties"].items():
            if path or name != "transformer":
                yield from leaves(child, path=(*path, name), value=value.get(name))
    elif schema.get("type") == "array":
        yield from leaves(schema["items"], path=(*path, 0), value=value[0])
    elif "additionalProperties" in schema:
        key = next(iter(value))
        yield from leaves(schema["additionalProperties"], path=(*path, key), value=value[key])
    else:
        yield path, _another(schema, path=path, value=value)


def changed(path: Path, value: Any, *, of: dict[str, Any] = FULL) -> dict[str, Any]:
    """``FULL`` with one leaf changed."""
    written: dict[str, Any] = copy.deepcopy(of)
    node: Any = written
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return written


def _another(schema: Schema, *, path: Path, value: Any) -> Any:
    if path == ("model", "format"):
        return "python"  # triton would have to take other fields with it
    if "enum" in schema:
        return next(other for other in schema["enum"] if other != value)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return _FOREIGN[str(path[-2])][1]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1 if value + 1 <= schema.get("maximum", value + 1) else value - 1
    return "2" if schema.get("x-kubernetes-int-or-string") else f"{value}x"
