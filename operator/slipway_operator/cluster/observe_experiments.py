"""Gathering what a decision about an Experiment needs: its target, its rivals, and at times a look at the ledger."""

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from slipway_operator import errors
from slipway_operator.api import conditions, metadata
from slipway_operator.api.v1alpha1.experiment import ExperimentSpec, ExperimentStatus
from slipway_operator.cluster import ledger as ledgers
from slipway_operator.cluster import observe
from slipway_operator.cluster.observe import Known
from slipway_operator.cluster.resources import Object
from slipway_operator.reconcile.experiment import designs, looks, scenes
from slipway_operator.state.experiment import Journal, Observed, Rival
from slipway_operator.state.trial import Trial

Find: TypeAlias = Callable[[str, str], Object | None]
"""Gives a ModelDeployment by namespace and name."""

All: TypeAlias = Callable[[str], Iterable[Object]]
"""Gives the Experiments of a namespace."""


@dataclass
class Kept:
    """What is remembered of an experiment between looks; all of it can be found again."""

    registered: str | None = None
    """The definition that the ledger has; None where that is not known."""

    journal: Journal | None = None
    fingerprint: str | None = None
    """Of the last look that was kept."""

    looked_at: float | None = None
    """On the event loop's clock."""

    carried_out_at: float | None = None
    """When a look was last carried out, in seconds since 1970."""


@dataclass
class Memories:
    """By uid of the experiment."""

    kept: dict[str, Kept] = field(default_factory=dict)

    def of(self, uid: str) -> Kept:
        """What is remembered; empty at first."""
        return self.kept.setdefault(uid, Kept())

    def forget(self, uid: str) -> None:
        """What was remembered is not to be believed."""
        self.kept.pop(uid, None)

    def forget_all_but(self, uids: Collection[str]) -> None:
        """The others are gone."""
        self.kept = {uid: kept for uid, kept in self.kept.items() if uid in uids}


class Observer:
    """Turns live objects and the ledger's answers into the frozen value that a plan is made from."""

    def __init__(self, *, targets: observe.Observer, find: Find, experiments: All, ledger: ledgers.Ledger | None, memories: Memories) -> None:
        self._targets = targets
        self._find = find
        self._experiments = experiments
        self._ledger = ledger
        self._memories = memories

    async def observe(self, body: Object) -> Observed:
        """Everything about the Experiment ``body``, with a look at the ledger where one is due."""
        identity = observe.identity_of(body)
        spec, spec_error = observe.spec_of(body, ExperimentSpec)
        status = observe.status_of(body, ExperimentStatus)
        target_body = self.target(body) if spec else None
        going = target_body is None or "deletionTimestamp" in target_body["metadata"]
        annotations = body["metadata"].get("annotations") or {}
        base = Observed(
            identity=identity,
            created=str(body["metadata"].get("creationTimestamp") or ""),
            spec=spec,
            spec_error=spec_error,
            status=status,
            target=await self._targets.observe(target_body) if target_body is not None and not going else None,
            rivals=tuple(self._rivals(identity.namespace, spec.target_ref.name)) if spec else (),
            ledger=self._ledger is not None,
            approved=annotations.get(metadata.APPROVE_ANNOTATION),
            command=annotations.get(metadata.EXPERIMENT_ANNOTATION),
            now=datetime.now(UTC).replace(microsecond=0),
        )
        if spec is None or self._ledger is None or not _divides(spec, status) or status.ledger_name is None:
            return base
        return await self._with_look(base, spec, status.ledger_name, self._ledger)

    def target(self, body: Object) -> Object | None:
        """The ModelDeployment that an Experiment names, as far as it is known."""
        key = target_key(body)
        return self._find(*key) if key else None

    def parts(self, target: Object | None) -> Known | None:
        """What the caches have of a ModelDeployment."""
        return self._targets.known(target["metadata"]["namespace"], target["metadata"]["name"]) if target is not None else None

    async def _with_look(self, base: Observed, spec: ExperimentSpec, name: str, ledger: ledgers.Ledger) -> Observed:
        kept, now = self._memories.of(base.identity.uid), asyncio.get_running_loop().time()
        alarmed = looks.alarmed(base, spec)
        if not runs(spec, base.status) and not (alarmed and spec.decision.on_harm == "RollBack"):
            return base
        due_in_s = 0.0 if kept.looked_at is None else kept.looked_at + spec.analysis.interval_seconds - now
        if due_in_s > 0 and not alarmed:
            return _replaced(base, look_in_s=due_in_s)
        kept.looked_at = now
        namespace = base.identity.namespace
        quantiles = {metric.name: float(metric.cap_percentile or 0) / 100 for metric in designs.uncapped(spec, designs.by_name(base.status.metrics))}
        try:
            if kept.journal is None:
                known = base.status.look.sequence if base.status.look else 1
                kept.journal = await ledger.journal(namespace, name, after=max(known - 1, 0))
            sums = await ledger.sums(namespace, name, quantiles=quantiles)
        except errors.LedgerError as error:
            if isinstance(error, errors.LedgerAbsent):
                # Its data are gone: it is registered anew, and goes on with what routers tell from now on.
                kept.registered = kept.journal = kept.fingerprint = None
            # Asked again soon, however seldom looks are.
            kept.looked_at = now + min(0.0, scenes.RETRY_S - spec.analysis.interval_seconds)
            return _replaced(base, trouble=str(error))
        return _replaced(base, sums=sums, journal=kept.journal)

    def _rivals(self, namespace: str, target: str) -> Iterator[Rival]:
        for body in self._of(namespace, target):
            spec, status, meta = body.get("spec") or {}, observe.status_of(body, ExperimentStatus), body["metadata"]
            yield Rival(
                name=meta["name"],
                uid=meta["uid"],
                created=str(meta.get("creationTimestamp") or ""),
                admitted_at=status.admitted_at,
                over=status.decision is not None and status.decision.done,
                suspended=bool(spec.get("suspend")),
                refused=any(condition.type == conditions.ACCEPTED and condition.status == "False" for condition in status.conditions),
            )

    def _of(self, namespace: str, target: str) -> Iterator[Object]:
        return of_target(self._experiments(namespace), target)


def target_key(body: Object) -> tuple[str, str] | None:
    """Namespace and name of the ModelDeployment that an Experiment names."""
    name = ((body.get("spec") or {}).get("targetRef") or {}).get("name")
    return (body["metadata"]["namespace"], str(name)) if name else None


def of_target(experiments: Iterable[Object], target: str) -> Iterator[Object]:
    """Those of one ModelDeployment that are not being deleted."""
    for body in experiments:
        if target_key(body) == (body["metadata"]["namespace"], target) and "deletionTimestamp" not in body["metadata"]:
            yield body


def trials(experiments: Iterable[Object], target: str) -> Iterator[Trial]:
    """The experiments of a ModelDeployment as its reconciler sees them; those that cannot be read are none."""
    for body in of_target(experiments, target):
        spec, _ = observe.spec_of(body, ExperimentSpec)
        if spec is None:
            continue
        meta = body["metadata"]
        found = Trial.of(name=meta["name"], namespace=meta["namespace"], uid=meta["uid"], spec=spec, status=observe.status_of(body, ExperimentStatus))
        if found is not None:
            yield found


def _divides(spec: ExperimentSpec, status: ExperimentStatus) -> bool:
    """Whether units may meet an arm, and nothing is decided."""
    return not spec.suspend and status.decision is None and status.traffic is not None


def runs(spec: ExperimentSpec, status: ExperimentStatus) -> bool:
    """Whether looks are taken as time goes by: every router has the division, and nothing is decided. Before that only harm that is to be stopped
    asks for one."""
    return _divides(spec, status) and status.traffic is not None and status.traffic.since is not None


def _replaced(base: Observed, **update: Any) -> Observed:
    return dataclasses.replace(base, **update)
