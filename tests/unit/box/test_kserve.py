"""KServe's ConfigMap, its webhooks, its rights."""

import json

from slipway_box import kserve, kserve_config


def test_kserve_makes_deployments_and_no_ingress() -> None:
    settings = kserve_config.settings()
    assert settings["deploy"] == {"defaultDeploymentMode": "Standard"}
    assert settings["ingress"]["disableIngressCreation"] is True
    assert settings["ingress"]["disableIstioVirtualHost"] is True
    assert settings["ingress"]["ingressGateway"], "the manager does not start without one"


def test_models_are_fetched_by_slipways_own_image() -> None:
    assert kserve_config.settings()["storageInitializer"]["image"] == "slipway/storage-initializer:0.1.0"


def test_every_value_of_the_config_map_is_a_json_string() -> None:
    data = kserve_config.config_map()["data"]
    assert {key: json.loads(value) for key, value in data.items()} == kserve_config.settings()


def test_a_webhook_is_called_at_the_managers_process_and_otherwise_as_shipped() -> None:
    hook = {
        "name": "pod-mutator",
        "clientConfig": {"service": {"name": "$(webhookServiceName)", "namespace": "$(kserveNamespace)", "path": "/mutate-pods"}},
        "failurePolicy": "Fail",
    }
    shipped = {"apiVersion": "v1", "kind": "Hooks", "metadata": {"name": "n", "creationTimestamp": None}, "webhooks": [hook]}
    assert kserve.pointed(shipped, port=9443, bundle="Q0E=") == {
        "apiVersion": "v1",
        "kind": "Hooks",
        "metadata": {"name": "n"},
        "webhooks": [
            {
                "name": "pod-mutator",
                "clientConfig": {"url": "https://127.0.0.1:9443/mutate-pods", "caBundle": "Q0E="},
                "failurePolicy": "Fail",
            }
        ],
    }


def test_the_manager_gets_kserves_own_role_and_no_more() -> None:
    binding = kserve.binding()
    assert binding["roleRef"]["name"] == "kserve-manager-role"
    assert [subject["name"] for subject in binding["subjects"]] == [kserve.USER]
