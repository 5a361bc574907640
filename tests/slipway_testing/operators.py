"""The operator itself, in this process, so that its coverage is measured and its end can be watched."""

import asyncio
import dataclasses
import gc
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from slipway_operator import settings
from slipway_operator.handlers import app
from slipway_testing.golden import REPOSITORY


class RunningOperator:
    """The operator in a thread of its own, from enter to exit."""

    def __init__(self, kubeconfig: Path, *, probe_port: int, **changes: Any) -> None:
        given: dict[str, Any] = {
            "runtimes": {"slipway-triton": "slipway-triton-test"},
            "kubeconfig": str(kubeconfig),
            "probe_host": "127.0.0.1",
            "probe_port": probe_port,
            "drain_seconds": 1.0,
            "lease_seconds": 3.0,
            "route_seconds": 0.0,
            "poll_seconds": 0.5,
        }
        self.settings = settings.Settings(**(given | changes))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End it as SIGTERM would, and wait."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "the operator did not stop within 60 s"
        collect_connections()

    def _run(self) -> None:
        try:
            asyncio.run(self._operate())
        except BaseException as error:
            self._error = error
        finally:
            self._started.set()

    async def _operate(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        await app.operate(self.settings, stop=self._stop)


class OperatorProcess:
    """The operator as a process of its own, which may end at any moment; a context manager that ends it."""

    def __init__(self, kubeconfig: Path, *, probe_port: int, metrics_port: int, **changes: Any) -> None:
        whole = RunningOperator(kubeconfig, probe_port=probe_port, metrics_port=metrics_port, **changes).settings
        runtimes = ",".join(f"{family}={name}" for family, name in whole.runtimes.items())
        given = {field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)} | {"runtimes": runtimes}
        variables = {f"SLIPWAY_{name.upper()}": str(value) for name, value in given.items() if value is not None}
        others = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
        self._environment = others | variables | {"PYTHONPATH": str(REPOSITORY / "operator")}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; it leads when the Lease is free."""
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen([sys.executable, "-m", "slipway_operator"], env=self._environment, stdout=quiet, stderr=quiet)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def collect_connections() -> None:
    """A TLS connection whose making or last request was cancelled is left to the garbage collector, by kopf as by asyncio: collected here, it is no
    other test's warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


Start = Callable[..., RunningOperator]
