"""The objects of a router: one Deployment of nginx and its agent, and what it may read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from slipway_operator.api import metadata
from slipway_operator.render import owned, service
from slipway_operator.state.observed import Identity

SHARED: Final = "slipway-router"
"""Name of the router that a namespace's ModelDeployments share."""

AGENT_PORT: Final = 8081
CLUSTER_ROLE: Final = "slipway-router"
"""Installed with Slipway: reading ConfigMaps and EndpointSlices, which is bound in the router's own namespace only."""

_NGINX: Final = "nginx"
_AGENT: Final = "agent"
_SHARED_FOLDER: Final = "/run/slipway"
_LOGS: Final = "/var/log/slipway"
_TOKENS: Final = "tokens"
_TOKENS_FOLDER: Final = "/etc/slipway/tokens"
LEDGER_AUDIENCE: Final = "slipway-ledger"
_LEDGER: Final = "ledger-token"
_LEDGER_FOLDER: Final = "/var/run/secrets/slipway-ledger"
_LEDGER_FILE: Final = "token"
DRAIN_S: Final = 8
"""Before a router stops taking connections: its address has to be forgotten first, by kube-proxies and by clients with open connections."""

_GRACE_S: Final = DRAIN_S + 65
"""The longest that a request may take by default, and a margin."""


@dataclass(frozen=True, kw_only=True)
class Router:
    """One router."""

    name: str
    namespace: str
    owner: Mapping[str, Any]
    """The controller reference of everything that belongs to it."""

    image: str
    replicas: int
    model: str | None = None
    """The ModelDeployment whose own it is; None: shared by all of the namespace."""

    tokens: str | None = None
    """Secret with bearer tokens, mounted by nginx."""

    ledger: str | None = None
    """Address of the ledger that the agent tells who met which arm; None: there is none."""

    @property
    def labels(self) -> dict[str, str]:
        """Of all that belongs to it, its pods included."""
        own = {metadata.MODELDEPLOYMENT_LABEL: self.model} if self.model else {}
        return {metadata.MANAGED_BY_LABEL: metadata.MANAGED_BY, metadata.ROUTER_LABEL: self.name} | own


def dedicated_name(model: str) -> str:
    """Of the router of a ModelDeployment's own."""
    return f"{model}-router"


def pods_service_name(router: str) -> str:
    """Of the headless Service over a router's pods."""
    return f"{router}-pods"


def dedicated(owner: Identity, *, image: str, replicas: int, tokens: str | None, ledger: str | None) -> Iterator[dict[str, Any]]:
    """A router of a ModelDeployment's own. It runs under the account of the shared one, which reads the same things."""
    router = Router(
        name=dedicated_name(owner.name),
        namespace=owner.namespace,
        owner=owned.owner_reference(owner),
        image=image,
        replicas=replicas,
        model=owner.name,
        tokens=tokens,
        ledger=ledger,
    )
    yield deployment(router)
    yield _pods_service(router)
    yield _disruption_budget(router)


def objects(router: Router) -> Iterator[dict[str, Any]]:
    """All of it, in the order to apply."""
    yield _service_account(router)
    yield _role_binding(router)
    yield deployment(router)
    yield _pods_service(router)
    yield _disruption_budget(router)


def _metadata(router: Router, *, name: str | None = None) -> dict[str, Any]:
    return {
        "name": name or router.name,
        "namespace": router.namespace,
        "labels": router.labels,
        "ownerReferences": [dict(router.owner)],
    }


def _selector(router: Router) -> dict[str, str]:
    return {metadata.ROUTER_LABEL: router.name}


def _service_account(router: Router) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(router), "automountServiceAccountToken": False}


def _role_binding(router: Router) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(router),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": CLUSTER_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": router.name, "namespace": router.namespace}],
    }


def _pods_service(router: Router) -> dict[str, Any]:
    """A headless Service, whose endpoints say which pods Kubernetes' own controller knows to be ready.

    An address that is moved to pods that it has not heard of has no endpoints until it hears of them.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(router, name=pods_service_name(router.name)),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": _selector(router),
            "ports": [{"name": "agent", "port": AGENT_PORT, "protocol": "TCP", "targetPort": AGENT_PORT}],
        },
    }


def _disruption_budget(router: Router) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(router),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _selector(router)}},
    }


def deployment(router: Router) -> dict[str, Any]:
    """Pods are replaced one at a time, a new one before an old one."""
    annotations = {"annotations": {metadata.TOKENS_ANNOTATION: router.tokens}} if router.tokens else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(router) | annotations,
        "spec": {
            "replicas": router.replicas,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": _selector(router)},
            "template": {"metadata": {"labels": router.labels}, "spec": _pod(router)},
        },
    }


def _pod(router: Router) -> dict[str, Any]:
    return {
        "serviceAccountName": SHARED,
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": _GRACE_S,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _selector(router)},
            }
        ],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_nginx(router), _agent(router)],
        "volumes": [
            {"name": "run", "emptyDir": {"sizeLimit": "256Mi"}},
            {"name": "logs", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
            *([{"name": _TOKENS, "secret": {"secretName": router.tokens}}] if router.tokens else []),
            *([_ledger_token()] if router.ledger else []),
        ],
    }


def _ledger_token() -> dict[str, Any]:
    """A token of the pod's own account that is good for the ledger and nothing else; the kubelet renews it."""
    source = {"serviceAccountToken": {"audience": LEDGER_AUDIENCE, "expirationSeconds": 3600, "path": _LEDGER_FILE}}
    return {"name": _LEDGER, "projected": {"sources": [source]}}


def _nginx(router: Router) -> dict[str, Any]:
    container = _container(router, _NGINX)
    if router.tokens:
        container["volumeMounts"].append({"name": _TOKENS, "mountPath": _TOKENS_FOLDER, "readOnly": True})
    return container | {
        "ports": [
            {"name": "http", "containerPort": service.HTTP_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": service.GRPC_PORT, "protocol": "TCP"},
        ],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "livenessProbe": {"tcpSocket": {"port": service.HTTP_PORT}, "periodSeconds": 10, "timeoutSeconds": 5},
        "env": [{"name": "SLIPWAY_DRAIN_SECONDS", "value": str(DRAIN_S)}],
        "lifecycle": {"preStop": {"exec": {"command": ["slipway-router-stop"]}}},
    }


def _agent(router: Router) -> dict[str, Any]:
    container = _container(router, _AGENT)
    if router.ledger:
        container["volumeMounts"].append({"name": _LEDGER, "mountPath": _LEDGER_FOLDER, "readOnly": True})
    return container | {
        "command": ["python", "-m", "slipway_router.agent"],
        # It outlives nginx, whose last counts it takes.
        "env": [
            {"name": "SLIPWAY_ROUTER_NAME", "value": router.name},
            *([{"name": "SLIPWAY_TABLES_LABEL", "value": metadata.DEDICATED_ROUTER_LABEL}] if router.model else []),
            {"name": "SLIPWAY_DRAIN_SECONDS", "value": str(2 * DRAIN_S)},
            *_ledger_env(router),
        ],
        "ports": [{"name": "agent", "containerPort": AGENT_PORT, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": AGENT_PORT}, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": AGENT_PORT}, "periodSeconds": 10, "timeoutSeconds": 5},
    }


def _ledger_env(router: Router) -> Iterator[dict[str, str]]:
    if router.ledger:
        yield {"name": "SLIPWAY_LEDGER_URL", "value": router.ledger}
        yield {"name": "SLIPWAY_LEDGER_TOKEN_FILE", "value": f"{_LEDGER_FOLDER}/{_LEDGER_FILE}"}


def _container(router: Router, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": router.image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "run", "mountPath": _SHARED_FOLDER},
            {"name": "logs", "mountPath": _LOGS},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
        ],
    }
