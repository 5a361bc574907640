"""One namespace with one ModelDeployment in it, as a test sees and steers it."""

import json
from dataclasses import dataclass
from typing import Any

from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object
from slipway_testing import builders
from slipway_testing.kube import Kube, eventually


@dataclass(frozen=True)
class Shop:
    """One namespace and the ModelDeployment ``digits`` in it."""

    kube: Kube
    namespace: str

    def apply(self, **changes: Any) -> Object:
        """Apply the ModelDeployment as a user does."""
        return self.kube.apply(builders.manifest(namespace=self.namespace, **changes))

    def digits(self) -> Object:
        """The live ModelDeployment."""
        found = self.kube.get(resources.MODEL_DEPLOYMENTS, "digits", namespace=self.namespace)
        assert found is not None
        return found

    def status(self) -> dict[str, Any]:
        """Its status, of the newest generation."""
        live = self.digits()
        status: dict[str, Any] = live.get("status") or {}
        assert status.get("observedGeneration") == live["metadata"]["generation"], "the newest generation is not observed yet"
        return status

    def condition(self, kind: str) -> dict[str, Any]:
        """One condition."""
        found: dict[str, Any] = next(condition for condition in self.status()["conditions"] if condition["type"] == kind)
        return found

    def reason(self, kind: str = "Ready") -> str:
        """The reason of a condition, whatever generation was observed."""
        conditions = (self.digits().get("status") or {}).get("conditions", [])
        return next((str(condition["reason"]) for condition in conditions if condition["type"] == kind), "")

    def ready(self) -> bool:
        """Whether it is Ready for its newest generation."""
        return bool(self.condition("Ready")["status"] == "True")

    def roles(self) -> dict[str, str]:
        """Role of each revision, by model."""
        return {entry["uri"]: entry["role"] for entry in self.status().get("revisions", [])}

    def candidate(self) -> str:
        """Name of the revision that gets ready."""
        return eventually(lambda: next((entry["name"] for entry in self.status().get("revisions", []) if entry["role"] == "Candidate"), None) or "")

    def deployment(self, revision: str) -> Object:
        """The Deployment that KServe makes for a revision, as soon as it is there."""
        return eventually(lambda: self.kube.get(resources.DEPLOYMENTS, f"{revision}-predictor", namespace=self.namespace) or {})

    def roll_out(self, revision: str, *, available: int | None = None) -> None:
        """Write the status that a Deployment has once its pods are ready."""
        live = self.deployment(revision)
        replicas = int(live["spec"].get("replicas", 1))
        status = {
            "observedGeneration": live["metadata"]["generation"],
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas if available is None else available,
            "availableReplicas": replicas if available is None else available,
        }
        self.kube.merge(resources.DEPLOYMENTS, live["metadata"]["name"], {"status": status}, namespace=self.namespace, subresource="status")

    def connect(self, revision: str) -> None:
        """Write the EndpointSlice that the stable Service has once it selects the revision's ready pods."""
        self.lead_to(f"{revision}-predictor-abc-def")

    def lead_to(self, pod: str, *, service: str = "digits") -> None:
        """Write the EndpointSlice of a Service, which is the stable one."""
        self.kube.apply(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{service}-1",
                    "namespace": self.namespace,
                    "labels": {
                        "kubernetes.io/service-name": service,
                        "app.kubernetes.io/managed-by": "slipway",
                        "slipway.dev/modeldeployment": "digits",
                    },
                },
                "addressType": "IPv4",
                "endpoints": [
                    {
                        "addresses": ["10.0.0.1"],
                        "conditions": {"ready": True},
                        "targetRef": {"kind": "Pod", "name": pod, "namespace": self.namespace},
                    }
                ],
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            }
        )

    def start_pod(self, revision: str) -> str:
        """A ready pod of a revision, as the kubelet tells of it; its name."""
        name = f"{revision}-predictor-abc-def"
        labels = {"app.kubernetes.io/managed-by": "slipway", "slipway.dev/modeldeployment": "digits", "slipway.dev/revision": revision}
        spec = {"containers": [{"name": "kserve-container", "image": "slipway/triton-cpu:test"}], "automountServiceAccountToken": False}
        metadata = {"name": name, "namespace": self.namespace, "labels": labels}
        self.kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        status = {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "conditions": [{"type": "Ready", "status": "True"}]}
        self.kube.merge(resources.PODS, name, {"status": status}, namespace=self.namespace, subresource="status")
        return name

    def serve(self, **changes: Any) -> str:
        """Apply, let the pods get ready, wait until it serves; returns the revision."""
        self.apply(**changes)
        revision = self.candidate()
        # KServe makes one pod; a status that was written before Slipway asked for more would be of an earlier generation.
        pods = (changes.get("serving") or {}).get("replicas", {}).get("min", 1)
        eventually(lambda: self.deployment(revision)["spec"].get("replicas", 1) == pods)
        self.roll_out(revision)
        eventually(lambda: self.selected() == revision)
        self.connect(revision)
        eventually(self.ready)
        return revision

    def serve_through_routers(self, **changes: Any) -> str:
        """Apply, let the pods get ready, wait until routers lead there; returns the revision."""
        self.apply(**changes)
        revision = self.candidate()
        self.roll_out(revision)
        eventually(self.ready)
        return revision

    def table(self) -> dict[str, Any]:
        """The live route table."""
        live = self.kube.get(resources.CONFIG_MAPS, "digits-routes", namespace=self.namespace)
        assert live is not None, "there is no route table yet"
        parsed: dict[str, Any] = json.loads(live["data"]["routes.json"])
        return parsed

    def selected(self) -> str | None:
        """Revision that the live Service selects."""
        live = self.kube.get(resources.SERVICES, "digits", namespace=self.namespace) or {}
        selector = live.get("spec", {}).get("selector") or {}
        return selector.get("serving.kserve.io/inferenceservice")

    def stopped(self, revision: str) -> bool:
        """Whether the revision's InferenceService is told to have no pods."""
        live = self.kube.get(resources.INFERENCE_SERVICES, revision, namespace=self.namespace)
        assert live is not None
        return str(live["metadata"]["annotations"].get("serving.kserve.io/stop")) == "true"
