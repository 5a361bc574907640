"""What is gathered about an experiment, when the ledger is asked, and what is remembered."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from slipway_operator.api import metadata
from slipway_operator.api.v1alpha1.experiment import ExperimentStatus, LookStatus
from slipway_operator.cluster import observe_experiments
from slipway_operator.cluster.observe_experiments import Kept, Memories, Observer
from slipway_operator.errors import LedgerAbsent, LedgerError
from slipway_operator.reconcile.experiment import plan
from slipway_operator.state import observed as targets
from slipway_operator.state.experiment import Journal, Observed, Rival, Sums
from slipway_statistics.counts import Counts
from slipway_statistics.experiment import Memory
from slipway_testing import experiments as xp

REVENUE = {"name": "revenue", "role": "Secondary", "type": "Mean", "capPercentile": "99.9"}
HELD = Journal(sequence=4, memory=Memory(sample_ratio=0.5))


class Ledger:
    """Says what it was asked."""

    def __init__(self, sums: Sums | None = None) -> None:
        self.known = sums
        self.asked: list[Any] = []
        self.away = False
        self.lost = False

    async def journal(self, namespace: str, name: str, *, after: int) -> Journal:
        self.asked.append(("journal", namespace, name, after))
        return HELD

    async def sums(self, namespace: str, name: str, *, quantiles: Mapping[str, float]) -> Sums:
        self.asked.append(("sums", namespace, name, dict(quantiles)))
        if self.lost:
            raise LedgerAbsent("There is no such experiment.")
        if self.away or self.known is None:
            raise LedgerError("The ledger does not answer.")
        return self.known


def body(
    known: ExperimentStatus | None = None, *, name: str = xp.NAME, uid: str = xp.UID, written: dict[str, Any] | None = None, **meta: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": uid, "creationTimestamp": "2026-11-24T11:59:00Z", "generation": 1} | meta,
        "spec": written or xp.written(),
        "status": known.model_dump(mode="json", by_alias=True, exclude_none=True) if known else {},
    }


TARGET = {"metadata": {"name": "digits", "namespace": "shop"}}


class Stage:
    """An observer and what it reaches."""

    def __init__(self, *others: dict[str, Any], ledger: Ledger | None = None, target: dict[str, Any] | None = TARGET) -> None:
        self.ledger, self.memories, self.others = ledger, Memories(), others
        self.target = target
        self.counts: dict[str, Counts] = {}
        """What routers say of revisions."""

        self.observer = Observer(
            targets=self,  # type: ignore[arg-type]
            find=self.find,
            experiments=lambda namespace: self.others,
            ledger=ledger,  # type: ignore[arg-type]
            memories=self.memories,
        )

    async def observe(self, found: Any) -> targets.Observed:
        assert found == self.target
        return xp.target(counts=self.counts)

    def find(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.target if (namespace, name) == ("shop", "digits") else None

    async def look(self, of: dict[str, Any]) -> Observed:
        return await self.observer.observe(of)


def running(**changes: Any) -> ExperimentStatus:
    return xp.begun(**changes)


async def test_everything_about_an_experiment_is_one_value() -> None:
    annotations = {metadata.APPROVE_ANNOTATION: "0123456789abcdef", metadata.EXPERIMENT_ANNOTATION: "rollback"}
    found = await Stage(ledger=Ledger()).look(body(annotations=annotations))
    assert (found.identity.name, found.identity.uid, found.created) == (xp.NAME, xp.UID, "2026-11-24T11:59:00Z")
    assert (found.spec, found.target, found.status) == (xp.spec(), xp.target(), ExperimentStatus())
    assert (found.approved, found.command, found.ledger, found.sums) == ("0123456789abcdef", "rollback", True, None)


@pytest.mark.parametrize("target", [None, {"metadata": TARGET["metadata"] | {"deletionTimestamp": "2026-11-24T12:00:00Z"}}])
async def test_a_target_that_is_not_there_or_goes_is_none(target: dict[str, Any] | None) -> None:
    assert (await Stage(target=target).look(body())).target is None


async def test_a_spec_of_another_version_is_told_with_the_field() -> None:
    found = await Stage(ledger=Ledger()).look(body(running(), written=xp.written() | {"arms": [{"name": "control"}]}))
    assert (found.spec, found.target, found.sums) == (None, None, None)
    assert found.spec_error.startswith("spec.arms:")


async def test_a_status_of_another_version_is_none() -> None:
    assert (await Stage().look(body() | {"status": {"verdict": "Undecided"}})).status == ExperimentStatus()


async def test_rivals_are_the_experiments_of_the_same_target() -> None:
    refused = ExperimentStatus.model_validate(xp.status(plan.plan(xp.observed(ledger=False))).model_dump(mode="json", by_alias=True))
    over = running().model_copy(update={"decision": _done(running())})
    others = (
        body(running(), name="runs", uid="1"),
        body(over, name="over", uid="2"),
        body(name="suspended", uid="3", written=xp.written(suspend=True)),
        body(refused, name="refused", uid="4"),
        body(name="elsewhere", uid="5", written=xp.written(targetRef={"name": "another"})),
        body(name="going", uid="6", deletionTimestamp="2026-11-24T12:00:00Z"),
        body(name="blank", uid="7", written={"targetRef": None}),
    )
    found = (await Stage(*others).look(body())).rivals
    assert [(rival.name, rival.over, rival.waits) for rival in found] == [
        ("runs", False, False),
        ("over", True, False),
        ("suspended", False, False),
        ("refused", False, False),
    ]
    assert found[0] == Rival(name="runs", uid="1", created="2026-11-24T11:59:00Z", admitted_at="2026-11-24T12:00:00Z", over=False, suspended=False)


async def test_nobody_waits_behind_one_that_cannot_be_carried_out() -> None:
    refused = xp.status(plan.plan(xp.observed(spec=xp.spec(arms=("v0",)))))
    found = await Stage(body(refused, name="older", uid="0", creationTimestamp="2026-11-24T11:00:00Z"), ledger=Ledger()).look(body())
    made = xp.status(plan.plan(found))
    assert made.admitted_at


def _done(known: ExperimentStatus) -> Any:
    decided = xp.status(plan.plan(xp.observed(known, sums=xp.sums(known, rates={"v8": 0.05}))))
    return xp.status(plan.plan(xp.observed(decided))).decision


# When the ledger is asked.


async def test_a_look_is_due_at_first_and_then_every_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    known = running()
    stage = Stage(ledger=Ledger(xp.sums(known)))
    clock = _Clock(monkeypatch)
    first = await stage.look(body(known))
    assert (first.sums, first.journal) == (xp.sums(known), HELD)
    clock.now = 29.0
    second = await stage.look(body(known))
    assert second.sums is None
    assert second.look_in_s == pytest.approx(1.0)
    clock.now = 30.0
    assert (await stage.look(body(known))).sums is not None
    assert stage.ledger
    assert [what for what, *_ in stage.ledger.asked] == ["journal", "sums", "sums"], "the journal is read once"


GUARDED: dict[str, Any] = {"metrics": [xp.CONVERSION, xp.ERRORS]}


async def test_a_guardrail_of_the_routers_that_is_crossed_between_looks_asks_for_one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known = running(spec=xp.spec(**GUARDED))
    stage, clock = Stage(ledger=Ledger(xp.sums(known))), _Clock(monkeypatch)
    stage.counts = xp.counted(v8=0.0)
    await stage.look(body(known, written=xp.written(**GUARDED)))
    clock.now = 2.0
    assert (await stage.look(body(known, written=xp.written(**GUARDED)))).look_in_s == pytest.approx(28.0)
    stage.counts, clock.now = xp.counted(v8=1.0), 4.0
    found = await stage.look(body(known, written=xp.written(**GUARDED)))
    assert (found.sums, found.journal) == (xp.sums(known), HELD)
    assert plan.plan(found).look, "it is kept with its inputs, as any other"
    clock.now = 33.0
    assert (await stage.look(body(_harmful(known), written=xp.written(**GUARDED)))).look_in_s == pytest.approx(1.0), "the next one is counted from it"


async def test_an_arm_that_was_called_harmful_and_is_kept_asks_for_no_further_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    of: dict[str, Any] = GUARDED | {"decision": {"onHarm": "Hold"}}
    known = running(spec=xp.spec(**of))
    stage, clock = Stage(ledger=Ledger(xp.sums(known))), _Clock(monkeypatch)
    stage.counts = xp.counted(v8=1.0)
    held = xp.status(plan.plan(await stage.look(body(known, written=xp.written(**of)))))
    assert held.decision is None
    clock.now = 2.0
    assert (await stage.look(body(held, written=xp.written(**of)))).sums is None


@pytest.mark.parametrize(
    ("bad", "on_harm", "asked"), [(1.0, "RollBack", ["journal", "sums"]), (0.0, "RollBack", []), (1.0, "Hold", [])], ids=["dead", "well", "held"]
)
async def test_before_every_router_has_the_division_only_harm_asks_for_a_look(bad: float, on_harm: str, asked: list[str]) -> None:
    """Units meet the arm at those that have it."""
    of: dict[str, Any] = GUARDED | {"decision": {"onHarm": on_harm}}
    known = xp.divided(spec=xp.spec(**of))
    ledger = Ledger(xp.sums(known))
    stage = Stage(ledger=ledger)
    stage.counts = xp.counted(v8=bad)
    found = await stage.look(body(known, written=xp.written(**of)))
    assert [what for what, *_ in ledger.asked] == asked
    assert (found.sums is not None) is bool(asked)


def _harmful(known: ExperimentStatus) -> ExperimentStatus:
    return known.model_copy(update={"arms": tuple(arm.model_copy(update={"verdict": "Harmful"}) for arm in known.arms)})


@pytest.mark.parametrize(("interval_s", "again_s"), [(30, 5.0), (3_600, 5.0), (2, 2.0)])
async def test_a_ledger_that_was_away_is_asked_again_soon(monkeypatch: pytest.MonkeyPatch, interval_s: int, again_s: float) -> None:
    of: dict[str, Any] = {"analysis": {"intervalSeconds": interval_s}}
    known = running(spec=xp.spec(**of))
    stage = Stage(ledger=Ledger())
    clock = _Clock(monkeypatch)
    found = await stage.look(body(known, written=xp.written(**of)))
    assert (found.sums, found.trouble) == (None, "The ledger does not answer.")
    clock.now = again_s - 0.1
    assert (await stage.look(body(known, written=xp.written(**of)))).look_in_s == pytest.approx(0.1)
    clock.now = again_s
    assert (await stage.look(body(known, written=xp.written(**of)))).trouble


async def test_an_experiment_that_the_ledger_lost_is_registered_anew() -> None:
    known = running()
    stage = Stage(ledger=Ledger())
    assert stage.ledger
    stage.memories.of(xp.UID).registered = stage.memories.of(xp.UID).fingerprint = "before"
    await stage.look(body(known))
    assert stage.memories.of(xp.UID).registered == "before", "it was only away"
    stage.memories.of(xp.UID).looked_at = None
    stage.ledger.lost = True
    found = await stage.look(body(known))
    kept = stage.memories.of(xp.UID)
    assert (kept.registered, kept.journal, kept.fingerprint) == (None, None, None)
    assert plan.plan(found).register == plan.plan(xp.observed(xp.admitted())).register


async def test_the_journal_is_read_on_from_where_the_status_is() -> None:
    known = running()
    told = known.model_copy(update={"look": LookStatus(sequence=7, at="2026-11-24T12:00:00Z")})
    for status, after in ((known, 0), (told, 6)):
        ledger = Ledger(xp.sums(known))
        await Stage(ledger=ledger).look(body(status))
        assert ledger.asked[0] == ("journal", "shop", "digits-v8-1a2b3c4d", after)


async def test_caps_are_asked_for_until_they_are_known() -> None:
    of: dict[str, Any] = {"metrics": [xp.CONVERSION, REVENUE]}
    known = running(spec=xp.spec(**of))
    capped = known.model_copy(update={"metrics": (settled("revenue", cap="12.5"),)})
    for status, asked in ((known, {"revenue": pytest.approx(0.999)}), (capped, {})):
        ledger = Ledger(xp.sums(known))
        await Stage(ledger=ledger).look(body(status, written=xp.written(**of)))
        assert ledger.asked[-1] == ("sums", "shop", "digits-v8-1a2b3c4d", asked)


def settled(name: str, **changes: Any) -> Any:
    return ExperimentStatus.model_validate({"metrics": [{"name": name} | changes]}).metrics[0]


@pytest.mark.parametrize("of", ["waiting", "admitted", "divided", "suspended", "decided"])
async def test_the_ledger_is_asked_only_while_units_are_divided(of: str) -> None:
    known = {
        "waiting": ExperimentStatus(),
        "admitted": xp.admitted(),
        "divided": xp.divided(),
        "suspended": running(),
        "decided": running().model_copy(update={"decision": _done(running())}),
    }[of]
    ledger = Ledger(xp.sums(running()))
    await Stage(ledger=ledger).look(body(known, written=xp.written(suspend=of == "suspended")))
    assert ledger.asked == []


async def test_without_a_ledger_there_is_no_look() -> None:
    found = await Stage().look(body(running()))
    assert (found.ledger, found.sums, found.trouble) == (False, None, None)


def test_what_is_forgotten_begins_anew() -> None:
    memories = Memories()
    memories.of("a").fingerprint = "x"
    memories.of("b").fingerprint = "y"
    memories.forget("a")
    memories.forget("a")
    assert (memories.of("a"), memories.of("b").fingerprint) == (Kept(), "y")


# What the target's reconciler sees.


def test_trials_are_those_of_the_target_that_can_be_read_and_have_their_turn() -> None:
    bodies: Iterable[dict[str, Any]] = (
        body(running(), name="runs", uid="11111111-1"),
        body(name="waits", uid="22222222-2"),
        body(running(), name="unreadable", uid="33333333-3", written={"targetRef": {"name": "digits"}}),
        body(running(), name="elsewhere", uid="44444444-4", written=xp.written(targetRef={"name": "another"})),
        body(running(), name="going", uid="55555555-5", deletionTimestamp="2026-11-24T12:00:00Z"),
    )
    assert [trial.name for trial in observe_experiments.trials(bodies, "digits")] == ["runs"]


class _Clock:
    """The event loop's, as the test wants it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)
