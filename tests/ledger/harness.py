"""The ledger as a process, and who asks it."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from slipway_box import layout
from slipway_testing import loopback
from slipway_testing.loopback import Answer, free_port

ROUTER, APPLICATION, READER, ADMIN = (f"{role}-token-0123456789" for role in ("router", "application", "reader", "admin"))
SHOP_ROUTER = "router-of-shop-0123456789"
TOKENS = f"router {ROUTER}\napplication {APPLICATION}\nreader {READER}\nadmin {ADMIN}  # everything\nrouter {SHOP_ROUTER} shop\n"
KEY = "0123456789abcdef0123456789abcdef"
CHECKOUT = "/v1/experiments/shop/checkout"
NOW = datetime.now(UTC).replace(microsecond=0)
"""When the tests began. Events are before that, as far as a test says."""


def at(seconds: float) -> str:
    """A time so many seconds after the tests began, mostly a negative number of them."""
    return (NOW + timedelta(seconds=seconds)).isoformat()


def definition(**changes: Any) -> dict[str, Any]:
    """Two arms and one metric of an hour."""
    return {"arms": ["control", "challenger"], "metrics": [{"name": "bought", "type": "Proportion", "windowSeconds": 3600}]} | changes


def exposure(unit: str, arm: str = "control", seconds: float = -1000, **more: Any) -> dict[str, Any]:
    """A unit met an arm of shop/checkout."""
    return {"experiment": "shop/checkout", "unit": unit, "arm": arm, "time": at(seconds)} | more


def outcome(unit: str, value: float = 1, seconds: float = -900, metric: str = "bought", **more: Any) -> dict[str, Any]:
    """A unit of shop/checkout did something."""
    return {"experiment": "shop/checkout", "unit": unit, "metric": metric, "value": value, "time": at(seconds)} | more


def eventually(holds: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait until it does; AssertionError when time is up."""
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, f"not within {within_s:.0f} s"
        time.sleep(0.05)


class Ledger:
    """``python -m slipway_ledger``; a context manager that ends it."""

    def __init__(self, folder: Path, database: str | None = None, *, python: Path = Path(sys.executable), **settings: object) -> None:
        self._python = python
        self.port = free_port()
        self.metrics_port = free_port()
        self.folder = folder
        self.tokens = folder / "tokens"
        self.tokens.write_text(TOKENS)
        (folder / "key").write_text(KEY + "\n")
        self._settings = {
            "database": database or folder / "ledger.db",
            "tokens_file": self.tokens,
            "key_file": folder / "key",
            "host": "127.0.0.1",
            "port": self.port,
            "metrics_port": self.metrics_port,
            "drain_seconds": 0.1,
            "grace_seconds": 5,
        } | settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None and self._process.poll() is None:
            self.end()

    @property
    def process(self) -> int:
        """Its number."""
        assert self._process is not None
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it listens."""
        environment = {f"SLIPWAY_{name.upper()}": str(value) for name, value in self._settings.items()}
        with (self.folder / "stderr").open("ab") as log:
            self._process = subprocess.Popen(
                [self._python, "-m", "slipway_ledger"],
                env={**os.environ, **environment, "PYTHONPATH": str(layout.REPOSITORY / "inference")},
                cwd=self.folder,
                stderr=log,
            )
        until = time.monotonic() + 20
        while wait and not loopback.accepts(self.port):
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the ledger does not come up: {self.log}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def wait(self, timeout_s: float = 15) -> int:
        """Its exit status."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def end(self) -> int:
        """SIGTERM, and its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    @property
    def log(self) -> str:
        """What it said on stderr."""
        return (self.folder / "stderr").read_text()

    @property
    def resident_mib(self) -> float:
        """Its memory."""
        status = Path(f"/proc/{self.process}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def metric(self, name: str) -> float:
        """The value of a metric with its labels, as it stands in ``/metrics``; 0 where it is not there."""
        text = ask(self.metrics_port, "GET", "/metrics").body.decode()
        return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.rpartition(" ")[0] == f"slipway_ledger_{name}"), 0.0)

    def register(self, path: str = CHECKOUT, **changes: Any) -> Answer:
        """Register an experiment."""
        return self.put(path, definition(**changes))

    def put(self, path: str, body: Any, token: str = ADMIN) -> Answer:
        """One PUT."""
        return ask(self.port, "PUT", path, body, token=token)

    def get(self, path: str, token: str = READER) -> Answer:
        """One GET."""
        return ask(self.port, "GET", path, token=token)

    def delete(self, path: str, token: str = ADMIN) -> Answer:
        """One DELETE."""
        return ask(self.port, "DELETE", path, token=token)

    def post(self, path: str, body: Any, token: str = ADMIN, **headers: str) -> Answer:
        """One POST."""
        return ask(self.port, "POST", path, body, token=token, **headers)

    def expose(self, *exposures: Mapping[str, Any]) -> Any:
        """Send exposures; what was said. AssertionError: not all of them were read."""
        return self._sent("/v1/exposures", list(exposures), ROUTER)

    def observe(self, *outcomes: Mapping[str, Any]) -> Any:
        """The same, of outcomes."""
        return self._sent("/v1/outcomes", list(outcomes), APPLICATION)

    def sums(self, path: str = CHECKOUT) -> Any:
        """The sums, with the numbers as exact texts."""
        answer = self.get(f"{path}/sums")
        assert answer.status == 200, answer
        return json.loads(answer.body, parse_float=str, parse_int=str)

    def _sent(self, path: str, events: list[Any], token: str) -> Any:
        answer = self.post(path, events, token)
        assert answer.status == 200, answer
        return answer.said


def ask(port: int, method: str, path: str, body: Any = None, *, token: str = "", **headers: str) -> Answer:
    """One request, on a connection of its own; a body that is no bytes is sent as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    sent = headers | ({"authorization": f"Bearer {token}"} if token else {})
    return Answer(*loopback.asked(port, method, path, body, sent, timeout_s=30))


def announce(port: int, method: str, path: str, length: int, *, token: str) -> Answer:
    """The head of a request with a body of so many bytes, and what is answered before any of them comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.putrequest(method, path)
        connection.putheader("authorization", f"Bearer {token}")
        connection.putheader("content-length", str(length))
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
