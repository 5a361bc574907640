"""The operator with the permissions of its ServiceAccount and the runtime that it is installed with."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ledger.harness import ADMIN, Ledger, at
from slipway_box import environments, ports
from slipway_box.controlplane import ControlPlane
from slipway_operator import settings
from slipway_operator.cluster import resources
from slipway_testing import trials
from slipway_testing.golden import REPOSITORY
from slipway_testing.kube import Kube, eventually
from slipway_testing.operators import RunningOperator
from slipway_testing.router import FakeRouter
from slipway_testing.shop import Shop
from slipway_testing.trials import Trial


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


def told_runtimes() -> Mapping[str, str]:
    """The runtimes as the Deployment tells of them."""
    patch = yaml.safe_load((REPOSITORY / "kustomize/base/system/runtimes/operator-patch.yaml").read_text())
    (variable,) = patch["spec"]["template"]["spec"]["containers"][0]["env"]
    return settings.Settings.from_environment({variable["name"]: variable["value"]}).runtimes


@pytest.fixture
def as_installed(own_kubeconfig: Path) -> Iterator[RunningOperator]:
    """The operator, told of its runtime as the Deployment tells it."""
    with RunningOperator(own_kubeconfig, probe_port=ports.free(1)[0], runtimes=told_runtimes(), lease_namespace="slipway-system") as running:
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


def test_the_operator_can_do_all_that_an_experiment_needs(own_kubeconfig: Path, kube: Kube, namespace: str, tmp_path: Path) -> None:
    shop, (probe,) = Shop(kube, namespace), ports.free(1)
    trial = Trial(shop)
    (tmp_path / "token").write_text(ADMIN)
    options: dict[str, Any] = {"runtimes": told_runtimes(), "lease_namespace": "slipway-system", "router_image": "slipway/router:test"}
    with (
        Ledger(tmp_path, python=environments.need("ledger-tests") / "bin" / "python") as ledger,
        RunningOperator(
            own_kubeconfig, probe_port=probe, ledger_url=f"http://127.0.0.1:{ledger.port}", ledger_token_file=str(tmp_path / "token"), **options
        ),
        FakeRouter(kube, namespace),
    ):
        shop.serve_through_routers(uri="pvc://models/digits/1")
        trial.apply()
        winner = trial.serve()
        service = f"{namespace}/digits"
        for arm, bought in (("control", 200), ("v2", 400)):
            ledger.observe(*trials.outcomes(service, arm, bought, at=at(-990)))
        ledger.expose(*(one for arm in ("control", "v2") for one in trials.exposures(trial.ledger_name, arm, 1000, at=at(-1000))))
        eventually(lambda: trial.status().get("verdict") == "Won")
        eventually(lambda: shop.status().get("revision") == winner)
        eventually(lambda: {event["reason"] for event in kube.list(resources.EVENTS, namespace=namespace)} >= {"ExperimentStarted", "ArmPromoted"})


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
