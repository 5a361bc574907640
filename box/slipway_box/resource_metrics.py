"""CPU and memory of pods for autoscalers and `kubectl top`: metrics-server as a process of the host, built when first asked for."""

import base64
from typing import Any

from slipway_box.certificates import Subject
from slipway_box.component import Component
from slipway_box.extras import Extra
from slipway_box.probe import Https
from slipway_box.site import Site

NAME = "metrics-server"
USER = "slipway-box:metrics-server"
PORT = 10350
PROGRAM = Extra(name="metrics-server", module="metrics", package="sigs.k8s.io/metrics-server/cmd/metrics-server", usual_s=265)
_SERVICE = {"name": NAME, "namespace": "kube-system"}
_HOST = f"{NAME}.kube-system.svc"
_GROUP = "rbac.authorization.k8s.io"


def component(site: Site, program: str) -> Component:
    """metrics-server, on the bridge address, where the API server finds it behind a Service."""
    authority = site.identities.authority
    served = authority.issue(NAME, Subject(user=NAME, addresses=(site.address,), names=(_HOST,)))
    kubeconfig = site.identities.kubeconfig(f"{NAME}-client", user=USER)
    argv = (
        program,
        f"--bind-address={site.address}",
        f"--secure-port={PORT}",
        f"--tls-cert-file={served.certificate}",
        f"--tls-private-key-file={served.key}",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--kubelet-certificate-authority={authority.certificate}",
        "--kubelet-preferred-address-types=InternalIP",
        # The shortest it takes: a test that waits for an autoscaler waits for this first.
        "--metric-resolution=10s",
        "--kubelet-request-timeout=5s",
    )
    probe = Https(site.address, PORT, "/livez", authority.certificate, site.identities.administrator())
    return Component(name=NAME, argv=argv, probe=probe, listens=((site.address, PORT),))


def objects(site: Site) -> list[dict[str, Any]]:
    """The API that it serves, the Service in front of it with its one endpoint, and what it may read."""
    authority = base64.b64encode(site.identities.authority.certificate.read_bytes()).decode()
    ports = [{"name": "https", "protocol": "TCP", "port": 443}]
    return [
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "service": _SERVICE | {"port": 443},
                "caBundle": authority,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": _SERVICE, "spec": {"ports": ports}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": _SERVICE | {"labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [site.address], "conditions": {"ready": True}}],
            "ports": [ports[0] | {"port": PORT}],
        },
        *_rights(),
    ]


def _rights() -> list[dict[str, Any]]:
    subjects = [{"apiGroup": _GROUP, "kind": "User", "name": USER}]
    role = {"name": "slipway-box-metrics-server"}
    rules = [
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
    ]
    return [
        {"apiVersion": f"{_GROUP}/v1", "kind": "ClusterRole", "metadata": role, "rules": rules},
        _binding("ClusterRoleBinding", role, {"kind": "ClusterRole"} | role, subjects),
        _binding("ClusterRoleBinding", {"name": f"{role['name']}-delegator"}, {"kind": "ClusterRole", "name": "system:auth-delegator"}, subjects),
        _binding(
            "RoleBinding",
            role | {"namespace": "kube-system"},
            {"kind": "Role", "name": "extension-apiserver-authentication-reader"},
            subjects,
        ),
    ]


def _binding(kind: str, metadata: dict[str, str], role: dict[str, str], subjects: list[dict[str, str]]) -> dict[str, Any]:
    reference = {"apiGroup": _GROUP} | role
    return {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": metadata, "roleRef": reference, "subjects": subjects}
