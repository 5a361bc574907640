"""kube-proxy: makes the addresses of Services work, in the host and in pods."""

import json
from typing import Any

from slipway_box import addresses
from slipway_box.component import Component
from slipway_box.identities import LOOPBACK
from slipway_box.probe import Http
from slipway_box.programs import Programs
from slipway_box.site import Site

NAME = "kube-proxy"
HEALTH_PORT = 10256
METRICS_PORT = 10249
TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))


def component(site: Site, programs: Programs) -> Component:
    """kube-proxy of ``site``."""
    text = json.dumps(configuration(site), indent=2) + "\n"
    path = site.state / "kube-proxy.json"
    argv = (programs.path("kube-proxy"), f"--config={path}")
    listens = ((LOOPBACK, HEALTH_PORT), (LOOPBACK, METRICS_PORT))
    return Component(name=NAME, argv=argv, probe=Http(LOOPBACK, HEALTH_PORT, "/healthz"), listens=listens, files={path: text})


def configuration(site: Site) -> dict[str, Any]:
    """The KubeProxyConfiguration; zeros leave the machine's connection tracking as it is."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": addresses.PODS,
        "hostnameOverride": addresses.NODE,
        "clientConnection": {"kubeconfig": str(site.identities.kubeconfig(NAME, user="system:kube-proxy"))},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": f"{LOOPBACK}:{HEALTH_PORT}",
        "metricsBindAddress": f"{LOOPBACK}:{METRICS_PORT}",
        "nodePortAddresses": [addresses.PODS],
    }
