"""A router pod as far as the operator sees it: a ready Pod, and an agent that says which tables it acts on."""

import hashlib
import http.server
import itertools
import json
import threading
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from slipway_operator.cluster import resources
from slipway_testing.kube import Kube

ROUTER = "slipway-router"
PORT = 8081
_ADDRESSES = (f"127.88.{number // 250}.{number % 250 + 1}" for number in itertools.count())


class FakeRouter:
    """One pod, from enter to exit. It follows the tables as they are, but for the time between ``freeze`` and ``thaw``."""

    def __init__(self, kube: Kube, namespace: str, name: str = f"{ROUTER}-1", *, model: str | None = None, announced: bool = True) -> None:
        """``model``: of the router of that ModelDeployment's own; ``announced``: whether it becomes an endpoint as soon as it is ready."""
        self._announced = announced
        self._labels = (
            {"slipway.dev/router": ROUTER} if model is None else {"slipway.dev/router": f"{model}-router", "slipway.dev/modeldeployment": model}
        )
        self._tables = f"slipway.dev/router={ROUTER}" if model is None else f"slipway.dev/dedicated-router={model}-router"
        self.kube = kube
        self.namespace = namespace
        self.name = name
        self.address = next(_ADDRESSES)
        self.asked = 0
        self.bad: dict[str, float] = {}
        """Share of a revision's requests that fail."""

        self.shadow: dict[str, Any] | None = None
        """What it says of a shadow."""

        self._frozen: dict[str, Any] | None = None
        self._server = http.server.ThreadingHTTPServer((self.address, PORT), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.kube.apply(self._pod())
        self.ready(True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def ready(self, whether: bool) -> None:
        """What the kubelet would write."""
        condition = {"type": "Ready", "status": "True" if whether else "False"}
        status = {"phase": "Running", "podIP": self.address, "podIPs": [{"ip": self.address}], "conditions": [condition]}
        self.kube.merge(resources.PODS, self.name, {"status": status}, namespace=self.namespace, subresource="status")
        if self._announced:
            self.announce(whether)

    def announce(self, whether: bool = True) -> None:
        """What the controller of endpoints would write for the Service over the router's pods, which it copies the labels of."""
        service = f"{self._labels['slipway.dev/router']}-pods"
        target = {"kind": "Pod", "name": self.name, "namespace": self.namespace}
        # 127.x would be refused in an EndpointSlice.
        endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": whether}, "targetRef": target}
        labels = {"kubernetes.io/service-name": service, "app.kubernetes.io/managed-by": "slipway"} | self._labels
        self.kube.apply(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": f"{service}-{self.name}", "namespace": self.namespace, "labels": labels},
                "addressType": "IPv4",
                "endpoints": [endpoint],
                "ports": [{"name": "agent", "port": 8081, "protocol": "TCP"}],
            }
        )

    def freeze(self) -> None:
        """Act on no newer table."""
        self._frozen = self.live()

    def thaw(self) -> None:
        """Act on what is there."""
        self._frozen = None

    def live(self) -> dict[str, Any]:
        """The answer to /v1/live."""
        if self._frozen is not None:
            return self._frozen
        tables = self.kube.list(resources.CONFIG_MAPS, namespace=self.namespace, selector=self._tables)
        return {"ready": True, "started": "2026-11-25T00:00:00Z", "models": dict(_followed(table["data"]["routes.json"]) for table in tables)}

    def counts(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """The answer to /v1/counts: as much traffic as any step needs, with ``bad`` of each revision's requests."""
        model, epoch = query["model"][0], int(query["epoch"][0])
        table = self.kube.get(resources.CONFIG_MAPS, f"{model}-routes", namespace=self.namespace) or {}
        names = [entry["name"] for entry in json.loads(table["data"]["routes.json"])["revisions"]]
        shadow = {"shadow": self.shadow} if self.shadow else {}
        counted = {name: self._counted(name) for name in names}
        return {"epoch": epoch, "blockSeconds": 4, "started": "2026-11-25T00:00:00Z", "revisions": counted} | shadow

    def _counted(self, revision: str) -> dict[str, Any]:
        bad = self.bad.get(revision, 0.0)
        bucket, block = [1_000, round(1_000 * bad), 50], [3_200, round(3_200 * bad), 160]
        return {"latency": {"100": 64_000}, "buckets": [bucket] * 64, "blocks": {str(number): block for number in range(20)}}

    def _pod(self) -> dict[str, Any]:
        labels = {"app.kubernetes.io/managed-by": "slipway"} | self._labels
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
            "spec": {"containers": [{"name": "nginx", "image": "slipway/router:test"}], "automountServiceAccountToken": False},
        }


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
