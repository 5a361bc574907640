"""The ConfigMap that KServe's manager reads at every reconcile."""

import json
from typing import Any

STORAGE_INITIALIZER = "slipway/storage-initializer:0.1.0"
NAMESPACE = "kserve"
# The stock agent and router are not run by Slipway; KServe wants an image named all the same.
_UNUSED_IMAGE = "slipway/not-used:0.1.0"
_SMALL = {"cpuRequest": "100m", "cpuLimit": "1", "memoryRequest": "100Mi", "memoryLimit": "1Gi"}


def config_map() -> dict[str, Any]:
    """Standard mode: Deployments and Services, no Knative, no Istio, no Ingress."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "inferenceservice-config", "namespace": NAMESPACE},
        "data": {key: json.dumps(value) for key, value in settings().items()},
    }


def settings() -> dict[str, dict[str, Any]]:
    """Each key of the ConfigMap, before it becomes a JSON string."""
    helper = {"image": _UNUSED_IMAGE} | _SMALL
    return {
        "deploy": {"defaultDeploymentMode": "Standard"},
        "ingress": _ingress(),
        "storageInitializer": _storage_initializer(),
        "inferenceService": {"resource": {"cpuRequest": "100m", "cpuLimit": "1", "memoryRequest": "128Mi", "memoryLimit": "2Gi"}},
        "logger": helper | {"defaultUrl": "http://localhost"},
        "batcher": helper | {"maxBatchSize": "32", "maxLatency": "5000"},
        "agent": helper,
        "router": helper,
        "security": {"autoMountServiceAccountToken": False},
        "autoscaler": {"scaleUpStabilizationWindowSeconds": "0", "scaleDownStabilizationWindowSeconds": "300"},
        "credentials": _credentials(),
        "localModel": {"enabled": False},
        "metricsAggregator": {"enableMetricAggregation": "false", "enablePrometheusScraping": "false"},
        "explainers": {},
    }


def _ingress() -> dict[str, Any]:
    # ingressGateway is never used in this mode, but the manager does not start without a value.
    return {
        "ingressGateway": "unused/unused",
        "ingressDomain": "example.com",
        "domainTemplate": "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}",
        "urlScheme": "http",
        "enableGatewayApi": False,
        "disableIstioVirtualHost": True,
        "disableIngressCreation": True,
    }


def _storage_initializer() -> dict[str, Any]:
    return {
        "image": STORAGE_INITIALIZER,
        **_SMALL,
        "caBundleConfigMapName": "",
        "caBundleVolumeMountPath": "/etc/ssl/custom-certs",
        "enableModelcar": False,
    }


def _credentials() -> dict[str, Any]:
    s3 = {"s3AccessKeyIDName": "AWS_ACCESS_KEY_ID", "s3SecretAccessKeyName": "AWS_SECRET_ACCESS_KEY"}
    return {
        "storageSpecSecretName": "storage-config",
        "storageSecretNameAnnotation": "serving.kserve.io/storageSecretName",
        "gcs": {"gcsCredentialFileName": "gcloud-application-credentials.json"},
        "s3": s3,
    }
