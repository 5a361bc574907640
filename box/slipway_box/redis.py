"""A Redis for online features: Debian's, installed when first asked for. It keeps nothing on disk."""

from typing import Any

from slipway_box.component import Component
from slipway_box.extras import Packaged
from slipway_box.probe import Tcp
from slipway_box.site import Site

NAME = "redis"
PORT = 6379
PROGRAM = Packaged(package="redis-server", path="/usr/bin/redis-server", usual_s=15)


def component(site: Site, program: str) -> Component:
    """The server, on the bridge address: pods reach it, other machines do not."""
    folder = site.state / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "bind": site.address,
        "port": str(PORT),
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "protected-mode": "no",
        "set-proc-title": "no",
    }
    return Component(
        name=NAME,
        argv=(program, *(word for option, value in options.items() for word in (f"--{option}", value))),
        probe=Tcp(site.address, PORT),
        listens=((site.address, PORT),),
    )


def url(site: Site) -> str:
    """Of its first database."""
    return f"redis://{site.address}:{PORT}/0"


def service(site: Site, *, namespace: str) -> dict[str, Any]:
    """``redis`` for the pods of a namespace: a Service and its hand-made endpoints."""
    common = {"namespace": namespace, "name": NAME}
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": common | {"labels": {"kubernetes.io/service-name": NAME}},
        "addressType": "IPv4",
        "ports": [{"name": "redis", "port": PORT}],
        "endpoints": [{"addresses": [site.address], "conditions": {"ready": True}}],
    }
    named = {"apiVersion": "v1", "kind": "Service", "metadata": common, "spec": {"ports": [{"name": "redis", "port": PORT}]}}
    return {"apiVersion": "v1", "kind": "List", "items": [named, endpoints]}
