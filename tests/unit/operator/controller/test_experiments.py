"""Passes over experiments: the ledger knows before the status says so, and what fails is tried again."""

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from slipway_operator import errors, metrics
from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.experiment import ExperimentStatus
from slipway_operator.cluster import observe_experiments, resources
from slipway_operator.cluster.observe import Known
from slipway_operator.cluster.observe_experiments import Kept, Memories
from slipway_operator.controller import experiments, queue, store
from slipway_operator.reconcile.experiment import plan
from slipway_operator.state.experiment import Journal, Observed
from slipway_statistics.experiment import Memory
from slipway_testing import builders
from slipway_testing import experiments as xp

KEY = ("shop", xp.NAME)
LEDGER_NAME = "digits-v8-1a2b3c4d"
AWAY = errors.LedgerError("The ledger does not answer.")


TARGET: dict[str, Any] = builders.manifest(name="digits", namespace="shop")
TARGET["metadata"] |= {"uid": "target", "resourceVersion": "5"}
LABELS = {"app.kubernetes.io/managed-by": "slipway", "slipway.dev/modeldeployment": "digits"}
REVISIONS = [revision.name for revision in (xp.CONTROL, xp.V8)]
PARTS: dict[resources.Reference, Any] = {
    kind.reference("shop", name): {"metadata": {"namespace": "shop", "name": name, "resourceVersion": "7", "labels": LABELS}}
    for kind, name in (
        (resources.CONFIG_MAPS, "digits-routes"),
        *((resources.INFERENCE_SERVICES, name) for name in REVISIONS),
        *((resources.DEPLOYMENTS, f"{name}-predictor") for name in REVISIONS),
    )
}
"""Of the target, as the caches have them."""


class Ledger:
    """A ledger in memory; ``refuses`` names what it refuses, and with what."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.refuses: dict[str, Exception] = {}
        self.looks: list[dict[str, Any]] = []
        self.other = False
        """Whether it has another definition under that name."""
        self.names = [LEDGER_NAME]
        """Of the object, the newest last: what is called by none of them is not ended, and by the last alone registered."""

    async def register(self, namespace: str, name: str, definition: Mapping[str, Any]) -> None:
        if self.other:
            raise errors.LedgerConflict("another definition")
        self._called("register", namespace, name)

    async def append(self, namespace: str, name: str, look: Mapping[str, Any]) -> None:
        self._called("append", namespace, name)
        self.looks.append(dict(look))

    async def end(self, namespace: str, name: str) -> None:
        self._called("end", namespace, name)
        self.other = False

    def _called(self, what: str, namespace: str, name: str) -> None:
        assert (namespace, name) in [("shop", each) for each in (self.names if what == "end" else self.names[-1:])]
        if what in self.refuses:
            raise self.refuses[what]
        self.calls.append(what)


class World:
    """What a worker reaches, and the order of what it did."""

    def __init__(self, seen: Observed, *, ledger: bool = True) -> None:
        self.seen = seen
        self.calls: list[str] = []
        self.ledger = Ledger(self.calls)
        self.statuses: list[ExperimentStatus] = []
        self.told: list[str] = []
        self.status_refused: Exception | None = None
        self.memories = Memories()
        self.target_live: dict[str, Any] | None = TARGET
        self.parts_live = dict(PARTS)
        """What the server has."""
        self.behind = False
        """Whether the server has a newer version of the Experiment."""
        self.relearned: list[tuple[Any, Any]] = []
        self.registry = CollectorRegistry()
        meters = metrics.Metrics.on(self.registry)
        self.keys: queue.WorkQueue[store.Key] = queue.WorkQueue(name="test", meters=meters)
        self.objects = store.Store()
        self.objects.put(self.body)
        self.worker = experiments.Worker(
            observer=self,  # type: ignore[arg-type]
            ledger=self.ledger if ledger else None,  # type: ignore[arg-type]
            memories=self.memories,
            relearn=lambda known, live: self.relearned.append((known, live)),
            keys=self.keys,
            objects=self.objects,
            applier=self,
            api=self,
            recorder=self,
            resync_s=1000.0,
            gone=lambda namespace: None,
            meters=meters,
        )

    @property
    def body(self) -> dict[str, Any]:
        meta = {"namespace": "shop", "name": xp.NAME, "uid": xp.UID, "resourceVersion": str(len(self.statuses) + 1)}
        return {"apiVersion": "slipway.dev/v1alpha1", "kind": "Experiment", "metadata": meta, "spec": {"targetRef": {"name": "digits"}}}

    @property
    def kept(self) -> Kept:
        return self.memories.of(xp.UID)

    async def observe(self, body: Any) -> Observed:
        return self.seen

    async def settled(self, uid: str) -> bool:
        return True

    def target(self, body: Any) -> Any:
        return TARGET

    def parts(self, target: Any) -> Known:
        return Known("digits", PARTS)

    async def get(self, resource: Any, name: str, *, namespace: str) -> Any:
        if resource is resources.EXPERIMENTS:
            return self.body | ({"metadata": self.body["metadata"] | {"resourceVersion": "99"}} if self.behind else {})
        found = self.target_live if resource is resources.MODEL_DEPLOYMENTS else self.parts_live.get(resource.reference(namespace, name))
        if found is None:
            raise errors.NotFound("gone", status=404, reason="NotFound", details={"name": name})
        return found

    async def apply_status(self, body: Any, *, live: Any) -> Any:
        if self.status_refused is not None:
            raise self.status_refused
        self.calls.append("status")
        self.statuses.append(ExperimentStatus.model_validate(body["status"]))
        return self.body

    def emit(self, owner: Any, *, type: str, reason: str, message: str) -> None:  # noqa: A002
        self.told.append(reason)

    async def one_pass(self) -> None:
        await self.worker._one(KEY)

    def counted(self, name: str) -> dict[str, float]:
        """Of a counter with one label: what is not 0."""
        (family,) = (family for family in self.registry.collect() if family.name == name)
        return {
            value: sample.value for sample in family.samples if sample.name == f"{name}_total" and sample.value for value in sample.labels.values()
        }

    async def gone(self) -> None:
        self.objects.remove(self.body)
        await self.one_pass()


def starting() -> Observed:
    return xp.observed(xp.admitted())


def looking(units: int = 520, **changes: Any) -> Observed:
    known = xp.begun()
    return xp.observed(known, sums=xp.sums(known, units=units, now=builders.at(1)), **({"now": builders.at(1)} | changes))


@pytest.mark.parametrize(
    "part",
    [*(part for part in PARTS if xp.CONTROL.name not in part.name), None],
    ids=lambda part: f"{part.kind} {part.name}" if part else "the target",
)
@pytest.mark.parametrize("state", ["newer", "gone"])
async def test_nothing_is_decided_or_divided_from_caches_that_are_behind(part: resources.Reference | None, state: str) -> None:
    world = World(starting())
    newer = {"newer": {"metadata": {"namespace": "shop", "name": "digits", "uid": "target", "resourceVersion": "8"}}, "gone": None}[state]
    if part is None:
        world.target_live = newer
    elif newer is not None:
        world.parts_live[part] = newer
    else:
        del world.parts_live[part]

    await world.one_pass()

    assert (world.calls, world.keys.failures(KEY)) == ([], 1)
    assert world.relearned == ([(TARGET, newer)] if part is None else [])


@pytest.mark.parametrize("named", ["control", "v8"])
async def test_control_is_chosen_and_arms_are_looked_at_as_the_server_has_their_pods(named: str) -> None:
    """How many pods an arm gets follows from how many control has."""
    revision = {"control": xp.CONTROL, "v8": xp.V8}[named].name
    world = World(xp.observed())
    world.parts_live[resources.DEPLOYMENTS.reference("shop", f"{revision}-predictor")] = {"metadata": {"resourceVersion": "8"}}

    await world.one_pass()

    assert (world.calls, world.keys.failures(KEY)) == ([], 1)


@pytest.mark.parametrize("ledger", ["answers", "is away"])
async def test_harm_waits_for_nothing(ledger: str) -> None:
    """Who does harm is in trouble as a rule: its pods change all the time, and so may the target."""
    known = xp.begun()
    world = World(xp.observed(known, sums=xp.sums(known, units=40_000, rates={"v8": 0.0})))
    world.target_live = None
    world.parts_live.clear()
    if ledger == "is away":
        world.ledger.refuses["append"] = AWAY

    await world.one_pass()

    assert world.statuses[-1].decision is not None
    assert world.statuses[-1].decision.action == "RollBack"


async def test_what_the_ledger_has_is_not_ended_by_an_operator_that_is_behind() -> None:
    """Another one that led before has begun it, and settled what this one would register anew."""
    world = World(xp.observed(xp.admitted(), target=xp.target(pods={"v8": 0})))
    world.ledger.other = True
    world.behind = True

    await world.one_pass()

    assert (world.calls, world.keys.failures(KEY)) == ([], 1)


async def test_a_look_that_leaves_everything_as_it_is_asks_no_server() -> None:
    world = World(looking())
    world.target_live = None
    world.parts_live.clear()

    await world.one_pass()

    assert world.calls[-1:] == ["status"]


async def test_the_ledger_knows_of_it_before_any_unit_is_divided() -> None:
    world = World(starting())
    await world.one_pass()
    assert world.calls == ["register", "status"]
    assert world.statuses[0].traffic


async def test_nobody_is_divided_while_the_ledger_does_not_know() -> None:
    world = World(starting())
    world.ledger.refuses["register"] = AWAY
    await world.one_pass()
    (told,) = world.statuses
    assert told.traffic is None
    assert {each.type: each.reason for each in told.conditions}[conditions.RECORDED] == conditions.LEDGER_UNAVAILABLE


async def test_a_definition_is_given_once_and_again_when_it_changed() -> None:
    world = World(starting())
    await world.one_pass()
    await world.one_pass()
    assert world.calls.count("register") == 1
    world.seen = xp.observed(xp.admitted(), spec=xp.spec(metrics=[xp.CONVERSION | {"windowSeconds": 61}]))
    await world.one_pass()
    assert world.calls.count("register") == 2


async def test_a_definition_that_was_put_right_before_anybody_met_an_arm_takes_the_place_of_the_first() -> None:
    world = World(starting())
    world.ledger.other = True
    await world.one_pass()
    assert world.calls == ["end", "register", "status"]


async def test_what_was_changed_when_units_may_have_met_an_arm_ends_under_its_name_and_begins_under_another() -> None:
    world = World(starting())
    await world.one_pass()
    changed: dict[str, Any] = {"spec": xp.spec(metrics=[xp.CONVERSION | {"windowSeconds": 61}]), "identity": xp.identity(generation=2)}
    world.seen = xp.observed(world.statuses[-1], **changed)
    world.ledger.refuses["end"] = AWAY
    await world.one_pass()
    assert world.statuses[-1].ledger_name == LEDGER_NAME, "a name that was forgotten would never be ended"
    del world.ledger.refuses["end"]
    world.calls.clear()
    await world.one_pass()
    again = world.statuses[-1]
    world.ledger.names.append(str(again.ledger_name))
    world.seen = xp.observed(again, **changed)
    await world.one_pass()
    assert (world.calls, again.ledger_name != LEDGER_NAME) == (["end", "status", "register", "status"], True)
    await world.gone()
    assert world.calls[-1] == "end"


async def test_the_name_that_a_status_has_of_another_object_is_not_ended() -> None:
    known = xp.divided().model_copy(update={"ledger_name": "namesake-0a1b2c3d"})
    world = World(xp.observed(known, identity=xp.identity(generation=2)))
    await world.one_pass()
    assert (world.calls, world.statuses[-1].ledger_name != "namesake-0a1b2c3d") == (["status"], True)


async def test_of_an_experiment_that_runs_no_definition_is_replaced() -> None:
    world = World(looking())
    world.ledger.other = True
    await world.one_pass()
    assert "end" not in world.calls


async def test_what_the_ledger_forgot_is_registered_again() -> None:
    world = World(looking())
    await world.one_pass()
    world.kept.registered = world.kept.journal = world.kept.fingerprint = None
    world.seen = xp.observed(xp.begun(), trouble="There is no such experiment.")
    await world.one_pass()
    assert world.calls.count("register") == 2


async def test_a_look_is_kept_before_the_status_tells_of_it() -> None:
    world = World(looking())
    await world.one_pass()
    assert world.calls == ["register", "append", "status"]
    look = world.statuses[0].look
    assert look
    assert (look.sequence, look.at, world.ledger.looks[0]["sequence"]) == (1, "2026-11-24T12:00:01Z", 1)
    assert world.kept.journal
    assert world.kept.journal.sequence == 1


async def test_the_same_look_is_not_kept_twice_and_its_time_stays() -> None:
    world = World(looking())
    await world.one_pass()
    known = world.statuses[0]
    world.seen = xp.observed(known, sums=xp.sums(known, units=520, now=builders.at(40)), journal=world.kept.journal, now=builders.at(40))
    await world.one_pass()
    assert world.calls.count("append") == 1
    assert world.statuses[-1] == known


async def test_a_look_that_saw_more_is_kept_with_the_next_number_and_what_the_one_before_remembered() -> None:
    world = World(looking())
    await world.one_pass()
    known = world.statuses[0]
    world.seen = xp.observed(known, sums=xp.sums(known, units=1_040), journal=world.kept.journal)
    await world.one_pass()
    first, second = world.ledger.looks
    assert (second["sequence"], second["observed"]["memory"]) == (2, first["said"]["memory"])


async def test_a_decision_is_kept_though_nothing_new_was_seen() -> None:
    of = xp.spec(decision={"approval": "Manual"})
    known = xp.climbed(3, spec=of)
    world = World(xp.observed(known, spec=of, sums=xp.sums(known, rates={"v8": 0.12})))
    await world.one_pass()
    proposed = world.statuses[0].proposal
    assert proposed
    world.seen = xp.observed(
        world.statuses[0], spec=of, sums=xp.sums(known, rates={"v8": 0.12}), approved=proposed.digest, journal=world.kept.journal
    )
    await world.one_pass()
    assert [look["decision"] for look in world.ledger.looks] == [None, {"action": "Promote", "arm": "v8"}]


async def test_a_look_that_the_ledger_refuses_changes_nothing_and_the_journal_is_read_anew() -> None:
    """Another operator led for a moment and has kept a look of that number."""
    known = xp.climbed(3)
    better = xp.sums(known, rates={"v8": 0.12})
    world = World(xp.observed(known, sums=better, journal=Journal(sequence=3, memory=Memory())))
    world.kept.journal = Journal(sequence=3, memory=Memory())
    world.kept.looked_at = 1.0
    world.ledger.refuses["append"] = errors.LedgerError("The ledger refuses POST with 409: look 4 is taken.")
    await world.one_pass()
    assert world.kept == Kept()
    (told,) = world.statuses
    assert (told.decision, told.traffic) == (None, known.traffic)
    assert {each.type: each.reason for each in told.conditions}[conditions.RECORDED] == conditions.LEDGER_UNAVAILABLE


@pytest.mark.parametrize(("arms", "expected"), [(("v8",), ("RollBack", {})), (("v8", "v9"), (None, {"control", "v9", "waiting"}))])
async def test_a_harmful_arm_is_stopped_though_the_ledger_refuses_the_look(arms: tuple[str, ...], expected: Any) -> None:
    of = xp.spec(arms=arms)
    known = xp.begun(spec=of)
    world = World(xp.observed(known, spec=of, sums=xp.sums(known, units=40_000, rates={"v8": 0.0})))
    world.ledger.refuses["append"] = errors.LedgerError("The ledger refuses POST with 413: a look has 262144 bytes at most.")
    await world.one_pass()
    (told,) = world.statuses
    assert (told.decision and told.decision.action, {run.group for run in told.traffic.slots} if told.traffic else {}) == expected
    recorded = next(each for each in told.conditions if each.type == conditions.RECORDED)
    assert (recorded.reason, recorded.message) == (conditions.LEDGER_UNAVAILABLE, str(world.ledger.refuses["append"]))
    assert told.look is None


async def test_a_harmful_arm_is_stopped_though_the_ledger_refuses_what_it_is_told_of_the_experiment() -> None:
    known = xp.begun()
    world = World(xp.observed(known, sums=xp.sums(known, units=40_000, rates={"v8": 0.0})))
    world.ledger.refuses["register"] = errors.LedgerError("The ledger refuses PUT with 400: this is no definition of an experiment.")
    await world.one_pass()
    (told,) = world.statuses
    assert (told.decision and told.decision.action, told.traffic, told.look) == ("RollBack", None, None)
    recorded = next(each for each in told.conditions if each.type == conditions.RECORDED)
    assert (recorded.reason, recorded.message) == (conditions.LEDGER_UNAVAILABLE, str(world.ledger.refuses["register"]))


@pytest.mark.parametrize("error", [errors.Conflict("edited"), errors.Unavailable("away"), TimeoutError()])
async def test_a_look_whose_status_could_not_be_written_is_taken_again_at_once(error: Exception) -> None:
    world = World(looking())
    world.kept.looked_at = 1.0
    world.status_refused = error
    await world.one_pass()
    assert world.kept.looked_at is None
    assert [look["sequence"] for look in world.ledger.looks] == [1]
    world.status_refused = None
    world.seen = looking(journal=world.kept.journal)
    await world.one_pass()
    assert [look["sequence"] for look in world.ledger.looks] == [1], "it is kept already"
    assert [told.look and told.look.sequence for told in world.statuses] == [1]


async def test_a_proposal_names_a_look_that_is_kept_though_the_status_of_the_first_could_not_be_written() -> None:
    of = xp.spec(decision={"approval": "Manual"})
    known = xp.climbed(3, spec=of)
    won: dict[str, Any] = {"spec": of, "sums": xp.sums(known, rates={"v8": 0.12})}
    world = World(xp.observed(known, **won))
    world.status_refused = errors.Unavailable("away")
    await world.one_pass()
    world.status_refused = None
    for _ in range(2):
        world.seen = xp.observed(world.statuses[-1] if world.statuses else known, **won, journal=world.kept.journal)
        await world.one_pass()
    proposed, look = world.statuses[-1].proposal, world.statuses[-1].look
    assert proposed
    assert look
    assert (proposed.sequence, look.sequence, [kept["sequence"] for kept in world.ledger.looks]) == (2, 2, [1, 2])


@pytest.mark.parametrize(
    ("edited", "written"),
    [
        ({"metadata": {"generation": 2}}, 0),
        ({"status": {"verdict": "Pending", "reason": "of another operator"}}, 0),
        ({"metadata": {"labels": {"team": "search"}}}, 1),
    ],
    ids=["its spec", "its status", "a label"],
)
async def test_what_was_edited_while_it_was_looked_at_gets_no_status_of_before(edited: dict[str, Any], written: int) -> None:
    """The first step of arms that are not those of the spec any more would make the spec immutable with them."""
    world = World(xp.observed(xp.divided()))
    later = world.body
    later["metadata"] |= {"resourceVersion": "7"} | edited.get("metadata", {})

    async def observing(body: Any) -> Observed:
        world.objects.put({**later, **({"status": edited["status"]} if "status" in edited else {})})
        return world.seen

    world.observe = observing  # type: ignore[method-assign]
    await world.one_pass()
    assert (len(world.statuses), world.keys.failures(KEY)) == (written, 1 - written)


async def test_a_pass_that_goes_well_leaves_the_time_of_the_look_alone() -> None:
    world = World(looking())
    world.kept.looked_at = 1.0
    await world.one_pass()
    assert world.kept.looked_at == 1.0


async def test_an_experiment_that_is_over_ends_at_the_ledger_before_its_status_says_so() -> None:
    known = xp.begun()
    decided = xp.status(plan.plan(xp.observed(known, sums=xp.sums(known, rates={"v8": 0.05}))))
    world = World(xp.observed(decided))
    await world.one_pass()
    assert world.calls == ["end", "status"]
    assert world.statuses[0].verdict == "RolledBack"
    world.ledger.refuses["end"] = AWAY
    world.seen = xp.observed(decided)
    await world.one_pass()
    assert world.statuses[-1].decision
    assert not world.statuses[-1].decision.done


async def test_one_that_ended_while_the_ledger_was_away_is_ready_once_the_ledger_has_its_end() -> None:
    known = xp.begun()
    world = World(xp.observed(known, sums=xp.sums(known, units=40_000, rates={"v8": 0.0})))
    world.ledger.refuses["append"] = AWAY
    await world.one_pass()
    world.seen = xp.observed(world.statuses[-1])
    for _ in range(2):
        await world.one_pass()
        told = {each.type: (each.status, each.reason) for each in world.statuses[-1].conditions}
        assert told[conditions.RECORDED] == ("True", conditions.LEDGER_ANSWERS)
        assert told[conditions.READY] == ("True", conditions.CONCLUDED)
        world.seen = xp.observed(world.statuses[-1])


async def test_what_vanished_ends_at_the_ledger_until_it_has() -> None:
    world = World(starting())
    await world.one_pass()
    world.ledger.refuses["end"] = AWAY
    await world.gone()
    assert (world.calls, world.keys.failures(KEY)) == (["register", "status"], 1)
    del world.ledger.refuses["end"]
    await world.one_pass()
    await world.one_pass()
    assert world.calls == ["register", "status", "end"]


async def test_nothing_is_remembered_of_what_is_gone() -> None:
    world = World(looking())
    await world.one_pass()
    assert set(world.memories.kept) == {xp.UID}
    await world.gone()
    assert world.memories.kept == {}


async def test_what_the_ledger_was_never_told_of_needs_no_end() -> None:
    world = World(xp.observed())
    await world.one_pass()
    await world.gone()
    assert world.calls == ["status"]


async def test_without_a_ledger_the_status_says_so_and_nobody_is_asked() -> None:
    world = World(xp.observed(ledger=False), ledger=False)
    await world.one_pass()
    assert (world.calls, world.told) == (["status"], [conditions.NO_LEDGER])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"metadata": {"namespace": "shop"}, "spec": {"targetRef": {"name": "digits"}}}, ("shop", "digits")),
        ({"metadata": {"namespace": "shop"}, "spec": {}}, None),
        ({"metadata": {"namespace": "shop"}}, None),
    ],
)
def test_the_target_of_a_body(body: dict[str, Any], expected: tuple[str, str] | None) -> None:
    assert observe_experiments.target_key(body) == expected


LOOKS, DECISIONS = "slipway_experiment_looks", "slipway_experiment_decisions"


async def test_looks_are_counted_by_what_the_ledger_made_of_them() -> None:
    world = World(looking())
    await world.one_pass()
    assert world.counted(LOOKS) == {"kept": 1}

    known = world.statuses[0]
    world.seen = xp.observed(known, sums=xp.sums(known, units=520, now=builders.at(40)), journal=world.kept.journal, now=builders.at(40))
    await world.one_pass()
    assert world.counted(LOOKS) == {"kept": 1, "unchanged": 1}

    world.seen = xp.observed(known, trouble="It does not answer.")
    await world.one_pass()
    assert world.counted(LOOKS) == {"kept": 1, "unchanged": 1, "failed": 1}


async def test_a_look_that_the_ledger_does_not_take_is_counted_as_failed_and_not_carried_out() -> None:
    world = World(looking())
    world.ledger.refuses["append"] = AWAY
    await world.one_pass()
    assert world.counted(LOOKS) == {"failed": 1}
    assert world.kept.carried_out_at is None


async def test_a_pass_without_a_look_leaves_the_time_of_the_last_one() -> None:
    world = World(looking())
    await world.one_pass()
    assert world.kept.carried_out_at is not None
    world.kept.carried_out_at = 7.0
    world.seen = xp.observed(world.statuses[0], trouble="It does not answer.")
    await world.one_pass()
    assert world.kept.carried_out_at == 7.0


async def test_a_decision_is_counted_when_the_status_has_it() -> None:
    world = World(xp.observed(xp.begun(), command="rollback"))
    world.status_refused = errors.NotLeading("Another operator leads.")
    await world.one_pass()
    assert world.counted(DECISIONS) == {}

    world.status_refused = None
    await world.one_pass()
    assert world.counted(DECISIONS) == {"RollBack": 1}


def test_looks_and_decisions_are_told_of_before_there_are_any() -> None:
    world = World(starting())

    for name, label, values in (
        (LOOKS, "result", ("kept", "unchanged", "failed")),
        (DECISIONS, "action", ("Promote", "RollBack", "KeepControl", "StopArm")),
    ):
        assert [world.registry.get_sample_value(f"{name}_total", {label: value}) for value in values] == [0] * len(values)
