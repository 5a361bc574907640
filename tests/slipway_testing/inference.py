"""The transformer's steps without a socket: a request in, an answer out, and a model that adds up."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from slipway_inference import configuration_file
from slipway_inference.app import App
from slipway_inference.configuration import Configuration
from slipway_inference.features import Features
from slipway_inference.hooks import Hooks
from slipway_inference.inference import Inference, Parts
from slipway_inference.merging import Merger
from slipway_inference.meters import Meters
from slipway_inference.protocol.datatypes import Tensors
from slipway_inference.refusals import Refused
from slipway_service.rsgi import Headers

INFER = "/v2/models/ranker/infer"
BODY_BYTES = 1_000_000


def configured(**changes: Any) -> Configuration:
    """A model of ``x``, four FP32, with one output ``y``; what a test changes is as in transformer.json."""
    chosen = {
        "version": 1,
        "model": "ranker",
        "maxBatchSize": 8,
        "inputs": [{"name": "x", "dtype": "FP32", "shape": [4]}],
        "outputs": [{"name": "y", "dtype": "FP32", "shape": [1]}],
    }
    return configuration_file.parse(json.dumps(chosen | changes).encode())


def tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    """One of the configuration."""
    return {"name": name, "dtype": dtype, "shape": list(shape)}


def given(name: str = "x", datatype: str = "FP32", shape: object = (1, 4), data: object = (1, 2, 3, 4), **more: Any) -> dict[str, Any]:
    """One input of a request."""
    return {"name": name, "datatype": datatype, "shape": shape, "data": data} | more


def asked(*inputs: Mapping[str, Any], **more: Any) -> bytes:
    """A request."""
    return json.dumps({"inputs": inputs or [given()]} | more).encode()


@dataclass
class Adding:
    """A model whose outputs are the sum of a row of the first input; it may fail."""

    calls: list[Tensors] = field(default_factory=list)
    traces: list[bytes] = field(default_factory=list)
    failure: Refused | None = None
    poison: float | None = None
    outputs: Tensors | None = None
    """Instead of the sum."""
    open: asyncio.Event | None = None
    """Calls wait for it."""

    async def infer(self, tensors: Tensors, outputs: Collection[str], trace: bytes) -> Tensors:
        """As ``Model`` has it."""
        self.calls.append(tensors)
        self.traces.append(trace)
        if self.open:
            await self.open.wait()
        values = next(iter(tensors.values()))
        if self.failure or (self.poison is not None and (values == self.poison).any()):
            raise self.failure or Refused("the model failed: poisoned", status=502, reason="model")
        if self.outputs is not None:
            return self.outputs
        if values.dtype == object:
            return dict.fromkeys(outputs, values)
        return dict.fromkeys(outputs, values.reshape(len(values), -1).sum(axis=1, keepdims=True, dtype=values.dtype))

    async def ready(self) -> bool:
        """As ``Model`` has it."""
        return self.failure is None

    def close(self) -> None:
        """As ``Model`` has it."""


@dataclass
class Said:
    """An answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    def output(self, name: str = "y") -> Any:
        """The data of an output."""
        assert self.status == 200, self
        return next(output["data"] for output in self.json["outputs"] if output["name"] == name)


@dataclass
class Scope:
    """What granian says of a request."""

    method: str
    path: str
    headers: dict[str, str]
    query_string: str = ""


class Connection:
    """What granian lets an application do."""

    def __init__(self, body: bytes, *, breaks: bool = False) -> None:
        self._body = body
        self._breaks = breaks
        self.said = Said()

    async def __call__(self) -> bytes:
        if self._breaks:
            raise RuntimeError("the client is gone")
        return self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), 1000):
            yield self._body[start : start + 1000]

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Take the answer, which must be the only one."""
        assert not self.said.status
        self.said = Said(status, dict(headers), body)


class Stage:
    """A transformer with a configuration."""

    def __init__(self, model: Adding | None = None, *, features: Features | None = None, chosen: Configuration | None = None, **changes: Any) -> None:
        self.model = model or Adding()
        self.meters = Meters()
        configuration = chosen or configured(**changes)
        hooks = None
        if configuration.hooks:
            hooks = Hooks(configuration.hooks, batched=configuration.batched, failed=self.meters.hook_failed)
        merger = Merger(self.model, max_batch_size=configuration.max_batch_size, calls=2, connections=32, counted=self.meters.call)
        parts = Parts(configuration=configuration, merger=merger, meters=self.meters, max_rows=100, hooks=hooks, features=features)
        self.app = App(configuration, Inference(parts), counts=self.meters, ready=self.model.ready, body_bytes=BODY_BYTES)

    async def ask(self, body: bytes = b"", *, method: str = "POST", path: str = INFER, breaks: bool = False, **headers: str) -> Said:
        """One request."""
        connection = Connection(body, breaks=breaks)
        await self.app.__rsgi__(Scope(method, path, {name.replace("_", "-"): value for name, value in headers.items()}), connection)
        return connection.said


def with_binary(*inputs: tuple[Mapping[str, Any], bytes], **more: Any) -> tuple[bytes, str]:
    """A body with binary tensors, and the length of its JSON."""
    described = []
    for each, data in inputs:
        without = {name: value for name, value in each.items() if name != "data"}
        described.append({"parameters": {"binary_data_size": len(data)}} | without)
    head = msgspec.json.encode({"inputs": described} | more)
    return head + b"".join(data for _, data in inputs), str(len(head))


def floats(*values: float) -> bytes:
    """As FP32."""
    return np.array(values, "<f4").tobytes()
