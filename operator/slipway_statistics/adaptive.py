"""A bandit as a mode of an experiment: where the shares go next, and what may be said of the arms nevertheless.

Each update of the shares begins a stratum, so a stratum is a batch whose propensities are known: they are its slots. Everything here is computed from
the strata in their order, each time anew; nothing has to be remembered from look to look but what any experiment remembers.

A win and the absence of an effect are read from scores (``bandit.Scores``), never from strata averaged over batches: how large a batch of an arm is
was decided by what the batches before it showed. Harm, guardrails, the sample ratio and the minimum sizes are those of every experiment
(``verdict``), stratum by stratum, each with its own slots. Units come for the first time to one arm and are counted there for ever; those whose slot
moved have been seen in two arms, which is what a bandit does and no broken join.

Covariates are not taken out of rewards, and who a unit is never matters: contextual bandits are not here.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from slipway_statistics import bandit, sequences, verdict
from slipway_statistics.bandit import FLOOR_FOR_VERDICTS, Bandit, Rewards, Rules, Scores
from slipway_statistics.experiment import Design, Observed, Step, Strata
from slipway_statistics.verdict import Evidence, Finding

Reward = Literal["Beta", "Normal"]
"""Beta: units convert or do not; takes a proportion. Normal: units bring a number; takes a mean or a proportion."""

Lack = Literal["Unhealthy", "CapUnresolved", "TooFewUnits", "TooFewConversions"]
"""Why the shares stay as they are. Unhealthy: the data cannot be believed. CapUnresolved: where to cut the primary off is not known yet. TooFewUnits,
TooFewConversions: the rules want more of an arm (``bandit.Lack``)."""

# 1/3 + 1/3 + 1/3 of the slots is all of them but for rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Scored:
    """An arm against control by scores, in the metric's unit; all numbers are finite."""

    units: float
    """Of all arms, in batches that were scored: those in which neither arm had less than a tenth."""

    estimate: float
    """Arm minus control."""

    standard_error: float
    lower: float
    upper: float
    """Both hold at all looks with probability 1 - alpha of the arm."""

    information: float
    """u, from 0 up."""

    @property
    def evidence(self) -> Evidence:
        """As a verdict reads it."""
        return Evidence(
            lower=self.lower,
            upper=self.upper,
            shrunk=sequences.shrunk(self.estimate, u=self.information),
            log_e_value=sequences.log_e_value(self.estimate / self.standard_error, u=self.information),
        )


@dataclass(frozen=True, kw_only=True)
class Moves:
    """What a look says of the shares; kept with the look under ``bandit``."""

    reward: Reward
    rules: Rules
    shares: Mapping[str, float]
    """Of the arms that take part, in the stratum that is live: 1 together."""

    next_shares: Mapping[str, float]
    """Of the next stratum; the same while something lacks. ``slots`` makes slots of them."""

    lacks: Lack | None
    scores: Mapping[str, Scored | None]
    """By arm beside control. None while nothing was scored, and always where the floor is too low for a verdict."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look says of a bandit."""

    said: verdict.Look
    """As of any experiment."""

    moves: Moves


def look(design: Design, observed: Observed, *, rules: Rules, reward: Reward) -> Look:
    """Look at a bandit.

    The interval of an arm is tightest when as many units were scored as the plan has in all arms together.

    Args:
        design: what was decided before. How many units were seen in two arms is not asked.
        observed: what is known now; its steps are the strata, in their order.
        rules: how far shares may go. With a floor below a tenth nothing wins, and FloorTooLow says so.
        reward: by what the best arm is told.

    Raises:
        ValueError: the primary is of another kind than the reward takes; the floors are more than all arms can have; or as ``verdict.look`` does.

    """
    _check(design, observed, rules=rules, reward=reward)
    scores = {arm: _scored(design, observed, arm=arm, rules=rules) for arm in design.treatments if arm not in observed.stopped}
    said = verdict.look(
        dataclasses.replace(design, maximum_in_two_arms=1.0),
        observed,
        evidence={arm: _evidence(found, design=design, rules=rules) for arm, found in scores.items()},
    )
    # What a mean of either sign brings are no events that could be counted.
    counted = rules if reward == "Beta" else dataclasses.replace(rules, least_conversions=0)
    now = state(design, observed, rules=counted)
    lacks = _lacks(said, design, observed) or now.lacks(counted)
    arms = _playing(design, observed)
    stays = lacks is not None or len(arms) == 1
    after = now if stays else now.moved(rules=counted, best=lambda seen: _best(seen, reward=reward, sign=design.primary.sign))
    moves = Moves(
        reward=reward,
        rules=rules,
        shares=dict(zip(arms, now.shares, strict=True)),
        next_shares=dict(zip(arms, after.shares, strict=True)),
        lacks=lacks,
        scores=scores,
    )
    return Look(said=said, moves=moves)


def slots(shares: Mapping[str, float], *, total: int, floor: float = 0.0) -> dict[str, int]:
    """Whole slots for shares: each rounded down, what is left to the largest remainders, and then none below the floor.

    0.55, 0.35 and 0.1 of 10 are 5, 3 and 1; the one that is left goes to the first, as the earlier of two equal remainders. Whoever is below the
    floor takes from who is farthest above what its share was.

    Args:
        shares: by arm, 1 together.
        total: slots of all arms.
        floor: least share of an arm; of 9,999 slots a tenth is 1,000, since 999 would be less.

    Raises:
        ValueError: the shares are not 1 together or some are below 0, or the slots are fewer than the floors take.

    """
    if min(shares.values(), default=0.0) < 0 or abs(math.fsum(shares.values()) - 1) > _ROUNDING:
        raise ValueError(f"shares are 0 or more, and 1 together: {dict(shares)} are not")
    least = math.ceil(floor * total - _ROUNDING)
    if least * len(shares) > total:
        raise ValueError(f"{total} slots are too few for {len(shares)} arms with {least} each (a floor of {floor:g}); lower the floor")
    found = {arm: math.floor(share * total + _ROUNDING) for arm, share in shares.items()}
    for arm in sorted(shares, key=lambda arm: found[arm] - shares[arm] * total)[: total - sum(found.values())]:
        found[arm] += 1
    return _raised(found, least=least, exact={arm: share * total for arm, share in shares.items()})


def _raised(found: Mapping[str, int], *, least: int, exact: Mapping[str, float]) -> dict[str, int]:
    raised = {arm: max(least, of) for arm, of in found.items()}
    for _ in range(sum(raised.values()) - sum(found.values())):
        richest = max((arm for arm in raised if raised[arm] > least), key=lambda arm: raised[arm] - max(exact[arm], least))
        raised[richest] -= 1
    return raised


def _check(design: Design, observed: Observed, *, rules: Rules, reward: Reward) -> None:
    primary = design.primary
    if primary.kind == "Ratio" or (reward == "Beta" and primary.kind != "Proportion"):
        takes = "a proportion" if reward == "Beta" else "a mean or a proportion"
        raise ValueError(f"metric {primary.name}: a reward of the kind {reward} is {takes} of units, not a {primary.kind.lower()}")
    # Whoever is told only when the first arm has enough units would be told too late.
    bandit.floored((1.0,) + (0.0,) * (len(_playing(design, observed)) - 1), floor=rules.floor)


def _playing(design: Design, observed: Observed) -> tuple[str, ...]:
    """Control and the arms that were not stopped."""
    return tuple(arm for arm in design.arms if arm not in observed.stopped)


def _lacks(said: verdict.Look, design: Design, observed: Observed) -> Lack | None:
    # A look that is Harmful does not tell whether it is unhealthy too; the split it does.
    if said.verdict == "Unhealthy" or said.sample_ratio.p <= design.sample_ratio_alpha:
        return "Unhealthy"
    return "CapUnresolved" if design.primary.name in observed.unresolved_caps else None


def state(design: Design, observed: Observed, *, rules: Rules) -> Bandit:
    """The bandit after all strata: the shares of the live one, and what the closed units of all arms that take part brought.

    It is what ``Bandit.after`` comes to stratum by stratum, without asking for the best arm at each. The older a stratum, the less it counts if
    there is a half-life; within a stratum all units count alike, and those of arms that were stopped make nobody older.
    """
    arms = _playing(design, observed)
    closed = observed.closed.get(design.primary.name, {})
    found = Bandit(shares=_shares(observed.steps, arms), seen=(bandit.NONE,) * len(arms), weighed=(bandit.NONE,) * len(arms))
    for step in observed.steps:
        found = found.counting([_rewards(closed.get(arm, {}), step.name) for arm in arms], rules=rules)
    return found


def _shares(steps: Sequence[Step], arms: Sequence[str]) -> tuple[float, ...]:
    """Of the last stratum; equal before the first."""
    given = [steps[-1].slots.get(arm, 0) for arm in arms] if steps else []
    total = sum(given)
    return tuple(each / total for each in given) if total else (1 / len(arms),) * len(arms)


def _rewards(strata: Strata, name: str) -> Rewards:
    """Of a proportion events are conversions; of a mean as many equal outcomes as weigh as much, which are fewer than there were."""
    found = strata.get(name)
    if found is None:
        return bandit.NONE
    return Rewards(units=found.units, conversions=found.events, total=found.totals[0], squares=found.products[0])


def _best(seen: Sequence[Rewards], *, reward: Reward, sign: int) -> tuple[float, ...]:
    """Where less is better, the best arm has the highest share of units that did not convert, or the highest of outcomes taken negative."""
    if reward == "Beta":
        return bandit.beta(seen if sign > 0 else [Rewards.of_conversions(arm.units, arm.units - arm.conversions) for arm in seen])
    return bandit.normal(seen if sign > 0 else [dataclasses.replace(arm, total=-arm.total) for arm in seen])


def _scored(design: Design, observed: Observed, *, arm: str, rules: Rules) -> Scored | None:
    if _too_low(rules):
        return None
    scores = _scores(design, observed, arm=arm)
    if not 0 < scores.standard_error < math.inf:
        return None
    alpha, planned = design.alpha_of(design.primary), float(design.primary.planned_units_per_arm * len(design.arms))
    interval = scores.interval(alpha=alpha, planned=planned)
    return Scored(
        units=scores.units,
        estimate=scores.estimate,
        standard_error=scores.standard_error,
        lower=interval.lower,
        upper=interval.upper,
        information=sequences.information(scores.units, planned=planned, alpha=alpha),
    )


def _scores(design: Design, observed: Observed, *, arm: str) -> Scores:
    """Over the batches in which both arms had a tenth of the units that count. Which those are is known before their first unit, so leaving the
    others out (a ramp's first steps) makes no difference of its own."""
    closed = observed.closed.get(design.primary.name, {})
    found = Scores(control=0, treatment=design.arms.index(arm))
    for step in observed.steps:
        given = [step.slots.get(name, 0) for name in design.arms]
        shares = [each / max(1, sum(given)) for each in given]
        if min(shares[found.control], shares[found.treatment]) >= FLOOR_FOR_VERDICTS - _ROUNDING:
            found = found.after([_rewards(closed.get(name, {}), step.name) for name in design.arms], shares=shares)
    return found


def _evidence(found: Scored | None, *, design: Design, rules: Rules) -> Evidence | Finding:
    if _too_low(rules):
        return Finding(reason="FloorTooLow")
    return Finding(reason="NotClear", about=(design.primary.name,)) if found is None else found.evidence


def _too_low(rules: Rules) -> bool:
    return rules.floor < FLOOR_FOR_VERDICTS - _ROUNDING
