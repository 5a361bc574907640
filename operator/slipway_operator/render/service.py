"""The one stable address of a ModelDeployment."""

from typing import Any, Final

from slipway_operator.render import owned
from slipway_operator.state.observed import Identity

HTTP_PORT: Final = 8080
GRPC_PORT: Final = 9000
REVISION_SELECTOR: Final = "serving.kserve.io/inferenceservice"
_COMPONENT_SELECTOR: Final = {"component": "predictor"}


def url(owner: Identity) -> str:
    """The address inside the cluster, of the Open Inference Protocol over HTTP."""
    return f"http://{owner.name}.{owner.namespace}.svc"


def stable_service(owner: Identity, *, revision: str | None) -> dict[str, Any]:
    """The Service, on the pods of ``revision``; with None it exists, resolves and refuses connections until a revision is ready.

    KServe deletes Services that carry its own labels and that it does not know, so those stand in the selector only.
    """
    spec: dict[str, Any] = {
        "type": "ClusterIP",
        "ports": [
            {"name": "http", "port": 80, "protocol": "TCP", "targetPort": HTTP_PORT},
            {"name": "grpc", "port": 9000, "protocol": "TCP", "targetPort": GRPC_PORT, "appProtocol": "kubernetes.io/h2c"},
        ],
    }
    if revision is not None:
        spec["selector"] = {REVISION_SELECTOR: revision} | _COMPONENT_SELECTOR
    return {"apiVersion": "v1", "kind": "Service", "metadata": owned.child_metadata(owner, name=owner.name), "spec": spec}
