"""The part of a cluster that a control plane without nodes lacks: pods get ready, autoscalers keep their floor, endpoints follow the Service."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

from slipway_faults import world
from slipway_faults.witness import Scene
from slipway_operator import errors
from slipway_operator.cluster import client, resources
from slipway_operator.cluster.resources import Object

_FOR_EVER_S: Final = 3600.0


@dataclass
class Kubelet:
    """Writes what a Deployment's status and the Service's EndpointSlice would say, for one namespace."""

    api: client.ApiClient
    scene: Scene
    namespace: str
    working: bool = False
    """Whether pods of new Deployments get ready."""

    _connected: str | None = None

    async def run(self) -> None:
        """Follow the scene until cancelled."""
        while True:
            await self.scene.until(self._due, within_s=_FOR_EVER_S)
            await self._serve()

    def _due(self) -> bool:
        return bool(self._below_floor() or self._unready() or self._moved())

    async def _serve(self) -> None:
        for name, floor in self._below_floor():
            with contextlib.suppress(errors.NotFound, errors.Conflict):
                await self._scale(name, floor)
        for deployment in self._unready():
            # Deleted or changed since: the next look will tell.
            with contextlib.suppress(errors.NotFound, errors.Conflict):
                await self._roll_out(deployment)
        if revision := self._moved():
            await self._connect(revision)
        await asyncio.sleep(0)

    def _unready(self) -> list[Object]:
        return [deployment for deployment in self.scene.all(resources.DEPLOYMENTS) if self.working and not _rolled_out(deployment)]

    def _below_floor(self) -> list[tuple[str, int]]:
        """Deployments with fewer pods than their autoscaler's floor, but for those at zero: there it considers itself switched off."""
        found = []
        for scaler in self.scene.all(resources.HORIZONTAL_POD_AUTOSCALERS):
            name, floor = scaler["spec"]["scaleTargetRef"]["name"], int(scaler["spec"].get("minReplicas", 1))
            deployment = self.scene.live(resources.DEPLOYMENTS, name)
            if deployment is not None and 0 < int(deployment["spec"].get("replicas", 1)) < floor:
                found.append((name, floor))
        return found

    def _moved(self) -> str | None:
        revision = world.selected(self.scene.live(resources.SERVICES, world.NAME))
        if revision is None or revision == self._connected:
            return None
        return revision if world.available(self.scene.live(resources.DEPLOYMENTS, f"{revision}-predictor")) else None

    async def _roll_out(self, deployment: Object) -> None:
        replicas = int(deployment["spec"].get("replicas", 1))
        status = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
        status["observedGeneration"] = deployment["metadata"]["generation"]
        meta = deployment["metadata"]
        patch = {"metadata": {"uid": meta["uid"]}, "status": status}
        written = await self.api.merge_patch(resources.DEPLOYMENTS, meta["name"], patch, namespace=self.namespace, subresource="status")
        await self.scene.until(lambda: _seen(self.scene, written), within_s=10)

    async def _scale(self, name: str, replicas: int) -> None:
        patch = {"spec": {"replicas": replicas}}
        await self.api.merge_patch(resources.DEPLOYMENTS, name, patch, namespace=self.namespace, subresource="scale")
        await self.scene.until(lambda: (name, replicas) not in self._below_floor(), within_s=10)

    async def _connect(self, revision: str) -> None:
        slice_ = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{world.NAME}-1",
                "namespace": self.namespace,
                "labels": {
                    "kubernetes.io/service-name": world.NAME,
                    "app.kubernetes.io/managed-by": "slipway",
                    "slipway.dev/modeldeployment": world.NAME,
                },
            },
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": ["10.0.0.1"],
                    "conditions": {"ready": True},
                    "targetRef": {"kind": "Pod", "name": f"{revision}-predictor-abc-def", "namespace": self.namespace},
                }
            ],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }
        await self.api.apply(slice_)
        self._connected = revision


def _rolled_out(deployment: Object) -> bool:
    status = deployment.get("status") or {}
    replicas = int(deployment["spec"].get("replicas", 1))
    return bool(status.get("observedGeneration") == deployment["metadata"]["generation"] and int(status.get("availableReplicas") or 0) == replicas)


def _seen(scene: Scene, written: Object) -> bool:
    meta = written["metadata"]
    versions = scene.history.get((resources.DEPLOYMENTS.plural, meta["name"]), ())
    return any(version.at >= int(meta["resourceVersion"]) for version in versions)
