"""Users who go on asking a model, each under a name of their own, and remember which revision answered whom."""

import http.client
import itertools
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Self

from slipway_testing.stage import Stage

TIMEOUT_S = 10.0
REQUESTS = 100_000
"""Most that all of them send, whatever the test does."""

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]})


class Crowd:
    """Threads that do what ``ask`` does, from enter to exit; it looks at ``_stop``."""

    def __init__(self, ask: Callable[[], None], *, clients: int) -> None:
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Users(Crowd):
    """Clients with connections that they keep, from enter to exit; each request is by the next of ``users`` in turn."""

    def __init__(
        self, stage: Stage, name: str, *, users: int = 500, clients: int = 4, pause_s: float = 0.0, requests: int = REQUESTS, body: str = BODY
    ) -> None:
        self.users = users
        self.requests = requests
        """After so many, of all clients together, they stop."""

        self.answered: Counter[str] = Counter()
        """Good answers, by revision."""

        self.errors: Counter[str] = Counter()
        """Answers of 5xx, by revision; the router's own have none."""

        self.failures: list[str] = []
        """Everything else that went wrong."""

        self.revisions: dict[str, list[str]] = defaultdict(list)
        """By user: the revisions that answered, one after the other, repetitions left out."""

        self._address, self._path = stage.address(name), f"/v2/models/{name}/infer"
        self._pause_s, self._body = pause_s, body
        super().__init__(self._ask_all, clients=clients)

    @property
    def total(self) -> int:
        """Requests so far, however they went."""
        return self.answered.total() + self.errors.total() + len(self.failures)

    @property
    def finished(self) -> bool:
        """Whether all of ``requests`` are answered."""
        return self.total >= self.requests

    @property
    def returned(self) -> dict[str, list[str]]:
        """Users who got a revision again after another one."""
        return {user: seen for user, seen in self.revisions.items() if len(set(seen)) < len(seen)}

    def _ask_all(self) -> None:
        connection = http.client.HTTPConnection(self._address, 80, timeout=TIMEOUT_S)
        while not self._stop.wait(self._pause_s) and (number := next(self._numbers)) < self.requests:
            user = f"user-{number % self.users}"
            try:
                connection.request("POST", self._path, self._body, {"x-user-id": user})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with self._lock:
                    self.failures.append(f"{user}: {error!r}")
                continue
            with self._lock:
                self._note(user, answer.status, answer.headers.get("x-slipway-revision", ""))
        connection.close()

    def _note(self, user: str, status: int, revision: str) -> None:
        if status == http.HTTPStatus.OK:
            self.answered[revision] += 1
        elif status >= http.HTTPStatus.INTERNAL_SERVER_ERROR and revision:
            self.errors[revision] += 1
        else:
            self.failures.append(f"{user}: {status} by {revision or 'the router'}")
        if revision and (not self.revisions[user] or self.revisions[user][-1] != revision):
            self.revisions[user].append(revision)
