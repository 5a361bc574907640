"""kube-scheduler."""

from slipway_box.component import Component
from slipway_box.identities import LOOPBACK
from slipway_box.probe import Https
from slipway_box.programs import Programs
from slipway_box.site import Site

NAME = "kube-scheduler"


def component(site: Site, programs: Programs) -> Component:
    """The scheduler of ``site``."""
    kubeconfig, served = site.identities.kubeconfig(NAME, user="system:kube-scheduler"), site.identities.loopback()
    argv = (
        programs.path("kube-scheduler"),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={site.ports.scheduler}",
        f"--tls-cert-file={served.certificate}",
        f"--tls-private-key-file={served.key}",
    )
    probe = Https(LOOPBACK, site.ports.scheduler, "/healthz", site.identities.authority.certificate)
    return Component(name=NAME, argv=argv, probe=probe, listens=((LOOPBACK, site.ports.scheduler),))
