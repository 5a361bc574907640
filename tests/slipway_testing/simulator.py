"""A cluster in which everything works at once: what a plan asks for is there on the next look, its pods are ready, and its routers follow."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from slipway_operator.api import metadata
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from slipway_operator.reconcile import modeldeployment
from slipway_operator.render import router
from slipway_operator.state.observed import Observed, Routers, Workload
from slipway_operator.state.plan import Done, Outcome, Plan, Stalled, Wait
from slipway_operator.state.revision import Revision
from slipway_operator.state.routes import RouteTable
from slipway_statistics.counts import Counts
from slipway_statistics.latency import Edges
from slipway_testing import builders

_BUSY: Final = Counts(
    buckets=((1_000_000, 1_000, 50_000),) * 64,
    blocks=dict.fromkeys(range(64), (1_000_000, 1_000, 50_000)),
    latency={50: 60_800_000, 100: 3_200_000},
)
"""So much traffic that no step lacks any, and no revision worse than the other."""

PASSES: Final = 40
"""More than any edit needs from its first pass to rest."""


def _at_rest(outcome: Outcome) -> bool:
    """Looks at a shadow's figures go on for ever."""
    return not isinstance(outcome, Wait) or outcome.seconds == modeldeployment.SHADOW_LOOK_S


_STOP: Final = "serving.kserve.io/stop"
Name = tuple[str, str]


@dataclass
class Cluster:
    """One ModelDeployment, its children, and the pods they would have."""

    runtimes: dict[str, str] = field(default_factory=lambda: dict(builders.RUNTIMES))
    children: dict[Name, dict[str, Any]] = field(default_factory=dict)
    """(kind, name) → object."""

    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    generation: int = 0
    spec: ModelDeploymentSpec | None = None
    now: datetime = builders.NOW
    _pods: dict[str, int] = field(default_factory=dict)

    def edit(self, written: dict[str, Any]) -> None:
        """A user applies a spec."""
        spec = ModelDeploymentSpec.model_validate(written)
        if spec != self.spec:
            self.spec, self.generation = spec, self.generation + 1

    def settle(self) -> int:
        """Passes until one changes nothing and asks for no other; AssertionError when that takes too many."""
        for passes in range(1, PASSES + 1):
            before = (dict(self.children), self.status, dict(self._pods))
            made = self.one_pass()
            if (self.children, self.status, self._pods) == before and _at_rest(made.outcome):
                return passes
        raise AssertionError(f"no rest after {PASSES} passes: {made.outcome}")

    def one_pass(self) -> Plan:
        """Decide, carry out, let the time pass that the decision asks for."""
        made = modeldeployment.plan(self.observed())
        planned = {(child["kind"], child["metadata"]["name"]): _as_stored(child) for child in made.objects}
        kept = {name: child for name, child in self.children.items() if not made.prune or name[1] in made.spared}
        self.children = kept | planned
        for scale in made.scales:
            self._pods[scale.deployment.removesuffix("-predictor")] = scale.replicas
        if made.status is not None:
            self.status = ModelDeploymentStatus.model_validate(made.status.model_dump(mode="json", by_alias=True, exclude_none=True))
        match made.outcome:
            case Wait(seconds):
                self.now += timedelta(days=31) if self.status.rollout else timedelta(seconds=seconds)
            case Done() | Stalled():
                pass
        return made

    def observed(self) -> Observed:
        """What the operator would see now."""
        table = self._table()
        services = [child for (kind, _), child in self.children.items() if kind == "InferenceService"]
        records = [child for (kind, _), child in self.children.items() if kind == "ControllerRevision"]
        revisions = [Revision.recorded(name=each["metadata"]["name"], number=each["revision"], data=each["data"]) for each in records]
        return builders.observed(
            identity=builders.identity(generation=self.generation),
            spec=self.spec,
            status=self.status,
            revisions=tuple(sorted(revisions, key=lambda revision: -revision.number)),
            workloads={service["metadata"]["name"]: self._workload(service) for service in services},
            selected=table.division.split.stable if table else None,
            table=table,
            counts={name: _BUSY for name, _ in table.division.split.revisions} if table else {},
            edges=Edges(stable=100, candidate=108),
            routers=self._routers(table),
            runtimes=self.runtimes,
            now=self.now.replace(microsecond=0),
        )

    def _routers(self, table: RouteTable | None) -> Routers:
        own = self.spec is not None and self.spec.traffic.router == "Dedicated"
        name = router.dedicated_name("digits") if own else router.SHARED
        service = self.children.get(("Service", "digits"), {"spec": {}})
        selected = service["spec"].get("selector", {}).get(metadata.ROUTER_LABEL)
        deployment = self.children.get(("Deployment", name), {"metadata": {}})
        digests = {"router-1": table.digest if table else None} if not own or "spec" in deployment else {}
        return Routers(
            name=name,
            addressed=selected == name,
            leaving=selected if selected != name else None,
            image="slipway/router:test",
            tokens=deployment["metadata"].get("annotations", {}).get(metadata.TOKENS_ANNOTATION),
            digests=digests,
        )

    def _table(self) -> RouteTable | None:
        written = self.children.get(("ConfigMap", "digits-routes"))
        return RouteTable.parse(written["data"]["routes.json"]) if written else None

    def _workload(self, service: dict[str, Any]) -> Workload:
        name = service["metadata"]["name"]
        if _STOP in service["metadata"]["annotations"]:
            self._pods.pop(name, None)
            return Workload(stopped=True)
        scaler = self.children.get(("HorizontalPodAutoscaler", name))
        floor = scaler["spec"]["minReplicas"] if scaler else 1
        replicas = self._pods[name] = max(self._pods.get(name, 1), floor)
        return Workload(settled=True, replicas=replicas, available=replicas)


def _as_stored(child: Any) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(json.dumps(child))
    return stored
