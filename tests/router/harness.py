"""A real nginx on loopback, in front of pods that do what a test tells them."""

import asyncio
import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway_router.nginx.configuration import Settings, render
from slipway_testing.loopback import free_port

USER = 1000
"""Whom the image's processes run as."""

BODY = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}'
READY_S = 10.0
_thirds = itertools.count(os.getpid() * 50 % 60000)


@dataclass(frozen=True)
class Answer:
    """An answer, with its header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def revision(self) -> str:
        return self.headers.get("x-slipway-revision", "")


@dataclass
class Seen:
    """A request as a pod read it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[Seen], "Reply"]


@dataclass
class Reply:
    """What a pod does: answers after ``after_s``; with status 0 it closes the connection instead."""

    status: int = 200
    body: bytes = b'{"outputs":[]}'
    after_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    truncated: bool = False
    """The connection closes in the middle of the body."""


def well(_: Seen) -> Reply:
    return Reply()


class Pod:
    """An HTTP server on an address of its own, in its own thread."""

    def __init__(self, port: int, behaviour: Behaviour = well) -> None:
        number = next(_thirds)
        self.address = f"127.{1 + number // 250 % 250}.{number % 250}.{1 + number // 62500 % 250}"
        self.port = port
        self.behaviour = behaviour
        self.seen: list[Seen] = []
        self.count = 0
        self.keep_seen = True
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()

    def start(self) -> None:
        self._server = self._run(asyncio.start_server(self._serve, self.address, self.port, backlog=1024, limit=1 << 20))

    def kill(self) -> None:
        """Nobody listens any more, and open connections are reset."""
        self._run(self._kill())

    def close(self) -> None:
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(READY_S)

    async def _kill(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = head.split("\r\n")
        method, path, _ = line.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in rest if entry)}
        seen = Seen(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))
        self.count += 1
        if self.keep_seen:
            self.seen.append(seen)
        reply = self.behaviour(seen)
        if reply.after_s:
            await asyncio.sleep(reply.after_s)
        if reply.status == 0:
            return False
        sent = {"content-type": "application/json", "content-length": str(len(reply.body)), **reply.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        body = b"" if method == "HEAD" else reply.body
        writer.write(f"HTTP/1.1 {reply.status} x\r\n{lines}\r\n".encode() + (body[: len(body) // 2] if reply.truncated else body))
        await writer.drain()
        return not reply.truncated


class Router:
    """nginx as the image runs it, but for its ports and folders."""

    def __init__(self, folder: Path, **changed: Any) -> None:
        self.folder = folder
        self.http_port, self.grpc_port = free_port(), free_port()
        given: dict[str, Any] = {
            "run": str(folder),
            "temporary": str(folder),
            "tokens": str(folder / "tokens"),
            "http": f"127.0.0.1:{self.http_port}",
            "grpc": f"127.0.0.1:{self.grpc_port}",
            "pod_http_port": free_port(),
            "pod_grpc_port": free_port(),
            "error_log": f"{folder}/error.log info",
            "client_timeout_s": 2,
            "connections": 4096,
        }
        self.settings = Settings(**{**given, **changed})
        self.pods: list[Pod] = []
        self._kept = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Router":
        self.start()
        return self

    def start(self) -> None:
        """As the image does: without what one that was killed has left."""
        Path(f"{self.settings.run}/nginx.sock").unlink(missing_ok=True)
        (self.folder / "nginx.conf").write_text(render(self.settings))
        (self.folder / "tokens").mkdir(exist_ok=True)
        os.chmod(self.folder, 0o777)  # noqa: S103 - the user of nginx writes here
        who: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []} if os.getuid() == 0 else {}
        with (self.folder / "stderr.log").open("wb") as said:
            self._process = subprocess.Popen(["nginx", "-e", "stderr", "-c", str(self.folder / "nginx.conf")], stderr=said, **who)
        self._until(lambda: self.control("GET", "/healthz").status == 200)

    def __exit__(self, *_: object) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(READY_S)
        for pod in self.pods:
            pod.close()

    @property
    def master(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.master}/task/{self.master}/children").read_text().split()]

    @property
    def log(self) -> str:
        return (self.folder / "error.log").read_text(errors="replace") + (self.folder / "stderr.log").read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL, to the master before its workers: it would start others."""
        for process in (self.master, *self.workers):
            os.kill(process, signal.SIGKILL)
        self.wait(READY_S)

    def quit(self) -> None:
        """Stop listening, finish what is under way, and end."""
        assert self._process
        self._process.send_signal(signal.SIGQUIT)

    def wait(self, timeout_s: float) -> int:
        assert self._process
        return self._process.wait(timeout_s)

    def pod(self, behaviour: Behaviour = well) -> Pod:
        made = Pod(self.settings.pod_http_port, behaviour)
        self.pods.append(made)
        return made

    def control(self, method: str, path: str, body: bytes | None = None) -> Answer:
        connection = _UnixConnection(f"{self.settings.run}/nginx.sock")
        try:
            connection.request(method, path, body)
            return _answer(connection.getresponse())
        finally:
            connection.close()

    def put(self, *tables: Mapping[str, Any], pods: Mapping[str, Sequence[Pod | str]]) -> Answer:
        return self.control("PUT", "/tables", given(*tables, pods=pods))

    def serve(self, *tables: Mapping[str, Any], pods: Mapping[str, Sequence[Pod | str]]) -> None:
        answer = self.put(*tables, pods=pods)
        assert answer.status == 204, answer.body

    def taken(self) -> Any:
        """What was counted since the last time, by one that keeps what it takes."""
        answer = self.control("POST", f"/taken?kept={self._kept}")
        assert answer.status == 200, answer.body
        taken = answer.json
        self._kept = taken["answer"]
        return taken

    def ask(self, method: str = "POST", path: str = "/v2/models/ranker/infer", body: bytes | None = BODY, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=READY_S)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body if method == "POST" else None, named)
            return _answer(connection.getresponse())
        finally:
            connection.close()

    def raw(self, request: bytes, *, finish: bool = False, timeout_s: float = READY_S) -> bytes:
        """Everything that comes back for these bytes, to the end of the connection or until nothing more comes."""
        with socket.create_connection(("127.0.0.1", self.http_port), timeout=timeout_s) as connection:
            connection.sendall(request)
            if finish:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                while piece := connection.recv(65536):
                    received += piece
            return received

    def _until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + READY_S
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if condition():
                    return
            assert self._process
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"nginx did not start: {(self.folder / 'stderr.log').read_text()}")
            time.sleep(0.02)


class Load:
    """Clients with connections that they keep, each asking again as soon as it has been answered."""

    def __init__(self, port: int, *, clients: int, units: int = 1000, next_port: int | None = None) -> None:
        self.statuses: Counter[int] = Counter()
        self.revisions: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest_s = 0.0
        self._port, self._next_port, self._units = port, next_port, units
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(READY_S)

    def withdraw(self) -> None:
        """From now on new connections go to ``next_port``, as a Service sends them once an endpoint is gone from it."""
        assert self._next_port
        self._port = self._next_port

    @property
    def total(self) -> int:
        return self.statuses.total()

    def until(self, count: int, timeout_s: float = 30.0) -> None:
        """Wait for this many further answers."""
        goal, end = self.total + count, time.monotonic() + timeout_s
        while self.total < goal and not self.failures:
            assert time.monotonic() < end, f"{self.statuses} in {timeout_s} s"
            time.sleep(0.005)

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=READY_S)
        turn = itertools.count(number * 7919)
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                connection.request("POST", "/v2/models/ranker/infer", BODY, {"x-user-id": f"u{next(turn) % self._units}"})
                answer = connection.getresponse()
                answer.read()
                if answer.will_close:
                    connection.close()
                    connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=READY_S)
            except (OSError, http.client.HTTPException) as failure:
                if self._stop.is_set():
                    return
                self.failures.append(f"{type(failure).__name__}: {failure}")
                connection.close()
                continue
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)
            self.statuses[answer.status] += 1
            self.revisions[answer.headers.get("x-slipway-revision", "")] += 1
        connection.close()


def table(**changed: Any) -> dict[str, Any]:
    """A route table that is taken, of one revision; None takes a field away."""
    whole = {
        "version": 1,
        "namespace": "shop",
        "model": "ranker",
        "seed": "shop/ranker",
        "epoch": 7,
        "unit": {"header": "x-user-id", "onMissing": "Random"},
        "revisions": [{"name": "ranker-old", "role": "Stable"}],
        "slots": [[10000, 0]],
        "timeoutMilliseconds": 5000,
        "limits": {"bodyBytes": 1048576, "pendingPerPod": 128},
        "tokens": False,
    }
    return {name: value for name, value in {**whole, **changed}.items() if value is not None}


def split(candidate: int, **changed: Any) -> dict[str, Any]:
    """A route table of two revisions; so many of the 10,000 slots are the candidate's."""
    revisions = [{"name": "ranker-old", "role": "Stable"}, {"name": "ranker-new", "role": "Candidate"}]
    slots = [[10000 - candidate, 0]] * (candidate < 10000) + [[10000, 1]] * (candidate > 0)
    return table(revisions=revisions, slots=slots, **changed)


def experiment(*slots: Sequence[int], stratum: str = "1", **changed: Any) -> dict[str, Any]:
    """A route table of an experiment: runs of slots as (end, revision, arm). The stable revision serves control and those that wait."""
    revisions = [{"name": "ranker-old", "role": "Stable"}, {"name": "ranker-new", "role": "Arm"}]
    exposures = {"experiment": "shop/ranker-v8-1a2b3c4d", "stratum": stratum, "arms": ["control", "v8", "waiting"]}
    return table(revisions=revisions, slots=[list(run) for run in slots], exposures=exposures, **changed)


def given(*tables: Mapping[str, Any], pods: Mapping[str, Sequence[Pod | str]]) -> bytes:
    """The body of PUT /tables."""
    texts = {str(one["model"]): json.dumps(one, sort_keys=True, separators=(",", ":")) for one in tables}
    addresses = {revision: [pod if isinstance(pod, str) else pod.address for pod in listed] for revision, listed in pods.items()}
    return json.dumps({"routes": texts, "pods": addresses}).encode()


def everything_from(path: Path) -> bytes:
    """What a server on this socket answers to GET /, once it is there."""
    end = time.monotonic() + READY_S
    while True:
        connection = _UnixConnection(str(path), timeout_s=60)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.02)
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, *, timeout_s: float = READY_S) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _answer(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


@contextlib.contextmanager
def agent(folder: Path, received: list[bytes], *, hold: threading.Event | None = None) -> Iterator[None]:
    """An agent that takes samples, or holds on to the first one for as long as ``hold`` is not set."""
    path = folder / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        os.chmod(path, 0o777)  # noqa: S103 - the user of nginx connects to it
        listening.listen(16)
        thread = threading.Thread(target=_take_samples, args=(listening, received, hold), daemon=True)
        thread.start()
        yield
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(READY_S)


def _take_samples(listening: socket.socket, received: list[bytes], hold: threading.Event | None) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_take_from, args=(connection, received, hold), daemon=True).start()


def _take_from(connection: socket.socket, received: list[bytes], hold: threading.Event | None) -> None:
    with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
        while stream.readline():
            length = 0
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            received.append(stream.read(length))
            if hold:
                hold.wait(READY_S)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
