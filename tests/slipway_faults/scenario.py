"""The lives that lanes play: made, ready, changed, promoted, back again, gone; or made, ready, compared with another model that wins, gone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.harness import at
from slipway_faults import world
from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object
from slipway_testing import builders, trials

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


async def _begin(lane: "Lane") -> None:
    await lane.api.apply(trials.manifest(lane.namespace, world.EXPERIMENT, uri=SECOND["uri"], target=world.NAME))


async def _win(lane: "Lane") -> None:
    """A thousand units of each arm, all at once; outcomes go first, so that no look finds an arm without any."""
    name = f"{lane.namespace}/{_compared(lane)['ledgerName']}"
    service, arms = f"{lane.namespace}/{world.NAME}", {"control": 200, "v2": 400}
    bought = [one for arm, units in arms.items() for one in trials.outcomes(service, arm, units, at=at(-990))]
    seen = [one for arm in arms for one in trials.exposures(name, arm, 1000, at=at(-1000))]
    assert lane.ledger is not None
    await asyncio.to_thread(lane.ledger.observe, *bought)
    await asyncio.to_thread(lane.ledger.expose, *seen)


async def _write_winner(lane: "Lane") -> None:
    await lane.apply(FIRST | {"uri": SECOND["uri"]})


async def _delete_both(lane: "Lane") -> None:
    await lane.api.delete(resources.EXPERIMENTS, world.EXPERIMENT, namespace=lane.namespace)
    await _delete(lane)


def _compared(lane: "Lane") -> dict[str, Any]:
    status: dict[str, Any] = (lane.scene.live(resources.EXPERIMENTS, world.EXPERIMENT) or {}).get("status") or {}
    return status


def _won(lane: "Lane") -> bool:
    return bool((_compared(lane).get("decision") or {}).get("done")) and _roles(lane, "Stable", "Parked")


EXPERIMENT_PHASES: Final = (
    *PHASES[:3],
    Phase("begin", _begin, lambda lane: "startedAt" in _compared(lane)),
    Phase("win", _win, _won),
    Phase("git", _write_winner, lambda lane: _roles(lane, "Stable", "Parked") and lane.observed(2)),
    Phase("delete", _delete_both, _gone),
)
"""The winner is what routers lead to, then also what the spec says."""


def misremembered(lane: "Lane") -> Iterator[str]:
    """What of the ledger's looks is not as it must be, whoever died when."""
    name = _last_name(lane)
    if lane.ledger is None or name is None:
        return
    looks = lane.ledger.get(f"/v1/experiments/{lane.namespace}/{name}/looks").said["looks"]
    if [look["sequence"] for look in looks] != [*range(1, len(looks) + 1)]:
        yield f"looks are numbered {[look['sequence'] for look in looks]}"
    decided = [look["decision"] for look in looks if look["decision"]]
    if {"action": "Promote", "arm": "v2"} not in decided or any(decision["action"] != "Promote" for decision in decided):
        yield f"by the looks it was decided: {decided}"


def _last_name(lane: "Lane") -> str | None:
    versions = lane.scene.history.get((resources.EXPERIMENTS.plural, world.EXPERIMENT), ())
    return next((version.object["status"]["ledgerName"] for version in versions if "ledgerName" in version.object.get("status", {})), None)


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
