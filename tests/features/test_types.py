"""Every type of feature and of join key that is stored, and a sentence for those that are not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, Json, Map, Set, String, UnixTimestamp, Uuid
from hypothesis import given
from hypothesis import strategies as st

from features.shop import NOW, Shop
from slipway_feast import views
from slipway_features.blob import Reader, Row, Status, Writer
from slipway_features.schema import Schema
from slipway_testing import feature_rows

MOMENT = datetime(2026, 11, 28, 12, 0, 1, tzinfo=UTC)
TYPES: list[tuple[str, Any, Any]] = [
    ("bool", Bool, True),
    ("int32", Int32, -(2**31)),
    ("int64", Int64, 2**63 - 1),
    ("float32", Float32, 0.10000000149011612),
    ("float64", Float64, 0.1),
    ("string", String, "Köln"),
    ("bytes", Bytes, b"\0\xff"),
    ("unix_timestamp", UnixTimestamp, MOMENT),
    ("bools", Array(Bool), [True, False]),
    ("int32s", Array(Int32), [1, -1]),
    ("int64s", Array(Int64), [2**62]),
    ("float32s", Array(Float32), [0.5, 0.10000000149011612]),
    ("float64s", Array(Float64), [0.1]),
    ("strings", Array(String), ["", "ü"]),
    ("bytess", Array(Bytes), [b"", b"\0"]),
    ("unix_timestamps", Array(UnixTimestamp), [MOMENT, MOMENT]),
]
VALUES = {name: value for name, _, value in TYPES}


def view(shop: Shop, name: str, fields: list[Field], entities: list[Entity]) -> FeatureView:
    source = FileSource(path="data/none.parquet", timestamp_field="ts")
    made = FeatureView(name=name, entities=entities, ttl=timedelta(0), schema=fields, source=source)
    columns = {key: pd.Series(dtype="int64") for entity in entities for key in [entity.join_key]}
    pd.DataFrame(columns | {"ts": pd.Series(dtype="datetime64[us, UTC]")}).to_parquet(shop.folder / "data/none.parquet")
    shop.store().apply([*entities, made])
    return made


def test_every_type_comes_back(shop: Shop) -> None:
    entity = Entity(name="thing", join_keys=["thing_id"], value_type=ValueType.INT64)
    view(shop, "things", [Field(name=name, dtype=dtype) for name, dtype, _ in TYPES], [entity])
    shop.store().write_to_online_store("things", df=pd.DataFrame([{"thing_id": 1, "ts": NOW, **VALUES}]))

    answer = shop.store().get_online_features(features=[f"things:{name}" for name in VALUES], entity_rows=[{"thing_id": 1}]).to_dict()

    assert {name: answer[name][0] for name in VALUES} == VALUES


def test_every_type_may_be_null(shop: Shop) -> None:
    entity = Entity(name="thing", join_keys=["thing_id"], value_type=ValueType.INT64)
    view(shop, "things", [Field(name=name, dtype=dtype) for name, dtype, _ in TYPES], [entity])
    beside = VALUES | {"int64": 7}  # with a null beside it, pandas makes doubles of integers, before Slipway sees them
    rows = [{"thing_id": 1, "ts": NOW, **dict.fromkeys(VALUES)}, {"thing_id": 2, "ts": NOW, **beside}]
    shop.store().write_to_online_store("things", df=pd.DataFrame(rows))

    answer = shop.store().get_online_features(features=[f"things:{name}" for name in VALUES], entity_rows=[{"thing_id": 1}]).to_dict()

    assert {name: answer[name][0] for name in VALUES} == dict.fromkeys(VALUES)


@given(feature_rows.rows())
def test_a_row_goes_through_feasts_values_unchanged(sample: feature_rows.Sample) -> None:
    dtypes = {column.name: column.dtype for column in sample.schema.columns}
    protos = {name: views.proto(value, dtypes[name]) for name, value in sample.values.items()}

    blob = Writer(sample.schema).row(views.python_values(protos, sample.schema), sample.event_us)

    assert Reader(sample.schema, sample.names).values(blob, feature_rows.NOW_US) == Row(Status.OK, sample.event_us, 0, sample.values)


@pytest.mark.parametrize("dtype", [Json, Map, Set(String), Uuid, Array(Array(Float32))])
def test_a_type_that_is_not_stored_is_told_at_apply(shop: Shop, dtype: Any) -> None:
    entity = Entity(name="thing", join_keys=["thing_id"], value_type=ValueType.INT64)

    with pytest.raises(ValueError, match=r"Feature odd of view things is a \w+, which PackedRedisOnlineStore does not store; it stores BOOL, "):
        view(shop, "things", [Field(name="odd", dtype=dtype)], [entity])


@pytest.mark.parametrize(
    ("kind", "dtype", "value", "other"),
    [
        (ValueType.INT32, Int32, 7, 8),
        (ValueType.INT64, Int64, 7, -7),
        (ValueType.STRING, String, "7", "i1:7"),
        (ValueType.BYTES, Bytes, b"\0", b"\0\0"),
        (ValueType.BOOL, Bool, True, False),
        (ValueType.DOUBLE, Float64, 0.1, 0.2),
        (ValueType.FLOAT, Float32, 0.5, 0.25),
    ],
)
def test_rows_are_found_by_join_keys_of_these_types(shop: Shop, kind: ValueType, dtype: Any, value: object, other: object) -> None:
    entity = Entity(name="thing", join_keys=["thing_id"], value_type=kind)
    view(shop, "things", [Field(name="x", dtype=Float32), Field(name="thing_id", dtype=dtype)], [entity])
    shop.store().write_to_online_store("things", df=pd.DataFrame([{"thing_id": value, "ts": NOW, "x": 0.5}]))

    answer = shop.store().get_online_features(features=["things:x"], entity_rows=[{"thing_id": value}, {"thing_id": other}]).to_dict()

    assert answer["x"] == [0.5, None]


def test_a_view_without_entities_has_one_row(shop: Shop) -> None:
    view(shop, "world", [Field(name="x", dtype=Float32)], [])
    shop.store().write_to_online_store("world", df=pd.DataFrame([{"ts": NOW, "x": 0.5}]))

    answer = shop.store().get_online_features(features=["world:x", "user_stats:ctr"], entity_rows=[{"user_id": 1}]).to_dict()

    assert answer["x"] == [0.5]
    assert shop.client.exists(b"slipway:row:shop:world:")


@given(st.datetimes(timezones=st.sampled_from([None, UTC])))
def test_times_keep_their_microseconds(moment: datetime) -> None:
    assert views.moment(views.microseconds(moment)) == moment.replace(tzinfo=UTC)


def test_what_feast_hands_over_in_another_type_is_refused() -> None:
    schema = Schema.of([("x", "float32")])

    with pytest.raises(ValueError, match="Feast hands over a int64 where the view says float32"):
        views.python_values({"x": views.proto(1, "int64")}, schema)
