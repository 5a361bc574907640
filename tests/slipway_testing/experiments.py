"""Experiment shop/digits-v8 on ModelDeployment shop/digits, whose revision of model 0 is the control; a test says only what differs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from slipway_operator.api.v1alpha1.experiment import WAITING, ExperimentSpec, ExperimentStatus
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec
from slipway_operator.reconcile.experiment import plan as plans
from slipway_operator.state import observed as targets
from slipway_operator.state.experiment import Journal, Observed, Plan, Sums
from slipway_operator.state.observed import Identity, Routers, Workload
from slipway_operator.state.revision import Revision
from slipway_operator.state.routes import Division, Groups, Limits, RouteTable, Split
from slipway_operator.state.slots import Allocation
from slipway_statistics import sums as statistics
from slipway_statistics.counts import Counts
from slipway_statistics.experiment import Memory
from slipway_testing import builders

NAME: Final = "digits-v8"
UID: Final = "1a2b3c4d-5e6f-7081-92a3-b4c5d6e7f809"
FULL_NAME: Final = "shop/digits-v8-1a2b3c4d"
"""At the ledger."""

TARGET_SPEC: Final = builders.spec(uri="pvc://models/digits/0")
CONTROL: Final = builders.revision(TARGET_SPEC)
V8: Final = builders.revision(builders.spec(uri="pvc://models/digits/8"), number=2)
V9: Final = builders.revision(builders.spec(uri="pvc://models/digits/9"), number=3)
REVISIONS: Final = {"control": CONTROL, "v8": V8, "v9": V9} | {
    f"v{number}": builders.revision(builders.spec(uri=f"pvc://models/digits/{number}"), number=number) for number in range(1, 8)
}
RAMP: Final = ({"percent": 2, "holdSeconds": 60}, {"percent": 20, "holdSeconds": 60}, {"percent": 50})
CONVERSION: Final = {
    "name": "conversion",
    "role": "Primary",
    "type": "Proportion",
    "windowSeconds": 60,
    "baseline": "0.1",
    "minimumEffect": {"relativePercent": "10"},
}
ERRORS: Final = {"name": "error-rate", "role": "Guardrail", "source": "Router", "direction": "Down", "margin": "0.01"}
LIMITS: Final = Limits(timeout_ms=60_000, body_bytes=2**26, pending_per_pod=128)


def arm(name: str) -> dict[str, Any]:
    """v8 is the model of that number."""
    return {"name": name, "model": {"uri": f"pvc://models/digits/{name.removeprefix('v')}"}}


def written(*, arms: tuple[str, ...] = ("v8",), analysis: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """spec of an Experiment as a user writes it."""
    valid: dict[str, Any] = {
        "targetRef": {"name": "digits"},
        "arms": [{"name": "control"}, *(arm(name) for name in arms)],
        "assignment": {"unit": {"header": "x-user-id"}},
        "ramp": list(RAMP),
        "metrics": [CONVERSION],
        "analysis": {"minUnitsPerArm": 100, "minDurationSeconds": 0, "maxDurationSeconds": 86_400} | dict(analysis or {}),
    }
    return {name: value for name, value in (valid | changes).items() if value is not None}


def spec(**changes: Any) -> ExperimentSpec:
    """The same as the API server hands it over."""
    return ExperimentSpec.model_validate(written(**changes))


def identity(**changes: Any) -> Identity:
    """Experiment shop/digits-v8."""
    valid: dict[str, Any] = {"name": NAME, "namespace": "shop", "uid": UID, "generation": 1}
    return Identity(**(valid | changes))


def split(status: ExperimentStatus) -> Split:
    """What the target's table says where it follows the status."""
    traffic = status.traffic
    runs = tuple((run.before, run.group) for run in traffic.slots) if traffic else ()
    present = {group for _, group in runs}
    serving = {name: revision.name for name, revision in REVISIONS.items()} | {WAITING: CONTROL.name}
    if traffic is None or not present & {arm.name for arm in status.arms if arm.name != "control"}:
        return Split.whole(CONTROL.name)
    groups = tuple((group, serving[group]) for group in (*REVISIONS, WAITING) if group in present)
    return Split(
        stable=CONTROL.name,
        groups=Groups(experiment=f"shop/{status.ledger_name}", stratum=str(traffic.stratum), revisions=groups),
        allocation=Allocation(runs),
    )


def table(of: Split, *, epoch: int = 5) -> RouteTable:
    """The live table of the target."""
    return RouteTable(namespace="shop", model="digits", division=Division(seed=f"shop/{NAME}", epoch=epoch, split=of), unit=None, limits=LIMITS)


def settled_target(**changes: Any) -> dict[str, Any]:
    """status of a target that stands still."""
    ready = {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-11-24T11:00:00Z",
        "reason": "Serving",
        "message": "Serves.",
    }
    return {"observedGeneration": 1, "conditions": [ready]} | changes


def target(
    live: Split | None = None,
    *,
    follow: bool = True,
    replicas: int = 4,
    pods: Mapping[str, int] | None = None,
    spec: ModelDeploymentSpec = TARGET_SPEC,
    told: Mapping[str, Any] | None = None,
    **changes: Any,
) -> targets.Observed:
    """ModelDeployment shop/digits with ``replicas`` pods, of each arm as many but for ``pods``."""
    found = table(live or Split.whole(CONTROL.name))
    ready = dict.fromkeys(REVISIONS, replicas) | dict(pods or {})
    workloads = {REVISIONS[name].name: Workload(settled=True, replicas=replicas, available=count) for name, count in ready.items()}
    valid: dict[str, Any] = {
        "spec": spec,
        "revisions": (V9, V8, CONTROL),
        "workloads": workloads,
        "selected": found.division.split.stable,
        "table": found,
        "routers": Routers(name="slipway-router", addressed=True, digests={"pod-1": found.digest if follow else "earlier"}),
        "status": builders.status(builders.entry(CONTROL, "Stable", since=builders.long_ago()), **settled_target(**dict(told or {}))),
    }
    return builders.observed(**(valid | changes))


def observed(status: ExperimentStatus | None = None, **changes: Any) -> Observed:
    """The experiment, seen with a target whose routers follow what the status says."""
    known = status or ExperimentStatus()
    valid: dict[str, Any] = {
        "identity": identity(),
        "created": "2026-11-24T11:59:00Z",
        "spec": spec(),
        "status": known,
        "target": target(split(known)),
        "journal": Journal(sequence=known.look.sequence if known.look else 0, memory=Memory()) if changes.get("sums") else None,
        "now": builders.NOW,
    }
    return Observed(**(valid | changes))


def status(made: Plan) -> ExperimentStatus:
    """The status that a plan writes, as it is read again."""
    if made.status is None:
        raise AssertionError("this plan leaves the status alone")
    return ExperimentStatus.model_validate(made.status.model_dump(mode="json", by_alias=True, exclude_none=True))


def admitted(**changes: Any) -> ExperimentStatus:
    """Its turn has come, and the arms are asked for."""
    return status(plans.plan(observed(**changes)))


def divided(**changes: Any) -> ExperimentStatus:
    """The first step is in the status, and no router has it."""
    return status(plans.plan(observed(admitted(**changes), **changes)))


def begun(**changes: Any) -> ExperimentStatus:
    """Every router has the first step, since now."""
    return status(plans.plan(observed(divided(**changes), **changes)))


def climbed(step: int, **changes: Any) -> ExperimentStatus:
    """Every router has that step, since now; everything went well before, and nothing was seen."""
    found = begun(**changes)
    while found.traffic and found.traffic.step < step:
        later = status(plans.plan(observed(found, **changes, sums=sums(found), now=builders.at(61))))
        found = status(plans.plan(observed(later, **changes)))
    return found


def conversions(units: int, rate: float, *, before: int = 0) -> statistics.Sums:
    """Of so many units that share converted; ``before``: as many of the covariate."""
    events = round(units * rate)
    return statistics.Sums(units=units, totals=(events, before), products=(events, min(events, before), before))


def sums(
    status: ExperimentStatus, *, units: int = 20_000, rates: Mapping[str, float] | None = None, now: datetime = builders.NOW, **changes: Any
) -> Sums:
    """So many units of the newest stratum, spread as its slots are, of whom every arm's share of ``rates`` converted (0.1 where it says nothing)."""
    stratum = status.strata[-1]
    whole = sum(group.slots for group in stratum.slots)
    counts = {group.arm: units * group.slots // whole for group in stratum.slots}
    told = rates or {}
    found = {name: {stratum.name: conversions(count, told.get(name, 0.1))} for name, count in counts.items()}
    valid: dict[str, Any] = {
        "now": now,
        "closed": {"conversion": found},
        "open": {"conversion": found},
        "units": {stratum.name: counts},
        "waiting": 0,
        "in_two_arms": 0,
        "newest_outcome": now,
    }
    return Sums(**(valid | changes))


def requests(count: int, *, bad: float = 0.0) -> Counts:
    """So many requests of one revision, evenly spread over buckets and twenty blocks of time, and the share of them that failed."""
    each, block = count // 64, count // 20
    return Counts(buckets=((each, round(each * bad), 0),) * 64, blocks=dict.fromkeys(range(20), (block, round(block * bad), 0)), latency={})


def counted(**bad: float) -> dict[str, Counts]:
    """What routers counted of control, which is well, and of arms of which that share of requests failed."""
    return {CONTROL.name: requests(640_000)} | {REVISIONS[arm].name: requests(640_000, bad=share) for arm, share in bad.items()}


def revision_of(name: str) -> Revision:
    """The revision of an arm."""
    return REVISIONS[name]
