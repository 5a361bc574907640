"""The ledger is killed again and again while events come late, twice, out of order and from clocks that are wrong: the sums are those of one pass
over what it acknowledged.

A sample of kills; LEDGER_KILLS=50 makes more of them.
"""

import contextlib
import http.client
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from ledger import reference
from ledger.conftest import Start
from ledger.harness import APPLICATION, NOW, ROUTER, Ledger

KILLS = int(os.environ.get("LEDGER_KILLS", "6"))
UNITS = 400
DAY = 86_400
DEFINITION: dict[str, Any] = {
    "arms": ["control", "b", "c"],
    "metrics": [
        {"name": "bought", "type": "Proportion", "windowSeconds": DAY, "cuped": {"days": 2}},
        {"name": "revenue", "type": "Mean", "windowSeconds": 2 * DAY, "cuped": {"days": 3}, "cap": 250.5},
        {"name": "clicks", "type": "Ratio", "denominator": "views", "windowSeconds": DAY // 2, "cuped": {"days": 1}},
        {"name": "views", "type": "Mean", "windowSeconds": 3600},
    ],
}


def made(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Exposures and outcomes over five days: some units are seen in two arms, or while waiting, or never."""
    draws = random.Random(seed)  # noqa: S311
    exposures: list[dict[str, Any]] = []
    outcomes: list[dict[str, Any]] = []
    for number in range(UNITS):
        unit, arm = f"unit-{number}", draws.choice(["control", "control", "b", "c", "waiting"])
        for visit in range(draws.choice([0, 1, 1, 2, 4])):
            seen = draws.choice(["b", "waiting", "c"]) if draws.random() < 0.1 else arm
            when = NOW - timedelta(days=3) + timedelta(seconds=draws.randint(0, 2 * DAY + visit * 3600))
            event: dict[str, Any] = {
                "experiment": "shop/kills",
                "unit": unit,
                "arm": seen,
                "stratum": draws.choice(["1", "10"]),
                "time": when.isoformat(),
            }
            exposures.append(event | ({"requestId": f"request-{number}-{visit}"} if draws.random() < 0.5 else {}))
        for _ in range(draws.choice([0, 1, 3, 8])):
            metric, skew = draws.choice(["bought", "revenue", "clicks", "views"]), draws.choice([0, 0, 0, -120, 120, 7])
            when = NOW - timedelta(days=6) + timedelta(seconds=draws.randint(0, 6 * DAY) + skew, microseconds=draws.randint(0, 999_999))
            value = round(draws.choice([0, 1, 1, draws.uniform(-20, 500), draws.expovariate(0.001)]), 6)
            outcomes.append({"service": "shop/kills", "unit": unit, "metric": metric, "value": value, "time": when.isoformat()})
    by_request = [event for event in exposures if "requestId" in event]
    for event in draws.sample(by_request, len(by_request) // 2):
        when = datetime.fromisoformat(event["time"]) + timedelta(seconds=draws.randint(0, 7200))
        outcomes.append({"service": "shop/kills", "requestId": event["requestId"], "metric": "clicks", "value": 1, "time": when.isoformat()})
    for number, event in enumerate(outcomes):
        if draws.random() < 0.7:
            event["idempotencyKey"] = f"key-{number}"
    return exposures, outcomes


def batches(events: list[dict[str, Any]], draws: random.Random) -> list[list[dict[str, Any]]]:
    """In any order, one in five of them twice."""
    all_of_them = events + draws.sample(events, len(events) // 5)
    draws.shuffle(all_of_them)
    found = []
    while all_of_them:
        size = draws.randint(1, 25)
        found.append(all_of_them[:size])
        all_of_them = all_of_them[size:]
    return found


@contextlib.contextmanager
def dying(ledger: Ledger, draws: random.Random) -> Iterator[list[float]]:
    """Kill it and start it again, at random times; when it was."""
    killed: list[float] = []
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(draws.uniform(0.02, 0.4)) and len(killed) < KILLS:
            ledger.kill()
            killed.append(time.monotonic())
            ledger.start()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield killed
    finally:
        while len(killed) < KILLS and thread.is_alive():
            time.sleep(0.05)
        stop.set()
        thread.join()


def send(ledger: Ledger, path: str, token: str, batch: list[dict[str, Any]]) -> None:
    """Until it is acknowledged."""
    until = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = ledger.post(path, batch, token)
            if answer.status == 200:
                assert answer.said["refused"] == [], answer.said
                assert answer.said["accepted"] + answer.said["duplicates"] == len(batch)
                return
            assert answer.status in (429, 503), answer
        assert time.monotonic() < until, "it is not acknowledged"
        time.sleep(0.01)


def send_all(ledger: Ledger, work: list[tuple[str, str, list[dict[str, Any]]]]) -> None:
    """One after the other."""
    for path, token, batch in work:
        send(ledger, path, token, batch)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_sums_are_those_of_one_pass(start: Start, database: str, seed: int) -> None:
    ledger = start(database, close_seconds=0.05)
    assert ledger.put("/v1/experiments/shop/kills", DEFINITION).status == 201
    exposures, outcomes = made(seed)
    draws = random.Random(seed)  # noqa: S311
    work = [("/v1/exposures", ROUTER, batch) for batch in batches(exposures, draws)]
    work += [("/v1/outcomes", APPLICATION, batch) for batch in batches(outcomes, draws)]
    draws.shuffle(work)
    lanes = [work[lane::3] for lane in range(3)]

    with dying(ledger, draws) as killed, ThreadPoolExecutor(len(lanes)) as pool:
        sent = [pool.submit(send_all, ledger, lane) for lane in lanes]
        for lane in sent:
            lane.result()

    requests = {event["requestId"]: event["unit"] for event in exposures if "requestId" in event}
    told = [event if "unit" in event else event | {"unit": requests[event["requestId"]]} for event in outcomes]
    answer = json.loads(ledger.get("/v1/experiments/shop/kills/sums").body, parse_float=str, parse_int=str)
    closed_at = {metric["name"]: datetime.fromisoformat(metric["closedAt"]) for metric in answer["metrics"]}
    expected = reference.sums(DEFINITION, exposures, told, closed_at=closed_at)
    found = reference.said(answer)
    assert found == expected
    assert len(killed) == KILLS
    assert any(where[3] == "closed" for where in expected["sums"])
