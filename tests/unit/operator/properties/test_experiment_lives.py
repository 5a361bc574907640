"""Whole lives of experiments: passes in any order, seen late and cut off anywhere; pods and the ledger go and come; units all the while."""

from typing import Any

import pytest

from slipway_operator.state import observed as targets
from slipway_operator.state.routes import RouteTable
from slipway_testing import experiments as xp
from slipway_testing import lives
from slipway_testing.lives import Crash, Entry, Market

WINNER, LOSER = "pvc://models/digits/8", "pvc://models/digits/9"
QUICK = xp.CONVERSION | {"minimumEffect": {"relativePercent": "60"}}
"""An effect that some hundred units show."""

RAMP = ({"percent": 10, "holdSeconds": 60}, {"percent": 30, "holdSeconds": 60}, {"percent": 60})

LENGTH = 110
"""Actions of a life before everybody gets to rest."""


def written(**changes: Any) -> dict[str, Any]:
    valid: dict[str, Any] = {"metrics": [QUICK], "ramp": list(RAMP), "analysis": {"maxDurationSeconds": 20_000}}
    return xp.written(**(valid | changes))


class Life:
    """One random course of events; ``check`` is asked after each."""

    def __init__(self, market: Market) -> None:
        self.market, self.random = market, market.random
        self.known: dict[str, list[targets.Observed]] = {name: [market.observed()] for name in market.experiments}
        """What the reconciler of each experiment may take for its target: never older than what it has seen already."""

    def act(self) -> None:
        """Something happens."""
        kinds, weights = zip(*_ACTIONS.items(), strict=True)
        dies_after = self.random.randrange(4) if self.random.random() < 0.3 else None
        try:
            self._do(self.random.choices(kinds, weights=weights)[0], self.random.choice(list(self.market.experiments.values())), dies_after)
        except Crash:
            self.market.lead_anew()
        now = self.market.observed()
        for views in self.known.values():
            if now != views[-1]:
                views.append(now)
        self.check()

    def _do(self, action: str, entry: Entry, dies_after: int | None) -> None:
        market, draw = self.market, self.random
        {
            "calm": lambda: self._in_turn(entry),
            "target": lambda: self._target(dies_after),
            "experiment": lambda: self._experiment(entry, dies_after),
            "route": lambda: market.follow(draw.choice(lives.ROUTERS)),
            "units": lambda: market.come(100),
            "time": lambda: market.pass_time(draw.choice((1, 30, 61))),
            "pods": self._pods,
            "ledger": lambda: setattr(market, "away", not market.away),
            "suspend": lambda: entry.suspend(not entry.spec.suspend),
            "leader": market.lead_anew,
        }[action]()

    def _target(self, dies_after: int | None) -> None:
        for each in self.market.experiments.values():
            each.seen = self.random.randint(each.seen, len(each.versions) - 1)
        self.market.target_pass(dies_after=dies_after)

    def _pods(self) -> None:
        arms = (arm for each in self.market.experiments.values() for arm in each.status.arms[1:])
        self.market.down = {arm.revision for arm in arms if self.random.random() < 0.3}

    def _in_turn(self, entry: Entry) -> None:
        """For once everybody hears of everything, most pods are well, and half a minute goes by."""
        market = self.market
        if self.random.random() < 0.5:
            market.down, market.away = set(), False
            entry.suspend(False)
        for each in market.experiments.values():
            each.seen = len(each.versions) - 1
        market.target_pass()
        for router in lives.ROUTERS:
            market.follow(router)
        market.come(150)
        market.pass_time(31)
        self.known[entry.name] = [market.observed()]
        market.experiment_pass(entry)

    def _experiment(self, entry: Entry, dies_after: int | None) -> None:
        views = self.known[entry.name]
        at = self.random.randint(max(0, len(views) - 3), len(views) - 1)
        self.known[entry.name] = views[at:]
        before = entry.status.traffic
        self.market.experiment_pass(entry, target=views[at], looks_too=self.random.random() < 0.7, dies_after=dies_after)
        after = entry.status.traffic
        if after and after.since and not (before and before.since):
            self._begins(entry, str(after.stratum), divided=any(run.group not in ("control", "waiting") for run in after.slots))

    def _begins(self, entry: Entry, stratum: str, *, divided: bool) -> None:
        """A step is said to begin when every router has it."""
        for table in self.market.tables.values():
            groups = table.division.split.groups if table else None
            told = (groups.experiment, groups.stratum) if groups else None
            assert not divided or told == (f"shop/{entry.status.ledger_name}", stratum)

    def check(self) -> None:
        """What holds at every moment."""
        assert self.market.failures == []
        for experiment, units in self.market.met.items():
            changed = {unit: arms for unit, arms in units.items() if len(arms) > 1}
            assert not changed, f"units of {experiment} met several arms"
        for table in self.market.tables.values():
            if table is not None:
                self._agrees(table)
        assert all(len(entry.status.strata) <= 100 for entry in self.market.experiments.values())

    def _agrees(self, table: RouteTable) -> None:
        """What is divided at a router is what the status says of that stratum, but for arms without pods, which have nothing."""
        split = table.division.split
        if split.groups is None or split.allocation is None:
            return
        entry = next(entry for entry in self.market.experiments.values() if split.groups.experiment == f"shop/{entry.status.ledger_name}")
        told = next(stratum for stratum in entry.status.strata if stratum.name == split.groups.stratum)
        slots = {group.arm: group.slots for group in told.slots}
        routed = {group: split.allocation.count(group) for group, _ in split.groups.revisions if group != "waiting"}
        assert routed == {arm: slots[arm] for arm in routed}
        assert routed["control"] == slots["control"]

    def to_its_end(self) -> None:
        """Everybody is well and takes turns, until there is nothing left to do."""
        self.market.down, self.market.away = set(), False
        for entry in self.market.experiments.values():
            entry.suspend(False)
        self.market.settle(units=300)
        self.check()


_ACTIONS = {"calm": 40, "target": 20, "experiment": 20, "route": 20, "units": 10, "time": 10, "pods": 3, "leader": 4, "ledger": 2, "suspend": 1}
"""How often."""


@pytest.mark.parametrize("seed", range(16))
def test_whatever_happens_an_experiment_ends_as_it_should(seed: int) -> None:
    arms = ("v8", "v9") if seed % 2 else ("v8",)
    better = seed % 4 < 2
    market = lives.opened(
        seed=seed,
        replicas=({"min": 2}, {"min": 2, "max": 4}, None)[seed % 3],
        rates={WINNER: 0.17, LOSER: 0.04} if better else {WINNER: 0.05, LOSER: 0.04},
    )
    entry = market.experiment("x8", written(arms=arms))
    life = Life(market)
    for _ in range(LENGTH):
        life.act()
    life.to_its_end()

    decision, first, stable = entry.status.decision, market.stables[0], market.stables[-1]
    assert decision
    assert (decision.action, decision.arm, decision.done) == (("Promote", "v8", True) if better else ("RollBack", None, True))
    assert market.stables == ([first, xp.V8.name] if better else [first]), "nobody else ever served everybody"
    assert market.status.promoted is not None if better else market.status.promoted is None
    for table in market.tables.values():
        assert table
        assert (table.division.seed, table.division.split.allocation) == ("shop/digits", lives.everything(stable))
    assert market.ledger[f"shop/{entry.status.ledger_name}"].ended
    _at_rest(market, entry)


@pytest.mark.parametrize("seed", range(100, 108))
def test_of_two_experiments_each_has_its_turn_and_one_promotion_follows(seed: int) -> None:
    """v8 is better than anything and v9 harms: whoever comes first, v8 serves in the end and v9 never did."""
    market = lives.opened(seed=seed, replicas=({"min": 2}, None)[seed % 2], rates={WINNER: 0.17, LOSER: 0.04})
    order = ("v8", "v9") if seed % 4 < 2 else ("v9", "v8")
    entries = {}
    for arm in order:
        market.pass_time(seed % 3)
        entries[arm] = market.experiment(f"try-{arm}", written(arms=(arm,)))
    life = Life(market)
    for _ in range(LENGTH):
        life.act()
    life.to_its_end()
    decisions = {arm: entry.status.decision and entry.status.decision.action for arm, entry in entries.items()}
    assert decisions == {"v8": "Promote", "v9": "RollBack"}
    assert market.stables == [market.stables[0], xp.V8.name]
    _at_rest(market, *entries.values())


@pytest.mark.parametrize(("command", "stable"), [("promote v9", xp.V9.name), ("rollback", xp.CONTROL.name)])
def test_a_suspended_experiment_ends_by_what_somebody_says(command: str, stable: str) -> None:
    """By the user's word: v9 is the worse one."""
    market = lives.opened(replicas={"min": 2})
    entry = market.experiment("x9", written(arms=("v9",), analysis={"maxDurationSeconds": 2_000_000}))
    for _ in range(30):
        market.target_pass()
        for router in lives.ROUTERS:
            market.follow(router)
        market.experiment_pass(entry, looks_too=False)
        entry.seen = len(entry.versions) - 1
        market.pass_time(1)
    assert entry.status.started_at
    entry.suspend(True)
    market.settle()
    assert entry.status.decision is None

    entry.command = command
    market.settle()

    decision = entry.status.decision
    assert decision
    assert (decision.done, market.stables[-1], market.ledger[f"shop/{entry.status.ledger_name}"].ended) == (True, stable, True)
    for table in market.tables.values():
        assert table
        assert table.division.split.allocation == lives.everything(stable)
    _at_rest(market, entry)


def _at_rest(market: Market, *entries: Entry) -> None:
    """Another pass, much later, by an operator that remembers nothing, writes nothing."""
    before = (market.status, dict(market.children), [entry.status for entry in entries], [len(kept.looks) for kept in market.ledger.values()])
    market.pass_time(1_000_000)
    market.lead_anew()
    made = market.target_pass(dies_after=0)
    assert (made.events, made.scales) == ((), ())
    assert [market.experiment_pass(entry, dies_after=0).events for entry in entries] == [()] * len(entries)
    after = (market.status, dict(market.children), [entry.status for entry in entries], [len(kept.looks) for kept in market.ledger.values()])
    assert after == before
