"""What has to be written for a new ModelDeployment, worked out by the operator's own decision code."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.operator.world import RUNTIME
from slipway_operator.api import metadata
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec
from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object
from slipway_operator.reconcile import modeldeployment
from slipway_operator.state.observed import Identity, Observed
from slipway_operator.state.plan import Plan

_APPLY = "application/apply-patch+yaml"


def planned(body: Object) -> Plan:
    """The plan of the first pass over a ModelDeployment."""
    meta = body["metadata"]
    owner = Identity(name=meta["name"], namespace=meta["namespace"], uid=meta["uid"], generation=meta["generation"])
    spec = ModelDeploymentSpec.model_validate(body["spec"])
    now = datetime.now(UTC).replace(microsecond=0)
    return modeldeployment.plan(Observed(identity=owner, spec=spec, runtimes={"slipway-triton": RUNTIME}, now=now))


def status_of(plan: Plan) -> dict[str, Any]:
    """Its status as JSON."""
    assert plan.status is not None
    rendered: dict[str, Any] = plan.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return rendered


def write_requests(file: Path, bodies: Iterable[Object]) -> None:
    """The file that the bare script takes."""
    file.write_text("".join(json.dumps(_requests(body)) + "\n" for body in bodies))


def _requests(body: Object) -> list[tuple[str, str, str, Any]]:
    """As the operator sends them: the children, the status, an Event."""
    plan = planned(body)
    meta = {name: body["metadata"][name] for name in ("name", "namespace", "uid")}
    status = {"apiVersion": metadata.API_VERSION, "kind": "ModelDeployment", "metadata": meta, "status": status_of(plan)}
    return [*(_applied(child) for child in plan.objects), _applied(status, subresource="status"), _event(meta, plan)]


def _applied(body: Any, *, subresource: str | None = None) -> tuple[str, str, str, Any]:
    meta = body["metadata"]
    query = {"fieldManager": "slipway", "force": "true"}
    path = resources.of(body).path(namespace=meta["namespace"], name=meta["name"], subresource=subresource, query=query)
    return "PATCH", path, _APPLY, body


def _event(meta: dict[str, Any], plan: Plan) -> tuple[str, str, str, Any]:
    told = plan.events[0]
    event = {
        "apiVersion": resources.EVENTS.api_version,
        "kind": resources.EVENTS.kind,
        "metadata": {"name": f"{meta['name']}.1", "namespace": meta["namespace"]},
        "regarding": {"apiVersion": metadata.API_VERSION, "kind": "ModelDeployment", **meta},
        "type": told.type,
        "reason": told.reason,
        "action": "Reconcile",
        "note": told.message,
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "slipway.dev/operator",
        "reportingInstance": "bare",
    }
    return "POST", resources.EVENTS.path(namespace=meta["namespace"]), "application/json", event
