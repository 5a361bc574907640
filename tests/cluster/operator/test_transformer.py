"""What the real KServe makes of a revision with a transformer, on the runtime that is installed with Slipway."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway_box import ports
from slipway_operator.cluster import resources
from slipway_testing import builders, transformers
from slipway_testing.golden import REPOSITORY
from slipway_testing.kube import Kube, eventually
from slipway_testing.operators import RunningOperator
from slipway_testing.shop import Shop

RUNTIME = yaml.safe_load((REPOSITORY / "kustomize/base/system/runtimes/slipway-triton.yaml").read_text())
STORAGE = yaml.safe_load((REPOSITORY / "kustomize/base/system/storage-container.yaml").read_text())
LIVE = {"path": "/v2/health/live", "port": 8080, "scheme": "HTTP"}
METRICS = {"path": "/metrics", "port": 8002, "scheme": "HTTP"}


@pytest.fixture(scope="module")
def real_runtime(kube: Kube) -> str:
    """The runtime, and the storage container that its pods are given."""
    for kind, body in (("clusterservingruntimes", RUNTIME), ("clusterstoragecontainers", STORAGE)):
        path = f"/apis/serving.kserve.io/v1alpha1/{kind}/{body['metadata']['name']}?fieldManager=test&force=true"
        kube.request("PATCH", path, body=body, content_type="application/apply-patch+yaml")
    return str(RUNTIME["metadata"]["name"])


@pytest.fixture
def transforming(kubeconfig: Path, real_runtime: str) -> Iterator[RunningOperator]:
    """A running operator with an image for transformers."""
    runtimes = {"slipway-triton": real_runtime}
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], runtimes=runtimes, transformer_image="slipway/transformer:test") as running:
        yield running


def pod_of(shop: Shop) -> dict[str, Any]:
    template: dict[str, Any] = shop.deployment(shop.candidate())["spec"]["template"]
    return template


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in pod["spec"]["containers"]}


@pytest.mark.usefixtures("transforming")
def test_the_transformer_stands_before_triton_in_every_pod(shop: Shop) -> None:
    shop.apply(transformer={}, serving={"responseCache": {"sizeMebibytes": 2}})
    revision = shop.candidate()
    found = containers(pod_of(shop))

    triton, transformer = found["kserve-container"], found["transformer-container"]
    assert transformer["image"] == "slipway/transformer:test"
    assert {name: probe["httpGet"] for name, probe in transformer.items() if name.endswith("Probe")} == {
        "startupProbe": LIVE,
        "readinessProbe": LIVE | {"path": "/v2/models/digits/ready"},
        "livenessProbe": LIVE,
    }
    assert triton["args"] == [
        "--cache-config=local,size=2097152",
        "--http-address=127.0.0.1",
        "--http-port=8180",
        "--grpc-address=127.0.0.1",
        "--grpc-port=9001",
        "--metrics-address=0.0.0.0",
    ]
    assert {name: probe["httpGet"] for name, probe in triton.items() if name.endswith("Probe")} == dict.fromkeys(
        ("startupProbe", "readinessProbe", "livenessProbe"), METRICS
    )
    assert triton["startupProbe"]["failureThreshold"] == 900
    assert list(triton["lifecycle"]["preStop"]) == ["exec"]
    assert {"name": "SLIPWAY_TRANSFORMER_PORT", "value": "8080"} in triton["env"]

    service = eventually(lambda: shop.kube.get(resources.SERVICES, f"{revision}-predictor", namespace=shop.namespace) or {})
    assert [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [(80, 8080), (8082, 8082)]


@pytest.mark.usefixtures("transforming")
def test_a_namespace_that_is_restricted_takes_the_pods(shop: Shop) -> None:
    enforced = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    shop.kube.request("PATCH", f"/api/v1/namespaces/{shop.namespace}", body=enforced, content_type="application/merge-patch+json")
    shop.kube.apply(builders.manifest(namespace=shop.namespace) | {"spec": transformers.WHOLE})
    template = pod_of(shop)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "pod"}, "spec": template["spec"]}

    made = shop.kube.request("POST", f"/api/v1/namespaces/{shop.namespace}/pods?dryRun=All", body=pod)

    assert set(containers(made)) == {"kserve-container", "transformer-container"}


@pytest.mark.usefixtures("transforming")
def test_what_the_api_server_cannot_see_is_told_in_the_status(shop: Shop) -> None:
    shop.apply(transformer={"validation": {"rules": [{"input": "x", "column": 64}]}})

    eventually(lambda: shop.reason("Stalled") == "SpecUnreadable")
    assert "spec: transformer.validation.rules[0]: x has 64 values a row, so there is no column 64. Change it" in shop.condition("Stalled")["message"]


@pytest.mark.usefixtures("operator")
def test_an_operator_without_an_image_says_so(shop: Shop) -> None:
    shop.apply(transformer={})

    eventually(lambda: shop.reason("Stalled") == "TransformerImageUnknown")
