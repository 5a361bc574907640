"""The life that every lane plays: made, ready, changed, promoted, back again, gone."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from slipway_faults import world
from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object
from slipway_testing import builders

if TYPE_CHECKING:
    from slipway_faults.lane import Lane

FIRST: Final[dict[str, Any]] = {"uri": "pvc://models/digits/1", "serving": {"replicas": {"min": 2}}}
SECOND: Final[dict[str, Any]] = {"uri": "pvc://models/digits/2", "serving": {"replicas": {"min": 2, "max": 4}}}
USER_BY_USER: Final[dict[str, Any]] = {"traffic": {"rollout": {"steps": [{"percent": 10, "holdSeconds": 0}, {"percent": 50, "holdSeconds": 0}]}}}
"""With routers an update has two steps, which a played router's counts let pass at once."""


@dataclass(frozen=True)
class Phase:
    """What a user or a node does, and how a clean run tells that the operator has answered it."""

    name: str
    act: Callable[["Lane"], Awaitable[None]]
    done: Callable[["Lane"], bool]


async def _nothing(lane: "Lane") -> None:
    """The operator starts."""


async def _create(lane: "Lane") -> None:
    lane.kubelet.working = False
    await lane.apply(FIRST)


async def _ready(lane: "Lane") -> None:
    lane.kubelet.working = True
    lane.scene.nudge()


async def _update(lane: "Lane") -> None:
    lane.kubelet.working = False
    await lane.apply(SECOND)


async def _back(lane: "Lane") -> None:
    await lane.apply(FIRST)


async def _delete(lane: "Lane") -> None:
    await lane.api.delete(resources.MODEL_DEPLOYMENTS, world.NAME, namespace=lane.namespace)


def _roles(lane: "Lane", *wanted: str) -> bool:
    status = (lane.scene.live(resources.MODEL_DEPLOYMENTS, world.NAME) or {}).get("status") or {}
    return sorted(entry["role"] for entry in status.get("revisions", ())) == sorted(wanted)


def _gone(lane: "Lane") -> bool:
    return not lane.world()


PHASES: Final = (
    Phase("start", _nothing, lambda lane: lane.listed()),
    Phase("create", _create, lambda lane: _roles(lane, "Candidate") and bool(lane.scene.all(resources.DEPLOYMENTS))),
    Phase("ready", _ready, lambda lane: _roles(lane, "Stable")),
    Phase("update", _update, lambda lane: _roles(lane, "Stable", "Candidate")),
    Phase("promote", _ready, lambda lane: _roles(lane, "Stable", "Parked")),
    Phase("back", _back, lambda lane: _roles(lane, "Stable", "Parked") and lane.observed(3)),
    Phase("delete", _delete, _gone),
)


def manifest(namespace: str, changes: dict[str, Any]) -> Object:
    """The ModelDeployment as a user writes it."""
    return builders.manifest(name=world.NAME, namespace=namespace, **changes)


def strangers(namespace: str) -> list[Object]:
    """Things that look like ours and are not."""
    labels = {"app.kubernetes.io/managed-by": "slipway", "slipway.dev/modeldeployment": world.NAME}
    meta = {"name": world.STRANGERS, "namespace": namespace, "labels": labels}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"kept": "yes"}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "somebody-else"}},
        },
        {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": meta, "revision": 9, "data": {"theirs": "yes"}},
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": meta | {"annotations": {"serving.kserve.io/stop": "true"}},
            "spec": {"predictor": {"model": {"modelFormat": {"name": "onnx"}, "runtime": "slipway-triton-test", "storageUri": "pvc://theirs/x"}}},
        },
    ]
