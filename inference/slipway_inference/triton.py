"""Triton over HTTP on loopback: binary tensors out and in, and what its failures are called here."""

import math
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

import msgspec

from slipway_inference import http1
from slipway_inference.configuration import Configuration
from slipway_inference.connections import Unreachable
from slipway_inference.http1 import Reply
from slipway_inference.protocol import binary, datatypes, elements
from slipway_inference.protocol.datatypes import DATATYPES, Array, Tensors
from slipway_inference.refusals import Refused

READY_S = 2.0
"""How long Triton may take to say that it is ready."""


class _Size(msgspec.Struct):
    binary_data_size: int | None = None


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: _Size | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Answer(msgspec.Struct):
    outputs: list[_Output]


class _Error(msgspec.Struct):
    error: str


class Triton:
    """One model of one Triton."""

    def __init__(self, configuration: Configuration, *, host: str, port: int, timeout_s: float, connections: int) -> None:
        self._connections = http1.connections(host, port, most=connections)
        self._probes = http1.connections(host, port, most=2)
        """Their own: readiness must not wait for its turn behind inferences."""
        self._timeout_s = timeout_s
        self._where = f"/v2/models/{quote(configuration.model, safe='')}"
        self._head = f"POST {self._where}/infer HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/octet-stream\r\n".encode()
        self._ready = f"GET {self._where}/ready HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._index = f"POST /v2/repository/index HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode()
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(_Answer)

    async def infer(self, tensors: Tensors, outputs: Collection[str], trace: bytes) -> Tensors:
        """As ``Model`` has it. Refused: Triton's own 4xx; 502 its 5xx and answers that cannot be read, 503 nobody there, 504 too late."""
        described, parts, size = [], [], 0
        for name, array in tensors.items():
            parts.append(binary.write(array))
            size += len(parts[-1])
            parameters = {"binary_data_size": len(parts[-1])}
            described.append({"name": name, "datatype": _datatype(array), "shape": array.shape, "parameters": parameters})
        wanted = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
        body = self._encoder.encode({"inputs": described, "outputs": wanted})
        lengths = b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n" % (len(body), len(body) + size)
        reply = await self._ask([b"".join((self._head, trace, lengths, b"\r\n", body)), *parts])
        if reply.status != 200:
            raise _failed(reply)
        try:
            return self._read(reply)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, KeyError) as error:
            raise Refused(f"the model's answer cannot be read: {error}", status=502, reason="model") from None

    async def ready(self) -> bool:
        """Whether Triton says that the model is ready."""
        try:
            return (await self._probes.ask([self._ready], timeout_s=READY_S)).status == 200
        except (Unreachable, TimeoutError):
            return False

    async def repository(self) -> tuple[int, Any]:
        """Status and JSON of Triton's index: its models, and why one is not ready. 503 while there is none."""
        try:
            reply = await self._probes.ask([self._index], timeout_s=READY_S)
            return reply.status, msgspec.json.decode(reply.body)
        except (Unreachable, TimeoutError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return 503, Refused(f"the model server has no index: {error}", status=503, reason="unavailable").body

    def close(self) -> None:
        """As ``Model`` has it."""
        self._connections.close()
        self._probes.close()

    async def _ask(self, parts: list[bytes]) -> Reply:
        try:
            return await self._connections.ask(parts, timeout_s=self._timeout_s)
        except Unreachable as error:
            raise Refused(f"the model cannot be reached: {error}", status=503, reason="unavailable") from None
        except TimeoutError:
            raise Refused(f"the model took longer than {self._timeout_s:g} s", status=504, reason="timeout") from None

    def _read(self, reply: Reply) -> Tensors:
        length = reply.headers.get(b"inference-header-content-length")
        view = memoryview(reply.body)
        at = len(view) if length is None else int(length)
        found: Tensors = {}
        for output in self._decoder.decode(view[:at]).outputs:
            size = output.parameters.binary_data_size if output.parameters else None
            found[output.name] = _array(output, view[at : at + (size or 0)])
            at += size or 0
        return found


def _array(output: _Output, data: memoryview) -> Array:
    datatype, count = DATATYPES[output.datatype], math.prod(output.shape)
    if output.data is not msgspec.UNSET:
        flat, _ = elements.read(output.data, datatype, output.shape)
    else:
        flat = binary.read(data, datatype, count=count)
    return flat.reshape(output.shape)


def _datatype(array: Array) -> str:
    datatype = datatypes.of(array)
    assert datatype is not None, array.dtype  # noqa: S101 - inputs are checked against the configuration before
    return datatype.name


def _failed(reply: Reply) -> Refused:
    try:
        said = msgspec.json.decode(reply.body, type=_Error).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = f"it answered {reply.status}"
    if 400 <= reply.status < 500:
        return Refused(said, status=reply.status, reason="model")
    status = 503 if reply.status == 503 else 502
    return Refused(f"the model failed: {said}", status=status, reason="unavailable" if status == 503 else "model")
