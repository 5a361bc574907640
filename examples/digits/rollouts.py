"""The second half of the demo: a good model and a bad one take over by steps, while users ask."""

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

USERS = 400
CLIENTS = 3
PAUSE_S = 0.01
PATIENCE_S = 240.0

TRAFFIC = {
    "unit": {"header": "x-user-id"},
    "rollout": {
        "steps": [{"percent": 10, "holdSeconds": 10, "detect": "0.1"}, {"percent": 50, "holdSeconds": 10, "detect": "0.1"}],
        "guardrails": [{"metric": "ErrorRate", "maxIncrease": "0.02"}],
    },
}
BROKEN = b'''"""A model that fails for every fifth request and knows only one digit."""

import numpy
import triton_python_backend_utils as utils


class TritonPythonModel:
    def initialize(self, args):
        self.random = numpy.random.default_rng(1)

    def execute(self, requests):
        return [self.answer(utils.get_input_tensor_by_name(request, "x").as_numpy()) for request in requests]

    def answer(self, images):
        if self.random.random() < 0.2:
            return utils.InferenceResponse(error=utils.TritonError("this image gives me a headache"))
        labels = numpy.zeros((len(images), 1), dtype=numpy.int64)
        return utils.InferenceResponse([utils.Tensor("label", labels), utils.Tensor("probabilities", numpy.zeros((len(images), 10), numpy.float32))])
'''


class Crowd:
    """Clients that ask from enter to exit."""

    def __init__(self, ask: Callable[[], None]) -> None:
        self._numbers, self._lock, self._stop = itertools.count(), threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=ask, daemon=True) for _ in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Users(Crowd):
    """People who go on asking, from enter to exit, each under a name of their own."""

    def __init__(self, host: str, port: int, path: str, image: list[float]) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.served_by: dict[str, str] = {}
        """Revision that answered each user last."""

        self._target, self._path = (host, port), path
        self._body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, len(image)], "data": image}]})
        super().__init__(self._ask)

    def having(self, revision: str) -> int:
        """How many users a revision has."""
        with self._lock:
            return sum(1 for served in self.served_by.values() if served == revision)

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(*self._target, timeout=10)
        while not self._stop.wait(PAUSE_S):
            user = f"user-{next(self._numbers) % USERS}"
            try:
                connection.request("POST", self._path, self._body, {"x-user-id": user})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                with self._lock:
                    self.failures["no answer"] += 1
                continue
            revision = response.headers.get("x-slipway-revision", "the router")
            with self._lock:
                (self.answers if response.status == http.HTTPStatus.OK else self.failures)[revision] += 1
                self.served_by[user] = revision
        connection.close()


def play(apply: Callable[[dict[str, Any]], None], status: Callable[[], dict[str, Any]], users: Users, *, model: dict[str, Any]) -> bool:
    """Ask for ``model`` and print what happens until the rollout is over; whether it was promoted."""
    before = status()["revision"]
    refused = {entry["revision"] for entry in status().get("refused", [])}
    apply({"model": model, "traffic": TRAFFIC})
    print(f"   seconds  {'rollout':24}  users of the new model  its requests  its errors")
    told = ""
    new = ""
    for began, now in _ticks():
        seen = status()
        rollout = seen.get("rollout") or {}
        new = rollout.get("revision") or new
        back = next((entry for entry in seen.get("refused", []) if entry["revision"] not in refused), None)
        over = back is not None or (bool(new) and seen["revision"] == new)
        line = "rolled back" if back else "has everything" if over else rollout.get("summary", "")
        if line and line != told:
            told = line
            count = f"{users.having(new):4} of {USERS}"
            print(
                f"   {now - began:7.0f}  {line:24}  {count:>22}  {users.answers[new] + users.failures[new]:12}  {users.failures[new]:10}", flush=True
            )
        if over:
            print(f"   {back['message']}" if back else f"   {new} took over from {before}.")
            return back is None
    raise TimeoutError(f"the rollout is not over after {PATIENCE_S:.0f} s: {told or 'it has not begun'}")


def _ticks() -> Iterator[tuple[float, float]]:
    began = time.monotonic()
    while (now := time.monotonic()) < began + PATIENCE_S:
        yield began, now
        time.sleep(0.2)


@contextmanager
def asking(host: str, port: int, path: str, image: list[float]) -> Iterator[Users]:
    """Users beside the block; what they saw is printed at its end."""
    with Users(host, port, path, image) as users:
        yield users
    failed = ", ".join(f"{count} of {revision}" for revision, count in sorted(users.failures.items())) or "none"
    print(f"   {users.answers.total()} good answers; failed: {failed}")
