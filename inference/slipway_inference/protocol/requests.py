"""Bodies of inferences to tensors: everything that is wrong is Refused with a sentence."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from slipway_inference.configuration import Configuration, Tensor
from slipway_inference.protocol import binary, elements
from slipway_inference.protocol.datatypes import Array, Family, Tensors
from slipway_inference.refusals import Refused
from slipway_service.sentences import quoted, shortened

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _InputParameters(msgspec.Struct, gc=False):
    binary_data_size: int | None = None
    shared_memory_region: str | None = None


class _OutputParameters(msgspec.Struct, gc=False):
    binary_data: bool | None = None
    classification: int | None = None
    shared_memory_region: str | None = None


class _Parameters(msgspec.Struct, gc=False):
    binary_data_output: bool | None = None


class _Output(msgspec.Struct, gc=False):
    name: str
    parameters: _OutputParameters | None = None


class _Input(msgspec.Struct):
    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: _InputParameters | None = None
    data: msgspec.Raw | UnsetType = UNSET


class _Body(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    outputs: list[_Output] | None = None
    parameters: _Parameters | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that the client asked for."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that can be read. Its values may still break a rule."""

    tensors: Tensors
    rows: int
    """1 where the model has no batch dimension."""
    id: str | None = None
    wanted: tuple[Wanted, ...] = ()
    """Empty: every output there is."""
    binary: bool = False
    """How outputs that nobody named are sent."""
    nulls: dict[str, Array] = field(default_factory=dict)
    """Where JSON null stood in inputs that have no NaN, in the shape of the tensor."""


_Decoded: TypeAlias = Any
"""A ``_Body``, or one whose data are lists of the family that all inputs have."""


class Reader:
    """Made once from the configuration; ``read`` for each request."""

    def __init__(self, configuration: Configuration, *, max_rows: int) -> None:
        self._specs = {tensor.name: tensor for tensor in configuration.accepted}
        self._batched = configuration.batched
        self._max_rows = max_rows
        self._may_be_null = {rule.input for rule in configuration.validation.rules} if configuration.validation else set()
        self._exact: msgspec.json.Decoder[_Body] = msgspec.json.Decoder(_Body)
        families = {tensor.datatype.family for tensor in configuration.accepted}
        self._fast = _fast_decoder(families.pop()) if len(families) == 1 else None

    def read(self, body: bytes, *, header_length: int | None = None) -> Request:
        """The request. ``header_length``: of the JSON before binary tensors; None where all of it is JSON. Refused: it cannot be read."""
        _need_utf8(body if header_length is None else body[: max(header_length, 0)])
        if header_length is not None:
            return self._binary(body, header_length)
        if self._fast is not None:
            try:
                return self._request(self._fast.decode(body), _packed)
            except (*_UNREADABLE, _NotSimple):
                pass  # once more, slowly: nested, null, or wrong in a way that has to be told
        return self._request(self._decoded(body), _parsed)

    def _decoded(self, body: bytes | memoryview) -> _Decoded:
        try:
            return self._exact.decode(body)
        except msgspec.ValidationError as error:
            raise Refused(f"the body is no inference request: {error}", reason="request") from None
        except RecursionError:
            raise Refused("the body is nested too deeply", reason="json") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(f"the body is no JSON that can be read: {error}", reason="json") from None

    def _binary(self, body: bytes, header_length: int) -> Request:
        if not 0 < header_length <= len(body):
            raise Refused(
                f"inference-header-content-length is {header_length}, and the body has {len(body)} bytes: it should be the length of its JSON",
                reason="truncated",
            )
        view = memoryview(body)
        rest = _Rest(view[header_length:])
        request = self._request(self._decoded(view[:header_length]), rest.take)
        rest.finish()
        return request

    def _request(self, decoded: _Decoded, take: "_Take") -> Request:
        tensors: Tensors = {}
        nulls: dict[str, Array] = {}
        rows = 0
        for given in decoded.inputs:
            spec = self._spec(given, tensors)
            rows = self._rows(given, spec, rows)
            flat, empty = take(given, spec)
            if len(flat) != math.prod(given.shape):
                raise _wrong(given, f"its data has {len(flat)} elements, and its shape {list(given.shape)} says {math.prod(given.shape)}", "count")
            tensors[spec.name] = flat.reshape(given.shape)
            if empty is not None:
                self._take_nulls(given, spec, empty, nulls)
        if len(tensors) < len(self._specs):
            missing = next(name for name in self._specs if name not in tensors)
            raise Refused(f"input {missing} is missing", reason="missing", input=missing)
        parameters = decoded.parameters
        default = bool(parameters and parameters.binary_data_output)
        wanted = _wanted(decoded.outputs, default) if decoded.outputs else ()
        return Request(tensors=tensors, rows=rows, id=decoded.id, wanted=wanted, binary=default, nulls=nulls)

    def _spec(self, given: _Decoded, earlier: Tensors) -> Tensor:
        spec = self._specs.get(given.name)
        if spec is None:
            raise Refused(
                f"there is no input {quoted(given.name)}: the inputs are {', '.join(self._specs)}", reason="unknown", input=given.name[:512]
            )
        if spec.name in earlier:
            raise _wrong(given, "it is there twice", "duplicate")
        if given.datatype != spec.dtype:
            raise _wrong(given, f"its datatype is {quoted(given.datatype)}, and should be {spec.dtype}", "datatype")
        return spec

    def _rows(self, given: _Decoded, spec: Tensor, earlier: int) -> int:
        """How many rows there are, this input included."""
        shape = given.shape
        sizes = shape[1:] if self._batched else shape
        if (
            len(sizes) != len(spec.shape)
            or ((sizes != spec.shape or -1 in sizes) and not _fits(sizes, spec.shape))
            or (self._batched and (not shape or shape[0] < 1))
        ):
            should = ", ".join([*(["rows"] if self._batched else []), *map(str, spec.shape)])
            raise _wrong(given, f"its shape is {shortened(str(list(shape)))}, and should be [{should}]", "shape")
        rows = shape[0] if self._batched else 1
        if rows > self._max_rows:
            raise _wrong(given, f"it has {rows} rows, and at most {self._max_rows} are taken: send fewer at once", "rows", status=413)
        if earlier not in (0, rows):
            raise _wrong(given, f"it has {rows} rows, and an input before it {earlier}", "rows")
        return rows

    def _take_nulls(self, given: _Decoded, spec: Tensor, empty: Array, nulls: dict[str, Array]) -> None:
        if spec.name not in self._may_be_null:
            raise _wrong(given, f"its data has null among values of {spec.dtype}", "null")
        if spec.datatype.family != "float":
            nulls[spec.name] = empty.reshape(given.shape)


_Take: TypeAlias = Callable[[_Decoded, Tensor], tuple[Array, Array | None]]


class _NotSimple(Exception):
    """The fast path does not know what to do, or what is wrong."""


def _fast_decoder(family: Family) -> msgspec.json.Decoder[Any]:
    """Reads all data in one go as lists of what all inputs have."""
    kind: Any = {"bool": bool, "int": int, "float": float, "str": str}[family]
    given = msgspec.defstruct("_FastInput", [("data", list[kind])], bases=(_FastBase,), kw_only=True)
    body = msgspec.defstruct("_FastBody", [("inputs", list[given])], bases=(_FastBodyBase,), kw_only=True)  # type: ignore[valid-type]
    return msgspec.json.Decoder(body)


class _FastBase(msgspec.Struct, kw_only=True):
    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: _InputParameters | None = None


class _FastBodyBase(msgspec.Struct, kw_only=True):
    id: str | None = None
    outputs: list[_Output] | None = None
    parameters: _Parameters | None = None


def _packed(given: _Decoded, spec: Tensor) -> tuple[Array, None]:
    if given.parameters is not None:
        raise _NotSimple
    try:
        return elements.pack(given.data, spec.datatype), None
    except elements.Wrong:
        raise _NotSimple from None


def _parsed(given: _Decoded, spec: Tensor) -> tuple[Array, Array | None]:
    _no_shared_memory(given)
    if given.parameters and given.parameters.binary_data_size is not None:
        raise _wrong(given, "it is said to be binary, and the header inference-header-content-length is missing", "binary")
    if given.data is UNSET:
        raise _wrong(given, "it has no data", "data")
    try:
        return elements.read(given.data, spec.datatype, given.shape)
    except elements.Wrong as error:
        raise _wrong(given, f"its data {error}", error.reason) from None
    except _UNREADABLE as error:
        raise _wrong(given, f"its data cannot be read: {error}", "json") from None


class _Rest:
    """What comes after the JSON of a body with binary tensors: one after the other, in the order of the inputs."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def take(self, given: _Decoded, spec: Tensor) -> tuple[Array, Array | None]:
        """The next tensor, or the JSON data of one that is not binary."""
        size = given.parameters.binary_data_size if given.parameters else None
        if size is None:
            return _parsed(given, spec)
        _no_shared_memory(given)
        if given.data is not UNSET:
            raise _wrong(given, "it has both data and binary_data_size", "binary")
        left = len(self._data) - self._at
        if not 0 <= size <= left:
            raise _wrong(given, f"its binary_data_size is {size}, and {left} bytes are left of the body", "truncated")
        part = self._data[self._at : self._at + size]
        self._at += size
        try:
            return binary.read(part, spec.datatype, count=math.prod(given.shape)), None
        except binary.Malformed as error:
            raise _wrong(given, f"its data {error}", "count") from None

    def finish(self) -> None:
        """Refused: bytes are left over."""
        if self._at != len(self._data):
            raise Refused(f"{len(self._data) - self._at} bytes at the end of the body belong to no input", reason="sizes")


def _need_utf8(text: bytes) -> None:
    """Refused: it is none. msgspec does not look at the names of fields that it does not know."""
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise Refused(f"the body is no JSON that can be read: {error}", reason="json") from None


def _wanted(outputs: Sequence[_Output], default: bool) -> tuple[Wanted, ...]:
    found: dict[str, Wanted] = {}
    for output in outputs:
        if output.name in found:
            raise Refused(f"output {quoted(output.name)} is asked for twice", reason="duplicate", input=output.name[:512])
        parameters = output.parameters
        if parameters and (parameters.classification is not None or parameters.shared_memory_region is not None):
            raise Refused(f"output {quoted(output.name)}: neither classification nor shared memory is carried", reason="parameters")
        binary_ = parameters.binary_data if parameters else None
        found[output.name] = Wanted(output.name, default if binary_ is None else binary_)
    return tuple(found.values())


def _no_shared_memory(given: _Decoded) -> None:
    if given.parameters and given.parameters.shared_memory_region is not None:
        raise _wrong(given, "shared memory is not carried: send the data", "parameters")


def _fits(sizes: Sequence[int], spec: Sequence[int]) -> bool:
    return all(size >= 0 and should in (size, -1) for size, should in zip(sizes, spec, strict=True))


def _wrong(given: _Decoded, what: str, reason: str, *, status: int = 400) -> Refused:
    return Refused(f"input {shortened(given.name)}: {what}", reason=reason, input=given.name, status=status)
