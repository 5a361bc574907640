"""The one stable address of a ModelDeployment."""

from collections.abc import Mapping
from typing import Any, Final

from slipway_operator.api import metadata
from slipway_operator.render import owned
from slipway_operator.state.observed import Identity

HTTP_PORT: Final = 8080
GRPC_PORT: Final = 9000
REVISION_SELECTOR: Final = "serving.kserve.io/inferenceservice"
_COMPONENT_SELECTOR: Final = {"component": "predictor"}


def url(owner: Identity) -> str:
    """The address inside the cluster, of the Open Inference Protocol over HTTP."""
    return f"http://{owner.name}.{owner.namespace}.svc"


def on_revision(revision: str | None) -> dict[str, str] | None:
    """The selector of a Service on the pods of ``revision``; None: it exists, resolves and refuses connections.

    KServe deletes Services that carry its own labels and that it does not know, so those stand in the selector only.
    """
    return {REVISION_SELECTOR: revision} | _COMPONENT_SELECTOR if revision else None


def on_router(router: str) -> dict[str, str]:
    """The selector of a Service on the pods of a router."""
    return {metadata.ROUTER_LABEL: router}


def stable_service(owner: Identity, *, selector: Mapping[str, str] | None) -> dict[str, Any]:
    """The Service; what it selects listens on the ports that Triton listens on."""
    spec: dict[str, Any] = {
        "type": "ClusterIP",
        "ports": [
            {"name": "http", "port": 80, "protocol": "TCP", "targetPort": HTTP_PORT},
            {"name": "grpc", "port": 9000, "protocol": "TCP", "targetPort": GRPC_PORT, "appProtocol": "kubernetes.io/h2c"},
        ],
    }
    if selector is not None:
        spec["selector"] = dict(selector)
    return {"apiVersion": "v1", "kind": "Service", "metadata": owned.child_metadata(owner, name=owner.name), "spec": spec}
