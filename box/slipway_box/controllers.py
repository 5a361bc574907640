"""kube-controller-manager: everything that Kubernetes does by itself after an object was written."""

from collections.abc import Sequence

from slipway_box.component import Component
from slipway_box.identities import LOOPBACK
from slipway_box.probe import Https
from slipway_box.programs import Programs
from slipway_box.site import Site

NAME = "kube-controller-manager"

# Everything but what needs a cloud, or a node network that is handed out node by node.
OF_A_CLUSTER = (
    "*",
    "-node-ipam-controller",
    "-node-route-controller",
    "-service-lb-controller",
    "-cloud-node-lifecycle-controller",
)

# What keeps an API server tidy, and nothing that would make a workload's objects: tests set those statuses themselves.
WITHOUT_WORKLOADS = (
    "garbage-collector-controller",
    "namespace-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
)


def component(site: Site, programs: Programs, *, controllers: Sequence[str]) -> Component:
    """The controller manager of ``site`` with exactly these ``controllers``, named as its --controllers flag names them."""
    kubeconfig = site.identities.kubeconfig(NAME, user="system:kube-controller-manager")
    authority, served = site.identities.authority, site.identities.loopback()
    argv = (
        programs.path("kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--controllers={','.join(controllers)}",
        f"--service-account-private-key-file={site.identities.service_account_key()}",
        f"--root-ca-file={authority.certificate}",
        f"--cluster-signing-cert-file={authority.certificate}",
        f"--cluster-signing-key-file={authority.key}",
        "--use-service-account-credentials=true",
        f"--flex-volume-plugin-dir={site.state / 'volume-plugins'}",  # it makes this folder, and its default is in /usr
        "--pvclaimbinder-sync-period=2s",  # a claim that misses its first chance waits this long; 15 s by default
        # A dead node's pods could go nowhere, and what looks like one is this controller with old caches, after the API server was away.
        "--node-monitor-grace-period=10m",
        "--leader-elect=false",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={site.ports.controllers}",
        f"--tls-cert-file={served.certificate}",
        f"--tls-private-key-file={served.key}",
    )
    probe = Https(LOOPBACK, site.ports.controllers, "/healthz", authority.certificate)
    return Component(name=NAME, argv=argv, probe=probe, listens=((LOOPBACK, site.ports.controllers),))
