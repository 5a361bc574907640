"""kubelet: makes this machine the cluster's one node."""

import json
from pathlib import Path
from typing import Any

from slipway_box import addresses, containerd
from slipway_box.certificates import Subject
from slipway_box.component import Component
from slipway_box.identities import LOOPBACK
from slipway_box.probe import Http
from slipway_box.programs import Programs
from slipway_box.site import Site

NAME = "kubelet"
PORT = 10250
HEALTH_PORT = 10248
CGROUP = "slipway-box"
_SYSTEMD_RESOLVED = Path("/run/systemd/resolve/resolv.conf")  # where resolv.conf only names a stub that pods cannot reach


def component(site: Site, programs: Programs) -> Component:
    """The kubelet of ``site``."""
    text = json.dumps(configuration(site), indent=2) + "\n"
    path = site.state / "kubelet.json"
    kubeconfig = site.identities.kubeconfig(NAME, user=f"system:node:{addresses.NODE}", groups=("system:nodes",))
    argv = (
        programs.path("kubelet"),
        f"--config={path}",
        f"--kubeconfig={kubeconfig}",
        f"--root-dir={site.state / 'kubelet'}",
        f"--hostname-override={addresses.NODE}",
        f"--node-ip={site.address}",
    )
    return Component(
        name=NAME,
        argv=argv,
        probe=Http(LOOPBACK, HEALTH_PORT, "/healthz"),
        listens=((site.address, PORT), (LOOPBACK, HEALTH_PORT)),
        files={path: text},
    )


def configuration(site: Site) -> dict[str, Any]:
    """The KubeletConfiguration.

    failCgroupV1: this version still runs on cgroup v1 but refuses it by default.
    Images are never collected (threshold 100): they came from no registry and could not be pulled again.
    crashLoopBackOff: a container that fails is started again after 15 s at most, and not after five minutes: somebody is working on it.
    """
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        **_security(site),
        "address": site.address,
        "port": PORT,
        "healthzBindAddress": LOOPBACK,
        "healthzPort": HEALTH_PORT,
        "containerRuntimeEndpoint": f"unix://{containerd.socket(site)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "clusterDNS": [addresses.DNS_SERVICE],
        "clusterDomain": addresses.DOMAIN,
        "resolvConf": str(_SYSTEMD_RESOLVED if _SYSTEMD_RESOLVED.exists() else "/etc/resolv.conf"),
        "podLogsDir": str(site.state / "logs" / "pods"),
        "volumePluginDir": str(site.state / "kubelet" / "volume-plugins"),
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "15s"},
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1Gi", "nodefs.inodesFree": "1%", "imagefs.available": "1Gi"},
    }


def _security(site: Site) -> dict[str, Any]:
    own = Subject(user=f"system:node:{addresses.NODE}", addresses=(site.address, LOOPBACK), names=(addresses.NODE,))
    served = site.identities.authority.issue("kubelet-server", own)
    return {
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(site.identities.authority.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(served.certificate),
        "tlsPrivateKeyFile": str(served.key),
    }
