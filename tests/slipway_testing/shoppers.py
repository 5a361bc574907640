"""Shoppers who ask a model, each under a name of their own, and buy or not; what they buy is sent to the ledger as an application would."""

import hashlib
import http.client
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from slipway_operator.cluster import resources
from slipway_testing import accounts
from slipway_testing.stage import Stage
from slipway_testing.users import Crowd

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]})
SYSTEM = "slipway-system"
TIMEOUT_S = 10.0
_BATCH = 50
"""Outcomes of one request to the ledger."""

_AT_ONCE_S = 0.3
"""Longest that an outcome waits for others."""

Buys = Callable[[str], float]
"""Gives the probability of buying, by the revision that answered."""


def luck(shopper: str) -> float:
    """A number from 0 to 1 that is the shopper's own: the same shoppers buy in every run."""
    return int.from_bytes(hashlib.sha256(shopper.encode()).digest()[:6], "big") / 2**48


def ledger_address(stage: Stage) -> str:
    """The ledger's cluster address, which this machine reaches too."""
    service = stage.kube.get(resources.SERVICES, "slipway-ledger", namespace=SYSTEM)
    assert service is not None
    return str(service["spec"]["clusterIP"])


class Shoppers(Crowd):
    """Clients with connections that they keep, from enter to exit; each request is by a shopper who never came before."""

    def __init__(
        self,
        stage: Stage,
        name: str,
        *,
        buys: Buys | None,
        clients: int = 4,
        pause_s: float = 0.004,
        most: int = 40_000,
        prefix: str = "shopper",
        delay_s: float = 0.0,
        patient: bool = False,
    ) -> None:
        """``buys``: None, nobody ever tells of an outcome. ``most``: requests of all clients together. ``delay_s``: until a purchase is told.

        ``patient``: a request that fails is another shopper's and counts nowhere; the ledger is asked until it answers, for a minute at the end.
        """
        self.answered: Counter[str] = Counter()
        """Good answers, by revision."""

        self.failures: list[str] = []
        """Whatever else came of a request."""

        self.bought: Counter[str] = Counter()
        """By revision."""

        self.revisions: dict[str, set[str]] = defaultdict(set)
        """By shopper."""

        self.most = most
        self._stage, self._name, self._buys, self._pause_s, self._prefix, self._delay_s = stage, name, buys, pause_s, prefix, delay_s
        self._patient = patient
        self._address, self._ledger = stage.address(name), ledger_address(stage)
        self._token = accounts.token(stage.kube, stage.namespace, "default")
        super().__init__(self._shop, clients=clients)

    @property
    def total(self) -> int:
        """Requests so far."""
        return self.answered.total() + len(self.failures)

    def _shop(self) -> None:
        connection = http.client.HTTPConnection(self._address, 80, timeout=TIMEOUT_S)
        told: list[tuple[float, dict[str, Any]]] = []
        clock, due_at = threading.Event(), 0.0
        while not self._stop.wait(self._pause_s) and (number := next(self._numbers)) < self.most:
            shopper = f"{self._prefix}-{number}"
            try:
                connection.request("POST", f"/v2/models/{self._name}/infer", BODY, {"x-user-id": shopper})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with self._lock:
                    self.failures.append(f"{shopper}: {error!r}")
                clock.wait(0.2 if self._patient else 0.0)
                continue
            revision = answer.headers.get("x-slipway-revision", "")
            buys = self._buys is not None and luck(shopper) < self._buys(revision)
            with self._lock:
                if answer.status == http.HTTPStatus.OK:
                    self.answered[revision] += 1
                    self.revisions[shopper].add(revision)
                    self.bought[revision] += buys
                else:
                    self.failures.append(f"{shopper}: {answer.status} by {revision or 'the router'}")
            if buys and answer.status == http.HTTPStatus.OK:
                told.append((_now() + self._delay_s, self._outcome(shopper)))
            if len(told) >= _BATCH or (told and _now() >= due_at):
                told, due_at = self._tell(told), _now() + _AT_ONCE_S
        deadline = _now() + 60
        while told and _now() < deadline:
            told = self._tell(told)
            clock.wait(0.05)
        connection.close()

    def _outcome(self, shopper: str) -> dict[str, Any]:
        return {"service": f"{self._stage.namespace}/{self._name}", "unit": shopper, "metric": "bought", "value": 1}

    def _tell(self, told: list[tuple[float, dict[str, Any]]]) -> list[tuple[float, dict[str, Any]]]:
        """Send what is due; what is not, and all of it where the ledger is away, is left."""
        now = _now()
        due = [{**event, "time": datetime.fromtimestamp(at, UTC).isoformat()} for at, event in told if at <= now]
        if not due:
            return told
        try:
            status, answer = post(self._ledger, "/v1/outcomes", due, token=self._token)
        except (OSError, http.client.HTTPException):
            return told
        if status in (http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE):
            return told
        refused = [no for no in answer.get("refused", ()) if no.get("reason") != "experiment"]
        if status not in (http.HTTPStatus.OK, http.HTTPStatus.UNPROCESSABLE_ENTITY) or refused:
            with self._lock:
                self.failures.append(f"the ledger: {status} {answer}")
        return [(at, event) for at, event in told if at > now]


def post(address: str, path: str, body: Any, *, token: str, method: str = "POST") -> tuple[int, Any]:
    """One request to the ledger."""
    connection = http.client.HTTPConnection(address, 8080, timeout=TIMEOUT_S)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        found: Mapping[str, Any] = json.loads(answer.read() or b"{}")
        return answer.status, found
    finally:
        connection.close()


def _now() -> float:
    return datetime.now(UTC).timestamp()
