"""The operator with the permissions of its ServiceAccount and the runtime that it is installed with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from slipway_box import ports
from slipway_box.controlplane import ControlPlane
from slipway_operator import settings
from slipway_operator.cluster import resources
from slipway_testing.golden import REPOSITORY
from slipway_testing.kube import Kube, eventually
from slipway_testing.operators import RunningOperator
from slipway_testing.shop import Shop


@pytest.fixture
def own_kubeconfig(installed: ControlPlane, tmp_path: Path) -> Path:
    """A kubeconfig with a token of the operator's ServiceAccount and no other credentials."""
    config = yaml.safe_load(installed.kubeconfig.read_text())
    token = installed.kubectl("create", "token", "slipway-operator", "--namespace=slipway-system").strip()
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = tmp_path / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def as_installed(own_kubeconfig: Path) -> Iterator[RunningOperator]:
    """The operator, told of its runtime as the Deployment tells it."""
    patch = yaml.safe_load((REPOSITORY / "kustomize/base/system/runtimes/operator-patch.yaml").read_text())
    (variable,) = patch["spec"]["template"]["spec"]["containers"][0]["env"]
    told = settings.Settings.from_environment({variable["name"]: variable["value"]})
    with RunningOperator(own_kubeconfig, probe_port=ports.free(1)[0], runtimes=told.runtimes, lease_namespace="slipway-system") as running:
        yield running


@pytest.mark.usefixtures("as_installed")
def test_the_operator_can_do_all_it_has_to_with_the_permissions_it_is_given(kube: Kube, namespace: str) -> None:
    shop = Shop(kube, namespace)
    first = shop.serve(uri="pvc://models/digits/1", serving={"replicas": {"max": 3}})
    eventually(lambda: kube.get(resources.HORIZONTAL_POD_AUTOSCALERS, first, namespace=namespace))

    shop.apply(uri="pvc://models/digits/2", serving={"replicas": {"min": 2}, "revisionHistoryLimit": 0})
    second = shop.candidate()
    eventually(lambda: shop.deployment(second)["spec"]["replicas"] == 2)
    shop.roll_out(second)
    eventually(lambda: kube.get(resources.CONFIG_MAPS, first, namespace=namespace) is None)
    eventually(lambda: {event["reason"] for event in kube.list(resources.EVENTS, namespace=namespace)} >= {"RevisionCreated", "RevisionPromoted"})


@pytest.mark.usefixtures("as_installed")
def test_kserve_makes_restricted_pods_of_the_generated_runtime(kube: Kube, namespace: str, plane: ControlPlane) -> None:
    shop = Shop(kube, namespace)
    shop.apply(uri="pvc://models/digits/1")
    pod = shop.deployment(shop.candidate())["spec"]["template"]
    assert pod["spec"]["containers"][0]["command"][:2] == ["/bin/sh", "-c"]
    script = (REPOSITORY / "inference/triton/serve").read_text()
    assert pod["spec"]["containers"][0]["command"][2:] == [script, "serve"]
    trial = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial"}, "spec": pod["spec"]}
    plane.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    plane.kubectl("create", f"--namespace={namespace}", "--dry-run=server", "--filename=-", stdin=yaml.safe_dump(trial))
