"""Feast's online store that keeps a row as one blob in Redis."""

import functools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import resources
from typing import Any, Literal

import redis
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import Field

from slipway_feast import views
from slipway_features import keys
from slipway_features.blob import Reader, Row, Status, Writer
from slipway_features.schema import Schema

_ROWS_AT_ONCE = 500
"""Rows per round trip when writing; keys per round trip when deleting."""

_log = logging.getLogger(__name__)

Written = tuple[EntityKey, dict[str, ValueProto], datetime, datetime | None]
Read = tuple[datetime | None, dict[str, ValueProto] | None]


class StoreUnavailable(ConnectionError):
    """Redis does not answer."""


class SchemaChanged(ValueError):
    """Rows are to be written by a definition of the view that has been replaced."""


class PackedRedisOnlineStoreConfig(FeastConfigBaseModel):
    """``online_store`` in feature_store.yaml."""

    type: Literal["slipway_feast.PackedRedisOnlineStore"] = "slipway_feast.PackedRedisOnlineStore"

    connection_string: str = "redis://localhost:6379/0"
    """A URL: redis://, rediss:// for TLS, or unix://. One Redis 6.2 or newer, with replicas if you like; no Redis Cluster."""

    timeout_s: float = Field(default=5.0, gt=0)
    """How long Redis may take to answer, and to be connected to."""


class PackedRedisOnlineStore(OnlineStore):
    """Rows by ``slipway_features.keys``, packed by ``slipway_features.blob``, as Slipway's transformer reads them."""

    def online_write_batch(self, config: RepoConfig, table: Any, data: list[Written], progress: Callable[[int], Any] | None) -> None:
        """Write rows, each unless a later one is there.

        Raises StoreUnavailable; SchemaChanged when ``feast apply`` has changed the view meanwhile; ValueError for what a row cannot hold.
        """
        schema = views.schema(table)
        writer = Writer(schema)
        with _redis(config) as (client, write):
            for start in range(0, len(data), _ROWS_AT_ONCE):
                _claim(client, config.project, table.name, schema)
                batch = data[start : start + _ROWS_AT_ONCE]
                pipeline = client.pipeline(transaction=False)
                for entity, features, event, created in batch:
                    event_us = views.microseconds(event)
                    created_us = views.microseconds(created) if created else 0
                    blob = writer.row(views.python_values(features, schema), event_us, created_us)
                    write(keys=[_key(config.project, table.name, entity)], args=[blob, _expires_ms(schema, event_us)], client=pipeline)
                pipeline.execute()
                if progress:
                    progress(len(batch))

    def online_read(self, config: RepoConfig, table: Any, entity_keys: list[EntityKey], requested_features: list[str] | None = None) -> list[Read]:
        """The rows of entities; (None, None) where there is none, or only one that is expired or of another schema. Raises StoreUnavailable."""
        if not entity_keys:
            return []
        schema = views.schema(table)
        reader = Reader(schema, requested_features or [column.name for column in schema.columns])
        with _redis(config) as (client, _):
            blobs = client.mget([_key(config.project, table.name, entity) for entity in entity_keys])
        now_us = time.time_ns() // 1000
        rows = [reader.values(blob, now_us) for blob in blobs]
        if stale := sum(row.status is Status.STALE for row in rows):
            _log.warning(
                "%d of %d rows of view %s are of another schema and count as missing; feast materialize writes them anew.",
                stale,
                len(rows),
                table.name,
            )
        dtypes = {column.name: column.dtype for column in schema.columns}
        return [_answer(row, dtypes) for row in rows]

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[Any],
        tables_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Any],
        entities_to_keep: Sequence[Any],
        partial: bool,
    ) -> None:
        """Write the schemas of views, and drop those of removed views with all their rows. Raises StoreUnavailable, ValueError."""
        schemas = {table.name: views.schema(table) for table in tables_to_keep if getattr(table, "write_to_online_store", True)}
        with _redis(config) as (client, _):
            for table in tables_to_delete:
                _drop(client, config.project, table.name)
            for name, schema in schemas.items():
                old = client.set(keys.schema_key(config.project, name), schema.json(), get=True)
                if old is not None and _fingerprint(old) != schema.fingerprint:
                    _log.warning("The schema of view %s has changed: its rows count as missing until feast materialize has written them anew.", name)

    def teardown(self, config: RepoConfig, tables: Sequence[Any], entities: Sequence[Any]) -> None:
        """Drop schemas and rows of the views. Raises StoreUnavailable."""
        with _redis(config) as (client, _):
            for table in tables:
                _drop(client, config.project, table.name)


@contextmanager
def _redis(config: RepoConfig) -> Iterator[tuple[Any, Any]]:
    """The client and the script that writes a row; what goes wrong on the way to Redis is told without the password."""
    settings = config.online_store
    client, write = _connection(settings.connection_string, settings.timeout_s)
    try:
        yield client, write
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise StoreUnavailable(f"Redis at {_where(client)} does not answer, so features can be neither read nor written: {error}") from error


@functools.lru_cache(maxsize=16)
def _connection(url: str, timeout_s: float) -> tuple[Any, Any]:
    client = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
    script = resources.files("slipway_feast").joinpath("write.lua").read_text()
    return client, client.register_script(script)


def _where(client: Any) -> str:
    settings = client.connection_pool.connection_kwargs
    return str(settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}")


def _key(project: str, view: str, entity: EntityKey) -> bytes:
    return keys.row_key(project, view, views.join_values(entity))


def _expires_ms(schema: Schema, event_us: int) -> int:
    """When nobody reads the row any more; 0 is never. One millisecond late, for the last moment still counts."""
    return max(1, (event_us + schema.ttl_us) // 1000 + 1) if schema.ttl_us else 0


def _claim(client: Any, project: str, view: str, schema: Schema) -> None:
    """Make sure that what is going to be written is what readers expect; write the schema where Redis has lost it."""
    key = keys.schema_key(project, view)
    if client.set(key, schema.json(), nx=True):
        return
    there = client.get(key)
    if there is not None and _fingerprint(there) != schema.fingerprint:
        raise SchemaChanged(
            f"View {view} of project {project} has another schema by now than these rows: refresh the registry of what writes them,"
            " or run feast apply if this is the newer one."
        )


def _fingerprint(text: bytes) -> bytes:
    try:
        return Schema.parse(text).fingerprint
    except ValueError:
        return b""


def _drop(client: Any, project: str, view: str) -> None:
    """The schema first: who has no schema reads no rows."""
    client.delete(keys.schema_key(project, view))
    found: list[bytes] = []
    for key in client.scan_iter(match=keys.prefix(project, view) + b"*", count=_ROWS_AT_ONCE):
        found.append(key)
        if len(found) == _ROWS_AT_ONCE:
            client.unlink(*found)
            found.clear()
    if found:
        client.unlink(*found)


def _answer(row: Row, dtypes: dict[str, str]) -> Read:
    if row.status is not Status.OK:
        return None, None
    return views.moment(row.event_us), {name: views.proto(value, dtypes[name]) for name, value in row.values.items()}
