"""A plain, blocking client of the real API server for tests: what kubectl does, in milliseconds."""

import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from slipway_operator.cluster import credentials, resources
from slipway_operator.cluster.encoding import encoded
from slipway_operator.cluster.resources import Object, Resource

T = TypeVar("T")


class Refused(AssertionError):
    """The API server did not take a request; ``status`` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Kube:
    """Requests as the administrator of ``kubeconfig``."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        access = credentials.load(kubeconfig)
        self._context = access.ssl_context()
        self._server = urlsplit(access.server)

    def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Object | None:
        """The object, or None."""
        try:
            return self.request("GET", resource.path(namespace=namespace, name=name))
        except Refused as refused:
            if refused.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def list(self, resource: Resource, *, namespace: str | None = None, selector: str = "") -> list[Object]:
        """The objects of a namespace, or of all."""
        query = f"?labelSelector={selector}" if selector else ""
        items: list[Object] = self.request("GET", resource.path(namespace=namespace) + query)["items"]
        return items

    def apply(self, body: Object, *, manager: str = "test", subresource: str = "") -> Object:
        """Server-side apply with force, as another writer than the operator."""
        resource = resources.of(body)
        meta = body["metadata"]
        path = resource.path(namespace=meta.get("namespace"), name=meta["name"])
        path += (f"/{subresource}" if subresource else "") + f"?fieldManager={manager}&force=true"
        return self.request("PATCH", path, body=body, content_type="application/apply-patch+yaml")

    def merge(self, resource: Resource, name: str, patch: Object, *, namespace: str, subresource: str = "") -> Object:
        """A merge patch."""
        path = resource.path(namespace=namespace, name=name) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, body=patch, content_type="application/merge-patch+json")

    def delete(self, resource: Resource, name: str, *, namespace: str | None = None) -> None:
        """Delete in the background."""
        self.request("DELETE", resource.path(namespace=namespace, name=name) + "?propagationPolicy=Background")

    def tried(self, body: Object) -> Object:
        """What a new object is like after admission, fields that nobody knows refused as by kubectl; nothing is kept."""
        path = resources.of(body).path(namespace=body["metadata"].get("namespace", "default"))
        return self.request("POST", f"{path}?dryRun=All&fieldValidation=Strict", body=body)

    def make_namespace(self, name: str) -> None:
        """A namespace with nothing in it; Refused where there is one."""
        self.request("POST", resources.NAMESPACES.path(), body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def request(self, method: str, path: str, *, body: Object | None = None, content_type: str = "application/json") -> Object:
        """One request; Refused for every status from 400 on."""
        connection = http.client.HTTPSConnection(self._server.hostname or "", self._server.port, timeout=20, context=self._context)
        try:
            connection.request(method, path, body=encoded(body) if body else None, headers={"Content-Type": content_type})
            answer = connection.getresponse()
            found: Object = json.loads(answer.read() or b"{}")
        finally:
            connection.close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise Refused(answer.status, str(found.get("message", "")))
        return found


def eventually(look: Callable[[], T], *, within_s: float = 20.0, every_s: float = 0.1) -> T:
    """The first truthy value of ``look``; an AssertionError or a falsy value is looked at again until time is up, then told."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            found = look()
            if found:
                return found
            problem: AssertionError = AssertionError(f"still {found!r} after {within_s:.0f} s")
        except AssertionError as error:
            problem = error
        if time.monotonic() > deadline:
            raise problem
        time.sleep(every_s)


def steady(look: Callable[[], Any], *, for_s: float) -> Any:
    """The value of ``look``, which must not change for a while."""
    first = look()
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        time.sleep(0.2)
        found = look()
        assert found == first, f"{found!r} came after {first!r}"
    return first
