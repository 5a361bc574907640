"""Transformers that fit their models: one with everything, and whatever is made of random fields."""

from typing import Any, Final

Fields = dict[str, Any]
Path = tuple[str | int, ...]

WHOLE: Final[Fields] = {
    "model": {
        "uri": "pvc://models/shop/1",
        "format": "onnx",
        "inputs": [{"name": "x", "dtype": "FP32", "shape": [-1]}, {"name": "z", "dtype": "FP32", "shape": [-1]}],
        "outputs": [{"name": "score", "dtype": "FP32", "shape": [-1]}],
    },
    "serving": {"batching": {"maxBatchSize": 8}},
    "transformer": {
        "request": [
            {"name": "spare", "dtype": "INT64", "shape": [1]},
            {"name": "user", "dtype": "INT64", "shape": [1]},
            {"name": "price", "dtype": "FP32", "shape": [2]},
        ],
        "validation": {
            "onInvalid": "Flag",
            "rules": [
                {
                    "input": "price",
                    "column": 0,
                    "minimum": "0",
                    "maximum": "10",
                    "allowed": ["1", "2"],
                    "nullable": True,
                    "onInvalid": "Impute",
                    "impute": "1",
                }
            ],
        },
        "features": {
            "redis": "redis://redis.shop:6379/0",
            "passwordFrom": {"name": "redis"},
            "project": "shop",
            "into": "x",
            "columns": [{"view": "user_stats", "feature": "ctr"}, {"input": "price"}],
            "entities": [
                {"view": "spare_stats", "keys": [{"name": "user_id", "input": "user"}]},
                {"view": "user_stats", "keys": [{"name": "user_id", "input": "user"}]},
            ],
            "onMissing": "Null",
            "default": "0.5",
            "onUnavailable": "Default",
            "timeoutMilliseconds": 20,
        },
        "hooks": {"class": "shop:Ranker", "onError": "Skip", "parameters": {"floor": "0.5"}},
        "answer": {"output": "score", "labels": ["no", "yes"], "topK": 1, "threshold": "0.5"},
        "log": {"samplePercent": "5"},
        "image": "shop:1",
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
    },
}
"""A spec with every field of a transformer. What is spare in it may be renamed, and its hooks may give any input and output."""

_RULE: Final[Path] = ("transformer", "validation", "rules", 0)
_FEATURES: Final[Path] = ("transformer", "features")
_COLUMN: Final[Path] = (*_FEATURES, "columns", 0)
_KEY: Final[Path] = (*_FEATURES, "entities", 0, "keys", 0, "input")

INSTEAD: Final[dict[Path, tuple[Path, Any]]] = {
    (*_RULE, "input"): ((*_RULE, "input"), "user"),
    (*_RULE, "minimum"): ((*_RULE, "minimum"), "1"),
    (*_RULE, "maximum"): ((*_RULE, "maximum"), "9"),
    (*_RULE, "allowed"): ((*_RULE, "allowed"), ["1"]),
    (*_RULE, "impute"): ((*_RULE, "impute"), "2"),
    (*_FEATURES, "redis"): ((*_FEATURES, "redis"), "redis://redis.shop:6379/1"),
    (*_FEATURES, "into"): ((*_FEATURES, "into"), "z"),
    (*_FEATURES, "default"): ((*_FEATURES, "default"), "1"),
    (*_COLUMN, "view"): ((*_COLUMN, "view"), "spare_stats"),
    (*_COLUMN, "input"): (_COLUMN, {"input": "price"}),
    _KEY: (_KEY, "spare"),
    ("transformer", "log", "samplePercent"): (("transformer", "log", "samplePercent"), "6"),
    ("transformer", "answer", "threshold"): (("transformer", "answer", "threshold"), "0.25"),
}
"""What to change of ``WHOLE`` for a field whose values are not any text."""


def agreeing(written: Fields, models: list[Fields], serving: Fields) -> Fields:
    """``written``, of which only forms are right, so that it fits ``models``, which it makes alike: those of traffic see the same requests."""
    inputs, outputs = _known(models[0]["inputs"]), _known(models[0]["outputs"])
    for model in models:
        model["inputs"], model["outputs"] = inputs, outputs
    given = {name: value for name, value in written.items() if name != "request"}
    request = _known(written.get("request", []))
    if "features" in given:
        serving["batching"] = serving.get("batching") or {"maxBatchSize": 4}
        inputs[0] |= {"dtype": "FP32", "shape": [-1]}
        kept = [tensor for tensor in (*request, *inputs[1:]) if tensor["name"] != inputs[0]["name"]]
        request = list({tensor["name"]: tensor for tensor in (*kept, {"name": "key", "dtype": "INT64", "shape": [1]})}.values())
        given["features"] = _features(given["features"], into=inputs[0]["name"], request=request)
    elif request:
        request = list({tensor["name"]: tensor for tensor in (*request, *inputs)}.values())
    if "validation" in given:
        given["validation"] = _validation(given["validation"], request or inputs)
    if "answer" in given:
        serving["batching"] = serving.get("batching") or {"maxBatchSize": 4}
        outputs[0] |= {"dtype": "FP32", "shape": [-1]}
        given["answer"] = given["answer"] | {"output": outputs[0]["name"]}
    if "hooks" in given:
        given.setdefault("image", "shop:1")
    return given | ({"request": request} if request else {})


def _known(tensors: list[Fields]) -> list[Fields]:
    """Of data types and sizes that a transformer knows."""
    return [
        tensor | {"dtype": tensor["dtype"].replace("BF16", "FP16"), "shape": [size % 1000 + 1 if size >= 0 else size for size in tensor["shape"]]}
        for tensor in tensors
    ]


def _features(written: Fields, *, into: str, request: list[Fields]) -> Fields:
    entities = [entity | {"keys": [{"name": key["name"], "input": "key"} for key in entity["keys"]] or [{"name": "k", "input": "key"}]}
                for entity in written.get("entities", [])]  # fmt: skip
    views = [entity["view"] for entity in entities]
    fixed = [tensor["name"] for tensor in request if tensor["dtype"] != "BYTES" and -1 not in tensor["shape"]]
    columns = [
        {"view": views[place % len(views)], "feature": column["feature"]} if "feature" in column and views else {"input": fixed[place % len(fixed)]}
        for place, column in enumerate(written["columns"] or [{}])
    ]
    return written | {"into": into, "columns": columns, "entities": entities}


def _validation(written: Fields, sent: list[Fields]) -> Fields:
    ruled = [_rule(rule, sent[place % len(sent)]) for place, rule in enumerate(written.get("rules", []))]
    return written | {"rules": ruled}


def _rule(rule: Fields, tensor: Fields) -> Fields:
    """About a tensor, with values that it can hold."""
    dtype = tensor["dtype"]
    numbers = dtype not in ("BOOL", "BYTES")
    value = "true" if dtype == "BOOL" else "7"
    of_numbers = {name: rule[name] for name in ("minimum", "maximum") if name in rule and numbers}
    values = {"allowed": [value]} if "allowed" in rule else {}
    others = {name: rule[name] for name in ("nullable", "onInvalid") if name in rule}
    return {"input": tensor["name"], "impute": value} | of_numbers | values | others | ({"column": 0} if "column" in rule else {})
