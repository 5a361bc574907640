"""The ledger in the cluster: who may send it what, and that nothing it acknowledged is lost with its process or its pod."""

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from slipway_box import clusters, images, on_box
from slipway_operator.cluster import credentials, resources
from slipway_testing import accounts
from slipway_testing.kube import Kube, eventually
from slipway_testing.stage import Stage

SYSTEM = "slipway-system"
POD = "slipway-ledger-0"
SENDER = "checkout"
METRICS = [{"name": "bought", "type": "Proportion", "windowSeconds": 3600}]
SEND = """
import json, os, sys, urllib.error, urllib.request

headers = {"Authorization": "Bearer " + open(os.environ["SLIPWAY_LEDGER_TOKEN_FILE"]).read(), "Content-Type": "application/json"}
request = urllib.request.Request(os.environ["SLIPWAY_LEDGER_URL"] + "/v1/outcomes", data=sys.argv[1].encode(), headers=headers)
try:
    answer = urllib.request.urlopen(request, timeout=10)
except urllib.error.HTTPError as error:
    answer = error
print(json.dumps({"status": answer.status, "said": json.load(answer)}))
"""


@dataclass(frozen=True)
class Experiment:
    """One of the namespace's, as the operator registers it."""

    kube: Kube
    namespace: str
    name: str = "ranker-v8-1a2b3c4d"
    operator: str = field(default="", repr=False)
    """Its token."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def path(self) -> str:
        return f"/v1/experiments/{self.key}"

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "") -> tuple[int, Any]:
        """One request to the ledger's cluster address, which this machine reaches too."""
        service = self.kube.get(resources.SERVICES, "slipway-ledger", namespace=SYSTEM)
        assert service is not None
        connection = http.client.HTTPConnection(service["spec"]["clusterIP"], 8080, timeout=5)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Authorization": f"Bearer {token or self.operator}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def units(self) -> int:
        """How many units are counted."""
        status, sums = self.ask("GET", f"{self.path}/sums")
        assert status == http.HTTPStatus.OK, sums
        return sum(int(group["units"]) for group in sums["units"])


@pytest.fixture(scope="module")
def experiment(stage: Stage) -> Iterator[Experiment]:
    """Runs, on the service shop/ranker where shop is the module's namespace."""
    running = Experiment(stage.kube, stage.namespace, operator=accounts.token(stage.kube, SYSTEM, "slipway-operator"))
    status, said = running.ask("PUT", running.path, {"service": "ranker", "arms": ["control", "v8"], "metrics": METRICS})
    assert status == http.HTTPStatus.CREATED, said
    yield running
    running.ask("DELETE", running.path)


@pytest.fixture(scope="module")
def sender(stage: Stage) -> str:
    """A pod of an application, with the token that the kubelet brings it."""
    container = {
        "name": "checkout",
        "image": images.reference("ledger"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "env": [
            {"name": "SLIPWAY_LEDGER_URL", "value": "http://slipway-ledger.slipway-system:8080"},
            {"name": "SLIPWAY_LEDGER_TOKEN_FILE", "value": "/var/run/slipway-ledger/token"},
        ],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "volumeMounts": [{"name": "ledger", "mountPath": "/var/run/slipway-ledger", "readOnly": True}],
    }
    projected = {"serviceAccountToken": {"audience": accounts.LEDGER, "path": "token", "expirationSeconds": 3600}}
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "ledger", "projected": {"sources": [projected]}}],
    }
    stage.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": SENDER}, "spec": spec}))
    stage.run("wait", "--for=condition=Ready", f"pod/{SENDER}", "--timeout=60s")
    return SENDER


def at(seconds: float) -> str:
    """So many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def outcome(service: str, unit: str) -> dict[str, Any]:
    return {"service": service, "unit": unit, "metric": "bought", "value": 1, "time": at(-1)}


def test_a_pod_sends_outcomes_of_its_own_namespace_and_of_no_other(stage: Stage, experiment: Experiment, sender: str) -> None:
    own, other = outcome(f"{stage.namespace}/ranker", "user-1"), outcome("default/ranker", "user-1")

    def sent(*events: dict[str, Any]) -> Any:
        return json.loads(stage.run("exec", "-i", sender, "--", "python", "-", json.dumps(events), stdin=SEND))

    assert sent(own) == {"status": 200, "said": {"accepted": 1, "duplicates": 0, "refused": []}}
    refused = sent(other)
    assert (refused["status"], [no["reason"] for no in refused["said"]["refused"]]) == (422, ["namespace"])


def test_an_account_has_its_role_in_its_own_namespace_only(stage: Stage, experiment: Experiment) -> None:
    kube = stage.kube
    accounts.make(kube, stage.namespace, "slipway-router")
    router, application, elsewhere = (
        accounts.token(kube, stage.namespace, "slipway-router"),
        accounts.token(kube, stage.namespace, "default"),
        accounts.token(kube, "default", "default"),
    )
    exposure = {"experiment": experiment.key, "unit": "user-2", "arm": "v8", "stratum": "1", "time": at(-1)}

    assert experiment.ask("POST", "/v1/exposures", exposure, token=router)[0] == http.HTTPStatus.OK
    status, said = experiment.ask("POST", "/v1/exposures", exposure, token=application)
    assert (status, said["reason"]) == (403, "role")
    status, said = experiment.ask("DELETE", "/v1/units/user-2", token=router)
    assert (status, said["reason"]) == (403, "role")
    status, said = experiment.ask("POST", "/v1/outcomes", outcome(f"{stage.namespace}/ranker", "user-2"), token=elsewhere)
    assert (status, [no["reason"] for no in said["refused"]]) == (422, ["namespace"])
    status, said = experiment.ask("POST", "/v1/exposures", exposure, token=accounts.token(kube, stage.namespace, "slipway-router", audience="other"))
    assert (status, said["reason"]) == (401, "token")


def test_a_person_reads_through_the_api_server(stage: Stage, experiment: Experiment) -> None:
    """Its service proxy keeps the header Authorization, so the reader's token has one of its own."""
    access = credentials.load(stage.kube.kubeconfig)
    server = urlsplit(access.server)
    connection = http.client.HTTPSConnection(server.hostname or "", server.port, timeout=10, context=access.ssl_context())
    headers = {"X-Slipway-Authorization": f"Bearer {accounts.token(stage.kube, SYSTEM, 'slipway-ledger-reader')}"}
    try:
        connection.request("GET", f"/api/v1/namespaces/{SYSTEM}/services/slipway-ledger:http/proxy/v1/experiments", headers=headers)
        answer = connection.getresponse()
        listed = json.loads(answer.read())["experiments"]
    finally:
        connection.close()
    [own] = [each for each in listed if each["name"] == experiment.key]
    assert (own["service"], own["state"], own["endedAt"]) == (f"{stage.namespace}/ranker", "Running", None)


class Router:
    """Sends one exposure after another, each until it is acknowledged."""

    def __init__(self, experiment: Experiment, token: str) -> None:
        self._experiment = experiment
        self._token = token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged = 0
        self.failed = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def goes_on(self) -> bool:
        """Wait for twenty more."""
        mark = self.acknowledged
        return eventually(lambda: self.acknowledged >= mark + 20, within_s=60)

    def _run(self) -> None:
        while not self._stop.is_set():
            unit, time_ = f"load-{self.acknowledged}", at(-1)
            event = {"experiment": self._experiment.key, "unit": unit, "arm": "control", "stratum": "1", "time": time_}
            while not self._sent(event):
                self.failed += 1
                time.sleep(0.1)
            self.acknowledged += 1

    def _sent(self, event: dict[str, Any]) -> bool:
        try:
            status, said = self._experiment.ask("POST", "/v1/exposures", event, token=self._token)
        except (OSError, http.client.HTTPException):
            return False
        assert status in (200, 503), said
        return status == http.HTTPStatus.OK


def process(kube: Kube) -> int:
    """The number of the ledger's process on this machine."""
    pod = kube.get(resources.PODS, POD, namespace=SYSTEM)
    assert pod is not None
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if container in (folder / "cgroup").read_text():
                return int(folder.name)
        except OSError:  # it has ended meanwhile
            continue
    raise AssertionError("the ledger's process is not here")


def ready(kube: Kube, *, restarts: int, after: str = "") -> bool:
    """Whether the pod is Ready with so many restarts, and another one than that of the uid ``after``."""
    pod = kube.get(resources.PODS, POD, namespace=SYSTEM)
    if pod is None or pod["metadata"]["uid"] == after:
        return False
    statuses = pod["status"].get("containerStatuses", [])
    return [(status["ready"], status["restartCount"]) for status in statuses] == [(True, restarts)]


@pytest.mark.skipif(not isinstance(clusters.chosen(), on_box.OnBox), reason="the processes of this cluster are not ours to kill")
def test_nothing_that_was_acknowledged_is_lost_with_the_process_or_the_pod(stage: Stage, experiment: Experiment) -> None:
    kube = stage.kube
    before, pod = experiment.units(), kube.get(resources.PODS, POD, namespace=SYSTEM)
    assert pod is not None
    restarts = pod["status"]["containerStatuses"][0]["restartCount"]

    with Router(experiment, accounts.token(kube, stage.namespace, "slipway-router")) as router:
        router.goes_on()
        os.kill(process(kube), signal.SIGKILL)
        eventually(lambda: ready(kube, restarts=restarts + 1), within_s=60)
        router.goes_on()
        kube.delete(resources.PODS, POD, namespace=SYSTEM)
        eventually(lambda: ready(kube, restarts=0, after=pod["metadata"]["uid"]), within_s=60)
        router.goes_on()

    assert router.failed > 0
    assert experiment.units() == before + router.acknowledged
