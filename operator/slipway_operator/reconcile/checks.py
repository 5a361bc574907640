"""What is asked of a ModelDeployment, one small check each; the order in which they are asked stands in summary.CONCERNS."""

from slipway_operator.api import conditions, metadata
from slipway_operator.api.v1alpha1.modeldeployment import Fallback, ModelDeploymentSpec, PromotedStatus, RolloutStatus
from slipway_operator.reconcile.casting import Cast
from slipway_operator.reconcile.rollout import Course
from slipway_operator.reconcile.summary import NOT_JUDGED, SPEC_ACCEPTED, Verdict, failed, passed
from slipway_operator.state.observed import Identity, Observed, Routers, Workload
from slipway_operator.state.revision import Revision
from slipway_operator.state.routes import FixedResponse


def accepted(observed: Observed) -> Verdict:
    """Whether the spec can be carried out at all."""
    if observed.spec is None:
        return failed(
            conditions.SPEC_UNREADABLE,
            f"This operator cannot read the stored object: {observed.spec_error} Change it and apply it again, or run the operator version that"
            " matches its CRD.",
        )
    if observed.spec.transformer is not None and observed.spec.transformer.image is None and observed.transformer_image is None:
        return failed(
            conditions.TRANSFORMER_IMAGE_UNKNOWN,
            "This operator has no image for transformers: name one in spec.transformer.image, or in its setting SLIPWAY_TRANSFORMER_IMAGE.",
        )
    return _names_fit(observed.identity)


def _names_fit(identity: Identity) -> Verdict:
    """<name>-<hash8> and the namespace share a label of KServe's.

    ranker-0a1b2c3d (15) + shop (4) = 19: fits. A name of 39 makes 48, which leaves 4 for the namespace.
    """
    revision = len(identity.name) + 1 + metadata.REVISION_HASH_LENGTH
    spare = metadata.MAX_REVISION_AND_NAMESPACE_LENGTH - revision - len(identity.namespace)
    if spare < 0:
        return failed(
            conditions.NAME_TOO_LONG,
            f"The names {identity.name!r} and {identity.namespace!r} (the namespace) are together {-spare} characters too long for KServe's labels:"
            f" use a shorter name or namespace, {len(identity.name) + len(identity.namespace) + spare} characters in all.",
        )
    return SPEC_ACCEPTED


def model_ready(observed: Observed, roles: Cast) -> Verdict:
    """Whether the pods that the spec asks for answer for the model."""
    desired = roles.desired
    if roles.held is not None and not (observed.spec and observed.spec.suspend):
        trial = roles.arms.trial.name if roles.arms.trial else ""
        return failed(
            conditions.EXPERIMENT_RUNNING,
            f"Experiment {trial} divides the units: revision {roles.held} waits until it is over. Delete the Experiment to have it sooner.",
        )
    if roles.held is not None:
        serving = f" {roles.serving.name} goes on serving." if roles.serving else ""
        return failed(conditions.SUSPENDED, f"spec.suspend is set: revision {roles.held} waits.{serving}")
    if desired is None:
        return NOT_JUDGED
    if roles.course is not None and roles.course.why_refused is not None:
        return failed(conditions.ROLLED_BACK, _refused(roles.course.why_refused, roles))
    workload = observed.workload(desired.name)
    if workload.ready(roles.wanted):
        return passed(conditions.MODEL_LOADED, f"Revision {desired.name} answers for {desired.model.uri}.")
    verdict = _not_ready(desired.name, workload, wanted=roles.wanted)
    if roles.serving is not None and roles.serving != desired:
        return failed(verdict.reason, f"{verdict.message} Revision {roles.serving.name} goes on serving.")
    return verdict


def _refused(why: str, roles: Cast) -> str:
    serving = f" Revision {roles.serving.name} goes on serving." if roles.serving else ""
    return f"{why}{serving} Change the spec, or annotate the object with {metadata.ROLLOUT_ANNOTATION}='retry <anything new>'."


def _not_ready(name: str, workload: Workload, *, wanted: int) -> Verdict:
    if workload.failures:
        gravest = workload.failures[0]
        return failed(gravest.reason, f"Revision {name}: {gravest.message.rstrip('.')}.")
    if workload.available and not workload.stopped:
        return failed(conditions.SCALING, f"Revision {name}: {workload.available} of {wanted} replicas are ready and up to date.")
    return failed(conditions.STARTING, f"Revision {name} is starting.")


def routed(observed: Observed, roles: Cast) -> Verdict:
    """Whether the stable address leads to what the spec asks for."""
    serving, desired = roles.serving, roles.desired
    if serving is None:
        return failed(conditions.NO_ENDPOINT, "No revision has been ready yet.")
    if roles.course is not None and roles.course.status is not None and not roles.course.finished:
        return _rolling_out(roles.course, roles.course.status)
    if serving != desired:
        return failed(conditions.PREVIOUS_ROUTED, f"The address leads to revision {serving.name}.")
    if observed.routers is not None:
        return _routers_follow(observed, observed.routers, serving.name)
    if observed.endpoints.get(serving.name) and roles.serving_for_s(observed.now) >= observed.route_s:
        return passed(conditions.REVISION_ROUTED, f"The address leads to revision {serving.name}.")
    return failed(conditions.ROUTING, f"The address is being moved to revision {serving.name}.")


def _rolling_out(course: Course, status: RolloutStatus) -> Verdict:
    share = f"{status.percent} % of the units go to revision {status.revision}, step {status.step} of {status.steps}"
    if status.paused:
        verbs = "'resume <anything new>', 'promote <anything new>' or 'rollback <anything new>'"
        return failed(
            conditions.ROLLOUT_PAUSED, f"{share}; paused: {course.message}. Annotate the object with {metadata.ROLLOUT_ANNOTATION}={verbs}."
        )
    return failed(conditions.ROLLING_OUT, f"{share}: {course.message}.")


def _routers_follow(observed: Observed, routers: Routers, serving: str) -> Verdict:
    if not routers.digests:
        return failed(conditions.NO_ROUTER, _no_router(routers))
    table = observed.table
    if table is None or table.division.split.stable != serving or not observed.followed or not routers.addressed:
        follow = sum(1 for live in routers.digests.values() if table is not None and live == table.digest)
        return failed(conditions.ROUTING, f"{follow} of {len(routers.digests)} pods of router {routers.name} send requests to revision {serving}.")
    if not reached(observed, routers):
        return failed(conditions.ROUTING, f"Nodes learn that the address leads to router {routers.name}.")
    tokens = observed.spec.traffic.tokens if observed.spec else None
    if tokens is not None and not table.tokens:
        trouble = f" {routers.trouble.rstrip('.')}." if routers.trouble else ""
        return failed(
            conditions.ROUTING, f"Pods of router {routers.name} mount Secret {tokens.name}; until all have it, requests need no token.{trouble}"
        )
    return passed(conditions.REVISION_ROUTED, f"The address leads to revision {serving}.")


def reached(observed: Observed, routers: Routers) -> bool:
    """Whether nodes send what comes to the address on to the router. Once they have, endpoints that come and go are their business alone."""
    routed_before = any(each.type == conditions.ROUTED and each.status == "True" for each in observed.status.conditions)
    return routed_before or routers.reached_s >= observed.route_s


def available(observed: Observed, roles: Cast) -> Verdict:
    """Whether anything answers at the stable address."""
    if observed.routers is not None and observed.routers.addressed:
        return _available_through(observed, observed.routers, roles)
    answering = sorted(name or "the router" for name, ready in observed.endpoints.items() if ready)
    if answering:
        return passed(conditions.ENDPOINT_READY, f"Pods of {' and '.join(answering)} answer.")
    if roles.serving is None:
        return failed(conditions.NO_ENDPOINT, "No revision has been ready yet.")
    return failed(conditions.NO_ENDPOINT, f"Revision {roles.serving.name} has no ready pod behind the address.")


def _available_through(observed: Observed, routers: Routers, roles: Cast) -> Verdict:
    if roles.serving is None:
        return failed(conditions.NO_ENDPOINT, "No revision has been ready yet.")
    if not routers.digests:
        return failed(conditions.NO_ENDPOINT, _no_router(routers))
    if not observed.workload(roles.serving.name).available:
        if (answering := _who_falls_back(observed, roles)) is not None:
            return passed(conditions.FALLBACK_ANSWERS, f"Revision {roles.serving.name} has no ready pod; {answering} answers in its place.")
        return failed(conditions.NO_ENDPOINT, f"Revision {roles.serving.name} has no ready pod.")
    return passed(conditions.ENDPOINT_READY, f"Pods of {roles.serving.name} answer.")


def _no_router(routers: Routers) -> str:
    return f"No pod of router {routers.name} is ready" + (f": {routers.trouble.rstrip('.')}." if routers.trouble else ".")


def spec_behind(promoted: PromotedStatus) -> Verdict:
    """Whether what an experiment promoted stands in for spec.model. Its status True is the one that asks for something."""
    if promoted.standing != "Serves":
        return failed(conditions.SPEC_CURRENT, f"spec.model wins over arm {promoted.arm} of experiment {promoted.experiment}.")
    return passed(
        conditions.PROMOTED,
        f"Arm {promoted.arm} won experiment {promoted.experiment} and serves: write spec.model.uri: {promoted.model.uri} to where the spec is kept,"
        f" or annotate the object with {metadata.ROLLOUT_ANNOTATION}='discard <anything new>' to have the model of the spec back.",
    )


def understudies(observed: Observed, spec: ModelDeploymentSpec, roles: Cast) -> dict[str, Verdict]:
    """What Ready does not depend on: the fallback, the shadow, and whether the fallback has to answer now. Without routers there is neither."""
    told: dict[str, Verdict] = {}
    if observed.routers is None:
        return told
    if spec.traffic.fallback is not None:
        told[conditions.FALLBACK_READY] = _fallback_ready(observed, spec.traffic.fallback, roles)
        told[conditions.DEGRADED] = _degraded(observed, roles)
    if spec.traffic.shadow is not None:
        told[conditions.SHADOW_READY] = _stands_by(observed, roles.understudies.shadow, does="sees copies of requests")
    return told


def _fallback_ready(observed: Observed, asked: Fallback, roles: Cast) -> Verdict:
    if isinstance(roles.understudies.falling_back, FixedResponse):
        return passed(conditions.RESPONSE_FIXED, f"A fixed response of status {roles.understudies.falling_back.status} stands by.")
    if asked.revision == "Previous" and roles.understudies.fallback is None:
        return failed(conditions.NOTHING_BEFORE, "No revision served before the one that serves now: the next change of the model leaves one.")
    return _stands_by(observed, roles.understudies.fallback, does="stands by")


def _stands_by(observed: Observed, revision: Revision | None, *, does: str) -> Verdict:
    if revision is None:
        return failed(conditions.SAME_REVISION, "The model is that of spec.model, or waits until spec.suspend is false: name another one.")
    workload = observed.workload(revision.name)
    if workload.available and not workload.stopped:
        return passed(conditions.MODEL_LOADED, f"Revision {revision.name} {does} for {revision.model.uri}.")
    return _not_ready(revision.name, workload, wanted=1)


def _degraded(observed: Observed, roles: Cast) -> Verdict:
    """Its status True is the bad one."""
    serving, answering = roles.serving, _who_falls_back(observed, roles)
    if serving is None or observed.workload(serving.name).available or answering is None:
        return failed(
            conditions.MODEL_ANSWERS,
            f"Pods of {serving.name} answer." if serving and observed.workload(serving.name).available else "Nothing answers.",
        )
    return passed(conditions.FALLBACK_ANSWERS, f"Revision {serving.name} has no ready pod; {answering} answers in its place.")


def _who_falls_back(observed: Observed, roles: Cast) -> str | None:
    """What would answer an inference that the serving revision cannot; None where nothing would."""
    beside = roles.understudies
    if isinstance(beside.falling_back, FixedResponse):
        return "the fixed response"
    if beside.fallback is not None and observed.workload(beside.fallback.name).available:
        return f"revision {beside.fallback.name}"
    return None
