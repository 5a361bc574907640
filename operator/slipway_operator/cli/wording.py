"""Pydantic's errors in the words of the API server, so that the same mistake reads the same in an editor and in a terminal."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from slipway_operator.api.structural import Schema
from slipway_operator.cli.documents import Path, Problem

_LONGEST_VALUE_SHOWN = 80

# What is expected instead, from the bounds that pydantic says were crossed.
_BOUNDS = {
    "greater_than_equal": "should be greater than or equal to {ge}",
    "less_than_equal": "should be less than or equal to {le}",
    "string_pattern_mismatch": "should match '{pattern}'",
    "string_too_short": "should be at least {min_length} characters long",
    "string_too_long": "should be at most {max_length} characters long",
    "too_short": "should have at least {min_length} items",
    "too_long": "should have at most {max_length} items",
}


def problem(error: ErrorDetails, *, schema: Schema) -> Problem:
    """The problem that ``error`` is, in an object of ``schema``."""
    path, node, parent = _place(error["loc"], schema=schema)
    match error["type"]:
        case "missing":
            return Problem(path=path, message="Required value")
        case "extra_forbidden":
            return Problem(path=path, message=f"unknown field{_suggestion(str(path[-1]), known=parent.get('properties', {}))}")
        case "value_error":
            sentence = str(error["ctx"]["error"])
            return Problem(path=(*path, *_pointed_at(sentence, node=node)), message=f"Invalid value: {sentence}")
        case "literal_error":
            choices = ", ".join(f'"{choice}"' for choice in node["enum"])
            return Problem(path=path, message=f"Unsupported value: {shown(error['input'])}: supported values: {choices}")
        case _:
            return Problem(path=path, message=f"Invalid value: {shown(error['input'])}: {_expectation(error, node=node)}")


def shown(value: Any) -> str:
    """``value`` as JSON, cut to a length that leaves room for the sentence."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE_SHOWN else f"{text[:_LONGEST_VALUE_SHOWN]}..."


def dotted(path: Path) -> str:
    """``path`` as the API server writes it: ``spec.model.inputs[0].name``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _place(location: Path, *, schema: Schema) -> tuple[Path, Schema, Schema]:
    """The path that ``location`` means, with the schemas there and one step above.

    Pydantic's location may go on after the field, to say which branch of a union it tried; the schema knows where the field ends.
    """
    path: Path = ()
    node, parent = schema, schema
    for step in location:
        inner = node.get("items") if isinstance(step, int) else node.get("properties", {}).get(step) or node.get("additionalProperties")
        if inner is None and "properties" not in node and "items" not in node:
            break
        path, node, parent = (*path, step), inner or {}, node
    return path, node, parent


def _pointed_at(sentence: str, *, node: Schema) -> Path:
    """Where below its object the CEL twin of a rule points; twins share their sentence."""
    twins = [rule for rule in node.get("x-kubernetes-validations", []) if rule["message"] == sentence]
    return tuple(twins[0].get("fieldPath", "").lstrip(".").split(".")) if twins and "fieldPath" in twins[0] else ()


def _expectation(error: ErrorDetails, *, node: Schema) -> str:
    if node.get("x-kubernetes-int-or-string"):
        return 'must be a quantity that is not negative: a whole number, or a string such as "500m" or "2Gi"'
    if bound := _BOUNDS.get(error["type"]):
        return bound.format_map(error["ctx"])
    expected = node.get("type")
    if not expected:
        return error["msg"]
    return f"must be of type {expected}{_quoting_hint(error['input'], expected=expected)}"


def _quoting_hint(value: Any, *, expected: str) -> str:
    if expected != "string" or not isinstance(value, bool | int | float):
        return ""
    kind = "a boolean (y, n, yes, no, on and off are)" if isinstance(value, bool) else "a number"
    return f"; without quotes YAML reads this as {kind}"


def _suggestion(name: str, *, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
