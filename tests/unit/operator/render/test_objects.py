"""The children as the API server takes them."""

import dataclasses

from slipway_inference import settings as inference_settings
from slipway_operator.api.v1alpha1.modeldeployment import Replicas
from slipway_operator.render import revision as objects
from slipway_operator.render import service, transformer
from slipway_operator.state.revision import Revision
from slipway_testing import builders, strategies, transformers

OWNER = builders.identity()
REFERENCE = {
    "apiVersion": "slipway.dev/v1alpha1",
    "kind": "ModelDeployment",
    "name": "digits",
    "uid": "uid-1",
    "controller": True,
    "blockOwnerDeletion": True,
}
READINESS = {
    "httpGet": {"path": "/v2/models/digits/ready", "port": 8080},
    "periodSeconds": 2,
    "timeoutSeconds": 2,
    "failureThreshold": 3,
}
LABELS = {"app.kubernetes.io/managed-by": "slipway", "slipway.dev/modeldeployment": "digits"}


def test_the_inference_service_of_a_plain_revision() -> None:
    revision = builders.revision()

    rendered = objects.inference_service(revision, owner=OWNER, stopped=False)

    assert rendered == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": revision.name,
            "namespace": "shop",
            "labels": LABELS | {"networking.kserve.io/visibility": "cluster-local", "slipway.dev/revision": revision.name},
            "annotations": {"serving.kserve.io/autoscalerClass": "external", "serving.kserve.io/deploymentMode": "Standard"},
            "ownerReferences": [REFERENCE],
        },
        "spec": {
            "predictor": {
                "automountServiceAccountToken": False,
                "storageContainerName": "slipway-storage-initializer",
                "terminationGracePeriodSeconds": 40,
                "topologySpreadConstraints": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": {"slipway.dev/revision": revision.name}},
                    }
                ],
                "volumes": [{"name": "slipway-model-config", "configMap": {"name": revision.name}}],
                "model": {
                    "modelFormat": {"name": "onnx"},
                    "runtime": "slipway-triton-11111111",
                    "protocolVersion": "v2",
                    "storageUri": "pvc://models/digits/1",
                    "env": [{"name": "SLIPWAY_MODEL_NAME", "value": "digits"}, {"name": "SLIPWAY_MODEL_FORMAT", "value": "onnx"}],
                    "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}},
                    "readinessProbe": READINESS,
                    "volumeMounts": [{"name": "slipway-model-config", "mountPath": "/etc/slipway", "readOnly": True}],
                },
            }
        },
    }


def test_a_whole_repository_on_gpus_with_every_pod_setting() -> None:
    pod = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "high",
        "env": [{"name": "A", "value": "1"}, {"name": "SLIPWAY_MODEL_NAME", "value": "stolen"}],
    }
    serving = {
        "accelerator": {"type": "nvidia.com/mig-1g.10gb", "count": 2},
        "resources": {"requests": {"cpu": 1}, "limits": {"memory": "2Gi"}},
        "responseCache": {"sizeMebibytes": 2},
        "pod": pod,
    }
    spec = builders.spec(format="triton", inputs=None, outputs=None, serviceAccountName="reader", serving=serving)

    predictor = objects.inference_service(builders.revision(spec), owner=OWNER, stopped=False)["spec"]["predictor"]

    assert predictor == {
        "automountServiceAccountToken": False,
        "serviceAccountName": "reader",
        "storageContainerName": "slipway-storage-initializer",
        "terminationGracePeriodSeconds": 40,
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "high",
        "model": {
            "modelFormat": {"name": "triton"},
            "runtime": "slipway-triton-11111111",
            "protocolVersion": "v2",
            "storageUri": "pvc://models/digits/1",
            "env": [
                {"name": "A", "value": "1"},
                {"name": "SLIPWAY_MODEL_NAME", "value": "digits"},
                {"name": "SLIPWAY_MODEL_FORMAT", "value": "triton"},
            ],
            "resources": {
                "requests": {"cpu": "1", "nvidia.com/mig-1g.10gb": "2"},
                "limits": {"memory": "2Gi", "nvidia.com/mig-1g.10gb": "2"},
            },
            "readinessProbe": READINESS,
            "args": ["--cache-config=local,size=2097152"],
        },
    }


def with_transformer() -> Revision:
    return builders.revision(strategies.parsed({"model": builders.model(), "transformer": {}}))


def test_the_container_of_a_plain_transformer() -> None:
    predictor = objects.inference_service(with_transformer(), owner=OWNER, stopped=False)["spec"]["predictor"]

    live = {"httpGet": {"path": "/v2/health/live", "port": 8080}}
    assert predictor["containers"] == [
        {
            "name": "transformer-container",
            "image": "slipway/transformer:test",
            "imagePullPolicy": "IfNotPresent",
            "env": [
                {"name": "SLIPWAY_PORT", "value": "8080"},
                {"name": "SLIPWAY_METRICS_PORT", "value": "8082"},
                {"name": "SLIPWAY_TRITON_PORT", "value": "8180"},
                {"name": "SLIPWAY_DRAIN_SECONDS", "value": "5"},
                {"name": "SLIPWAY_GRACE_SECONDS", "value": "25"},
            ],
            "ports": [
                {"name": "http", "containerPort": 8080, "protocol": "TCP"},
                {"name": "transformer", "containerPort": 8082, "protocol": "TCP"},
            ],
            "startupProbe": live | {"periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 150},
            "readinessProbe": READINESS | {"timeoutSeconds": 3},
            "livenessProbe": live | {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
                "runAsGroup": 1000,
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumeMounts": [
                {"name": "slipway-model-config", "mountPath": "/etc/slipway", "readOnly": True},
                {"name": "slipway-transformer-tmp", "mountPath": "/tmp"},
            ],
        }
    ]


def test_behind_a_transformer_triton_is_on_loopback_and_probed_by_its_metrics() -> None:
    plain = objects.inference_service(builders.revision(), owner=OWNER, stopped=False)["spec"]["predictor"]
    behind = objects.inference_service(with_transformer(), owner=OWNER, stopped=False)["spec"]["predictor"]

    metrics = {"httpGet": {"path": "/metrics", "port": 8002}}
    assert behind["model"] == plain["model"] | {
        "env": [*plain["model"]["env"], {"name": "SLIPWAY_TRANSFORMER_PORT", "value": "8080"}],
        "startupProbe": metrics,
        "readinessProbe": READINESS | metrics,
        "livenessProbe": metrics,
        "args": ["--http-address=127.0.0.1", "--http-port=8180", "--grpc-address=127.0.0.1", "--grpc-port=9001", "--metrics-address=0.0.0.0"],
    }
    assert objects.TERMINATION_GRACE_S > transformer.DRAIN_S + transformer.GRACE_S


def test_what_the_runtime_and_the_cache_say_of_triton_stays_before_the_addresses() -> None:
    spec = strategies.parsed({"model": builders.model(), "serving": {"responseCache": {"sizeMebibytes": 2}}, "transformer": {}})

    model = objects.inference_service(builders.revision(spec), owner=OWNER, stopped=False)["spec"]["predictor"]["model"]

    assert model["args"] == ["--cache-config=local,size=2097152", *transformer.LOOPBACK_ARGUMENTS]


def test_a_log_has_a_bounded_volume_and_a_password_comes_from_its_secret() -> None:
    rendered = objects.inference_service(builders.revision(strategies.parsed(transformers.WHOLE)), owner=OWNER, stopped=False)
    predictor = rendered["spec"]["predictor"]

    assert {"name": "slipway-predictions", "emptyDir": {"sizeLimit": "512Mi"}} in predictor["volumes"]
    assert {"name": "slipway-predictions", "mountPath": "/var/log/slipway"} in predictor["containers"][0]["volumeMounts"]
    assert predictor["containers"][0]["env"][5:] == [
        {"name": "SLIPWAY_REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "redis", "key": "password"}}}
    ]
    settings = inference_settings.Settings()
    assert (settings.predictions_files + 1) * settings.predictions_bytes < 512 * 2**20


def test_the_environment_of_the_container_is_what_a_transformer_reads() -> None:
    rendered = objects.inference_service(with_transformer(), owner=OWNER, stopped=False)["spec"]["predictor"]["containers"][0]
    environment = {variable["name"]: variable["value"] for variable in rendered["env"]}

    read = inference_settings.Settings.from_environment(environment)

    assert read == inference_settings.Settings(grace_seconds=25)
    assert environment.keys() <= {f"SLIPWAY_{field.name.upper()}" for field in dataclasses.fields(read)}
    assert read.transformer_config == f"{objects.CONFIG_FOLDER}/transformer.json"


def test_a_stopped_revision_differs_in_one_annotation() -> None:
    running, stopped = (objects.inference_service(builders.revision(), owner=OWNER, stopped=stopped) for stopped in (False, True))

    assert stopped["metadata"]["annotations"].pop("serving.kserve.io/stop") == "true"
    assert running == stopped


def test_the_record_holds_what_the_revision_was_made_from() -> None:
    revision = builders.revision(number=4)

    record = objects.controller_revision(revision, owner=OWNER)

    assert (record["revision"], record["data"], record["metadata"]["name"]) == (4, revision.data, revision.name)


def test_the_configuration_is_immutable() -> None:
    rendered = objects.config_map(builders.revision(), owner=OWNER)

    assert rendered["immutable"] is True
    assert list(rendered["data"]) == ["config.pbtxt"]


def test_the_autoscaler_keeps_its_floor() -> None:
    replicas = Replicas(min=2, max=9, target_cpu_utilization_percent=50)

    rendered = objects.autoscaler(builders.revision(), owner=OWNER, replicas=replicas, floor=6)

    assert rendered["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{builders.revision().name}-predictor"},
        "minReplicas": 6,
        "maxReplicas": 9,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
    }


def test_the_autoscaler_looks_at_what_routers_count() -> None:
    revision = builders.revision()
    replicas = Replicas(min=1, max=9, target_pending_requests=4, target_requests_per_second=90)

    rendered = objects.autoscaler(revision, owner=OWNER, replicas=replicas, floor=1)

    assert rendered["spec"]["metrics"][1:] == [
        {
            "type": "External",
            "external": {
                "metric": {"name": name, "selector": {"matchLabels": {"revision": revision.name}}},
                "target": {"type": "AverageValue", "averageValue": each},
            },
        }
        for name, each in (("slipway_router_pending_requests", "4"), ("slipway_router_requests_per_second", "90"))
    ]


def test_a_drained_node_takes_one_pod_of_a_revision_at_a_time() -> None:
    revision = builders.revision()

    rendered = objects.disruption_budget(revision, owner=OWNER)

    assert (rendered["metadata"]["name"], rendered["metadata"]["ownerReferences"]) == (revision.name, [REFERENCE])
    assert rendered["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": {"slipway.dev/revision": revision.name}}}


def test_the_service_carries_none_of_the_labels_that_it_selects() -> None:
    """KServe deletes Services with its own labels that it did not make."""
    rendered = service.stable_service(OWNER, selector=service.on_revision("digits-1"))

    assert rendered["metadata"]["labels"] == LABELS
    assert rendered["spec"] == {
        "type": "ClusterIP",
        "ports": [
            {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080},
            {"name": "grpc", "port": 9000, "protocol": "TCP", "targetPort": 9000, "appProtocol": "kubernetes.io/h2c"},
        ],
        "selector": {"serving.kserve.io/inferenceservice": "digits-1", "component": "predictor"},
    }


def test_before_anything_is_ready_the_service_selects_nothing() -> None:
    assert "selector" not in service.stable_service(OWNER, selector=service.on_revision(None))["spec"]


def test_the_address_is_the_name_of_the_object() -> None:
    assert service.url(OWNER) == "http://digits.shop.svc"
