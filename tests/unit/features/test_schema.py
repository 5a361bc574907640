"""Schemas: what they say of rows, and how they stand in Redis."""

import json
from typing import Any

import pytest
from hypothesis import given

from slipway_features.schema import Schema
from slipway_testing import feature_rows

SCHEMA = Schema.of([("ctr", "float32"), ("tags", "list[string]")], ttl_s=3600)
TEXT = (
    b'{"fingerprint": "41b121bdaefb3d66", "ttl_s": 3600, "columns": [{"name": "ctr", "dtype": "float32"}, {"name": "tags", "dtype": "list[string]"}]}'
)


def test_a_schema_stands_in_redis_as_json() -> None:
    assert SCHEMA.json() == TEXT
    assert Schema.parse(TEXT) == SCHEMA


@given(feature_rows.schemas())
def test_every_schema_comes_back(schema: Schema) -> None:
    assert Schema.parse(schema.json()) == schema


@pytest.mark.parametrize(
    "other",
    [
        [("tags", "list[string]"), ("ctr", "float32")],
        [("ctr", "float64"), ("tags", "list[string]")],
        [("ctr2", "float32"), ("tags", "list[string]")],
        [("ctr", "float32")],
    ],
    ids=["order", "dtype", "name", "number"],
)
def test_the_fingerprint_tells_columns_apart(other: list[tuple[str, str]]) -> None:
    assert Schema.of(other, ttl_s=3600).fingerprint != SCHEMA.fingerprint


def test_the_fingerprint_is_not_of_the_ttl() -> None:
    assert Schema(SCHEMA.columns, ttl_s=1).fingerprint == SCHEMA.fingerprint


def broken(**changes: Any) -> bytes:
    return json.dumps(json.loads(TEXT) | changes).encode()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "this is no schema of feature rows"),
        (b"[]", "this is no schema of feature rows"),
        (b"\xff", "this is no schema of feature rows"),
        (broken(columns=[{"name": "ctr"}]), "this is no schema of feature rows"),
        (broken(ttl_s="soon"), "this is no schema of feature rows"),
        (broken(ttl_s=-1), "a TTL of -1.0 seconds is none"),
        (broken(columns=[]), "the schema says fingerprint 41b121bdaefb3d66 and its columns have"),
        (broken(columns=[{"name": "ctr", "dtype": "int8"}]), "column ctr: 'int8' is no dtype"),
        (broken(columns=[{"name": "", "dtype": "bool"}]), "a column without a name"),
        (broken(columns=[{"name": "a", "dtype": "bool"}] * 2), "columns a are there twice"),
    ],
)
def test_what_is_no_schema_is_refused(text: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}"):
        Schema.parse(text)
