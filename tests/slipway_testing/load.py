"""Clients that go on asking while something happens, and remember what went wrong."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from slipway_testing.stage import Stage

REQUESTS = 20_000
"""Most that one client sends, whatever the test does."""

ROW_TIMEOUT_S = 5.0


class Load:
    """One client, each request on a new connection, to the stable address of each name in turn.

    Addresses are looked up once, so that the requests need nothing but the data path.
    """

    def __init__(self, stage: Stage, *names: str, pause_s: float = 0.005, requests: int = REQUESTS) -> None:
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        self.failed_at: list[float] = []
        self._addresses = {name: stage.address(name) for name in names}
        self._pause_s, self._requests = pause_s, requests
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_all, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def outage_s(self) -> float:
        """Seconds between the first and the last request that failed."""
        return self.failed_at[-1] - self.failed_at[0] if self.failed_at else 0.0

    @property
    def total(self) -> int:
        """Requests answered so far."""
        return self.answered.total()

    def _ask_all(self) -> None:
        began, names = time.monotonic(), list(self._addresses)
        for number in range(self._requests):
            if self._stop.wait(self._pause_s):
                return
            name = names[number % len(names)]
            try:
                answer = doubled(self._addresses[name], name)
                assert answer == [2, 4], answer
            except (OSError, http.client.HTTPException, ValueError, AssertionError) as error:
                self.failed_at.append(time.monotonic() - began)
                self.failures.append(f"{name} after {self.failed_at[-1]:.1f} s: {error!r}")
            else:
                self.answered[name] += 1


def doubled(address: str, name: str) -> Any:
    """Ask the model ``onnx_models.doubled`` at ``address`` about the row 1, 2."""
    asked = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    connection = http.client.HTTPConnection(address, 80, timeout=ROW_TIMEOUT_S)
    try:
        connection.request("POST", f"/v2/models/{name}/infer", json.dumps(asked))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    assert answer.status == http.HTTPStatus.OK, content[:200]
    outputs: list[Mapping[str, Any]] = json.loads(content)["outputs"]
    return next(output["data"] for output in outputs if output["name"] == "y")
