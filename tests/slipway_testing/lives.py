"""A ModelDeployment and its experiments, played against each other.

Their reconcilers take turns in any order, see each other late, and die between two writes; routers follow when they please; units come, and a ledger
in memory remembers what they met.
"""

import dataclasses
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from slipway_operator.api.v1alpha1.experiment import WAITING, ExperimentSpec, ExperimentStatus
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentStatus
from slipway_operator.reconcile import modeldeployment
from slipway_operator.reconcile.experiment import looks
from slipway_operator.reconcile.experiment import plan as experiments
from slipway_operator.state import observed as targets
from slipway_operator.state import plan as targets_plan
from slipway_operator.state import trial
from slipway_operator.state.experiment import Journal, Observed, Plan, Rival, Sums
from slipway_operator.state.plan import Done, Wait
from slipway_operator.state.routes import RouteTable
from slipway_operator.state.slots import Allocation, slot_of
from slipway_operator.state.trial import Trial
from slipway_statistics import sums as statistics
from slipway_statistics.counts import Counts
from slipway_statistics.experiment import Memory
from slipway_testing import builders, simulator

ROUTERS: Final = ("router-1", "router-2")
_PASSES: Final = 400
_SOUND: Final = Counts(
    buckets=((1_000_000, 1_000, 50_000),) * 64,
    blocks=dict.fromkeys(range(64), (1_000_000, 1_000, 50_000)),
    latency={50: 60_800_000, 100: 3_200_000},
)
"""No revision is worse than another, as far as routers can see."""


class Crash(Exception):
    """The operator died here; whoever leads next begins anew."""


@dataclass
class Entry:
    """An Experiment as the API server has it."""

    name: str
    uid: str
    created: str
    spec: ExperimentSpec
    generation: int = 1
    command: str | None = None
    approved: str | None = None
    versions: list[ExperimentStatus] = field(default_factory=lambda: [ExperimentStatus()])
    """Every status that was written, the newest last."""

    seen: int = 0
    """The version that the target's reconciler knows."""

    @property
    def status(self) -> ExperimentStatus:
        return self.versions[-1]

    def suspend(self, whether: bool) -> None:
        """Somebody writes spec.suspend."""
        if whether != self.spec.suspend:
            self.spec, self.generation = self.spec.model_copy(update={"suspend": whether}), self.generation + 1

    def trial(self) -> Trial | None:
        """What the target's reconciler sees of it."""
        return Trial.of(name=self.name, namespace="shop", uid=self.uid, spec=self.spec, status=self.versions[self.seen])


@dataclass
class Kept:
    """What the ledger has of one experiment."""

    definition: dict[str, Any]
    ended: bool = False
    first: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By unit: arm and stratum that it met first."""

    converted: set[str] = field(default_factory=set)
    looks: list[dict[str, Any]] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)


class Market(simulator.Cluster):
    """One ModelDeployment, experiments on it, two routers, a ledger, and units that come back."""

    def __init__(self, *, seed: int, rates: dict[str, float] | None = None) -> None:
        """``rates``: which share of its units convert, by address of the model; 0.1 where it says nothing."""
        super().__init__()
        self.random = random.Random(seed)  # noqa: S311
        self.rates = rates or {}
        self.experiments: dict[str, Entry] = {}
        self.ledger: dict[str, Kept] = {}
        self.memories: dict[str, tuple[Journal | None, str | None]] = {}
        """By uid, what this operator remembers: the journal, and the print of the look that was kept last."""

        self.down: set[str] = set()
        """Revisions without a ready pod."""

        self.away = False
        """Whether the ledger answers nobody. Routers keep what they have to tell it."""

        self.tables: dict[str, RouteTable | None] = dict.fromkeys(ROUTERS)
        self.met: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        """By experiment, by unit: the arms that it met."""

        self.stables: list[str] = []
        """Revisions that were stable at a router, one after the other."""

        self.failures: list[str] = []
        self.units = 0
        self._uris: dict[str, str] = {}
        """Addresses of models, by revision."""

    # What people do.

    def experiment(self, name: str, spec: dict[str, Any]) -> Entry:
        """Somebody applies an Experiment."""
        number = len(self.experiments) + 1
        made = Entry(name=name, uid=f"{number:08d}-0000", created=self._stamp(), spec=ExperimentSpec.model_validate(spec))
        self.experiments[name] = made
        return made

    def delete(self, name: str) -> None:
        """Somebody deletes it."""
        del self.experiments[name]

    # What the operator does.

    def target_pass(self, *, dies_after: int | None = None) -> targets_plan.Plan:
        """A pass over the ModelDeployment, which ends after so many writes."""
        made = modeldeployment.plan(self.observed())
        writes = 0

        def write() -> None:
            nonlocal writes
            if writes == dies_after:
                raise Crash
            writes += 1

        planned = {(child["kind"], child["metadata"]["name"]): simulator._as_stored(child) for child in made.objects}
        for name, child in planned.items():
            if self.children.get(name) != child:
                write()
                self.children = {**self.children, name: child}
        for name in [name for name in self.children if made.prune and name not in planned and name[1] not in made.spared]:
            write()
            self.children = {known: child for known, child in self.children.items() if known != name}
        for scale in made.scales:
            write()
            self._pods[scale.deployment.removesuffix("-predictor")] = scale.replicas
        if made.status is not None:
            found = ModelDeploymentStatus.model_validate(made.status.model_dump(mode="json", by_alias=True, exclude_none=True))
            if found != self.status:
                write()
                self.status = found
        return made

    def experiment_pass(self, entry: Entry, *, target: targets.Observed | None = None, looks_too: bool = True, dies_after: int | None = None) -> Plan:
        """A pass over an Experiment, which ends after so many writes."""
        seen = self.seen(entry, target=target or self.observed(), looks_too=looks_too)
        made = experiments.plan(seen)
        if self.away and (made.register or made.look or made.end):
            # Not all of these would be asked, but a pass that does not come to its end is what is played here.
            raise Crash
        steps = self._writes(entry, seen, made)
        for number, step in enumerate(steps):
            if number == dies_after:
                raise Crash
            step()
        return made

    def _writes(self, entry: Entry, seen: Observed, made: Plan) -> Iterator[Any]:
        status = made.status
        if status is None:
            return
        name = f"shop/{status.ledger_name}"
        if made.register is not None and (name not in self.ledger or self.ledger[name].definition != made.register):
            yield lambda: self._register(name, dict(made.register or {}))
        if made.look is not None and made.memory is not None:
            journal, before = self.memories.get(entry.uid, (None, None))
            found = looks.fingerprint(made.look)
            sequence = journal.sequence if journal else 0
            if found != before or journal is None:
                yield lambda: self._append(name, dict(made.look or {}), made.memory or Memory())
                sequence = made.look["sequence"]
            self.memories[entry.uid] = (Journal(sequence=sequence, memory=made.memory), found)
        if made.end:
            yield lambda: setattr(self.ledger[name], "ended", True) if name in self.ledger else None
        found_status = ExperimentStatus.model_validate(status.model_dump(mode="json", by_alias=True, exclude_none=True))
        if found_status != entry.status:
            yield lambda: entry.versions.append(found_status)

    def _register(self, name: str, definition: dict[str, Any]) -> None:
        if name in self.ledger:
            self.ledger[name].definition = definition
        else:
            self.ledger[name] = Kept(definition=definition)

    def _append(self, name: str, look: dict[str, Any], memory: Memory) -> None:
        kept = self.ledger[name]
        if look["sequence"] != len(kept.looks) + 1:
            raise AssertionError(f"look {look['sequence']} does not follow {len(kept.looks)}")
        kept.looks.append(look)
        kept.memories.append(memory)

    def lead_anew(self) -> None:
        """Another operator leads, which remembers nothing and sees everything."""
        self.memories.clear()
        for entry in self.experiments.values():
            entry.seen = len(entry.versions) - 1

    # What the operator sees.

    def observed(self) -> targets.Observed:
        """The ModelDeployment now."""
        seen = super().observed()
        trials = [found for entry in self.experiments.values() if (found := entry.trial()) is not None]
        names = [name for name, _ in seen.table.division.split.revisions] if seen.table else []
        return dataclasses.replace(
            seen,
            routers=self.following(seen.routers),
            trial=trial.current(trials),
            promotion=trial.last_promotion(trials),
            workloads={name: dataclasses.replace(each, available=0) if name in self.down else each for name, each in seen.workloads.items()},
            counts=dict.fromkeys(names, _SOUND),
        )

    def following(self, known: targets.Routers | None) -> targets.Routers | None:
        """What routers say now."""
        if known is None:
            return None
        return dataclasses.replace(known, digests={name: table.digest if table else None for name, table in self.tables.items()})

    def seen(self, entry: Entry, *, target: targets.Observed, looks_too: bool) -> Observed:
        """The Experiment now, with ``target`` as it is known."""
        status = entry.status
        runs = not entry.spec.suspend and status.decision is None and status.traffic is not None and status.traffic.since is not None
        kept = self.ledger.get(f"shop/{status.ledger_name}")
        journal, _ = self.memories.get(entry.uid, (None, None))
        if journal is None and kept is not None:
            journal = Journal(sequence=len(kept.looks), memory=kept.memories[-1] if kept.memories else Memory())
        looked = runs and looks_too and kept is not None and not self.away
        return Observed(
            identity=targets.Identity(name=entry.name, namespace="shop", uid=entry.uid, generation=entry.generation),
            created=entry.created,
            spec=entry.spec,
            status=status,
            target=dataclasses.replace(target, routers=self.following(target.routers)) if self.spec else None,
            rivals=tuple(self._rivals()),
            sums=self._sums(kept) if looked and kept else None,
            journal=journal if looked else None,
            trouble="The ledger does not answer." if runs and looks_too and self.away else None,
            look_in_s=0.0 if looks_too else 5.0,
            approved=entry.approved,
            command=entry.command,
            now=self.now.replace(microsecond=0),
        )

    def _rivals(self) -> Iterator[Rival]:
        for entry in self.experiments.values():
            status = entry.status
            over = status.decision is not None and status.decision.done
            yield Rival(
                name=entry.name, uid=entry.uid, created=entry.created, admitted_at=status.admitted_at, over=over, suspended=entry.spec.suspend
            )

    def _sums(self, kept: Kept) -> Sums:
        units: dict[str, Counter[str]] = defaultdict(Counter)
        events: dict[str, Counter[str]] = defaultdict(Counter)
        for unit, (arm, stratum) in kept.first.items():
            if arm != WAITING:
                units[stratum][arm] += 1
                events[stratum][arm] += unit in kept.converted
        found: dict[str, dict[str, statistics.Sums]] = defaultdict(dict)
        for stratum, by_arm in units.items():
            for arm, count in by_arm.items():
                total = events[stratum][arm]
                found[arm][stratum] = statistics.Sums(units=count, totals=(total, 0), products=(total, 0, 0))
        return Sums(
            now=self.now,
            closed={"conversion": found},
            open={"conversion": found},
            units=units,
            waiting=0,
            in_two_arms=0,
            newest_outcome=self.now,
        )

    # What the world does.

    def follow(self, router: str) -> None:
        """A router takes the live table up."""
        table = self._table()
        self.tables[router] = table
        stable = table.division.split.stable if table else None
        if stable and (not self.stables or self.stables[-1] != stable):
            self.stables.append(stable)

    def come(self, count: int) -> None:
        """So many new units and as many old ones ask once each, at any router."""
        new = [f"user-{self.units + number}" for number in range(count)]
        old = [f"user-{self.random.randrange(self.units)}" for _ in range(count)] if self.units else []
        self.units += count
        for unit in (*new, *old):
            table = self.tables[self.random.choice(ROUTERS)]
            if table is not None and table.division.split.groups is not None:
                self._expose(unit, table)

    def _expose(self, unit: str, table: RouteTable) -> None:
        split = table.division.split
        groups = split.groups
        if groups is None or split.allocation is None:
            return
        arm = split.allocation.owner(slot_of(unit.encode(), seed=table.division.seed))
        kept = self.ledger.get(groups.experiment)
        if kept is None:
            self.failures.append(f"{groups.experiment} has units and the ledger does not know it")
            return
        first = unit not in kept.first
        kept.first.setdefault(unit, (arm, groups.stratum))
        if arm != WAITING:
            self.met[groups.experiment][unit].add(arm)
        if first and arm != WAITING and self.random.random() < self._rate(groups.revision(arm)):
            kept.converted.add(unit)

    def _rate(self, revision: str) -> float:
        if revision not in self._uris:
            self._uris |= {known.name: known.model.uri for known in super().observed().revisions}
        return self.rates.get(self._uris[revision], 0.1)

    def pass_time(self, seconds: float) -> None:
        """Nothing else happens."""
        self.now += timedelta(seconds=seconds)

    # To the end.

    def settle(self, *, units: int = 0) -> int:
        """Passes in turn, and everybody follows at once, until nothing changes and nobody asks for another; AssertionError when that takes long."""
        for passes in range(1, _PASSES + 1):
            before = self._state()
            for entry in self.experiments.values():
                entry.seen = len(entry.versions) - 1
            outcomes = [self.target_pass().outcome]
            for router in ROUTERS:
                self.follow(router)
            self.come(units)
            for entry in self.experiments.values():
                outcomes.append(self.experiment_pass(entry).outcome)
                entry.seen = len(entry.versions) - 1
            self.pass_time(min((outcome.seconds for outcome in outcomes if isinstance(outcome, Wait)), default=0.0))
            if self._state() == before and all(isinstance(outcome, Done) for outcome in outcomes):
                return passes
        raise AssertionError(f"no rest after {_PASSES} passes: {outcomes}, {[entry.status.summary for entry in self.experiments.values()]}")

    def _state(self) -> tuple[Any, ...]:
        written = {name: entry.status for name, entry in self.experiments.items()}
        return (dict(self.children), self.status, dict(self._pods), written, {name: len(kept.looks) for name, kept in self.ledger.items()})

    def _stamp(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")


def opened(*, seed: int = 1, replicas: dict[str, Any] | None = None, rates: dict[str, float] | None = None, **spec: Any) -> Market:
    """A market whose ModelDeployment serves model 0."""
    market = Market(seed=seed, rates=rates)
    serving = {"replicas": replicas} if replicas else {}
    market.edit({"model": builders.model(uri="pvc://models/digits/0"), "serving": serving} | spec)
    market.settle()
    return market


def everything(revision: str) -> Allocation:
    """Every slot to one revision."""
    return Allocation.whole(revision)
