"""kube-apiserver."""

from slipway_box import addresses
from slipway_box.certificates import Subject
from slipway_box.component import Component
from slipway_box.identities import LOOPBACK
from slipway_box.probe import Https
from slipway_box.programs import Programs
from slipway_box.site import Site

NAME = "kube-apiserver"
_ISSUER = f"https://kubernetes.default.svc.{addresses.DOMAIN}"


def component(site: Site, programs: Programs) -> Component:
    """The API server of ``site``, listening on the site's address alone.

    With an address that no pod reaches there is no use in publishing it as the `kubernetes` Service.
    """
    more = ("--endpoint-reconciler-type=none",) if site.address == LOOPBACK else (f"--advertise-address={site.address}",)
    return Component(
        name=NAME,
        argv=(programs.path("kube-apiserver"), *_listening(site), *_trust(site), *_service_accounts(site), *_aggregation(site), *more),
        probe=Https(site.address, site.ports.api, "/readyz", site.identities.authority.certificate, site.identities.administrator()),
        listens=((site.address, site.ports.api),),
    )


def _listening(site: Site) -> tuple[str, ...]:
    own = Subject(
        user="kube-apiserver",
        addresses=tuple(dict.fromkeys((site.address, LOOPBACK, addresses.API_SERVICE))),
        names=("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{addresses.DOMAIN}"),
    )
    served = site.identities.authority.issue("kube-apiserver", own)
    return (
        f"--bind-address={site.address}",
        f"--secure-port={site.ports.api}",
        f"--tls-cert-file={served.certificate}",
        f"--tls-private-key-file={served.key}",
        f"--etcd-servers=http://{LOOPBACK}:{site.ports.etcd}",
        f"--service-cluster-ip-range={addresses.SERVICES}",
        "--allow-privileged=true",
        "--profiling=false",
    )


def _trust(site: Site) -> tuple[str, ...]:
    authority = site.identities.authority
    towards_kubelet = authority.issue("kubelet-client", Subject(user="kube-apiserver-kubelet-client", groups=("system:masters",)))
    return (
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={authority.certificate}",
        f"--kubelet-certificate-authority={authority.certificate}",
        f"--kubelet-client-certificate={towards_kubelet.certificate}",
        f"--kubelet-client-key={towards_kubelet.key}",
        "--kubelet-preferred-address-types=InternalIP",
    )


def _service_accounts(site: Site) -> tuple[str, ...]:
    key = site.identities.service_account_key()
    return (
        f"--service-account-issuer={_ISSUER}",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
    )


def _aggregation(site: Site) -> tuple[str, ...]:
    # Extension API servers (metrics adapters for autoscalers) need this, and it cannot be added while the server runs.
    own = site.identities.front_proxy.issue("front-proxy-client", Subject(user="front-proxy-client"))
    return (
        f"--requestheader-client-ca-file={site.identities.front_proxy.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={own.certificate}",
        f"--proxy-client-key-file={own.key}",
        "--enable-aggregator-routing=true",
    )
