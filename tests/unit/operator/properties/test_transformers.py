"""What the operator writes for transformers is what they read: whatever a spec says, it is refused with the spec or served."""

import copy
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
from hypothesis import given, settings

from slipway_inference import configuration_file
from slipway_inference.configuration import ConfigurationError
from slipway_inference.store import Store
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec
from slipway_operator.render import revision as objects
from slipway_testing import builders, strategies, transformers, verdicts

thorough = settings(derandomize=True, deadline=None, max_examples=300, database=None)


def rendered(spec: ModelDeploymentSpec) -> bytes:
    """transformer.json, as the container finds it."""
    made = builders.revision(spec)
    return bytes(objects.config_map(made, owner=builders.identity())["data"]["transformer.json"], "utf-8")


def read(spec: ModelDeploymentSpec) -> None:
    """As the transformer does when it starts. ConfigurationError, or whatever else would end it."""
    found = configuration_file.parse(rendered(spec))
    if found.features:
        Store(found.features.redis, timeout_s=1)


@given(strategies.specs())
@thorough
def test_a_random_transformer_is_read(written: dict[str, Any]) -> None:
    spec = strategies.parsed(written)
    if spec.transformer is not None:
        read(spec)


@pytest.mark.parametrize("case", [name for name, body in verdicts.ACCEPTED.items() if "transformer" in body["spec"]])
def test_an_accepted_transformer_is_read(case: str) -> None:
    read(strategies.parsed(verdicts.ACCEPTED[case]["spec"]))


NAMES = ("x", "z", "spare", "user", "price", "score", "user_stats", "spare_stats", "nobody")
VALUES: tuple[Any, ...] = (
    *NAMES, "FP32", "FP64", "FP16", "INT8", "UINT64", "BOOL", "BYTES", "BF16", "Impute", "Reject", "Default", "0", "-1", "0.5", "300", "70000",
    "18446744073709551615", "true", "abc", "1e3", "100", "100.5", "", 0, 1, 2, 7, -1, 1000, True, False, None, [], [1], [2], [-1], [0], ["a", "b"],
    ["1", "true"], {}, "redis://a:1", "redis://user@a", "rediss://a.b:65535/15", "redis://a:99999", "redis://a..b", "unix://a", "m:C", "1:C",
)  # fmt: skip


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a value, and each of its keys."""
    for key, child in list(node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()):
        yield node, key
        yield from places(child)


def spoiled(dice: random.Random) -> dict[str, Any]:
    """The whole transformer with a few things changed or taken away, which may do or not."""
    written = copy.deepcopy(transformers.WHOLE)
    for part in ("validation", "features", "hooks", "answer", "log", "request"):
        if dice.random() < 0.2:
            del written["transformer"][part]
    for _ in range(dice.choice((1, 1, 2, 3))):
        node, key = dice.choice(list(places(written)))
        if dice.random() < 0.2:
            del node[key]
        elif isinstance(node, list) and dice.random() < 0.3:
            node.append(copy.deepcopy(node[key]))
        else:
            node[key] = copy.deepcopy(dice.choice(VALUES))
    return written


def unique(written: dict[str, Any]) -> bool:
    """Whether keyed lists have no key twice, which the API server and ``slipway validate`` see to."""
    transformer = written.get("transformer", {})
    tensors = [written["model"].get("inputs", []), written["model"].get("outputs", []), transformer.get("request", [])]
    keys = [[tensor["name"] for tensor in some] for some in tensors]
    keys.append([entity["view"] for entity in (transformer.get("features") or {}).get("entities", [])])
    return all(len(set(some)) == len(some) for some in keys)


def test_a_spoiled_transformer_is_refused_with_its_spec_or_read() -> None:
    dice, told = random.Random(20261129), Counter[str]()  # noqa: S311
    for _ in range(20_000):
        written = spoiled(dice)
        try:
            spec = ModelDeploymentSpec.model_validate(written)
        except pydantic.ValidationError:
            told["refused"] += 1
            continue
        if spec.transformer is None or not unique(written):
            continue
        told["read"] += 1
        try:
            read(spec)
        except ConfigurationError as error:
            raise AssertionError(f"{error} {written}") from error
    assert min(told.values()) > 1_000, told


BEYOND_CEL: dict[str, tuple[dict[str, Any], str]] = {
    "a column that is not there": (
        {"validation": {"rules": [{"input": "price", "column": 1}]}},
        "transformer.validation.rules[0]: price has 1 values a row, so there is no column 1",
    ),
    "a whole number that is a fraction": (
        {"validation": {"rules": [{"input": "user", "allowed": ["1", "1.5"]}]}},
        "transformer.validation.rules[0]: allowed holds '1.5', which is no INT64",
    ),
    "a whole number beyond its type": (
        {"validation": {"rules": [{"input": "user", "impute": "9223372036854775808"}]}},
        "transformer.validation.rules[0]: impute holds '9223372036854775808', which is no INT64",
    ),
    "a number that is none": (
        {"validation": {"rules": [{"input": "price", "impute": "nan"}]}},
        "transformer.validation.rules[0]: impute holds 'nan', which is no FP32",
    ),
    "a truth that is none": (
        {"request": [{"name": "x", "dtype": "BOOL", "shape": [2]}], "features": None, "validation": {"rules": [{"input": "x", "allowed": ["1"]}]}},
        "transformer.validation.rules[0]: allowed holds '1', which is no BOOL",
    ),
    "a key of two values": (
        {"request": [{"name": "user", "dtype": "INT64", "shape": [2]}, {"name": "price", "dtype": "FP32", "shape": [1]}]},
        "transformer.features.entities: user_stats takes user_id from user, which has not one value a row",
    ),
    "a column of any size": (
        {"request": [{"name": "user", "dtype": "INT64", "shape": [1]}, {"name": "price", "dtype": "FP32", "shape": [-1]}]},
        "transformer.features.columns[1]: the input has no numbers of a fixed size",
    ),
    "columns that do not add up": (
        {"request": [{"name": "user", "dtype": "INT64", "shape": [1]}, {"name": "price", "dtype": "FP32", "shape": [2]}]},
        "transformer.features.columns give 3 values, and x takes 2",
    ),
    "three labels of yes and no": (
        {"answer": {"output": "score", "labels": ["no", "maybe", "yes"]}},
        "transformer.answer has 3 labels, and score takes 2",
    ),
}


@pytest.mark.parametrize("case", BEYOND_CEL)
def test_what_cel_cannot_say_is_refused_by_the_operator_in_a_sentence(case: str) -> None:
    changes, sentence = BEYOND_CEL[case]

    with pytest.raises(pydantic.ValidationError) as refused:
        strategies.parsed(verdicts.transformed(**changes)["spec"])

    assert [str(error["ctx"]["error"]) for error in refused.value.errors()] == [sentence]


@pytest.mark.parametrize("role", ["shadow", "fallback"])
def test_a_model_beside_must_take_what_the_transformer_gives(role: str) -> None:
    body = verdicts.transformed()
    other = {**body["spec"]["model"], "uri": "pvc://models/other"}
    written = verdicts.changed(f"spec.traffic.{role}", {"model": other}, of=body)
    assert strategies.parsed(written["spec"]).transformer is not None

    other["inputs"] = [{"name": "y", "dtype": "FP32", "shape": [2]}]
    with pytest.raises(pydantic.ValidationError, match=r"features\.into is an input of the model"):
        strategies.parsed(verdicts.changed(f"spec.traffic.{role}", {"model": other}, of=body)["spec"])
