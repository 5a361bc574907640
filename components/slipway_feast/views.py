"""What Feast's views, values and entity keys are in Slipway's terms."""

import datetime
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.value_type import ValueType

from slipway_features.blob import Value
from slipway_features.keys import JoinValue
from slipway_features.schema import Schema

_SCALARS = {
    ValueType.BOOL: ("bool", "bool_val"),
    ValueType.INT32: ("int32", "int32_val"),
    ValueType.INT64: ("int64", "int64_val"),
    ValueType.FLOAT: ("float32", "float_val"),
    ValueType.DOUBLE: ("float64", "double_val"),
    ValueType.STRING: ("string", "string_val"),
    ValueType.BYTES: ("bytes", "bytes_val"),
    ValueType.UNIX_TIMESTAMP: ("unix_timestamp", "unix_timestamp_val"),
}
_DTYPES = {kind.name: dtype for kind, (dtype, _) in _SCALARS.items()} | {
    f"{kind.name}_LIST": f"list[{dtype}]" for kind, (dtype, _) in _SCALARS.items()
}
_FIELDS = dict(_SCALARS.values()) | {f"list[{dtype}]": field.replace("_val", "_list_val") for dtype, field in _SCALARS.values()}

_NO_TIMESTAMP = -(2**63)
"""How Feast writes a timestamp that is null."""

_NO_ENTITY = "__dummy_id"
"""The join key that Feast gives to a view without entities."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


def schema(view: Any) -> Schema:
    """The schema of a feature view's rows: its features by name, for to Feast their order is nothing, and it changes.

    Raises ValueError for a feature of a type that a row cannot hold.
    """
    ttl = getattr(view, "ttl", None) or datetime.timedelta()
    return _schema(view.name, tuple(sorted(_fields(view))), ttl.total_seconds())


def _fields(view: Any) -> Iterator[tuple[str, str]]:
    """Name and value type of each feature."""
    for field in view.features:
        yield field.name, field.dtype.to_value_type().name


@functools.lru_cache(maxsize=1024)
def _schema(view: str, fields: tuple[tuple[str, str], ...], ttl_s: float) -> Schema:
    for name, kind in fields:
        if kind not in _DTYPES:
            known = ", ".join(sorted(_DTYPES))
            raise ValueError(f"Feature {name} of view {view} is a {kind}, which PackedRedisOnlineStore does not store; it stores {known}.")
    return Schema.of([(name, _DTYPES[kind]) for name, kind in fields], ttl_s)


def join_values(key: EntityKey) -> dict[str, JoinValue]:
    """The join keys of an entity. Raises ValueError for one of a type that no row is found by."""
    values: dict[str, JoinValue] = {}
    for name, value in zip(key.join_keys, key.entity_values, strict=True):
        field = value.WhichOneof("val")
        if field not in {known for _, known in _SCALARS.values()}:
            raise ValueError(f"Join key {name} is a {str(field).removesuffix('_val')}; PackedRedisOnlineStore finds rows by scalars only.")
        if name != _NO_ENTITY:
            values[name] = getattr(value, field)
    return values


def python_values(features: Mapping[str, ValueProto], schema: Schema) -> dict[str, Value]:
    """The values of a row that Feast hands over; names that are no features are left out, as join keys are."""
    return {column.name: _python(features[column.name], column.dtype) for column in schema.columns if column.name in features}


def _python(value: ValueProto, dtype: str) -> Value:
    field = value.WhichOneof("val")
    if field in {None, "null_val"}:
        return None
    if field != _FIELDS[dtype]:
        raise ValueError(f"Feast hands over a {field.removesuffix('_val')} where the view says {dtype}.")
    found = getattr(value, field)
    if dtype.startswith("list["):
        return list(found.val)
    return None if dtype == "unix_timestamp" and found == _NO_TIMESTAMP else found


def proto(value: Value, dtype: str) -> ValueProto:
    """A value as Feast wants it."""
    made = ValueProto()
    if isinstance(value, list):
        # Setting the empty list says that there is one.
        target = getattr(made, _FIELDS[dtype])
        target.SetInParent()
        target.val.extend(value)
    elif value is not None:
        setattr(made, _FIELDS[dtype], value)
    return made


def microseconds(moment: datetime.datetime) -> int:
    """Since 1970; a moment without a time zone is UTC, as Feast has it."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return (aware - _EPOCH) // _MICROSECOND


def moment(us: int) -> datetime.datetime:
    """The moment of so many microseconds since 1970."""
    return _EPOCH + us * _MICROSECOND
