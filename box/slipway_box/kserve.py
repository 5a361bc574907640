"""KServe: its definitions, its rights, its webhooks, and its manager as a process of the host.

Definitions, role and webhooks are read from KServe's own Go module. What differs from KServe's manifests is only where the manager
runs: the webhooks point to an address of the host, and the role is bound to the manager's certificate instead of a ServiceAccount.
"""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slipway_box import certificates, kserve_config, waiting
from slipway_box.api import Api
from slipway_box.component import Component
from slipway_box.identities import LOOPBACK
from slipway_box.kserve_config import NAMESPACE
from slipway_box.kubectl import Kubectl
from slipway_box.probe import Http
from slipway_box.programs import Programs
from slipway_box.site import Site

NAME = "kserve-manager"
USER = "slipway-box:kserve-manager"


def component(site: Site, programs: Programs) -> Component:
    """The manager; its definitions and its ConfigMap must be there when it starts."""
    kubeconfig = site.identities.kubeconfig(NAME, user=USER)
    argv = (
        programs.path("kserve-manager"),
        f"--kubeconfig={kubeconfig}",
        f"--webhook-port={site.ports.kserve_webhook}",
        f"--metrics-addr={LOOPBACK}:{site.ports.kserve_metrics}",
        f"--health-probe-addr={LOOPBACK}:{site.ports.kserve_health}",
    )
    return Component(
        name=NAME,
        argv=argv,
        probe=Http(LOOPBACK, site.ports.kserve_health, "/readyz"),
        listens=((LOOPBACK, site.ports.kserve_health), (LOOPBACK, site.ports.kserve_metrics), ("0.0.0.0", site.ports.kserve_webhook)),  # noqa: S104
        environment={"POD_NAMESPACE": NAMESPACE, "TMPDIR": str(_served_certificate(site))},
    )


def install(site: Site, programs: Programs, kubectl: Kubectl) -> None:
    """Apply everything that the manager and its users need, and wait until the API server knows the definitions."""
    definitions = list(definition_files(programs))
    kubectl.apply(namespace(), kserve_config.config_map(), binding(), files=[*definitions, programs.kserve / "config/rbac/role.yaml"])
    waiting.until(lambda: established(Api(site)), within_s=30, otherwise="KServe's resource definitions are not served after 30 s.")
    kubectl.apply(*webhooks(site, programs, kubectl))


def established(api: Api) -> bool:
    """Whether the API server serves every resource definition it has."""
    definitions = api.items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    return all(_condition(definition, "Established") for definition in definitions)


def definition_files(programs: Programs) -> Iterator[Path]:
    """The six resource definitions; those of LLM services and local model caches belong to programs that the box does not run."""
    full = programs.kserve / "config/crd/full"
    for folder in (full, full / "clusterstoragecontainer"):
        yield from sorted(folder.glob("serving.kserve.io_*.yaml"))


def namespace() -> dict[str, Any]:
    """Where the manager looks for its ConfigMap."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def binding() -> dict[str, Any]:
    """KServe's own role, given to the manager's certificate."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "kserve-manager-rolebinding"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kserve-manager-role"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    }


def webhooks(site: Site, programs: Programs, kubectl: Kubectl) -> list[dict[str, Any]]:
    """KServe's webhook configurations, pointed to the manager's process; all of them fail closed, as shipped."""
    bundle = base64.b64encode(site.identities.authority.certificate.read_bytes()).decode()
    configurations = kubectl.as_json(programs.kserve / "config/webhook/manifests.yaml")
    return [pointed(one, port=site.ports.kserve_webhook, bundle=bundle) for one in configurations]


def pointed(configuration: dict[str, Any], *, port: int, bundle: str) -> dict[str, Any]:
    """``configuration`` with every webhook called at the loopback address instead of through a Service."""
    hooks = []
    for hook in configuration["webhooks"]:
        url = f"https://{LOOPBACK}:{port}{hook['clientConfig']['service']['path']}"
        hooks.append(hook | {"clientConfig": {"url": url, "caBundle": bundle}})
    metadata = {"name": configuration["metadata"]["name"]}
    return {"apiVersion": configuration["apiVersion"], "kind": configuration["kind"], "metadata": metadata, "webhooks": hooks}


def _condition(thing: dict[str, Any], kind: str) -> bool:
    conditions = thing.get("status", {}).get("conditions") or []
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def _served_certificate(site: Site) -> Path:
    """The folder that must be the manager's TMPDIR: it looks for its certificate in a fixed place below that, and takes no flag."""
    temporary = site.state / "kserve"
    served = temporary / "k8s-webhook-server" / "serving-certs"
    pair = site.identities.loopback()
    with certificates.private(served):
        shutil.copyfile(pair.certificate, served / "tls.crt")
        shutil.copyfile(pair.key, served / "tls.key")
    return temporary
