"""The names of the cluster: CoreDNS as a process of the host, reached by pods through the usual Service."""

from pathlib import Path
from typing import Any

from slipway_box import addresses
from slipway_box.component import Component
from slipway_box.identities import LOOPBACK
from slipway_box.probe import Http
from slipway_box.programs import Programs
from slipway_box.site import Site

NAME = "dns"
USER = "slipway-box:dns"
READY_PORT = 18181
_RESOLVERS = Path("/etc/resolv.conf")


def component(site: Site, programs: Programs) -> Component:
    """CoreDNS, on port 53 of the bridge alone."""
    upstream = _RESOLVERS if _RESOLVERS.exists() and "nameserver" in _RESOLVERS.read_text() else None
    text = configuration(site, upstream=upstream)
    path = site.state / "Corefile"
    argv = (programs.path("dns"), f"-conf={path}")
    listens = ((site.address, 53), (LOOPBACK, READY_PORT))
    return Component(name=NAME, argv=argv, probe=Http(LOOPBACK, READY_PORT, "/ready"), listens=listens, files={path: text})


def configuration(site: Site, *, upstream: Path | None) -> str:
    """The Corefile; short cache times, because a test that deletes a Service asks for it again at once."""
    kubeconfig = site.identities.kubeconfig(NAME, user=USER)
    forward = f"\n    forward . {upstream}" if upstream else ""
    return f"""\
.:53 {{
    bind {site.address}
    errors
    ready {LOOPBACK}:{READY_PORT}
    kubernetes {addresses.DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 2
    }}{forward}
    cache 5
}}
"""


def objects(site: Site) -> list[dict[str, Any]]:
    """The Service without selector, its one hand-made endpoint, and what CoreDNS may read."""
    name = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "protocol": "TCP", "port": 53}]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": name | {"labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}},
            "spec": {"clusterIP": addresses.DNS_SERVICE, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": name | {"labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [site.address], "conditions": {"ready": True}}],
            "ports": ports,
        },
        *_rights(),
    ]


def _rights() -> list[dict[str, Any]]:
    group, name = "rbac.authorization.k8s.io", {"name": "slipway-box-dns"}
    watched = {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]}
    slices = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": name, "rules": [watched, slices]}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": name,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "slipway-box-dns"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
    }
    return [role, binding]
