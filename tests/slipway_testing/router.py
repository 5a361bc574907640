"""A router pod as far as the operator sees it: a ready Pod, and an agent that says which tables it acts on."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from slipway_operator.cluster import resources
from slipway_testing import loopback
from slipway_testing.kube import Kube

ROUTER = "slipway-router"
PORT = 8081
STARTED = "2026-11-25T00:00:00Z"
_addresses = loopback.own_addresses()


@dataclass(frozen=True)
class Pod:
    """What Kubernetes has of a router pod."""

    name: str
    namespace: str
    address: str
    model: str | None = None
    """Of the router of that ModelDeployment's own."""

    @property
    def router(self) -> str:
        """Name of the router."""
        return f"{self.model}-router" if self.model else ROUTER

    @property
    def labels(self) -> dict[str, str]:
        """Of the pod, and of the Service over the router's pods."""
        own = {"slipway.dev/modeldeployment": self.model} if self.model else {}
        return {"app.kubernetes.io/managed-by": "slipway", "slipway.dev/router": self.router} | own

    @property
    def body(self) -> dict[str, Any]:
        """As a Deployment's controller makes it."""
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": self.labels},
            "spec": {"containers": [{"name": "nginx", "image": "slipway/router:test"}], "automountServiceAccountToken": False},
        }

    def status(self, *, ready: bool) -> dict[str, Any]:
        """As the kubelet writes it."""
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        return {"phase": "Running", "podIP": self.address, "podIPs": [{"ip": self.address}], "conditions": [condition]}

    def endpoint_slice(self, *, ready: bool) -> dict[str, Any]:
        """As the controller of endpoints writes it for the Service over the router's pods, which it copies the labels of."""
        return self.endpoint_slice_of(f"{self.router}-pods", labels=self.labels, ready=ready)

    def endpoint_slice_of(self, service: str, *, labels: Mapping[str, str], ready: bool) -> dict[str, Any]:
        """As it writes it for any Service that selects this pod."""
        target = {"kind": "Pod", "name": self.name, "namespace": self.namespace}
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{service}-{self.name}",
                "namespace": self.namespace,
                "labels": {"kubernetes.io/service-name": service, **labels},
            },
            "addressType": "IPv4",
            # An address of loopback would be refused here.
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}, "targetRef": target}],
            "ports": [{"name": "agent", "port": PORT, "protocol": "TCP"}],
        }


def live(tables: Iterable[str]) -> dict[str, Any]:
    """The answer to /v1/live of an agent that acts on these tables."""
    return {"ready": True, "started": STARTED, "models": dict(_followed(table) for table in tables)}


def counts(tables: Iterable[str], *, model: str, epoch: int, bad: Mapping[str, float] | None = None) -> dict[str, Any]:
    """The answer to /v1/counts: as much traffic as any step needs, with a share of each revision's requests ``bad``."""
    names = [entry["name"] for table in map(json.loads, tables) if table["model"] == model for entry in table["revisions"]]
    return {"epoch": epoch, "blockSeconds": 4, "started": STARTED, "revisions": {name: _counted((bad or {}).get(name, 0.0)) for name in names}}


def _counted(bad: float) -> dict[str, Any]:
    bucket, block = [1_000, round(1_000 * bad), 50], [3_200, round(3_200 * bad), 160]
    return {"latency": {"100": 64_000}, "buckets": [bucket] * 64, "blocks": {str(number): block for number in range(20)}}


class FakeRouter:
    """One pod, from enter to exit. It follows the tables as they are, but for the time between ``freeze`` and ``thaw``."""

    def __init__(self, kube: Kube, namespace: str, name: str = f"{ROUTER}-1", *, model: str | None = None, announced: bool = True) -> None:
        """``model``: of the router of that ModelDeployment's own; ``announced``: whether it becomes an endpoint as soon as it is ready."""
        self.kube = kube
        self.asked = 0
        self.bad: dict[str, float] = {}
        """Share of a revision's requests that fail."""

        self.shadow: dict[str, Any] | None = None
        """What it says of a shadow."""

        self._pod = Pod(name=name, namespace=namespace, address=next(_addresses), model=model)
        self._selector = f"slipway.dev/dedicated-router={self._pod.router}" if model else f"slipway.dev/router={ROUTER}"
        self._announced = announced
        self._frozen: dict[str, Any] | None = None
        self._server = http.server.ThreadingHTTPServer((self._pod.address, PORT), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.kube.apply(self._pod.body)
        self.ready(True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def name(self) -> str:
        return self._pod.name

    def ready(self, whether: bool) -> None:
        """What the kubelet would write."""
        status = {"status": self._pod.status(ready=whether)}
        self.kube.merge(resources.PODS, self._pod.name, status, namespace=self._pod.namespace, subresource="status")
        if self._announced:
            self.announce(whether)

    def announce(self, whether: bool = True) -> None:
        """What the controller of endpoints would write."""
        self.kube.apply(self._pod.endpoint_slice(ready=whether))

    def reach(self, model: str = "digits") -> None:
        """What it would write for the stable Service of a ModelDeployment."""
        labels = {"app.kubernetes.io/managed-by": "slipway", "slipway.dev/modeldeployment": model}
        self.kube.apply(self._pod.endpoint_slice_of(model, labels=labels, ready=True))

    def freeze(self) -> None:
        """Act on no newer table."""
        self._frozen = self.live()

    def thaw(self) -> None:
        """Act on what is there."""
        self._frozen = None

    def live(self) -> dict[str, Any]:
        """The answer to /v1/live."""
        return self._frozen if self._frozen is not None else live(self._tables())

    def counts(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """The answer to /v1/counts."""
        answer = counts(self._tables(), model=query["model"][0], epoch=int(query["epoch"][0]), bad=self.bad)
        return answer | ({"shadow": self.shadow} if self.shadow else {})

    def _tables(self) -> list[str]:
        found = self.kube.list(resources.CONFIG_MAPS, namespace=self._pod.namespace, selector=self._selector)
        return [table["data"]["routes.json"] for table in found]


def _followed(text: str) -> tuple[str, dict[str, Any]]:
    table = json.loads(text)
    return table["model"], {"digest": hashlib.sha256(text.encode()).hexdigest()[:16], "epoch": table["epoch"]}


def _handler(router: FakeRouter) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            router.asked += 1
            asked = urlsplit(self.path)
            body = json.dumps(router.counts(parse_qs(asked.query)) if asked.path == "/v1/counts" else router.live()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nowhere."""

    return Handler
