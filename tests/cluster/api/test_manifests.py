"""The manifests, as kustomize builds them and as the real API server takes them."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import slipway_ledger.tokens
from slipway_box import programs
from slipway_box.controlplane import ControlPlane
from slipway_ledger.reviews import Account
from slipway_operator import manifests
from slipway_testing import golden
from slipway_testing.golden import REPOSITORY

COMPONENTS = ("network-policies", "prometheus")
OVERLAYS = ("box", "gpu")
OPERATOR = "system:serviceaccount:slipway-system:slipway-operator"
LEDGER = "system:serviceaccount:slipway-system:slipway-ledger"


@pytest.fixture(scope="module")
def kubectl() -> str:
    return programs.need("kubectl").path("kubectl")


def test_what_people_apply_without_kustomize_is_current(kubectl: str) -> None:
    for path, text in manifests.built(REPOSITORY, kubectl=kubectl):
        assert (REPOSITORY / path).read_text() == text, f"{path} is out of date: run make generate"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_builds_as_it_did(overlay: str, kubectl: str) -> None:
    built = manifests.kustomized(REPOSITORY / "kustomize/overlays" / overlay, kubectl=kubectl)
    golden.check(f"manifests/overlay-{overlay}.yaml", _without_crds(built))


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_builds_as_it_did(component: str, kubectl: str, tmp_path: Path) -> None:
    golden.check(f"manifests/component-{component}.yaml", _component(component, kubectl, tmp_path))


def test_the_dashboard_is_built_into_a_config_map_for_grafana(kubectl: str, tmp_path: Path) -> None:
    assert yaml.safe_load(_component("grafana", kubectl, tmp_path)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "slipway-dashboard",
            "namespace": "slipway-system",
            "labels": {"app.kubernetes.io/part-of": "slipway", "grafana_dashboard": "1"},
        },
        "data": {"slipway.json": (REPOSITORY / "kustomize/components/grafana/slipway.json").read_text()},
    }


def test_the_server_takes_what_people_apply(installed: ControlPlane) -> None:
    assert installed.kubectl("get", "deployment", "slipway-operator", "-n", "slipway-system", "-o", "name") == "deployment.apps/slipway-operator\n"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_server_takes_an_overlay(overlay: str, installed: ControlPlane) -> None:
    folder = REPOSITORY / "kustomize/overlays" / overlay
    installed.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--kustomize", str(folder))


def test_the_server_takes_the_network_policies(installed: ControlPlane) -> None:
    file = REPOSITORY / "kustomize/components/network-policies/policies.yaml"
    installed.kubectl("apply", "--server-side", "--dry-run=server", f"--filename={file}")


@pytest.mark.parametrize("workload", ["deployment/slipway-operator", "statefulset/slipway-ledger"])
def test_the_system_namespace_takes_its_pods_under_the_restricted_level(workload: str, installed: ControlPlane) -> None:
    spec = _one(installed, workload, "-n", "slipway-system")["spec"]["template"]["spec"]
    claims = {mount["name"]: {"name": mount["name"], "emptyDir": {}} for mount in spec["containers"][0]["volumeMounts"]}
    volumes = claims | {volume["name"]: volume for volume in spec["volumes"]}  # a StatefulSet brings the claims of its pods
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial"}, "spec": spec | {"volumes": [*volumes.values()]}}
    installed.kubectl("create", "-n", "slipway-system", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))


def test_a_restricted_namespace_takes_a_pod_of_the_runtime_with_the_storage_container(installed: ControlPlane) -> None:
    name = _runtime_name()
    spec = _one(installed, "clusterservingruntime", name)["spec"]
    downloader = _one(installed, "clusterstoragecontainer", "slipway-storage-initializer")["spec"]["container"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "trial"},
        "spec": {"initContainers": [downloader], "containers": spec["containers"], "volumes": spec["volumes"]},
    }
    installed.kubectl("create", "-n", "slipway-system", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))


def test_the_runtime_arrives_as_its_name_says(installed: ControlPlane) -> None:
    """KServe's webhook and CRD defaults change nothing: the digest is that of what pods run with."""
    stored = _one(installed, "clusterservingruntime", _runtime_name())
    written = yaml.safe_load((REPOSITORY / "kustomize/base/system/runtimes/slipway-triton.yaml").read_text())
    assert stored["spec"] == written["spec"]
    assert manifests.Runtime(family="slipway-triton", spec=stored["spec"]).name == stored["metadata"]["name"]


@pytest.mark.parametrize(
    "allowed",
    [
        "list modeldeployments.slipway.dev",
        "watch inferenceservices.serving.kserve.io",
        "patch inferenceservices.serving.kserve.io",
        "create services",
        "delete configmaps",
        "create controllerrevisions.apps",
        "patch horizontalpodautoscalers.autoscaling",
        "list pods",
        "list deployments.apps",
        "create events.events.k8s.io",
        "patch modeldeployments.slipway.dev --subresource=status",
        "watch experiments.slipway.dev",
        "patch experiments.slipway.dev --subresource=status",
        "patch deployments.apps --subresource=scale",
        "create deployments.apps",
        "bind clusterroles.rbac.authorization.k8s.io/slipway-router",
    ],
)
def test_the_operator_may(allowed: str, installed: ControlPlane) -> None:
    assert installed.kubectl("auth", "can-i", *allowed.split(), "--namespace=default", f"--as={OPERATOR}") == "yes\n"


def test_the_operator_may_nothing_else_in_a_users_namespace(installed: ControlPlane) -> None:
    """The whole list that the server gives, less what it lets everybody ask about themselves."""
    listed = installed.kubectl("auth", "can-i", "--list", "--no-headers", "--namespace=default", f"--as={OPERATOR}")
    rows = [line for line in listed.splitlines() if not re.match(r"\[|/| |self", line)]
    read, write = "get list watch", "get list watch create patch delete"
    assert {row.split()[0]: row[row.rindex("[") + 1 : -1] for row in rows} == {
        "configmaps": write,
        "services": write,
        "controllerrevisions.apps": write,
        "horizontalpodautoscalers.autoscaling": write,
        "poddisruptionbudgets.policy": write,
        "inferenceservices.serving.kserve.io": write,
        "pods": read,
        "endpointslices.discovery.k8s.io": read,
        "deployments.apps": write,
        "serviceaccounts": "get create patch delete",
        "rolebindings.rbac.authorization.k8s.io": "get create patch delete",
        "clusterroles.rbac.authorization.k8s.io": "bind",
        "namespaces": "get",
        "deployments.apps/scale": "get patch",
        "modeldeployments.slipway.dev": read,
        "modeldeployments.slipway.dev/status": "patch",
        "modeldeployments.slipway.dev/finalizers": "update",
        "experiments.slipway.dev": read,
        "experiments.slipway.dev/status": "patch",
        "events.events.k8s.io": "create patch",
    }


@pytest.mark.parametrize(("role", "verbs"), [("slipway-view", "get list watch"), ("slipway-edit", "create update patch delete deletecollection")])
def test_people_may_what_they_may_with_their_namespace(role: str, verbs: str, installed: ControlPlane) -> None:
    """Without the status and what it says, which is the operator's to write."""
    installed.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}", "--namespace=default")
    listed = installed.kubectl("auth", "can-i", "--list", "--no-headers", "--namespace=default", f"--as={role}")
    ours = {line.split()[0]: line[line.rindex("[") + 1 : -1] for line in listed.splitlines() if ".slipway.dev" in line}
    both = {"experiments.slipway.dev": verbs, "modeldeployments.slipway.dev": verbs}
    seen = {f"{kind}/status": verbs for kind in both} if role == "slipway-view" else {}
    assert ours == both | seen


def test_the_ledger_may_ask_whose_a_token_is_and_nothing_else(installed: ControlPlane) -> None:
    listed = installed.kubectl("auth", "can-i", "--list", "--no-headers", "--namespace=default", f"--as={LEDGER}")
    rows = [line for line in listed.splitlines() if not re.match(r"\[|/| |self", line)]
    assert {row.split()[0]: row[row.rindex("[") + 1 : -1] for row in rows} == {
        "tokenreviews.authentication.k8s.io": "create",
        "subjectaccessreviews.authorization.k8s.io": "create",
    }


def test_the_ledger_reads_the_tokens_that_it_is_brought(installed: ControlPlane) -> None:
    told = _one(installed, "configmap", "slipway-ledger-tokens", "-n", "slipway-system")["data"]["tokens"]
    lines = slipway_ledger.tokens.parse(told)
    may = {
        name: [(grant.role, grant.namespace) for grant in lines.of(Account(namespace=namespace, name=name))]
        for namespace, name in (
            ("slipway-system", "slipway-operator"),
            ("shop", "slipway-router"),
            ("shop", "web"),
            ("slipway-system", "slipway-ledger-reader"),
        )
    }
    assert may == {
        "slipway-operator": [("admin", None), ("application", "slipway-system")],
        "slipway-router": [("router", "shop"), ("application", "shop")],
        "web": [("application", "shop")],
        "slipway-ledger-reader": [("application", "slipway-system"), ("reader", None)],
    }


def _component(name: str, kubectl: str, folder: Path) -> str:
    """What a kustomization in ``folder`` that has nothing but this component is built into."""
    path = os.path.relpath(REPOSITORY / "kustomize/components" / name, folder)
    (folder / "kustomization.yaml").write_text(f"components:\n  - {path}\n")
    return manifests.kustomized(folder, kubectl=kubectl)


def _runtime_name() -> str:
    name: str = yaml.safe_load((REPOSITORY / "kustomize/base/system/runtimes/slipway-triton.yaml").read_text())["metadata"]["name"]
    return name


def _one(plane: ControlPlane, *what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plane.kubectl("get", *what, "--output=json"))
    return found


def _without_crds(text: str) -> str:
    """The rest: the CRDs have a golden file of their own."""
    return "---\n".join(part for part in text.split("---\n") if "kind: CustomResourceDefinition" not in part)
