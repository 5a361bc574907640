"""What must be equal at the end, and what must hold at every moment."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from slipway_faults.witness import Scene, Version
from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object

NAME: Final = "digits"
TABLE: Final = f"{NAME}-routes"
EXPERIMENT: Final = f"{NAME}-v2"
_IN_THE_LEDGER: Final = re.compile(rf"{EXPERIMENT}-[0-9a-f]{{8}}\b")
STRANGERS: Final = "stranger"
"""Every object of this name, or that begins with it, is somebody else's."""

_OF_THE_MOMENT: Final = ("lastTransitionTime", "since", "at", "url", "experimentUid")
_SELECTOR: Final = "serving.kserve.io/inferenceservice"
_STOP: Final = "serving.kserve.io/stop"
_OURS: Final = (
    resources.INFERENCE_SERVICES,
    resources.CONFIG_MAPS,
    resources.SERVICES,
    resources.CONTROLLER_REVISIONS,
    resources.HORIZONTAL_POD_AUTOSCALERS,
    resources.POD_DISRUPTION_BUDGETS,
)
World = Mapping[str, str]


def world(scene: Scene, *, namespace: str) -> World:
    """Everything but times, uids, resource versions, the namespace and what others decide; a flat mapping of paths to values."""
    found = {path: value.replace(namespace, "NAMESPACE") for name, part in _parts(scene) for path, value in _leaves(part, path=name)}
    return {path: _IN_THE_LEDGER.sub(f"{EXPERIMENT}-UID", value) for path, value in found.items()}


def differences(wanted: World, found: World) -> str:
    """What is not as it should be, a line each."""
    paths = [path for path in sorted({*wanted, *found}) if wanted.get(path) != found.get(path)]
    return "\n".join(f"  {path}: wanted {wanted.get(path)}, found {found.get(path)}" for path in paths[:40])


def _leaves(value: Any, *, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, path=f"{path}.{name}")
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            yield from _leaves(part, path=f"{path}[{number}]")
    else:
        yield path, json.dumps(value)


def _parts(scene: Scene) -> Iterator[tuple[str, Any]]:
    for obj in scene.all(resources.MODEL_DEPLOYMENTS):
        meta = obj["metadata"]
        yield f"ModelDeployment {meta['name']}", {"generation": meta["generation"], "spec": obj["spec"], "status": _timeless(obj.get("status"))}
    for obj in scene.all(resources.EXPERIMENTS):
        yield f"Experiment {obj['metadata']['name']}", {"spec": obj["spec"], "status": _lasting(obj.get("status") or {})}
    for kind in _OURS:
        for obj in scene.all(kind):
            if _ours(obj):
                yield f"{kind.kind} {obj['metadata']['name']}", _child(obj)
    for obj in scene.all(resources.DEPLOYMENTS):
        yield f"Deployment {obj['metadata']['name']}", {"replicas": obj["spec"].get("replicas"), "template": obj["spec"]["template"]}


def _lasting(status: Mapping[str, Any]) -> dict[str, Any]:
    """Of an experiment, without figures: those are of the moment at which the ledger was asked, and so is the look that decided."""
    kept = {name: status.get(name) for name in ("verdict", "units", "traffic", "strata", "target", "observedGeneration")}
    arms = [{name: arm.get(name) for name in ("name", "revision", "uri", "capacityPercent", "stopped", "units")} for arm in status.get("arms", ())]
    decision = {name: (status.get("decision") or {}).get(name) for name in ("action", "arm", "done")}
    conditions = [{name: one[name] for name in ("type", "status", "reason")} for one in status.get("conditions", ())]
    return {name: _timeless(value) for name, value in (kept | {"arms": arms, "decision": decision, "conditions": conditions}).items()}


def _child(obj: Object) -> dict[str, Any]:
    meta = obj["metadata"]
    kept = {name: meta.get(name) for name in ("labels", "annotations", "generation")}
    body = {name: value for name, value in obj.items() if name not in ("metadata", "status")}
    if "spec" in body:
        body["spec"] = {name: value for name, value in body["spec"].items() if name not in ("clusterIP", "clusterIPs")}
    return body | kept | {"owners": [(owner["kind"], owner["name"]) for owner in meta["ownerReferences"]], "going": "deletionTimestamp" in meta}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(part) for name, part in value.items() if name not in _OF_THE_MOMENT}
    return [_timeless(part) for part in value] if isinstance(value, list) else value


def _ours(obj: Object) -> bool:
    owner = resources.controller(obj)
    return owner is not None and owner["kind"] in ("ModelDeployment", "Namespace")


def selected(service: Object | None) -> str | None:
    """The revision that a Service selects."""
    return ((service or {}).get("spec", {}).get("selector") or {}).get(_SELECTOR)


def routed(table: Object | None) -> frozenset[str]:
    """The revisions that a route table gives units to."""
    text = ((table or {}).get("data") or {}).get("routes.json")
    return frozenset(str(entry["name"]) for entry in json.loads(text)["revisions"]) if text else frozenset()


def available(deployment: Object | None) -> bool:
    """Whether all pods of a Deployment are ready, by what the test's kubelet wrote."""
    if deployment is None:
        return False
    status = deployment.get("status") or {}
    return bool(status.get("availableReplicas")) and status["availableReplicas"] == status["replicas"]


def made(scene: Scene) -> Counter[str]:
    """How often each child was made."""
    return Counter(
        f"{kind.kind} {name}"
        for kind in _OURS
        for (plural, name), versions in scene.history.items()
        for version in versions
        if plural == kind.plural and version.type == "ADDED" and _ours(version.object)
    )


def violations(scene: Scene, *, clean: Mapping[str, int]) -> Iterator[str]:
    """What must never be, and was. ``clean`` tells how often each child is made in a clean run."""
    gone_at = _deleted_at(scene)
    for child, times in made(scene).items():
        if times > clean.get(child, 0):
            yield f"{child} was made {times} times, in a clean run {clean.get(child, 0)} times"
    for version in scene.history.get((resources.SERVICES.plural, NAME), ()):
        if version.type != "DELETED" and version.at < gone_at:
            yield from _misrouted(scene, version)
    for version in scene.history.get((resources.CONFIG_MAPS.plural, TABLE), ()):
        if version.type != "DELETED" and version.at < gone_at:
            yield from _misled(scene, version)
    for (plural, name), versions in scene.history.items():
        if plural == resources.INFERENCE_SERVICES.plural and name != STRANGERS:
            yield from (problem for version in versions if version.at < gone_at for problem in _stopped_while_serving(scene, name, version))


def _deleted_at(scene: Scene) -> int:
    versions = scene.history.get((resources.MODEL_DEPLOYMENTS.plural, NAME), ())
    return next((version.at for version in versions if version.type == "DELETED"), 2**63)


def _misrouted(scene: Scene, version: Version) -> Iterator[str]:
    earlier = scene.at(resources.SERVICES, NAME, at=version.at - 1)
    revision, before = selected(version.object), selected(earlier)
    if revision is None:
        if earlier is not None and earlier["spec"].get("selector") and not version.object["spec"].get("selector"):
            yield f"at {version.at} the Service lost its selector"
    elif revision != before:
        yield from _unserved(scene, revision, at=version.at, by=f"the Service (before: {before})")


def _misled(scene: Scene, version: Version) -> Iterator[str]:
    """A table that gives units to a revision that cannot serve them, or takes them all away."""
    now, before = routed(version.object), routed(scene.at(resources.CONFIG_MAPS, TABLE, at=version.at - 1))
    if before and not now:
        yield f"at {version.at} the route table lost its revisions, before: {sorted(before)}"
    for revision in sorted(now - before):
        yield from _unserved(scene, revision, at=version.at, by="the route table")


def _unserved(scene: Scene, revision: str, *, at: int, by: str) -> Iterator[str]:
    if not available(scene.at(resources.DEPLOYMENTS, f"{revision}-predictor", at=at)):
        yield f"at {at} {revision} was chosen by {by}, and its pods are not ready"
    service = scene.at(resources.INFERENCE_SERVICES, revision, at=at)
    if service is None or _is_stopped(service):
        yield f"at {at} {revision} was chosen by {by}, and is stopped or not there"


def _stopped_while_serving(scene: Scene, name: str, version: Version) -> Iterator[str]:
    if not _is_stopped(version.object):
        return
    if selected(scene.at(resources.SERVICES, NAME, at=version.at)) == name:
        yield f"at {version.at} revision {name} is stopped while the Service selects it"
    if name in routed(scene.at(resources.CONFIG_MAPS, TABLE, at=version.at)):
        yield f"at {version.at} revision {name} is stopped while the route table gives it units"


def _is_stopped(service: Object) -> bool:
    return _STOP in (service["metadata"].get("annotations") or {})


def touched(before: list[Object], scene: Scene) -> Iterator[str]:
    """Strangers that are not what they were; KServe may write the status of its own."""
    for stranger in before:
        kind = resources.of(stranger)
        live = scene.live(kind, stranger["metadata"]["name"])
        if live is None:
            yield f"{kind.kind} {stranger['metadata']['name']} is gone, and is not ours"
        elif kind is resources.INFERENCE_SERVICES:
            if any(entry.get("manager") == "slipway" for entry in live["metadata"].get("managedFields", ())):
                yield f"{kind.kind} {stranger['metadata']['name']} was written by us, and is not ours"
        elif live["metadata"]["resourceVersion"] != stranger["metadata"]["resourceVersion"]:
            yield f"{kind.kind} {stranger['metadata']['name']} was changed, and is not ours"


def story(scene: Scene) -> Iterator[str]:
    """Everything that happened, in order, a line each."""
    told = sorted(
        ((version.at, plural, version) for (plural, _), versions in scene.history.items() for version in versions), key=lambda told: told[0]
    )
    for at, plural, version in told:
        meta, status = version.object["metadata"], version.object.get("status") or {}
        roles = ",".join(f"{entry['name'][-8:]}={entry['role']}" for entry in status.get("revisions", ()))
        chosen = selected(version.object) if plural == "services" else None
        notes = (chosen, "stopped" if _is_stopped(version.object) else None, roles, status.get("availableReplicas"))
        yield f"{at} {version.type} {plural} {meta['name']} {' '.join(str(note) for note in notes if note)}"
