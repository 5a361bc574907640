"""Whole lives of experiments: passes of both reconcilers in any order, seen late and cut off anywhere, pods that go and come, units all the while."""

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

LENGTH = 60
"""Actions of a life before everybody gets to rest."""


def written(**changes: Any) -> dict[str, Any]:
    return xp.written(**({"metrics": [QUICK], "analysis": {"maxDurationSeconds": 20_000}} | changes))


class Life:
    """One random course of events; ``check`` is asked after each."""

    def __init__(self, market: Market, entry: Entry) -> None:
        self.market, self.entry, self.random = market, entry, market.random
        self.known: list[targets.Observed] = [market.observed()]
        """What the experiment's reconciler may take for its target: never older than what it has seen already."""

    def act(self) -> None:
        market, draw = self.market, self.random
        action = draw.choices(("target", "experiment", "route", "units", "time", "pods", "leader", "suspend"), weights=(20, 20, 20, 20, 10, 4, 4, 2))[
            0
        ]
        dies_after = draw.randrange(4) if draw.random() < 0.3 else None
        try:
            if action == "target":
                self.entry.seen = draw.randint(self.entry.seen, len(self.entry.versions) - 1)
                market.target_pass(dies_after=dies_after)
            elif action == "experiment":
                self._experiment(dies_after)
            elif action == "route":
                market.follow(draw.choice(lives.ROUTERS))
            elif action == "units":
                market.come(100)
            elif action == "time":
                market.pass_time(draw.choice((1, 30, 61)))
            elif action == "pods":
                market.down = {arm.revision for arm in self.entry.status.arms[1:] if draw.random() < 0.3}
            elif action == "suspend":
                self.entry.spec = self.entry.spec.model_copy(update={"suspend": not self.entry.spec.suspend})
            else:
                market.lead_anew()
        except Crash:
            market.lead_anew()
        if self.market.observed() != self.known[-1]:
            self.known.append(self.market.observed())
        self.check()

    def _experiment(self, dies_after: int | None) -> None:
        at = self.random.randint(max(0, len(self.known) - 3), len(self.known) - 1)
        self.known = self.known[at:]
        self.market.experiment_pass(self.entry, target=self.known[0], looks_too=self.random.random() < 0.7, dies_after=dies_after)

    def check(self) -> None:
        """What holds at every moment."""
        market = self.market
        assert market.failures == []
        for experiment, units in market.met.items():
            changed = {unit: arms for unit, arms in units.items() if len(arms) > 1}
            assert not changed, f"units of {experiment} met several arms"
        for table in market.tables.values():
            if table is not None:
                self._agrees(table)
        assert len(self.entry.status.strata) <= 100

    def _agrees(self, table: RouteTable) -> None:
        """What is divided at a router is what the status says of that stratum, but for arms without pods, which have nothing."""
        split = table.division.split
        if split.groups is None or split.allocation is None:
            return
        told = next(stratum for stratum in self.entry.status.strata if stratum.name == split.groups.stratum)
        slots = {group.arm: group.slots for group in told.slots}
        routed = {group: split.allocation.count(group) for group, _ in split.groups.revisions if group != "waiting"}
        assert routed == {arm: slots[arm] for arm in routed}
        assert routed["control"] == slots["control"]

    def to_its_end(self) -> None:
        """Everybody is well and takes turns, until there is nothing left to do."""
        self.market.down = set()
        self.entry.spec = self.entry.spec.model_copy(update={"suspend": False})
        self.market.settle(units=300)
        self.check()


@pytest.mark.parametrize("seed", range(16))
def test_whatever_happens_an_experiment_ends_as_it_should(seed: int) -> None:
    arms = ("v8", "v9") if seed % 2 else ("v8",)
    better = seed % 4 < 2
    market = lives.opened(
        seed=seed,
        replicas=({"min": 2}, {"min": 2, "max": 4}, None)[seed % 3],
        rates={WINNER: 0.25, LOSER: 0.0} if better else {WINNER: 0.01, LOSER: 0.0},
    )
    entry = market.experiment("x8", written(arms=arms))
    life = Life(market, entry)
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


def _at_rest(market: Market, entry: Entry) -> None:
    """Another pass, much later, by an operator that remembers nothing, writes nothing."""
    before = (market.status, dict(market.children), entry.status, [len(kept.looks) for kept in market.ledger.values()])
    market.pass_time(1_000_000)
    market.lead_anew()
    made = market.target_pass(dies_after=0)
    assert (made.events, made.scales) == ((), ())
    assert market.experiment_pass(entry, dies_after=0).events == ()
    assert (market.status, dict(market.children), entry.status, [len(kept.looks) for kept in market.ledger.values()]) == before
