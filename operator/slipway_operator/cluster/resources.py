"""The API resources the operator touches, where they live, and how to find one by apiVersion and kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote, urlencode

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON gives it."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One kind of object and its place in the API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``apps/v1``, or ``v1`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """The path and query of a request.

        ``SERVICES.path(namespace="shop", name="ranker")`` is ``/api/v1/namespaces/shop/services/ranker``;
        without ``namespace`` a namespaced resource is addressed across all namespaces.
        """
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part]
        path = "/".join(parts)
        return f"{path}?{urlencode(query)}" if query else path

    def reference(self, namespace: str, name: str) -> "Reference":
        """To one object of this kind."""
        return Reference(self.api_version, self.kind, namespace, name)


class Reference(NamedTuple):
    """Which object: what an applier, a prune list or a cache is keyed by."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


MODEL_DEPLOYMENTS = Resource(group="slipway.dev", version="v1alpha1", plural="modeldeployments", kind="ModelDeployment")
EXPERIMENTS = Resource(group="slipway.dev", version="v1alpha1", plural="experiments", kind="Experiment")
INFERENCE_SERVICES = Resource(group="serving.kserve.io", version="v1beta1", plural="inferenceservices", kind="InferenceService")
CONFIG_MAPS = Resource(group="", version="v1", plural="configmaps", kind="ConfigMap")
SERVICES = Resource(group="", version="v1", plural="services", kind="Service")
ENDPOINT_SLICES = Resource(group="discovery.k8s.io", version="v1", plural="endpointslices", kind="EndpointSlice")
PODS = Resource(group="", version="v1", plural="pods", kind="Pod")
NAMESPACES = Resource(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False)
CONTROLLER_REVISIONS = Resource(group="apps", version="v1", plural="controllerrevisions", kind="ControllerRevision")
DEPLOYMENTS = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")
HORIZONTAL_POD_AUTOSCALERS = Resource(group="autoscaling", version="v2", plural="horizontalpodautoscalers", kind="HorizontalPodAutoscaler")
POD_DISRUPTION_BUDGETS = Resource(group="policy", version="v1", plural="poddisruptionbudgets", kind="PodDisruptionBudget")
EVENTS = Resource(group="events.k8s.io", version="v1", plural="events", kind="Event")
SERVICE_ACCOUNTS = Resource(group="", version="v1", plural="serviceaccounts", kind="ServiceAccount")
ROLE_BINDINGS = Resource(group="rbac.authorization.k8s.io", version="v1", plural="rolebindings", kind="RoleBinding")
LEASES = Resource(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease")

KNOWN: tuple[Resource, ...] = (
    MODEL_DEPLOYMENTS,
    EXPERIMENTS,
    INFERENCE_SERVICES,
    CONFIG_MAPS,
    SERVICES,
    PODS,
    ENDPOINT_SLICES,
    NAMESPACES,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    POD_DISRUPTION_BUDGETS,
    EVENTS,
    SERVICE_ACCOUNTS,
    ROLE_BINDINGS,
    LEASES,
)
_BY_KIND: Mapping[tuple[str, str], Resource] = {(resource.api_version, resource.kind): resource for resource in KNOWN}


def by_kind(api_version: str, kind: str) -> Resource:
    """The resource of a kind. Raises KeyError for a kind that is not in ``KNOWN``."""
    return _BY_KIND[api_version, kind]


def of(body: Mapping[str, Any]) -> Resource:
    """The resource of an object's ``apiVersion`` and ``kind``. Raises KeyError as ``by_kind`` does."""
    return by_kind(body["apiVersion"], body["kind"])


def version(obj: Mapping[str, Any] | None) -> str | None:
    """By which two readings of an object are told apart; None where there is none."""
    return str(obj["metadata"]["resourceVersion"]) if obj is not None else None


def reference(body: Mapping[str, Any]) -> Reference:
    """The reference of an object with ``apiVersion``, ``kind`` and ``metadata``."""
    metadata = body["metadata"]
    return Reference(body["apiVersion"], body["kind"], metadata.get("namespace") or "", metadata["name"])


def controller_uid(body: Mapping[str, Any]) -> str | None:
    """The uid of the owner that controls an object, None where nobody does."""
    owner = controller(body)
    return owner["uid"] if owner else None


def controller(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The owner reference with ``controller: true``; the API server allows one at most."""
    owners = body["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)
