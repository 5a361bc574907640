"""Tokens of service accounts, as the kubelet gets them for pods."""

from typing import Any

from slipway_testing.kube import Kube

LEDGER = "slipway-ledger"
"""The audience that the ledger wants tokens to be made for."""


def make(kube: Kube, namespace: str, name: str) -> None:
    """Make a service account."""
    kube.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts",
        body={"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
    )


def delete(kube: Kube, namespace: str, name: str) -> None:
    """Delete it."""
    kube.request("DELETE", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")


def token(kube: Kube, namespace: str, name: str, *, audience: str = LEDGER, pod: tuple[str, str] | None = None) -> str:
    """A new token of a service account, for an hour; of ``pod``, name and uid, for no longer than that is there."""
    spec: dict[str, Any] = {"audiences": [audience], "expirationSeconds": 3600}
    if pod is not None:
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod[0], "uid": pod[1]}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    made = kube.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", body=body)
    return str(made["status"]["token"])
