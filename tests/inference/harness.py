"""The transformer as a process, a model that does what a test says, and who asks."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from slipway_box import layout
from slipway_testing import loopback
from slipway_testing.loopback import free_port

INFER = "/v2/models/ranker/infer"
WIDTH = 4


def configuration(**changes: Any) -> dict[str, Any]:
    """A model of four numbers and their sum, in batches of up to 8 rows."""
    return {
        "version": 1,
        "model": "ranker",
        "maxBatchSize": 8,
        "inputs": [{"name": "x", "dtype": "FP32", "shape": [WIDTH]}],
        "outputs": [{"name": "y", "dtype": "FP32", "shape": [1]}],
    } | changes


def body(*rows: float, **more: Any) -> bytes:
    """A request: each row is four times a number, whose sum is four times as much."""
    data = [value for row in rows for value in [row] * WIDTH]
    return json.dumps({"inputs": [{"name": "x", "shape": [len(rows), WIDTH], "datatype": "FP32", "data": data}]} | more).encode()


class Answer(loopback.Answer):
    """What came back."""

    def output(self, name: str = "y") -> list[Any]:
        """The data of an output. AssertionError: it was no good answer."""
        assert self.status == 200, self
        return next(list(output["data"]) for output in self.said["outputs"] if output["name"] == name)


class Model:
    """Triton as far as the transformer knows it: one input, whose rows it adds up. ``stop`` and ``start`` are its death and return."""

    def __init__(self) -> None:
        self.port = free_port()
        self.calls: list[int] = []
        """Rows of each."""
        self.heads: list[dict[str, str]] = []
        self.delay_s = 0.0
        self.status = 200
        self.poison: float | None = None
        """A value that makes the whole call fail with 500."""
        self.ready = True
        self.index = b"[]"
        """Of its repository."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def start(self) -> None:
        """Listen."""
        self._server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", self.port), self._loop).result()

    def stop(self) -> None:
        """Be gone at once, with every connection."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _cancel(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
                head = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                sent = await reader.readexactly(int(head.get("content-length", 0)))
                status, headers, answer = await self._answer(first, head, sent)
                writer.write(f"HTTP/1.1 {status} Said\r\n{headers}Content-Length: {len(answer)}\r\n\r\n".encode() + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, first: str, head: Mapping[str, str], sent: bytes) -> tuple[int, str, bytes]:
        if first.startswith("GET"):
            return (200 if self.ready else 400), "", b""
        if first.startswith("POST /v2/repository/index "):
            return 200, "Content-Type: application/json\r\n", self.index
        return await self._infer(head, sent)

    async def _infer(self, head: Mapping[str, str], sent: bytes) -> tuple[int, str, bytes]:
        length = int(head["inference-header-content-length"])
        [given] = json.loads(sent[:length])["inputs"]
        values = np.frombuffer(sent[length:], "<f4").reshape(given["shape"])
        self.calls.append(len(values))
        self.heads.append(dict(head))
        await asyncio.sleep(self.delay_s)
        if self.status != 200 or (self.poison is not None and (values == self.poison).any()):
            status = 500 if self.status == 200 else self.status
            return status, "Content-Type: application/json\r\n", json.dumps({"error": "said by the model"}).encode()
        sums = values.sum(axis=1, dtype="<f4").tobytes()
        output = {"name": "y", "datatype": "FP32", "shape": [len(values), 1], "parameters": {"binary_data_size": len(sums)}}
        said = json.dumps({"model_name": "ranker", "outputs": [output]}).encode()
        return 200, f"Inference-Header-Content-Length: {len(said)}\r\n", said + sums


class Transformer:
    """``python -m slipway_inference`` with a configuration; a context manager that ends it."""

    def __init__(self, folder: Path, model_port: int, chosen: Mapping[str, Any], **settings: object) -> None:
        self.port = free_port()
        self.metrics_port = free_port()
        self.folder = folder
        self._file = folder / "transformer.json"
        self._file.write_text(json.dumps(chosen))
        self._settings = {
            "transformer_config": self._file,
            "host": "127.0.0.1",
            "port": self.port,
            "metrics_port": self.metrics_port,
            "triton_port": model_port,
            "drain_seconds": 0.3,
            "grace_seconds": 5,
        } | settings
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self.end()

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it listens."""
        paths = [layout.REPOSITORY / "inference", layout.REPOSITORY / "components", self.folder]
        environment = {f"SLIPWAY_{name.upper()}": str(value) for name, value in self._settings.items()}
        with (self.folder / "stderr").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "slipway_inference"],
                env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(map(str, paths))},
                cwd=self.folder,
                stderr=log,
            )
        until = time.monotonic() + 20
        while wait and not loopback.accepts(self.port):
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the transformer does not come up: {self.log}")
            time.sleep(0.02)

    def ask_to_end(self) -> None:
        """SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float = 15) -> int:
        """Its exit status."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def end(self) -> int:
        """SIGTERM, and its exit status."""
        self.ask_to_end()
        return self.wait()

    @property
    def log(self) -> str:
        """What it said on stderr."""
        return (self.folder / "stderr").read_text()

    @property
    def resident_mib(self) -> float:
        """Its memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    @property
    def open_sockets(self) -> int:
        """How many it has."""
        found = 0
        for link in Path(f"/proc/{self._process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += os.readlink(link).startswith("socket:")
        return found

    def metric(self, name: str) -> float:
        """The value of a metric with its labels, as it stands in ``/metrics``; 0 where it is not there."""
        text = ask(self.metrics_port, "/metrics", method="GET").body.decode()
        return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.rpartition(" ")[0] == f"slipway_transformer_{name}"), 0.0)

    def infer(self, sent: bytes, **headers: str) -> Answer:
        """One request, on a connection of its own."""
        return ask(self.port, INFER, sent, **headers)

    def get(self, path: str) -> Answer:
        """One GET."""
        return ask(self.port, path, method="GET")


def ask(port: int, path: str, sent: bytes = b"", *, method: str = "POST", **headers: str) -> Answer:
    """One request, on a connection of its own."""
    return Answer(*loopback.asked(port, method, path, sent, headers, timeout_s=20))


async def many(port: int, bodies: list[bytes]) -> list[Answer]:
    """Requests of one moment: every connection is open before the first is sent, and one write each."""
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in bodies]
    for (_, writer), sent in zip(streams, bodies, strict=True):
        writer.write(request(sent))
    return await asyncio.gather(*(_one(reader, writer) for reader, writer in streams))


def request(sent: bytes) -> bytes:
    """An inference as bytes."""
    return f"POST {INFER} HTTP/1.1\r\nHost: ranker\r\nContent-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    try:
        return await answer(reader)
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer of a connection."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, await reader.readexactly(int(headers["content-length"])))


@contextlib.contextmanager
def loaded(port: int, *, clients: int) -> Iterator[list[Answer | Exception]]:
    """Clients that ask one after the other on kept connections, and open another where an answer says that it is the last; what they got."""
    found: list[Answer | Exception] = []
    stop = threading.Event()
    threads = [threading.Thread(target=_client, args=(port, number, found, stop)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _client(port: int, number: int, found: list[Answer | Exception], stop: threading.Event) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while not stop.is_set():
        try:
            connection.request("POST", INFER, body(number), {"content-type": "application/json"})
            response = connection.getresponse()
            found.append(Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()))
            if response.will_close:
                return  # as a client whose Service has taken the pod away
        except (OSError, http.client.HTTPException) as error:
            found.append(error)
            connection.close()
    connection.close()
