"""The worker over Experiments: observes, plans, keeps the look in the ledger, writes the status."""

import dataclasses
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from slipway_operator import errors
from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.experiment import ExperimentStatus, LookStatus
from slipway_operator.cluster import ledger as ledgers
from slipway_operator.cluster import observe, observe_experiments, resources
from slipway_operator.cluster.resources import Object, Reference, version
from slipway_operator.controller import exporter, store
from slipway_operator.controller.passes import Attempt, Passes
from slipway_operator.controller.store import Key
from slipway_operator.reconcile.experiment import failure, looks, plan
from slipway_operator.render import revision as revision_objects
from slipway_operator.render import routes
from slipway_operator.state.experiment import Journal, Observed, Plan
from slipway_operator.state.plan import Outcome

CONTROLLER: Final = "experiment"

LOOK_RESULTS: Final = ("kept", "unchanged", "failed")
"""Of the metric of looks; each is told of from the start, so that the first one is seen."""

log = logging.getLogger("slipway.controller")


class Worker(Passes[Observed]):
    """Reconciles Experiments."""

    controller = CONTROLLER
    resource = resources.EXPERIMENTS

    def __init__(
        self,
        *,
        observer: observe_experiments.Observer,
        ledger: ledgers.Ledger | None,
        memories: observe_experiments.Memories,
        relearn: Callable[[Object | None, Object | None], None],
        **shared: Any,
    ) -> None:
        """``relearn`` is called with a target as it was known and as the server has it. ``shared``: as of Passes."""
        super().__init__(**shared)
        self._relearn = relearn
        self._observer = observer
        self._ledger = ledger
        self._memories = memories
        self._registered: dict[Key, str] = {}
        """By object: its name in the ledger."""
        self._looks = {result: self._meters.experiment_looks.labels(result) for result in LOOK_RESULTS}
        self._decisions = {action: self._meters.experiment_decisions.labels(action) for action in exporter.ACTIONS}

    async def _attempt(self, attempt: Attempt[Observed]) -> Outcome | None:
        body = attempt.body
        target = self._observer.target(body)
        known = self._observer.parts(target)
        observed = attempt.observed = await self._observer.observe(body)
        if observed.trouble is not None:
            self._looks["failed"].inc()
        planned = plan.plan(observed)
        carried_out = False
        try:
            if _binding(observed, planned) and not await self._still_like_that(body, target, _grounds(observed, planned), known=known):
                return None
            planned = await self._recorded(body, observed, planned)
            if planned.status is not None:
                await self._write_status(body, planned.status)
            carried_out = True
        finally:
            if not carried_out:
                # What the look asked for must not wait for the next one, which may be hours away.
                self._memories.of(observed.identity.uid).looked_at = None
        self._count(observed, planned)
        self._tell(body, planned.events)
        return planned.outcome

    async def _still_like_that(self, body: Object, target: Object | None, grounds: Iterable[Reference], *, known: observe.Known | None) -> bool:
        """Ask the server whether the experiment, its target and what counts of that one's parts are as they were known."""
        key = observe_experiments.target_key(body)
        live = await self._live(resources.MODEL_DEPLOYMENTS.reference(*key)) if key else None
        if version(live) != version(target):
            self._relearn(target, live)
            return False
        return await self._still_so(body, grounds, known=known)

    def _count(self, observed: Observed, planned: Plan) -> None:
        """For metrics: what was carried out."""
        if planned.look is not None:
            self._memories.of(observed.identity.uid).carried_out_at = time.time()
        for action in exporter.decisions(observed.status, planned.status or observed.status):
            self._decisions[action].inc()

    async def _recorded(self, body: Object, observed: Observed, planned: Plan) -> Plan:
        """What the ledger is to know before the status tells of it; the plan with the number of the look that was kept."""
        status, key = planned.status, store.key_of(body)
        name = status.ledger_name if status else None
        if self._ledger is None or status is None or name is None:
            return planned
        try:
            await self._leave(key, observed, name)
            if planned.register is not None:
                await self._register(body, observed, name, planned.register)
            if planned.look is not None and status.proposal is not None and status.proposal.sequence == planned.look["sequence"]:
                # Whoever consents reads this look: it is kept, though one whose status could not be written may have said the same.
                self._memories.of(observed.identity.uid).fingerprint = None
            sequence = await self._append(observed, name, planned.look) if planned.look is not None else 0
        except errors.LedgerError as error:
            if not _takes_units_away(observed.status, status):
                raise
            return _with_status(planned, self._unkept(observed, status, error))
        if planned.look is not None and planned.memory is not None:
            journal = Journal(sequence=sequence, memory=planned.memory)
            self._memories.of(observed.identity.uid).journal = journal
            if sequence:
                look = LookStatus(sequence=sequence, at=_second(planned.look["at"]))
                before = observed.status.look
                same = before is not None and before.sequence == sequence
                planned = _with_status(planned, status.model_copy(update={"look": before if same else look}))
        if planned.end:
            await self._ledger.end(key[0], name)
            self._registered.pop(key, None)
        return planned

    async def _leave(self, key: Key, observed: Observed, name: str) -> None:
        """End what the object was called in a turn that it gave back, before its status forgets that name; what is called by another object's is not
        its own to end."""
        left = observed.status.ledger_name
        if self._ledger is None or left in (None, name) or str(left).rpartition("-")[0] != observed.identity.name:
            return
        await self._ledger.end(key[0], str(left))
        self._registered.pop(key, None)
        self._memories.forget(observed.identity.uid)

    async def _register(self, body: Object, observed: Observed, name: str, definition: Mapping[str, Any]) -> None:
        key = store.key_of(body)
        kept, text = self._memories.of(observed.identity.uid), json.dumps(definition, sort_keys=True)
        if self._ledger is None or kept.registered == text:
            return
        if self._registered.get(key) not in (None, name):
            # The object of that name before this one went without anybody seeing it.
            await self._vanished(key)
        try:
            await self._ledger.register(key[0], name, definition)
        except errors.LedgerConflict:
            if observed.status.started_at is not None:
                raise
            if not await self._still_so(body):
                raise errors.Conflict(f"Experiment {key[0]}/{key[1]} went on while it was looked at") from None
            # Nobody has met an arm yet: the spec was put right since it was registered.
            await self._ledger.end(key[0], name)
            await self._ledger.register(key[0], name, definition)
        self._registered[key], kept.registered = name, text

    async def _append(self, observed: Observed, name: str, look: Mapping[str, Any]) -> int:
        """Keep a look, unless it is the one before but for the time that passed. Gives the number of the newest that is kept."""
        kept = self._memories.of(observed.identity.uid)
        found = looks.fingerprint(look)
        if kept.fingerprint == found and kept.journal is not None:
            self._looks["unchanged"].inc()
            return kept.journal.sequence
        if self._ledger is None:
            return 0
        try:
            await self._ledger.append(observed.identity.namespace, name, look)
        except errors.LedgerError:
            self._looks["failed"].inc()
            # Another one may have that number, by an operator that led before.
            self._memories.forget(observed.identity.uid)
            raise
        kept.fingerprint = found
        self._looks["kept"].inc()
        return int(look["sequence"])

    def _unkept(self, observed: Observed, status: ExperimentStatus, error: errors.LedgerError) -> Any:
        """The status of a look that the ledger does not keep."""
        log.warning("a look that stops an arm could not be kept, and is carried out all the same: %s", error)
        reached = dataclasses.replace(observed, status=status)
        return failure.status_after(reached, reason=conditions.LEDGER_UNAVAILABLE, message=f"{error}")

    async def _vanished(self, key: Key) -> None:
        """The ledger may forget an experiment whose object is gone; what it kept is read until its retention ends."""
        self._memories.forget_all_but({body["metadata"]["uid"] for body in self._objects.all()})
        found = self._registered.pop(key, None)
        if found is not None and self._ledger is not None:
            try:
                await self._ledger.end(key[0], found)
            except errors.LedgerError:
                self._registered[key] = found
                raise

    def _status_after(self, observed: Observed, *, reason: str, message: str) -> Any:
        return failure.status_after(observed, reason=reason, message=message)


def _binding(observed: Observed, planned: Plan) -> bool:
    """Whether a plan says who is compared, divides units anew or decides: not to be had from caches that show a world that never was.

    Harm waits for nothing: the ledger tells of it, or routers, and who does harm is in trouble as a rule, and so changes all the time.
    """
    if planned.status is None or _takes_units_away(observed.status, planned.status):
        return False
    return _bound(observed.status) != _bound(planned.status)


def _bound(status: ExperimentStatus) -> tuple[Any, ...]:
    decision = status.decision
    return (
        status.admitted_at,
        status.traffic.stratum if status.traffic else None,
        frozenset(arm.name for arm in status.arms if arm.stopped),
        (decision.action, decision.arm, decision.done) if decision else None,
    )


def _grounds(observed: Observed, planned: Plan) -> Iterator[Reference]:
    """What that is decided from, the experiment and its target aside: where requests go, and who has pods; control's when it becomes that."""
    if observed.target is None or planned.status is None:
        return
    namespace = observed.identity.namespace
    yield resources.CONFIG_MAPS.reference(namespace, routes.table_name(observed.target.identity.name))
    arms = observed.status.arms[1:] if observed.status.admitted_at else planned.status.arms
    for revision in dict.fromkeys(arm.revision for arm in arms):
        yield resources.DEPLOYMENTS.reference(namespace, revision_objects.deployment_name(revision))
        yield resources.INFERENCE_SERVICES.reference(namespace, revision)


def _takes_units_away(before: ExperimentStatus, after: ExperimentStatus) -> bool:
    """Whether an arm was found harmful, which waits for nobody."""
    stopped = {arm.name for arm in after.arms if arm.stopped} - {arm.name for arm in before.arms if arm.stopped}
    return bool(stopped) or (after.decision is not None and after.decision.action == "RollBack")


def _with_status(planned: Plan, status: Any) -> Plan:
    return dataclasses.replace(planned, status=status)


def _second(text: str) -> str:
    """A time to the second, as statuses have them."""
    return f"{text.partition('.')[0].rstrip('Z')}Z"
