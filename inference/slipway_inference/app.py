"""Paths, methods and headers: an application for granian's RSGI, which takes 50 µs of processor time for a request where its ASGI takes 65 µs."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from urllib.parse import unquote

import msgspec

from slipway_inference import tracing
from slipway_inference.configuration import Configuration, Tensor
from slipway_inference.inference import Answered, Inference
from slipway_inference.meters import Meters
from slipway_inference.refusals import Refused
from slipway_service import rsgi
from slipway_service.rsgi import CLOSE, JSON, Connection, Headers, Incoming
from slipway_service.sentences import quoted

_HEADER_LENGTH = "inference-header-content-length"
_BINARY = ("content-type", "application/octet-stream")
_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()

Probe: TypeAlias = Callable[[], Awaitable[bool]]
Repository: TypeAlias = Callable[[], Awaitable[tuple[int, Any]]]
"""Status and JSON of the model server's index."""

_INDEX = "/v2/repository/index"


class App:
    """Serves one model."""

    def __init__(
        self,
        configuration: Configuration,
        inference: Inference,
        *,
        counts: Meters,
        ready: Probe,
        body_bytes: int,
        repository: Repository | None = None,
    ) -> None:
        self._model = configuration.model
        self._known = frozenset(tensor.name for tensor in configuration.accepted)
        self._inference = inference
        self._meters = counts
        self._ready = ready
        self._repository = repository
        self._body_bytes = body_bytes
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        own = f"/v2/models/{configuration.model}"
        self._infer = frozenset((f"{own}/infer", f"{own}/versions/1/infer"))
        self._answers: dict[str, Callable[[], Awaitable[tuple[int, Any]]]] = {
            "/v2": _constant({"name": "slipway", "version": "2", "extensions": ["binary_tensor_data"]}),
            "/v2/health/live": _constant({"live": True}),
            "/v2/health/ready": self._readiness,
            **{f"{own}{version}": _constant(_metadata(configuration)) for version in ("", "/versions/1")},
            **{f"{own}{version}/ready": self._readiness for version in ("", "/versions/1")},
        }

    def drain(self) -> None:
        """From now on: not ready, and every answer is the last one on its connection."""
        self._draining = True

    async def idle(self) -> None:
        """Wait until no request is under way."""
        await self._idle.wait()

    async def __rsgi__(self, scope: Incoming, connection: Connection) -> None:
        """One request. Never raises: granian would answer without a sentence."""
        if scope.path in self._infer and scope.method == "POST":
            await self._infer_one(scope, connection)
        else:
            status, body, headers = await self._other(scope)
            self._respond(connection, status, headers, b"" if scope.method == "HEAD" else _encoder.encode(body))

    async def _infer_one(self, scope: Incoming, connection: Connection) -> None:
        counts = self._meters
        began = time.perf_counter()
        counts.under_way += 1
        self._idle.clear()
        try:
            status, headers, body = await self._answered(scope, connection)
            counts.requests[str(status)] += 1
            counts.seconds.add(time.perf_counter() - began)
            self._respond(connection, status, headers, body)
        finally:
            counts.under_way -= 1
            if not counts.under_way:
                self._idle.set()

    async def _answered(self, scope: Incoming, connection: Connection) -> tuple[int, Headers, bytes]:
        get = scope.headers.get
        try:
            length = _kind(get("content-type"), get(_HEADER_LENGTH))
            body = await self._body(get("content-length"), connection)
            parent = get("traceparent")
            trace = tracing.headers(parent, get("tracestate")) if parent else b""
            answered = await self._inference.answer(body, header_length=length, trace=trace)
        except Refused as refused:
            self._meters.refuse(refused, self._known)
            headers = [JSON, ("retry-after", "1")] if refused.status == 503 else [JSON]
            return refused.status, headers, _encoder.encode(refused.body)
        except Exception:  # a fault of ours: the client learns that it is, and the log where
            _log.exception("an inference failed")
            fault = Refused("the transformer failed at this request; its log says why", status=500, reason="fault")
            self._meters.refuse(fault, self._known)
            return 500, [JSON], _encoder.encode(fault.body)
        return 200, _headers(answered), answered.answer.body

    async def _body(self, length: str | None, connection: Connection) -> bytes:
        """Refused: it is too long, or ends too early."""
        try:
            return await rsgi.body(connection, length, most=self._body_bytes)
        except rsgi.TooLong:
            too_long = f"the body is longer than {self._body_bytes} bytes: send fewer rows at once"
            raise Refused(too_long, status=413, reason="body") from None
        except rsgi.Truncated:
            raise Refused("the body ends before its end", reason="truncated") from None

    async def _other(self, scope: Incoming) -> tuple[int, Any, Headers]:
        if scope.path == _INDEX and scope.method == "POST" and self._repository:
            status, body = await self._repository()  # by which the operator learns why a model does not load; routers pass no client on to it
            return status, body, [JSON]
        found = self._answers.get(scope.path) or self._answers.get(unquote(scope.path))
        if found is None:
            if scope.path in self._infer or (scope.path == _INDEX and self._repository):
                return 405, _error(f"{quoted(scope.method)} is not allowed here: use POST", "method"), [JSON, ("allow", "POST")]
            return 404, _error(f"there is nothing at this path: use /v2/models/{self._model}/infer", "path"), [JSON]
        if scope.method not in ("GET", "HEAD"):
            return 405, _error(f"{quoted(scope.method)} is not allowed here: use GET", "method"), [JSON, ("allow", "GET, HEAD")]
        status, body = await found()
        return status, body, [JSON]

    async def _readiness(self) -> tuple[int, Any]:
        ready = not self._draining and await self._ready()
        return (200 if ready else 503), {"name": self._model, "ready": ready}

    def _respond(self, connection: Connection, status: int, headers: Headers, body: bytes) -> None:
        connection.response_bytes(status, [*headers, CLOSE] if self._draining else headers, body)


def _kind(content_type: str | None, header_length: str | None) -> int | None:
    """The length of the JSON before binary tensors; None where all of the body is JSON. Refused: it is neither."""
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit() and len(header_length) < 16):
            raise Refused(f"{_HEADER_LENGTH} is {quoted(header_length)}: it should be a number of bytes", reason="header")
        return int(header_length)
    if content_type is None or content_type.partition(";")[0].strip().lower() == "application/json":
        return None
    if content_type.partition(";")[0].strip().lower() == "application/octet-stream":
        raise Refused(f"binary tensors need the header {_HEADER_LENGTH}", reason="header")
    raise Refused(
        f"content-type is {quoted(content_type)}: use application/json, or application/octet-stream with {_HEADER_LENGTH}",
        status=415,
        reason="content-type",
    )


def _headers(answered: Answered) -> Headers:
    length = answered.answer.header_length
    headers = [JSON] if length is None else [_BINARY, (_HEADER_LENGTH, str(length))]
    if answered.flags:
        headers.append(("x-slipway-flags", answered.flags))
    return headers


def _constant(body: Any) -> Callable[[], Awaitable[tuple[int, Any]]]:
    async def answer() -> tuple[int, Any]:
        return 200, body

    return answer


def _metadata(configuration: Configuration) -> dict[str, Any]:
    batch = [-1] if configuration.batched else []

    def described(tensors: tuple[Tensor, ...]) -> list[dict[str, Any]]:
        return [{"name": tensor.name, "datatype": tensor.dtype, "shape": [*batch, *tensor.shape]} for tensor in tensors]

    return {
        "name": configuration.model,
        "versions": ["1"],
        "platform": "slipway",
        "inputs": described(configuration.accepted),
        "outputs": described(configuration.outputs),
    }


def _error(text: str, reason: str) -> dict[str, Any]:
    return Refused(text, reason=reason).body
