"""The operator itself, in this process, so that its coverage is measured and its end can be watched."""

import asyncio
import gc
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from slipway_operator import settings
from slipway_operator.handlers import app


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


def collect_connections() -> None:
    """A TLS connection whose making or last request was cancelled is left to the garbage collector, by kopf as by asyncio: collected here, it is no
    other test's warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


Start = Callable[..., RunningOperator]
