"""From a user's request to the ledger's sums, through processes that are killed: nginx, the agent and the ledger are the real ones.

A sample of kills; ROUTER_KILLS=50 makes more of them.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from ledger.harness import APPLICATION, SHOP_ROUTER, Ledger
from router.harness import BODY, Pod, Router, experiment
from router.reference import slot_of
from slipway_box import layout
from slipway_testing import loopback
from slipway_testing.loopback import free_port

EXPERIMENT = "/v1/experiments/shop/ranker-v8-1a2b3c4d"
DEFINITION = {
    "arms": ["control", "v8"],
    "service": "ranker",
    "metrics": [{"name": "bought", "type": "Proportion", "windowSeconds": 3600, "cuped": {"days": 1}}],
}
RUNS = ((4500, 0, 0), (5000, 0, 2), (10000, 1, 1))
"""Control, those that wait, and v8."""
ARMS = ("control", "v8", "waiting")
TAKE_S = 0.3
KILLS = int(os.environ.get("ROUTER_KILLS", "6"))


class Agent:
    """``python -m slipway_router.agent`` beside an nginx, without an API server: it has the tables of its file."""

    def __init__(self, router: Router, ledger: Ledger, *tables: dict[str, Any], pods: dict[str, list[Pod]]) -> None:
        folder = router.folder
        (folder / "token").write_text(SHOP_ROUTER)
        addresses = {revision: [pod.address for pod in listed] for revision, listed in pods.items()}
        texts = {table["model"]: json.dumps(table) for table in tables}
        (folder / "tables.json").write_text(json.dumps({"version": 1, "routes": texts, "pods": addresses}))
        (folder / "kubeconfig").write_text(json.dumps(_kubeconfig(f"http://127.0.0.1:{free_port()}")))
        self.folder = folder
        self.port = free_port()
        self._environment = {
            "PYTHONPATH": str(layout.REPOSITORY / "inference"),
            "SLIPWAY_ROUTER_NAME": "slipway-router",
            "SLIPWAY_KUBECONFIG": str(folder / "kubeconfig"),
            "SLIPWAY_API_PATIENCE_SECONDS": "0",
            "SLIPWAY_NGINX_SOCKET": f"{router.settings.run}/nginx.sock",
            "SLIPWAY_AGENT_SOCKET": str(folder / "agent.sock"),
            "SLIPWAY_TABLES_FILE": str(folder / "tables.json"),
            "SLIPWAY_EXPOSURES_FILE": str(folder / "exposures.jsonl"),
            "SLIPWAY_LEDGER_URL": f"http://127.0.0.1:{ledger.port}",
            "SLIPWAY_LEDGER_TOKEN_FILE": str(folder / "token"),
            "SLIPWAY_AGENT_HOST": "127.0.0.1",
            "SLIPWAY_AGENT_PORT": str(self.port),
            "SLIPWAY_TAKE_SECONDS": str(TAKE_S),
            "SLIPWAY_DRAIN_SECONDS": "0.2",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        with (self.folder / "agent.log").open("ab") as log:
            command = [sys.executable, "-m", "slipway_router.agent"]
            self._process = subprocess.Popen(command, env=self._environment, cwd=self.folder, stderr=log)
        eventually(lambda: loopback.accepts(self.port), within_s=20)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)

    @property
    def resident_mib(self) -> float:
        assert self._process
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def metric(self, name: str) -> float:
        _, _, text = loopback.asked(self.port, "GET", "/metrics", None, {}, timeout_s=10)
        return next((float(line.split()[-1]) for line in text.decode().splitlines() if line.startswith(f"slipway_router_{name} ")), 0.0)


def _kubeconfig(server: str) -> dict[str, Any]:
    return {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x", "namespace": "shop"}}],
        "clusters": [{"name": "x", "cluster": {"server": server}}],
        "users": [{"name": "x", "user": {}}],
    }


def eventually(holds: Callable[[], Any], *, within_s: float = 15.0) -> Any:
    end = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(0.02)
    return found


class Users:
    """Each asks the endpoint; and every third does at once what is counted, as an application would tell it."""

    def __init__(self, router: Router, ledger: Ledger) -> None:
        self.asked: dict[str, float] = {}
        """When each was answered."""
        self._router = router
        self._ledger = ledger

    def ask(self, unit: str) -> None:
        self._until_told(lambda: self._infer(unit) == 200)
        new = unit not in self.asked
        self.asked.setdefault(unit, time.monotonic())
        if new and buys(unit):
            outcome = {"service": "shop/ranker", "unit": unit, "metric": "bought", "value": 1, "time": datetime.now(UTC).isoformat()}
            outcome["idempotencyKey"] = unit
            self._until_told(lambda: self._ledger.post("/v1/outcomes", outcome, APPLICATION).status == 200)

    def _infer(self, unit: str) -> int:
        path = "/v2/models/ranker/infer"
        return loopback.asked(self._router.http_port, "POST", path, BODY, {"x-user-id": unit}, timeout_s=10)[0]

    def _until_told(self, told: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if told():
                    return
            assert time.monotonic() < end, "nobody answers"
            time.sleep(0.01)


def buys(unit: str) -> bool:
    return int(unit.rpartition("-")[2]) % 3 == 0


def arm_of(unit: str) -> str:
    slot = slot_of("shop/ranker", unit.encode())
    return next(ARMS[arm] for end, _, arm in RUNS if slot < end)


def seen(ledger: Ledger) -> dict[str, tuple[int, int]]:
    """By arm: units, and how many of them bought; those that wait are in neither."""
    answer = ledger.sums(EXPERIMENT)
    found = {each["arm"]: (int(each["open"]["units"]), int(each["open"]["totals"][0])) for each in answer["metrics"][0]["sums"]}
    covariates = [total for each in answer["metrics"][0]["sums"] for total in each["open"]["totals"][1:]]
    assert set(covariates) <= {"0"}, "an outcome was before its exposure"
    return found | {"waiting": (int(answer["counts"]["waiting"]), 0)}


def expected(users: Users) -> dict[str, tuple[int, int]]:
    units = Counter(map(arm_of, users.asked))
    bought = Counter(arm_of(unit) for unit in users.asked if buys(unit))
    return {arm: (units[arm], 0 if arm == "waiting" else bought[arm]) for arm in ARMS}


PYTHON = layout.REPOSITORY / "build" / "venvs" / "ledger-tests" / "bin" / "python"
"""An environment of the ledger's own: a router's has nothing of what it needs."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path, python=PYTHON) as running:
        assert running.put(EXPERIMENT, DEFINITION).status == 201
        yield running


@pytest.fixture
def agent(router: Router, ledger: Ledger) -> Iterator[Agent]:
    pods = {"ranker-old": [router.pod()], "ranker-new": [router.pod()]}
    with Agent(router, ledger, experiment(*RUNS), pods=pods) as running:
        eventually(lambda: router.ask(path="/v2/models/ranker", method="GET").status == 200)
        yield running


def test_an_exposure_is_in_the_ledger_soon_after_its_request(router: Router, ledger: Ledger, agent: Agent) -> None:
    users = Users(router, ledger)
    for number in range(20):
        users.ask(f"user-{number}")
    last = time.monotonic()
    eventually(lambda: seen(ledger).get("v8") and seen(ledger) == expected(users))
    assert time.monotonic() - last < 2.0
    assert agent.resident_mib < 60


def test_killed_agents_and_ledgers_change_no_sum(router: Router, ledger: Ledger, agent: Agent) -> None:
    users, chance = Users(router, ledger), random.Random(8)  # noqa: S311
    done = threading.Event()

    def ask() -> None:
        number = 0
        while not done.is_set():
            users.ask(f"user-{number}")
            if number % 5 == 0:
                users.ask(f"user-{number // 2}")
            number += 1

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(KILLS):
        time.sleep(chance.uniform(0.1, 1.0))
        victim = (agent, ledger)[number % 2]
        victim.kill()
        if victim is ledger:
            time.sleep(chance.uniform(0.0, 0.5))
        victim.start()
    time.sleep(0.5)
    done.set()
    asking.join()

    eventually(lambda: seen(ledger) == expected(users), within_s=40)
    assert len(users.asked) > 200
    assert agent.metric("exposures_lost_total") == agent.metric("exposures_unsent_total") == 0
    assert agent.metric("exposures_waiting") == 0


def test_an_nginx_that_is_killed_loses_what_it_told_last_and_no_more(router: Router, ledger: Ledger, agent: Agent) -> None:
    users = Users(router, ledger)
    lost_at_most, number = 0, 0
    for kill in range(1, 4):
        until = time.monotonic() + 3 * TAKE_S + 0.1 * kill
        while time.monotonic() < until:
            users.ask(f"user-{number}")
            number += 1
        # What was told before the take before the last one is on the disk; one take may be under way.
        lost_at_most += sum(1 for asked in users.asked.values() if asked > time.monotonic() - 2 * TAKE_S)
        router.kill()
        router.start()
        eventually(lambda: router.ask(path="/v2/models/ranker", method="GET").status == 200)
        eventually(partial(_restarts, agent, kill))
    users.ask(f"user-{number}")

    eventually(lambda: agent.metric("exposures_waiting") == 0 and total(seen(ledger)) == agent.metric("exposures_sent_total"))
    lost = total(expected(users)) - total(seen(ledger))
    assert 0 < lost <= lost_at_most
    assert lost_at_most < len(users.asked)


def _restarts(agent: Agent, number: int) -> bool:
    return agent.metric("nginx_restarts_total") == number


def total(counted: dict[str, tuple[int, int]]) -> int:
    return sum(units for units, _ in counted.values())


def test_an_agent_that_ends_sends_what_is_left(router: Router, ledger: Ledger, agent: Agent) -> None:
    users = Users(router, ledger)
    for number in range(50):
        users.ask(f"user-{number}")
    assert agent.end() == 0
    assert seen(ledger) == expected(users)
