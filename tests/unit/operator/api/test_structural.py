"""Pydantic models as structural schemas, trap by trap."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from slipway_operator.api import structural
from slipway_operator.api.fields import ATOMIC_LIST, FOREIGN, DnsLabel, Model, Quantity, rules
from slipway_operator.api.structural import SchemaError


class Inner(Model):
    """An inner object."""

    size: int = Field(default=3, ge=0, le=10, description="How large.")
    name: DnsLabel | None = Field(default=None, description="What it is called.")


class Outer(Model):
    """An outer object."""

    inner: Inner = Field(default=Inner(), description="What it holds.", json_schema_extra=rules(("self.size < 9", "size is too large")))


class Recursive(Model):
    """Holds itself."""

    child: "Recursive | None" = Field(default=None, description="Itself.")


def _field(annotation: Any, **field: Any) -> dict[str, Any]:
    """The schema of one field ``x`` of that type."""
    extra = field.pop("json_schema_extra", None)
    model = type("Holder", (Model,), {"__annotations__": {"x": annotation}, "x": Field(description="X.", json_schema_extra=extra, **field)})
    schema: dict[str, Any] = structural.translated(model)["properties"]["x"]
    return schema


def test_references_are_inlined_and_what_stands_at_the_field_wins() -> None:
    assert structural.structural(Outer) == {
        "description": "An outer object.",
        "type": "object",
        "properties": {
            "inner": {
                "description": "What it holds.",
                "type": "object",
                "default": {"size": 3},
                "x-kubernetes-validations": [{"rule": "self.size < 9", "message": "size is too large"}],
                "properties": {
                    "size": {
                        "description": "How large. Default: 3.",
                        "type": "integer",
                        "format": "int32",
                        "minimum": 0,
                        "maximum": 10,
                        "default": 3,
                    },
                    "name": {
                        "description": "What it is called.",
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 63,
                        "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
                    },
                },
            }
        },
    }


def test_a_person_reads_description_and_type_first_and_children_last() -> None:
    inner = structural.structural(Outer)["properties"]["inner"]
    assert list(inner) == ["description", "type", "default", "x-kubernetes-validations", "properties"]


def test_an_integer_or_string_keeps_the_bounds_of_both() -> None:
    assert _field(Quantity) == {
        "description": "X.",
        "x-kubernetes-int-or-string": True,
        "minimum": 0,
        "maximum": 2**53,
        "minLength": 1,
        "maxLength": 20,
        "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
    }


def test_an_optional_field_is_optional_and_never_null() -> None:
    assert _field(int | None, default=None) == {"description": "X.", "type": "integer", "format": "int64"}


def test_an_integer_that_may_pass_31_bits_says_so() -> None:
    assert _field(Annotated[int, Field(ge=-1, le=2**31 - 1)])["format"] == "int32"
    assert _field(Annotated[int, Field(ge=-1, le=2**31)])["format"] == "int64"
    assert _field(Annotated[int, Field(le=0)])["format"] == "int64"


def test_exclusive_bounds_are_flags_as_in_openapi_3_0() -> None:
    assert _field(Annotated[int, Field(gt=0, lt=9)]) == {
        "description": "X.",
        "type": "integer",
        "format": "int32",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 9,
        "exclusiveMaximum": True,
    }


def test_a_set_is_a_list_of_type_set() -> None:
    assert _field(frozenset[DnsLabel], max_length=3)["x-kubernetes-list-type"] == "set"


def test_a_single_choice_is_an_enum() -> None:
    assert _field(Literal["a"]) == {"description": "X.", "type": "string", "enum": ["a"]}


def test_an_object_of_another_api_is_kept_whole() -> None:
    assert _field(dict[str, Any], json_schema_extra=FOREIGN) == {
        "description": "X.",
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    }


@pytest.mark.parametrize("empty", [{}, [], ()], ids=["map", "list", "tuple"])
def test_an_empty_default_is_left_out(empty: Any) -> None:
    """It would make has(self.x) true where nobody wrote x."""
    assert "default" not in _field(type(empty), default=empty)


def test_a_default_says_nothing_of_what_is_empty_in_it() -> None:
    assert _field(dict[str, Any], default={"a": {"b": [], "c": None, "d": 1}, "e": {}})["default"] == {"a": {"d": 1}}


def test_false_is_a_default_and_kubectl_explain_says_so() -> None:
    assert _field(bool, default=False) == {"description": "X. Default: false.", "type": "boolean", "default": False}


def test_a_union_that_the_api_server_does_not_know_is_an_error() -> None:
    with pytest.raises(SchemaError, match=r"^x is a union that a structural schema cannot say"):
        _field(int | bool)


def test_a_model_that_holds_itself_is_an_error() -> None:
    with pytest.raises(SchemaError, match=r"child: Recursive holds itself"):
        structural.translated(Recursive)


def test_a_keyword_of_newer_json_schema_is_an_error() -> None:
    with pytest.raises(SchemaError, match=r"^x uses prefixItems, which a structural schema does not have"):
        _field(tuple[int, int], json_schema_extra=ATOMIC_LIST)


@pytest.mark.parametrize(
    ("schema", "defect"),
    [
        ({"type": "string"}, "the root has no maxLength"),
        ({"x-kubernetes-int-or-string": True}, "the root has no maxLength"),
        ({}, "the root has no type"),
        ({"type": "array", "items": {"type": "boolean"}, "maxItems": 1}, "the root has no x-kubernetes-list-type"),
        ({"type": "array", "items": {"type": "boolean"}, "x-kubernetes-list-type": "atomic"}, "the root has no maxItems"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "the root has no maxProperties"),
        ({"type": "object", "maxProperties": 1}, "the root has no additionalProperties"),
        ({"type": "number"}, "the root is a float: two writers round it differently; use an integer or a short string"),
        ({"type": "object", "properties": {"a": {"type": "boolean"}}}, "a has no description"),
        (
            {
                "type": "array",
                "maxItems": 1,
                "x-kubernetes-list-type": "atomic",
                "items": {"type": "object", "properties": {"a": {"description": "A."}}},
            },
            "[].a has no type",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_found(schema: dict[str, Any], defect: str) -> None:
    assert list(structural.defects(schema)) == [defect]


def test_a_model_with_a_defect_gives_no_crd() -> None:
    class Silent(Model):
        """Says nothing of its field."""

        x: int

    with pytest.raises(SchemaError, match=r"^Silent: x has no description$"):
        structural.structural(Silent)
