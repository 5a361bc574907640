"""Pydantic models to the structural schemas that a CustomResourceDefinition takes.

Pydantic writes JSON Schema 2020-12; the API server takes a subset of OpenAPI 3.0 in which nothing may be left open. The translation refuses what
it cannot say exactly, and ``defects`` lists what the server would accept but a user or the CEL cost estimate would suffer from.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

Schema = dict[str, Any]
Path = tuple[str, ...]

_INT32_MAX = 2**31 - 1
_ITEMS = "[]"
_VALUES = "{}"

# Keywords of the result. Any other that pydantic writes is either translated below or an error, never passed on by chance.
_KEYWORDS = frozenset(
    {
        "additionalProperties", "default", "description", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maxItems",
        "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "pattern", "properties", "required",
        "type", "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys", "x-kubernetes-list-type", "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations",
    }
)  # fmt: skip
_FOR_PEOPLE_ELSEWHERE = ("title", "examples", "propertyNames", "discriminator")


class SchemaError(ValueError):
    """A model says something that a CustomResourceDefinition cannot; the message names the field."""


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of ``model``, every bound and description in place.

    Raises:
        SchemaError: for what cannot be said, and for each of its ``defects``.
    """
    schema = translated(model)
    if found := list(defects(schema)):
        raise SchemaError(f"{model.__name__}: " + "; ".join(found))
    return schema


def translated(model: type[BaseModel]) -> Schema:
    """The schema of ``model`` with references inlined and every default written in full.

    A field of ``T | None`` becomes an optional field: Kubernetes has no use for null beside absent.
    """
    document = model.model_json_schema(schema_generator=_Generator)
    return _Translation(definitions=document.pop("$defs", {})).node(document, path=(), within=())


def defects(schema: Schema, *, path: Path = ()) -> Iterator[str]:
    """Each missing bound, type or description in ``schema``, as a sentence that begins with the field."""
    where = _dotted(path)
    for missing in _missing(schema):
        yield f"{where} has no {missing}"
    if schema.get("type") == "number":
        yield f"{where} is a float: two writers round it differently; use an integer or a short string"
    for name, child in schema.get("properties", {}).items():
        if not child.get("description"):
            yield f"{_dotted((*path, name))} has no description"
        yield from defects(child, path=(*path, name))
    for keyword, step in (("items", _ITEMS), ("additionalProperties", _VALUES)):
        if keyword in schema:
            yield from defects(schema[keyword], path=(*path, step))


def _missing(schema: Schema) -> Iterator[str]:
    int_or_string = schema.get("x-kubernetes-int-or-string", False)
    kind = schema.get("type")
    if not kind and not int_or_string:
        yield "type"
    if (kind == "string" or int_or_string) and "maxLength" not in schema and "enum" not in schema:
        yield "maxLength"
    if kind == "array":
        yield from (keyword for keyword in ("items", "maxItems", "x-kubernetes-list-type") if keyword not in schema)
    if kind == "object" and "properties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        yield from (keyword for keyword in ("additionalProperties", "maxProperties") if keyword not in schema)


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, with defaults as the API server wants them."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, BaseModel):
            dft = dft.model_dump(mode="json", by_alias=True)
        return _without_empty(super().encode_default(dft))


def _without_empty(default: Any) -> Any:
    """``default`` without members that say nothing.

    An empty list or map as a default would only make ``has(self.inputs)`` true for a user who gave none, and fill every stored object.
    """
    if isinstance(default, Mapping):
        members = {name: _without_empty(value) for name, value in default.items()}
        return {name: value for name, value in members.items() if value not in (None, {}, [])}
    if isinstance(default, list | tuple):
        return [_without_empty(item) for item in default]
    return default


class _Translation:
    """One document's translation; holds the definitions that its references point to."""

    def __init__(self, *, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def node(self, raw: Schema, *, path: Path, within: tuple[str, ...]) -> Schema:
        """``raw`` at ``path`` in structural form; ``within`` are the definitions being inlined, to find a model that holds itself."""
        raw = dict(raw)
        while "$ref" in raw or "anyOf" in raw:
            raw, within = self._flattened(raw, path=path, within=within)
        return self._finished(raw, path=path, within=within)

    def _flattened(self, raw: Schema, *, path: Path, within: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """One reference or union less; what stands beside it at the field wins over what the definition says."""
        if "$ref" in raw:
            name = raw.pop("$ref").rpartition("/")[2]
            if name in within:
                raise SchemaError(f"{_dotted(path)}: {name} holds itself, and a structural schema has no references")
            return {**self._definitions[name], **raw}, (*within, name)
        branches = [branch for branch in raw.pop("anyOf") if branch.get("type") != "null"]
        if len(branches) == 1:
            return {**branches[0], **raw}, within
        if {branch.get("type") for branch in branches} == {"integer", "string"} and len(branches) == 2:
            bounds = {keyword: value for branch in branches for keyword, value in branch.items() if keyword not in ("type", "title")}
            return {"x-kubernetes-int-or-string": True, **bounds, **raw}, within
        raise SchemaError(f"{_dotted(path)} is a union that a structural schema cannot say; only T | None and int | str are possible")

    def _finished(self, raw: Schema, *, path: Path, within: tuple[str, ...]) -> Schema:
        for keyword in _FOR_PEOPLE_ELSEWHERE:
            raw.pop(keyword, None)
        if "const" in raw:
            raw["enum"] = [raw.pop("const")]
        if raw.pop("uniqueItems", False):
            raw["x-kubernetes-list-type"] = "set"
        if raw.get("default") in (None, {}, []):
            raw.pop("default", None)
        _default_told(raw)
        _exclusive_bounds_as_flags(raw)
        _with_integer_format(raw)
        self._with_children(raw, path=path, within=within)
        if strange := sorted(set(raw) - _KEYWORDS):
            raise SchemaError(f"{_dotted(path)} uses {', '.join(strange)}, which a structural schema does not have")
        return _in_reading_order(raw)

    def _with_children(self, raw: Schema, *, path: Path, within: tuple[str, ...]) -> None:
        if "properties" in raw:
            raw["properties"] = {name: self.node(child, path=(*path, name), within=within) for name, child in cast(Schema, raw["properties"]).items()}
        if "properties" in raw or isinstance(raw.get("additionalProperties"), bool):
            raw.pop("additionalProperties", None)  # the server drops unknown fields by itself, or keeps them by another keyword
        for keyword, step in (("items", _ITEMS), ("additionalProperties", _VALUES)):
            if raw.get(keyword):
                raw[keyword] = self.node(raw[keyword], path=(*path, step), within=within)


def _default_told(raw: Schema) -> None:
    """``kubectl explain`` shows descriptions and no defaults."""
    default = raw.get("default")
    if default not in (None, "") and not isinstance(default, dict | list) and "description" in raw:
        raw["description"] += f" Default: {json.dumps(default).strip(chr(34))}."


def _exclusive_bounds_as_flags(raw: Schema) -> None:
    """OpenAPI 3.0 says ``minimum: 0, exclusiveMinimum: true`` where JSON Schema says ``exclusiveMinimum: 0``."""
    for inclusive, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in raw:
            raw[inclusive], raw[exclusive] = raw[exclusive], True


def _with_integer_format(raw: Schema) -> None:
    if raw.get("type") == "integer":
        fits = raw.get("minimum", -math.inf) >= -_INT32_MAX and raw.get("maximum", math.inf) <= _INT32_MAX
        raw["format"] = "int32" if fits else "int64"


def _in_reading_order(raw: Schema) -> Schema:
    """Description and type first, children last, the rest by name: the order in which a person reads a CRD."""
    rank = {
        "description": 0,
        "type": 1,
        "x-kubernetes-validations": 3,
        "required": 4,
        "properties": 5,
        "items": 5,
        "additionalProperties": 5,
    }
    return dict(sorted(raw.items(), key=lambda pair: (rank.get(pair[0], 2), pair[0])))


def _dotted(path: Path) -> str:
    return ".".join(path).replace(f".{_ITEMS}", _ITEMS).replace(f".{_VALUES}", _VALUES) or "the root"
