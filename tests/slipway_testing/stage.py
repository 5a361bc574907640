"""A namespace of the box with a volume for models, as a user would set it up, and what users do in it."""

import http.client
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_box import clusters, on_box, volumes
from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object
from slipway_testing import builders
from slipway_testing.kube import Kube, eventually

CLAIM = "models"
READY_S = 90.0
"""Longest that a revision may take on a busy machine, from nothing to Ready."""


ROW = [{"name": "x", "dtype": "FP32", "shape": [2]}]
DOUBLED: dict[str, Any] = {
    "inputs": ROW,
    "outputs": [{"name": "y", "dtype": "FP32", "shape": [2]}],
    "serving": {"batching": {"maxBatchSize": 8}},
}
"""Tensors and batching of ``onnx_models.doubled``."""


@dataclass(frozen=True)
class Stage:
    """One namespace."""

    kube: Kube
    kubectl: tuple[str, ...]
    namespace: str
    volume: str = CLAIM
    """The claim that ``store`` writes to."""

    @property
    def uploader(self) -> str:
        """The pod through which ``store`` writes."""
        return "uploader" if self.volume == CLAIM else f"uploader-{self.volume}"

    def set_up(self) -> None:
        """The namespace, which admits restricted pods only, its volume, and a pod that writes to it."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        if self._terminating():
            self.run("wait", "--for=delete", f"namespace/{self.namespace}", "--timeout=120s")
        self.run(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}})
        )
        self.make_volume()

    def make_volume(self) -> None:
        """The claim, and the pod that writes to it."""
        _recycle_volumes()
        self.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [self._claim(), self._uploader()]}))
        self.run("wait", "--for=condition=Ready", f"pod/{self.uploader}", "--timeout=60s")

    def tear_down(self) -> None:
        """Everything goes; waits for pods and objects, so that the next test finds machine and operator at rest. The namespace may take longer.

        Its controller deletes pods first, and anything else after half of the longest time that one of them may drain.
        """
        self.run("delete", "namespace", self.namespace, "--wait=false")
        for kind in (resources.EXPERIMENTS, resources.MODEL_DEPLOYMENTS):
            self.kube.request("DELETE", kind.path(namespace=self.namespace))
        self.kube.request("DELETE", f"{resources.PODS.path(namespace=self.namespace)}?gracePeriodSeconds=1")  # who drains drains for nobody
        for kind in (resources.PODS, resources.MODEL_DEPLOYMENTS):
            eventually(lambda kind=kind: not self.kube.list(kind, namespace=self.namespace), within_s=120)  # type: ignore[misc]

    def run(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """kubectl in this namespace; what it printed."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run([*self.kubectl, f"--namespace={self.namespace}", *arguments], input=given, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def store(self, path: str, content: bytes) -> str:
        """Write a file to the volume; returns the claim's address of its folder."""
        self.store_all({path: content})
        return f"pvc://{self.volume}/{Path(path).parent}"

    def store_all(self, files: Mapping[str, bytes]) -> None:
        """Write files to the volume, by path, in one go: on a busy machine each ``exec`` takes seconds."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, content in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        self.run("exec", "-i", self.uploader, "--", "tar", "--extract", "--touch", "--directory=/models", stdin=packed.getvalue())

    def apply(
        self,
        name: str,
        *,
        uri: str,
        serving: dict[str, Any] | None = None,
        traffic: dict[str, Any] | None = None,
        transformer: dict[str, Any] | None = None,
        **model: Any,
    ) -> None:
        """Apply a ModelDeployment as a user does."""
        small = {"resources": {"requests": {"cpu": "50m", "memory": "128Mi"}}}
        manifest = builders.manifest(
            name=name, namespace=self.namespace, uri=uri, serving=small | (serving or {}), traffic=traffic, transformer=transformer, **model
        )
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest))

    def live(self, name: str) -> Object:
        """The ModelDeployment."""
        found = self.kube.get(resources.MODEL_DEPLOYMENTS, name, namespace=self.namespace)
        assert found is not None
        return found

    def condition(self, name: str, kind: str = "Ready") -> dict[str, Any]:
        """A condition, said of the newest generation."""
        live = self.live(name)
        status = live.get("status") or {}
        assert status.get("observedGeneration") == live["metadata"]["generation"], "the newest generation is not observed yet"
        found: dict[str, Any] = next(each for each in status["conditions"] if each["type"] == kind)
        return found

    def ready(self, name: str) -> str:
        """Wait until it is Ready; returns the revision that serves."""

        def look() -> bool:
            condition = self.condition(name)
            assert condition["status"] == "True", f"{condition['reason']}: {condition['message']}"
            return True

        eventually(look, within_s=READY_S, every_s=0.25)
        return str(self.live(name)["status"]["revision"])

    def stalled(self, name: str, *, reason: str) -> str:
        """Wait until it is Stalled for ``reason``; returns the message of Ready."""

        def look() -> bool:
            condition = self.condition(name, "Stalled")
            assert (condition["status"], condition["reason"]) == ("True", reason), f"{condition['reason']}: {self.condition(name)['message']}"
            return True

        eventually(look, within_s=READY_S, every_s=0.25)
        return str(self.condition(name)["message"])

    def address(self, name: str) -> str:
        """The cluster address of the model's Service, which this machine reaches too."""
        live = self.kube.get(resources.SERVICES, name, namespace=self.namespace)
        assert live is not None
        return str(live["spec"]["clusterIP"])

    def ask(self, name: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """One request to the model's stable address; status and JSON."""
        connection = http.client.HTTPConnection(self.address(name), 80, timeout=10)
        try:
            connection.request("POST" if body else "GET", path, json.dumps(body) if body else None)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None
        finally:
            connection.close()

    def doubled(self, name: str, rows: list[list[float]]) -> list[float]:
        """Ask the model ``onnx_models.doubled`` about rows of two numbers."""
        flat = [number for row in rows for number in row]
        status, answer = self.ask(
            name, f"/v2/models/{name}/infer", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(rows), 2], "data": flat}]}
        )
        assert status == http.HTTPStatus.OK, answer
        found: list[float] = next(output["data"] for output in answer["outputs"] if output["name"] == "y")
        return found

    def _terminating(self) -> bool:
        live = self.kube.get(resources.NAMESPACES, self.namespace)
        return live is not None and "deletionTimestamp" in live["metadata"]

    def _claim(self) -> dict[str, Any]:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": self.volume}, "spec": spec}

    def _uploader(self) -> dict[str, Any]:
        container = {
            "name": "uploader",
            "image": "slipway/operator:0.1.0",
            "imagePullPolicy": "IfNotPresent",
            "command": ["sleep", "infinity"],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            "volumeMounts": [{"name": "models", "mountPath": "/models"}],
        }
        spec = {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": self.volume}}],
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.uploader}, "spec": spec}


def _recycle_volumes() -> None:
    """The box has few volumes, and offers a used one again only when told to."""
    cluster = clusters.chosen()
    if isinstance(cluster, on_box.OnBox):
        volumes.recycle(cluster.box.site, cluster.box.kubectl())
