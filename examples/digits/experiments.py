"""The end of the demo: two models read faint scans of users who never came before, and the better one is promoted by itself."""

import http.client
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import rollouts

PATIENCE_S = 300.0
FAINTNESS = 2.0
"""Standard deviation of what is added to each pixel; pixels go from 0 to 16."""

BATCH = 20


class Readers(rollouts.Crowd):
    """People who send one scan each, and an application that tells the ledger which were read right; from enter to exit."""

    def __init__(self, model: tuple[str, int], ledger: tuple[str, int], *, token: str, service: str, name: str, scans: dict[str, list[Any]]) -> None:
        """``scans``: images, and the labels that are right."""
        self.read: Counter[str] = Counter()
        """Scans that were read right, by the revision that read them."""

        self.asked: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._model, self._ledger, self._token, self._service, self._path = model, ledger, token, service, f"/v2/models/{name}/infer"
        self._scans = list(zip(scans["images"], scans["labels"], strict=True))
        self._run = f"{time.time():.0f}"
        super().__init__(self._ask)

    def _ask(self) -> None:
        connection, events = http.client.HTTPConnection(*self._model, timeout=10), []
        while not self._stop.wait(rollouts.PAUSE_S):
            number = next(self._numbers)
            user, (image, label) = f"reader-{self._run}-{number}", self._scans[number % len(self._scans)]
            chance = random.Random(user)  # noqa: S311
            scan = [min(16.0, max(0.0, pixel + chance.gauss(0, FAINTNESS))) for pixel in image]
            body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, len(scan)], "data": scan}], "outputs": [{"name": "label"}]})
            try:
                connection.request("POST", self._path, body, {"x-user-id": user})
                response = connection.getresponse()
                said = json.loads(response.read())
                right = said["outputs"][0]["data"][0] == label
            except (OSError, http.client.HTTPException, KeyError, ValueError):
                connection.close()
                with self._lock:
                    self.failures["no answer"] += 1
                continue
            revision = response.headers.get("x-slipway-revision", "")
            with self._lock:
                self.asked[revision] += 1
                self.read[revision] += right
            if right:
                events.append({"service": self._service, "unit": user, "metric": "read", "value": 1, "time": datetime.now(UTC).isoformat()})
            if len(events) >= BATCH and self._told(events):
                events = []
        self._told(events)
        connection.close()

    def _told(self, events: list[dict[str, Any]]) -> bool:
        """Tell the ledger what happened; it may be sent again, and counts once."""
        connection = http.client.HTTPConnection(*self._ledger, timeout=10)
        try:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            connection.request("POST", "/v1/outcomes", json.dumps(events), headers)
            return connection.getresponse().status in (http.HTTPStatus.OK, http.HTTPStatus.UNPROCESSABLE_ENTITY)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def watch(status: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Print what the experiment knows whenever that changes, until it is over; its last status."""
    print(f"   seconds  {'verdict':17}  {'reason':18}  {'share of v4':>11}  {'units':>6}  lift of v4, interval at every look")
    began, told = time.monotonic(), None
    while (now := time.monotonic()) < began + PATIENCE_S:
        seen = status()
        traffic = seen.get("traffic") or {}
        line = (seen.get("verdict", ""), seen.get("reason", ""), traffic.get("percent"))
        if line != told and seen.get("verdict"):
            told = line
            share = f"{traffic['percent']} %" if "percent" in traffic else ""
            print(
                f"   {now - began:7.0f}  {line[0]:17}  {line[1] or '':18}  {share:>11}  {seen.get('units', 0):6}  {seen.get('lift', '')}", flush=True
            )
        if (seen.get("decision") or {}).get("done"):
            return seen
        time.sleep(0.5)
    raise TimeoutError(f"the experiment is not over after {PATIENCE_S:.0f} s: {status().get('summary', 'it has not begun')}")
