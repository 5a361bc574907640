"""The objects of one revision: its record, its model configuration, its InferenceService, its autoscaler."""

from typing import Any, Final

from slipway_operator.api import metadata
from slipway_operator.api.v1alpha1.modeldeployment import Replicas, Resources
from slipway_operator.render import model_config, owned, service, transformer
from slipway_operator.state.observed import Identity
from slipway_operator.state.revision import Rendered, Revision

STOP_ANNOTATION: Final = "serving.kserve.io/stop"
STORAGE_CONTAINER: Final = "slipway-storage-initializer"
CONFIG_FOLDER: Final = "/etc/slipway"
PENDING_METRIC: Final = "slipway_router_pending_requests"
RATE_METRIC: Final = "slipway_router_requests_per_second"
"""External metrics; docs/guides/autoscaling.md has the rules that make them."""

TERMINATION_GRACE_S: Final = 40
"""The runtime waits 5 s for the pod's address to be forgotten, then Triton up to 25 s for requests under way; the rest is margin. With a transformer
it is the transformer that does so, and Triton ends after it."""

_CONFIG_VOLUME: Final = "slipway-model-config"
_CONFIG_MOUNT: Final = {"name": _CONFIG_VOLUME, "mountPath": CONFIG_FOLDER, "readOnly": True}


def deployment_name(revision: str) -> str:
    """The Deployment that KServe makes for the InferenceService of a revision."""
    return f"{revision}-predictor"


def controller_revision(revision: Revision, *, owner: Identity) -> dict[str, Any]:
    """The record from which the revision can be rendered again after the spec has moved on."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": owned.child_metadata(owner, name=revision.name),
        "revision": revision.number,
        "data": dict(revision.data),
    }


def configured(revision: Revision) -> bool:
    """Whether Slipway writes the model's configuration; a whole repository brings its own."""
    return revision.model.format != "triton"


def config_map(revision: Revision, *, owner: Identity) -> dict[str, Any]:
    """The rendered config.pbtxt, and transformer.json with a transformer; immutable, as its revision is."""
    rendered = _rendered(revision, owner=owner)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": owned.child_metadata(owner, name=revision.name),
        "immutable": True,
        "data": {"config.pbtxt": rendered.config} | ({"transformer.json": rendered.transformer} if rendered.transformer else {}),
    }


def inference_service(revision: Revision, *, owner: Identity, stopped: bool) -> dict[str, Any]:
    """The InferenceService as the revision's record has it."""
    rendered = _rendered(revision, owner=owner)
    annotations = dict(rendered.annotations) | ({STOP_ANNOTATION: "true"} if stopped else {})
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": owned.child_metadata(owner, name=revision.name, labels=rendered.labels, annotations=annotations),
        "spec": {"predictor": dict(rendered.predictor)},
    }


def born(revision: Revision, *, owner: Identity) -> Revision:
    """A new revision, with what this version of Slipway makes of it in its record."""
    return revision.born(render(revision, owner=owner))


def _rendered(revision: Revision, *, owner: Identity) -> Rendered:
    """From the record; what is not written there is rendered as it was before records held it."""
    return revision.rendered or render(revision, owner=owner)


def render(revision: Revision, *, owner: Identity) -> Rendered:
    """What this version of Slipway makes of a revision, in the form that KServe's defaulting webhook leaves alone.

    KServe copies labels and annotations to the pod template, so nothing that changes over a revision's life may stand there, but for the stop
    annotation, which takes the pods away anyway. Changing anything here changes new revisions only.
    """
    return Rendered(
        labels={"networking.kserve.io/visibility": "cluster-local", metadata.REVISION_LABEL: revision.name},
        annotations={"serving.kserve.io/autoscalerClass": "external", "serving.kserve.io/deploymentMode": "Standard"},
        predictor=_predictor(revision, model_name=owner.name),
        config=model_config.config_pbtxt(revision, model_name=owner.name) if configured(revision) else None,
        transformer=transformer.configuration(revision, revision.transformer, model_name=owner.name) if revision.transformer else None,
    )


def _predictor(revision: Revision, *, model_name: str) -> dict[str, Any]:
    pod = revision.serving.pod
    predictor: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "serviceAccountName": revision.model.service_account_name,
        "storageContainerName": STORAGE_CONTAINER,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_S,
        "nodeSelector": dict(pod.node_selector),
        "tolerations": [dict(toleration) for toleration in pod.tolerations],
        "topologySpreadConstraints": [dict(constraint) for constraint in pod.topology_spread_constraints] or [_over_nodes(revision)],
        "imagePullSecrets": [{"name": secret.name} for secret in pod.image_pull_secrets],
        "priorityClassName": pod.priority_class_name,
        "model": _model(revision, model_name=model_name),
    }
    if configured(revision):
        predictor["volumes"] = [{"name": _CONFIG_VOLUME, "configMap": {"name": revision.name}}]
    if revision.transformer:
        predictor["volumes"] += transformer.volumes(revision.transformer)
        predictor["containers"] = [transformer.container(revision, revision.transformer, model_name=model_name, mounts=[_CONFIG_MOUNT])]
    return _without_empty(predictor)


def _over_nodes(revision: Revision) -> dict[str, Any]:
    """Pods of one revision spread over nodes where they can: one node lost is then one pod lost."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {metadata.REVISION_LABEL: revision.name}},
    }


def _model(revision: Revision, *, model_name: str) -> dict[str, Any]:
    serving = revision.serving
    own_env = {"SLIPWAY_MODEL_NAME": model_name, "SLIPWAY_MODEL_FORMAT": revision.model.format}
    if revision.transformer:
        own_env["SLIPWAY_TRANSFORMER_PORT"] = str(service.HTTP_PORT)  # the runtime's preStop hook waits until nobody listens there
    user_env = {variable.name: variable.value for variable in serving.pod.env}
    model: dict[str, Any] = {
        "modelFormat": {"name": revision.model.format},
        "runtime": revision.runtime,
        "protocolVersion": "v2",
        "storageUri": revision.model.uri,
        "env": [{"name": name, "value": value} for name, value in (user_env | own_env).items()],
        "resources": _resources(revision),
        "readinessProbe": _readiness_probe(model_name),
    }
    if serving.response_cache:
        model["args"] = [f"--cache-config=local,size={serving.response_cache.size_mebibytes * 2**20}"]
    if configured(revision):
        model["volumeMounts"] = [_CONFIG_MOUNT]
    if revision.transformer:
        model |= transformer.triton_probes()
        model["args"] = [*model.get("args", ()), *transformer.LOOPBACK_ARGUMENTS]
    return model


def _readiness_probe(model_name: str) -> dict[str, Any]:
    """A pod is ready when Triton answers for the model by the name that clients use; health/ready would also pass for a repository without it."""
    return {
        "httpGet": {"path": f"/v2/models/{model_name}/ready", "port": service.HTTP_PORT},
        "periodSeconds": 2,
        "timeoutSeconds": 2,
        "failureThreshold": 3,
    }


def _resources(revision: Revision) -> dict[str, Any]:
    resources: Resources = revision.serving.resources
    requests = {name: str(amount) for name, amount in resources.requests.items()}
    limits = {name: str(amount) for name, amount in resources.limits.items()}
    accelerator = revision.serving.accelerator
    if accelerator:
        # An extended resource has no overcommit: the request must equal the limit.
        requests[accelerator.type] = limits[accelerator.type] = str(accelerator.count)
    return _without_empty({"requests": requests, "limits": limits})


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields that say something: a null or an empty list would be owned by Slipway and taken from whoever sets it."""
    return {name: value for name, value in fields.items() if value is False or value}


def disruption_budget(revision: Revision, *, owner: Identity) -> dict[str, Any]:
    """A PodDisruptionBudget: draining a node takes one pod of the revision at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": owned.child_metadata(owner, name=revision.name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {metadata.REVISION_LABEL: revision.name}}},
    }


def autoscaler(revision: Revision, *, owner: Identity, replicas: Replicas, floor: int) -> dict[str, Any]:
    """A HorizontalPodAutoscaler on CPU and on what routers count; ``floor`` is its lower bound, at least ``replicas.min``."""
    targets = ((PENDING_METRIC, replicas.target_pending_requests), (RATE_METRIC, replicas.target_requests_per_second))
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": owned.child_metadata(owner, name=revision.name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment_name(revision.name)},
            "minReplicas": floor,
            "maxReplicas": replicas.max,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": replicas.target_cpu_utilization_percent},
                    },
                },
                *(_external(metric, revision=revision.name, each=target) for metric, target in targets if target is not None),
            ],
        },
    }


def _external(metric: str, *, revision: str, each: int) -> dict[str, Any]:
    """Of the whole revision, divided by its pods. Within the namespace, as external metrics are asked for."""
    return {
        "type": "External",
        "external": {
            "metric": {"name": metric, "selector": {"matchLabels": {"revision": revision}}},
            "target": {"type": "AverageValue", "averageValue": str(each)},
        },
    }
