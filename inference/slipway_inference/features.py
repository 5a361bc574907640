"""Rows of the online store become columns of a model's input."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slipway_features import keys
from slipway_features.blob import Reader, Status
from slipway_features.keys import JoinValue
from slipway_features.schema import Schema
from slipway_inference.configuration import Configuration, Entity
from slipway_inference.protocol.datatypes import Array, Tensors
from slipway_inference.refusals import Refused
from slipway_inference.store import Unavailable
from slipway_service import logs

SCHEMA_S = 5.0
"""How often schemas are read anew while rows are stale: somebody has applied another one."""
REASONS = {Status.MISSING: "missing", Status.STALE: "stale", Status.EXPIRED: "expired"}
_log = logging.getLogger(__name__)

Counted = Callable[[str, str, int], None]
"""Told of a view, what was the matter with rows of it, and how many."""


class Store(Protocol):
    """Where rows are."""

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """What is at these keys. Unavailable."""
        ...

    async def ping(self) -> None:
        """See that it would answer now. Unavailable."""
        ...


@dataclass(frozen=True)
class _View:
    """One view: how its keys are made, which columns of it are read, and where these go."""

    name: str
    entity: Entity
    columns: tuple[str, ...]
    places: tuple[int, ...]


@dataclass(frozen=True)
class _Asked:
    """The rows of one request: each key once, however many rows have it."""

    keys: list[bytes]
    """Those of a view follow each other."""

    found_at: dict[str, tuple[slice, NDArray[np.intp]]]
    """By view: where its keys are, and for each row of the request which of them is its own."""


class Features:
    """Made once from the configuration; ``added`` for each request."""

    def __init__(self, configuration: Configuration, *, store: Store, counted: Counted, clock: Callable[[], float] = time.time) -> None:
        assert configuration.features is not None  # noqa: S101
        self._chosen = configuration.features
        self._store = store
        self._counted = counted
        self._clock = clock
        self._default = float(self._chosen.default)
        self._dtype = next(tensor.datatype.numpy for tensor in configuration.inputs if tensor.name == self._chosen.into)
        self._views, self._copied, self._width = _layout(configuration)
        self._readers: Mapping[str, Reader] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[Mapping[str, Reader]] | None = None
        self._seldom = logs.Seldom(_log)

    async def trouble(self) -> str | None:
        """Why requests would not be answered. None where they would: always, where the store's absence is no failure."""
        if self._chosen.on_unavailable == "Default":
            return None
        try:
            if self._views and not self._readers:
                await self._new_readers()
            else:
                await self._store.ping()
        except Unavailable as error:
            return str(error)
        return None

    async def added(self, tensors: Tensors, *, rows: int) -> Tensors:
        """The tensors and the features' input, shape (rows, columns). Refused: 422 where a row must not be missing, 503 without the store."""
        made = np.full((rows, self._width), self._default, np.float64)
        for place, name in self._copied:
            given = tensors[name].reshape(rows, -1)
            made[:, place : place + given.shape[1]] = given
        if self._views:
            try:
                await self._read(made, tensors, rows)
            except Unavailable as error:
                self._seldom.warning("the online store is not there: %s", error)
                for view in self._views:
                    self._counted(view.name, "unavailable", rows)
                if self._chosen.on_unavailable == "Fail":
                    raise Refused(f"the online store is not there: {error}", status=503, reason="store") from None
        with np.errstate(over="ignore"):
            return {**tensors, self._chosen.into: made.astype(self._dtype)}

    async def _read(self, made: Array, tensors: Tensors, rows: int) -> None:
        asked = self._asked(tensors, rows)
        readers = self._readers or await self._new_readers()  # one set for all views, even if another comes meanwhile
        blobs = await self._store.get(asked.keys)
        now_us = int(self._clock() * 1e6)
        for view in self._views:
            here, own = asked.found_at[view.name]
            values, status = readers[view.name].rows(blobs[here], now_us)
            self._count(view, status)
            whole = not status.any() and not np.isnan(values).any()
            made[:, view.places] = (values if whole else self._filled(view, np.asarray(values, np.float64), status))[own]

    def _filled(self, view: _View, values: Array, status: NDArray[np.uint8]) -> Array:
        """Values with something in the place of what is missing: a row, or a value that its row has not."""
        absent = (status != Status.OK)[:, None] | np.isnan(values)
        if self._chosen.on_missing == "Reject" and absent.any():
            row, column = (int(place) for place in np.unravel_index(int(absent.argmax()), absent.shape))
            why = REASONS.get(Status(int(status[row])), "null")
            raise Refused(f"feature {view.columns[column]} of {view.name} is {why}", status=422, reason=why, input=view.entity.keys[0].input)
        return np.where(absent, self._default if self._chosen.on_missing == "Default" else np.nan, values)

    def _count(self, view: _View, status: NDArray[np.uint8]) -> None:
        if not status.any():
            return
        for number, reason in REASONS.items():
            if count := int((status == number).sum()):
                self._counted(view.name, reason, count)
        if (status == Status.STALE).any() and self._clock() - self._read_at >= SCHEMA_S:
            self._readers = {}  # the next request reads the schemas

    def _asked(self, tensors: Tensors, rows: int) -> _Asked:
        places: dict[bytes, int] = {}
        found_at: dict[str, tuple[slice, NDArray[np.intp]]] = {}
        for view in self._views:
            columns = {key.name: _key_values(tensors[key.input].reshape(rows), key.input) for key in view.entity.keys}
            made = (
                keys.row_key(self._chosen.project, view.name, dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)
            )
            start = len(places)
            own = np.fromiter((places.setdefault(key, len(places)) - start for key in made), np.intp, rows)
            found_at[view.name] = slice(start, len(places)), own
        return _Asked(list(places), found_at)

    async def _new_readers(self) -> Mapping[str, Reader]:
        """Asked for once, however many requests wait. Unavailable: a schema is not there, or is another than the configuration was written for."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_schemas())
            self._reading.add_done_callback(self._have_read)
        return await asyncio.shield(self._reading)

    async def _read_schemas(self) -> Mapping[str, Reader]:
        texts = await self._store.get([keys.schema_key(self._chosen.project, view.name) for view in self._views])
        return {view.name: self._reader(view, text) for view, text in zip(self._views, texts, strict=True)}

    def _have_read(self, task: "asyncio.Task[Mapping[str, Reader]]") -> None:
        self._reading = None
        if not task.cancelled() and task.exception() is None:
            self._readers = task.result()
            self._read_at = self._clock()

    def _reader(self, view: _View, text: bytes | None) -> Reader:
        if text is None:
            raise Unavailable(f"it has no view {view.name} of project {self._chosen.project}: run feast apply")
        try:
            schema = Schema.parse(text)
            reader = Reader(schema, view.columns)
        except ValueError as error:
            raise Unavailable(f"its view {view.name} is not what the configuration says: {error}") from None
        for column in schema.columns:
            if column.name in view.columns and not column.is_number:
                raise Unavailable(f"its view {view.name} is not what the configuration says: {column.name} is {column.dtype}, which is no number")
        return reader


def _key_values(given: Array, name: str) -> list[JoinValue]:
    """BYTES are text, as the protocol's JSON has them. Refused (422): a value identifies nothing."""
    if given.dtype.kind == "f" and np.isnan(given).any():
        row = int(np.isnan(given).argmax())
        raise _no_key(name, row, "NaN")
    if given.dtype != object:
        values: list[JoinValue] = given.tolist()
        return values
    texts: list[JoinValue] = []
    for row, value in enumerate(given):
        try:
            texts.append(value.decode())
        except UnicodeDecodeError:
            raise _no_key(name, row, "no UTF-8") from None
    return texts


def _no_key(name: str, row: int, what: str) -> Refused:
    return Refused(
        f"input {name}: row {row} is {what}, which identifies no row of features", status=422, reason="key", input=name, details={"row": row}
    )


def _layout(configuration: Configuration) -> tuple[list[_View], list[tuple[int, str]], int]:
    """The views, the inputs that are copied and where they go, and the columns of all."""
    assert configuration.features is not None  # noqa: S101
    widths = {tensor.name: tensor.width for tensor in configuration.accepted}
    copied: list[tuple[int, str]] = []
    read: dict[str, list[tuple[str, int]]] = {}
    place = 0
    for column in configuration.features.columns:
        if column.input is not None:
            copied.append((place, column.input))
            place += widths[column.input]
        else:
            read.setdefault(column.view or "", []).append((column.feature or "", place))
            place += 1
    views = [
        _View(entity.view, entity, tuple(name for name, _ in read[entity.view]), tuple(at for _, at in read[entity.view]))
        for entity in configuration.features.entities
        if entity.view in read
    ]
    return views, copied, place
