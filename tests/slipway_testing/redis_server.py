"""A Redis of a test's own, on a free loopback port, that keeps nothing."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from slipway_box import packages, ports


class RedisServer:
    """Debian's redis-server; a context manager that ends it."""

    def __init__(self, folder: Path, *, password: str = "") -> None:
        if not shutil.which("redis-server"):
            packages.need("redis-server", usual_s=15)
        self._folder = folder
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        (self.port,) = ports.free(1)

    @property
    def url(self) -> str:
        """Of its first database."""
        secret = f":{self._password}@" if self._password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, empty, on the same port as before, and wait until it takes connections."""
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self._folder), "save": "", "appendonly": "no"}
        if self._password:
            options["requirepass"] = self._password
        argv = ["redis-server", *(word for name, value in options.items() for word in (f"--{name}", value))]
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        until = time.monotonic() + 30
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"redis-server on port {self.port} does not come up (status {self._process.poll()})")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """It takes connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
