"""The plan for a ModelDeployment: the objects it needs, what its status says, when to look again."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus, Replicas, RolloutStatus
from slipway_operator.reconcile import arms, casting, checks, rollout, summary, traffic, understudies
from slipway_operator.reconcile.casting import Cast, Part
from slipway_operator.reconcile.summary import Verdict
from slipway_operator.render import revision as revision_objects
from slipway_operator.render import router, routes, service
from slipway_operator.state.observed import Observed
from slipway_operator.state.plan import Done, Event, Outcome, Plan, Scale, Stalled, Wait
from slipway_operator.state.revision import Revision
from slipway_operator.state.routes import RouteTable

UNTOLD_LOOK_S: Final = 60.0
"""Seconds between two looks at something that is not as it should be and whose cure may raise no event that Slipway sees."""

SHADOW_LOOK_S: Final = 30.0
"""Seconds between two looks at how a shadow compares."""

ROUTER_LOOK_S: Final = 0.25
"""Seconds between two looks at routers that do not follow the table yet."""


def plan(observed: Observed) -> Plan:
    """Decide what should be, from what is. Pure: the same value gives the same plan."""
    if observed.identity.deleting:
        # Owner references take the children away; there is nothing to write to.
        return Plan(prune=False)
    accepted = checks.accepted(observed)
    if observed.spec is None or accepted.status != "True":
        return _refused(observed, accepted)
    return _accepted(observed, observed.spec, accepted)


def _refused(observed: Observed, accepted: Verdict) -> Plan:
    """What serves is left alone: a spec that cannot be carried out says nothing about it."""
    status = observed.status.model_copy(
        update={
            "observed_generation": observed.identity.generation,
            "conditions": _conditions(observed, {conditions.ACCEPTED: accepted}),
        }
    )
    return Plan(prune=False, status=status, events=_warning(observed, accepted), outcome=Stalled(accepted.reason))


def _accepted(observed: Observed, written: ModelDeploymentSpec, accepted: Verdict) -> Plan:
    # Of a promotion whose status was lost what serves tells, as long as the experiment is there.
    before = arms.promoted(observed, written, serving=observed.revision(observed.selected), before=arms.standing(observed, written))
    spec = arms.effective(written, before)
    roles = casting.cast(observed, spec)
    promoted = arms.promoted(observed, written, serving=roles.serving, before=before)
    table = traffic.table(observed, spec, roles)
    model_ready = checks.model_ready(observed, roles)
    concerns = {
        conditions.ACCEPTED: accepted,
        conditions.MODEL_READY: model_ready,
        conditions.ROUTED: checks.routed(observed, roles),
        conditions.AVAILABLE: checks.available(observed, roles),
    } | checks.understudies(observed, spec, roles)
    if promoted is not None:
        concerns[conditions.SPEC_BEHIND] = checks.spec_behind(promoted)
    return Plan(
        objects=tuple(_objects(observed, spec, roles, table)),
        scales=tuple(_scales(observed, spec.serving.replicas, roles)),
        spared=_unrecorded_but_serving(observed) | _left_router(observed),
        status=ModelDeploymentStatus(
            observed_generation=observed.identity.generation,
            url=service.url(observed.identity),
            revision=roles.serving.name if roles.serving else None,
            model_uri=roles.serving.model.uri if roles.serving else None,
            traffic=traffic.told(table.division) if observed.routers else None,
            rollout=_rollout_status(roles),
            shadow=understudies.shadow_status(observed, roles.understudies),
            experiment=roles.arms.trial.name if roles.arms.trial else None,
            promoted=promoted,
            refused=roles.course.refused if roles.course else (),
            handled=_handled(observed, roles),
            revisions=tuple(part.status() for part in roles.parts),
            conditions=_conditions(observed, concerns),
        ),
        events=(*_steps(observed, roles), *_warning(observed, model_ready)),
        outcome=_outcome(observed, roles, concerns),
    )


def _handled(observed: Observed, roles: Cast) -> str | None:
    """What somebody told the object last and is carried out by this pass."""
    if arms.discards(observed):
        return (observed.command or "").strip()[:128]
    return roles.course.handled if roles.course else observed.status.handled


def _rollout_status(roles: Cast) -> RolloutStatus | None:
    return roles.course.status if roles.course and not roles.course.finished else None


def _conditions(observed: Observed, concerns: Mapping[str, Verdict]) -> Any:
    return summary.summarize(concerns, previous=observed.status.conditions, generation=observed.identity.generation, now=observed.now)


def _unrecorded_but_serving(observed: Observed) -> frozenset[str]:
    """A serving revision whose record somebody deleted cannot be rendered; it serves until another one is ready."""
    if observed.selected is None or observed.revision(observed.selected) is not None:
        return frozenset()
    return frozenset({observed.selected})


def _left_router(observed: Observed) -> frozenset[str]:
    """A router of its own, as long as the address leads there."""
    leaving = observed.routers.leaving if observed.routers else None
    return frozenset({leaving, router.pods_service_name(leaving)} if leaving and leaving != router.SHARED else {})


def _objects(observed: Observed, spec: ModelDeploymentSpec, roles: Cast, table: RouteTable) -> Iterator[dict[str, Any]]:
    """The Service first: it is the name most likely to be taken, and then nothing else should have been made."""
    owner = observed.identity
    yield service.stable_service(owner, selector=_selector(observed, table))
    for part in roles.parts:
        yield revision_objects.controller_revision(part.revision, owner=owner)
        if revision_objects.configured(part.revision):
            yield revision_objects.config_map(part.revision, owner=owner)
        yield revision_objects.inference_service(part.revision, owner=owner, stopped=not part.running)
        if part.running and spec.serving.replicas.several:
            yield revision_objects.disruption_budget(part.revision, owner=owner)
        if _autoscaled(part, spec.serving.replicas):
            floor = _floor(part, spec.serving.replicas, roles)
            yield revision_objects.autoscaler(part.revision, owner=owner, replicas=spec.serving.replicas, floor=floor)
    if observed.routers is not None:
        own = observed.routers.name if observed.routers.name != router.SHARED else None
        if own:
            tokens = spec.traffic.tokens.name if spec.traffic.tokens else None
            routers = observed.routers
            yield from router.dedicated(owner, image=routers.image, replicas=routers.replicas, tokens=tokens, ledger=routers.ledger)
        # Last: what it names has been recorded by then.
        yield routes.config_map(table, owner=owner, dedicated=own or observed.routers.lingering)


def _selector(observed: Observed, table: RouteTable) -> Mapping[str, str] | None:
    """Where the stable address leads: to the routers, once they follow the table or where nobody served before them, and never back."""
    routers, stable = observed.routers, table.division.split.stable
    if routers is not None and (routers.addressed or observed.selected is None or (routers.follow(table.digest) and routers.announced)):
        return service.on_router(routers.name)
    if routers is not None and routers.leaving:
        return service.on_router(routers.leaving)
    return service.on_revision(stable)


def _floor(part: Part, replicas: Replicas, roles: Cast) -> int:
    """Pods of a part that its autoscaler must not go below. What serves keeps through a rollout what it had before, so that it can take all back."""
    if part.revision == roles.desired:
        return min(max(roles.wanted, _begun_with(roles)), replicas.max or roles.wanted)
    if part.role == "Arm":
        return min(roles.arms.wanted[part.revision.name], replicas.max or roles.arms.wanted[part.revision.name])
    begun = roles.course.status.stable_replicas if roles.course and roles.course.status else 0
    return min(max(replicas.min, begun), replicas.max or replicas.min)


def _begun_with(roles: Cast) -> int:
    """Pods that stable had when an experiment's turn came; 0 without one."""
    return roles.arms.trial.stable_replicas if roles.arms.trial else 0


def _autoscaled(part: Part, replicas: Replicas) -> bool:
    """A draining revision keeps the pods that it has."""
    return replicas.autoscaled and part.role in {"Stable", "Candidate", "Arm"}


def _scales(observed: Observed, replicas: Replicas, roles: Cast) -> Iterator[Scale]:
    """Deployments whose number of pods is for Slipway to set.

    Under an autoscaler only a Deployment at zero is: there the autoscaler considers itself switched off.
    """
    for part in roles.parts:
        if part.role not in {"Stable", "Candidate", "Arm", "Fallback", "Shadow"}:
            continue
        current = observed.workload(part.revision.name).replicas
        fixed = {"Candidate": roles.wanted, "Shadow": 1}.get(part.role, roles.arms.wanted.get(part.revision.name, replicas.min))
        if part.role == "Arm" and part.revision == roles.desired:
            # It won, and is about to take everybody's requests.
            fixed = roles.wanted
        if current is None or current == fixed or (_autoscaled(part, replicas) and current > 0):
            continue
        yield Scale(deployment=revision_objects.deployment_name(part.revision.name), replicas=fixed)


def _steps(observed: Observed, roles: Cast) -> Iterator[Event]:
    """One event for each step that this pass takes."""
    serving = roles.serving
    for revision in (*((roles.desired,) if roles.desired else ()), *roles.understudies.revisions, *roles.arms.revisions.values()):
        if observed.revision(revision.name) is None:
            yield Event(type="Normal", reason=conditions.REVISION_CREATED, message=f"Created revision {revision.name} for {revision.model.uri}.")
        elif observed.workload(revision.name).stopped:
            yield Event(type="Normal", reason=conditions.REVISION_WOKEN, message=f"Woke revision {revision.name} for {revision.model.uri}.")
    if roles.course is not None:
        yield from roles.course.events
    if roles.moved and serving is not None:
        yield Event(type="Normal", reason=conditions.REVISION_PROMOTED, message=f"Revision {serving.name} now serves {serving.model.uri}.")
    parked = {entry.name for entry in observed.status.revisions if entry.role == "Parked"}
    for part in roles.parts:
        if part.role == "Parked" and part.revision.name not in parked:
            yield Event(type="Normal", reason=conditions.REVISION_PARKED, message=f"Parked revision {part.revision.name}.")
    for revision in roles.dropped:
        yield Event(type="Normal", reason=conditions.REVISION_REMOVED, message=f"Removed revision {revision.name}.")


def _warning(observed: Observed, verdict: Verdict) -> tuple[Event, ...]:
    """An event when something starts to need somebody, not on every look at it."""
    if verdict.reason not in conditions.STALLING_REASONS:
        return ()
    before = {condition.message for condition in observed.status.conditions if condition.reason == verdict.reason}
    if any(message[:-1] in verdict.message for message in before):
        return ()
    return (Event(type="Warning", reason=verdict.reason, message=verdict.message),)


def _outcome(observed: Observed, roles: Cast, concerns: Mapping[str, Verdict]) -> Outcome:
    model_ready = concerns[conditions.MODEL_READY]
    if model_ready.reason in conditions.STALLING_REASONS and model_ready.reason != conditions.ROLLED_BACK:
        return Stalled(model_ready.reason, seconds=UNTOLD_LOOK_S)
    waits = [_drained_in(observed, part) for part in roles.parts if part.role == "Draining"]
    if roles.course is not None and roles.course.looks:
        waits.append(rollout.LOOK_S)
    if model_ready.status != "True" and model_ready.reason not in (conditions.SUSPENDED, conditions.ROLLED_BACK, conditions.EXPERIMENT_RUNNING):
        waits.append(_looked_at_in(observed, roles.desired))
    waits += _understudies_looked_at_in(observed, roles, concerns)
    if roles.serving is not None and (following := _followed_in(observed, roles)) > 0:
        waits.append(following)
    return Wait(min(waits)) if waits else Done()


def _followed_in(observed: Observed, roles: Cast) -> float:
    """Seconds to the next look at those who have to follow a move: routers are asked, nodes tell nobody. 0 where all have."""
    if observed.routers is None:
        left_s = observed.route_s - roles.serving_for_s(observed.now)
        return left_s + 0.1 if left_s > 0 else 0.0
    # A pod of the router that gets ready is seen.
    waiting = observed.routers.digests and not (observed.followed and observed.routers.addressed)
    if waiting or roles.moved:
        return ROUTER_LOOK_S
    # That there are endpoints is seen as well; how long nodes have known of them is not.
    reached = not observed.routers.digests or checks.reached(observed, observed.routers)
    return 0.0 if reached else max(observed.route_s - observed.routers.reached_s, 0.0) + 0.1


def _looked_at_in(observed: Observed, revision: Revision | None) -> float:
    """Seconds to the next look at a revision that is not ready: pods that wait announce every change, Triton announces nothing."""
    loading = revision is not None and observed.workload(revision.name).loading
    return observed.poll_s if loading else UNTOLD_LOOK_S


def _understudies_looked_at_in(observed: Observed, roles: Cast, concerns: Mapping[str, Verdict]) -> Iterator[float]:
    beside = roles.understudies
    if beside.shadowing is not None:
        yield SHADOW_LOOK_S
    for condition, revision in ((conditions.FALLBACK_READY, beside.fallback), (conditions.SHADOW_READY, beside.shadow)):
        if revision is not None and condition in concerns and concerns[condition].status != "True":
            yield _looked_at_in(observed, revision)


def _drained_in(observed: Observed, part: Part) -> float:
    left_s = observed.drain_s - (observed.now - part.since).total_seconds()
    # What is late then is a router, and that is looked at by itself.
    return left_s + 0.1 if left_s > 0 else UNTOLD_LOOK_S
