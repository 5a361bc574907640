"""What a bandit may be expected to do, before it begins: it is played many times on outcomes that are drawn from what somebody assumes of its arms.

The shares follow the rules and posteriors of ``bandit``, stratum by stratum, as ``adaptive`` has them: only units whose window is over count, and
scores are read at each update. What is simpler than there: probabilities of being the best are right to 0.006 (fewer places), a batch that is half
closed is closed in two batches, shares are no whole slots, nothing is stopped for harm, and nothing is broken. Outcomes of a mean are drawn from a
normal: what has a heavier tail takes longer than is said here.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final, Protocol

from slipway_statistics import bandit
from slipway_statistics.bandit import Bandit, Rewards, Rules, Scores

NEARLY: Final = 0.9
"""Of the most that the others' floors leave an arm: from there on the traffic is where it will stay."""

MOST_RUNS: Final = 1000
LEAST_RUNS: Final = 40
_WORK: Final = 40_000.0
"""Runs times updates times arms to the power of 1.5: some 3 s of one core."""

_PLACES: Final = tuple(0.6 * number for number in range(-8, 9))
"""Where posteriors are looked at, in standard deviations: 17 places in place of the 301 that decide, right to 0.006 in a fiftieth of the time."""

_CLEARLY_BEHIND: Final = 4.0
"""Standard errors below the leader from which an arm has no chance: one in thirty thousand."""

_DRAWN_ONE_BY_ONE: Final = 30.0
"""Expected events up to which they are drawn one after another, and not as a normal that is rounded."""


class Draws(Protocol):
    """Where chance comes from; ``random.Random`` is one."""

    def random(self) -> float:
        """From 0 up to 1, evenly."""
        ...

    def gauss(self, mu: float, sigma: float) -> float:
        """From a normal."""
        ...

    def gammavariate(self, alpha: float, beta: float) -> float:
        """From a gamma of this shape and scale."""
        ...


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What units of one arm bring."""

    mean: float
    """Of a unit; of a proportion the share that converts."""

    deviation: float | None = None
    """Between units, in the metric's unit. None: the metric is a proportion."""

    def __post_init__(self) -> None:
        if self.deviation is None and not 0 <= self.mean <= 1:
            raise ValueError(f"a share is from 0 to 1, not {self.mean:g}: lower the baseline or the lift")
        if self.deviation is not None and not self.deviation > 0:
            raise ValueError(f"a standard deviation is above 0, not {self.deviation}")


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """The world that a bandit meets."""

    arms: tuple[Outcomes, ...]
    """Control first. All of them are proportions, or none is."""

    units_per_second: float
    """New units, of all arms together, evenly in time."""

    update_s: float
    """Between two updates of the shares."""

    window_s: float
    """From a unit's first request until its outcome is known."""

    end_s: float
    """When it ends at the latest."""

    sign: int = 1
    """-1 where less is better."""

    def __post_init__(self) -> None:
        if len({arm.deviation is None for arm in self.arms}) > 1:
            raise ValueError("the arms of a bandit have one metric: a deviation is given for all of them or for none")
        if not min(self.units_per_second, self.update_s, self.end_s) > 0 or not self.window_s >= 0:
            raise ValueError("units, updates and the end of a bandit are above 0, and its window is 0 or more")

    @property
    def gaps(self) -> tuple[float, ...]:
        """What a unit of each arm brings less than one of the best, 0 or more: for 0.10, 0.12 and 0.11 these are 0.02, 0 and 0.01."""
        best = max(self.sign * arm.mean for arm in self.arms)
        return tuple(best - self.sign * arm.mean for arm in self.arms)

    @property
    def best(self) -> frozenset[int]:
        """Places of the arms that are best; all of them where they are alike."""
        return frozenset(place for place, gap in enumerate(self.gaps) if not gap)

    @property
    def updates(self) -> int:
        """How often the shares may move before the end."""
        return max(0, math.ceil(self.end_s / self.update_s) - 1)

    @property
    def strata(self) -> tuple[tuple[float, float], ...]:
        """Beginning and end of each time in which the shares stand still, in seconds: 0 to 8 h, 8 to 16 h, and so on."""
        return tuple((place * self.update_s, min(self.end_s, (place + 1) * self.update_s)) for place in range(self.updates + 1))


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a verdict is called by, as in the experiment's design."""

    alpha: float
    """Of one arm, two-sided."""

    planned: float
    """Units of all arms together at which a decision is expected."""

    minimum_effect: float
    minimum_units_per_arm: int
    minimum_duration_s: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one bandit did."""

    shares: tuple[tuple[float, ...], ...]
    """Of each stratum, by arm."""

    lost: float
    """Expected of the units as they were shared: less than if all had met the best arm, in the metric's unit."""

    won: int | None = None
    """The arm that is called better than control, by place."""

    decided_s: float | None = None
    """When that was, or that no arm has an effect that matters (``won`` is None then). None: neither by the end."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A stratum, over all runs."""

    at_s: float
    """When it begins."""

    units: float
    """That came before it, of all arms."""

    shares: tuple[float, ...]
    """Mean share of each arm."""

    wrong_leads: float | None
    """Share of the runs in which an arm that is not the best has the most units. None: all arms are alike."""


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What units bring less than if all of them had met the best arm, until the end, in the metric's unit."""

    bandit: float
    """On average."""

    bandit_error: float
    """Standard error of that, by the number of runs."""

    even_split: float
    floors: float
    """What no bandit with these floors can avoid."""


@dataclass(frozen=True, kw_only=True)
class Reached:
    """When something is there, over all runs."""

    by_end: float
    """Share of the runs that have it before the end."""

    half_s: float | None
    """When half of all runs have it. None: not before the end."""

    most_s: float | None
    """The same of nine runs in ten."""


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What is said of the arms by the end, in shares of the runs."""

    best_wins: Reached
    """One of the best arms, if that is not control."""

    another_wins: float
    """An arm that is better than control, and not the best; or no better than control."""

    no_effect: float
    """No arm differs by as much as matters."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a bandit may be expected to do."""

    runs: int
    units: float
    """Until the end, of all arms."""

    most: float
    """The share that counts as most of the traffic: nine tenths of what floors leave one arm."""

    moments: tuple[Moment, ...]
    best_has_most: Reached
    """Until the best arms together have it for the first time."""

    lost: Lost
    verdicts: Verdicts | None
    """None: the floor is too low for any."""


def affordable_runs(assumed: Assumed) -> int:
    """How often a bandit can be played in some 3 s of one core: two arms with 83 updates 168 times, six with 89 updates 40 times."""
    return int(min(MOST_RUNS, max(LEAST_RUNS, _WORK / ((assumed.updates + 1) * len(assumed.arms) ** 1.5))))


def expect(assumed: Assumed, *, rules: Rules, claims: Claims, runs: int, draws: Draws) -> Expected:
    """Play a bandit many times.

    Args:
        assumed: of its arms and its traffic.
        rules: how far its shares may go. With a floor below a tenth no verdict is looked for.
        claims: what a verdict is called by.
        runs: how often, 2 or more.
        draws: where outcomes are drawn from. The same draws give the same answer.

    Raises:
        ValueError: the rules' floor is more than all arms can have, or there are fewer than two arms or runs.

    """
    if runs < 2:
        raise ValueError(f"what is expected is a mean of 2 runs or more, not of {runs}")
    judged = claims if rules.floor >= bandit.FLOOR_FOR_VERDICTS - 1e-9 else None
    played = [play(assumed, rules=rules, claims=judged, draws=draws) for _ in range(runs)]
    arms, units = len(assumed.arms), assumed.units_per_second * assumed.end_s
    most = NEARLY * (1 - (arms - len(assumed.best)) * rules.floor)
    lost = [run.lost for run in played]
    return Expected(
        runs=runs,
        units=units,
        most=most,
        moments=tuple(_moment(assumed, played, place) for place in range(len(assumed.strata))),
        best_has_most=_reached([_first(assumed, run, share=most) for run in played]),
        lost=Lost(
            bandit=fmean(lost),
            bandit_error=stdev(lost) / math.sqrt(runs),
            even_split=units * fmean(assumed.gaps),
            floors=units * rules.floor * math.fsum(assumed.gaps),
        ),
        verdicts=_verdicts(assumed, played) if judged else None,
    )


def play(assumed: Assumed, *, rules: Rules, claims: Claims | None, draws: Draws) -> Run:
    """One bandit from its first unit to the end, whatever is said of it on the way."""
    counted = rules if assumed.arms[0].deviation is None else dataclasses.replace(rules, least_conversions=0)
    state = Bandit.of(len(assumed.arms))
    scores = [Scores(control=0, treatment=place) for place in range(1, len(assumed.arms))] if claims else []
    shares: list[tuple[float, ...]] = []
    run, closed_s = Run(shares=(), lost=0.0), 0.0
    for _, now_s in assumed.strata:
        shares.append(state.shares)
        for length_s, given in _closing(assumed, shares, since_s=closed_s, until_s=now_s - assumed.window_s):
            batch = [_drawn(arm, assumed.units_per_second * length_s * share, draws) for arm, share in zip(assumed.arms, given, strict=True)]
            state = state.counting(batch, rules=counted)
            scores = [one.after(batch, shares=given) for one in scores]
        closed_s = max(closed_s, now_s - assumed.window_s)
        if claims is not None and run.decided_s is None:
            run = _judged(run, scores, assumed=assumed, claims=claims, now_s=now_s)
        state = state.moved(rules=counted, best=lambda arms: _chances(arms, assumed))
    spans = [assumed.units_per_second * (end - start) for start, end in assumed.strata]
    lost = math.fsum(units * share * gap for units, given in zip(spans, shares, strict=True) for share, gap in zip(given, assumed.gaps, strict=True))
    return dataclasses.replace(run, shares=tuple(shares), lost=lost)


def _closing(assumed: Assumed, shares: Sequence[tuple[float, ...]], *, since_s: float, until_s: float) -> list[tuple[float, tuple[float, ...]]]:
    """Units that came from one moment to another, as seconds and the shares that they were given: an update amid them makes two batches of them."""
    found = []
    for (start, end), given in zip(assumed.strata, shares, strict=False):
        length = min(end, until_s) - max(start, since_s)
        if length > 0:
            found.append((length, given))
    return found


def _drawn(arm: Outcomes, units: float, draws: Draws) -> Rewards:
    """Of so many units, of which a part is one more with its probability: 12.3 are 13 in three of ten."""
    count = math.floor(units + draws.random())
    if arm.deviation is None:
        return Rewards.of_conversions(count, binomial(count, arm.mean, draws))
    if not count:
        return bandit.NONE
    # Of a normal the mean and the squares around it are independent; the squares are chi-squared with count - 1 degrees of freedom.
    apart = draws.gauss(0, arm.deviation / math.sqrt(count))
    around = 2 * draws.gammavariate((count - 1) / 2, 1) * arm.deviation**2 if count > 1 else 0.0
    mean = arm.mean + apart
    return Rewards(units=count, conversions=count, total=count * mean, squares=around + count * mean**2)


def binomial(count: int, share: float, draws: Draws) -> int:
    """How many of so many convert. Few are drawn one after another, by the units between them; many as a normal, rounded."""
    if share > 0.5:
        return count - binomial(count, 1 - share, draws)
    expected = count * share
    if expected > _DRAWN_ONE_BY_ONE:
        return min(count, max(0, round(draws.gauss(expected, math.sqrt(expected * (1 - share))))))
    if not share:
        return 0
    found, place = 0, 0
    while True:
        place += 1 + math.floor(math.log(1 - draws.random()) / math.log1p(-share))
        if place > count:
            return found
        found += 1


def _chances(arms: Sequence[Rewards], assumed: Assumed) -> tuple[float, ...]:
    """Each arm's probability of being the best one. Those clearly behind have none, which saves the most of the time."""
    sign = assumed.sign
    leader = max(arms, key=lambda arm: sign * arm.mean)
    near = [place for place, arm in enumerate(arms) if sign * (leader.mean - arm.mean) <= _CLEARLY_BEHIND * math.hypot(_error(leader), _error(arm))]
    found = [0.0] * len(arms)
    for place, chance in zip(near, _best([arms[place] for place in near], assumed) if len(near) > 1 else (1.0,), strict=True):
        found[place] = chance
    return tuple(found)


def _error(arm: Rewards) -> float:
    """Standard error of a mean. Of outcomes that are all alike a unit that was not decides, so an error is never 0."""
    return math.sqrt(max(arm.squares / arm.units - arm.mean**2, 1 / (arm.units + 1)) / arm.units) if arm.units else math.inf


def _best(arms: Sequence[Rewards], assumed: Assumed) -> tuple[float, ...]:
    if assumed.arms[0].deviation is None:
        good = arms if assumed.sign > 0 else [Rewards.of_conversions(arm.units, arm.units - arm.conversions) for arm in arms]
        return bandit.beta(good, places=_PLACES)
    return bandit.normal([dataclasses.replace(arm, total=assumed.sign * arm.total) for arm in arms], places=_PLACES)


def _judged(run: Run, scores: Sequence[Scores], *, assumed: Assumed, claims: Claims, now_s: float) -> Run:
    """With what a look says at this moment: of several arms that win, the one with the largest effect."""
    if now_s < claims.minimum_duration_s:
        return run
    spoken = [one for one in scores if min(arm.units for arm in one.seen) >= claims.minimum_units_per_arm]
    intervals = {one.treatment: one.interval(alpha=claims.alpha, planned=claims.planned) for one in spoken if 0 < one.standard_error < math.inf}
    winners = [arm for arm, found in intervals.items() if min(assumed.sign * found.lower, assumed.sign * found.upper) > 0]
    if winners:
        estimates = {one.treatment: assumed.sign * one.estimate for one in spoken}
        return dataclasses.replace(run, won=max(winners, key=lambda arm: estimates[arm]), decided_s=now_s)
    none_matters = len(intervals) == len(scores) and all(
        -claims.minimum_effect < found.lower and found.upper < claims.minimum_effect for found in intervals.values()
    )
    return dataclasses.replace(run, decided_s=now_s) if none_matters else run


def _moment(assumed: Assumed, played: Sequence[Run], place: int) -> Moment:
    of_runs = [run.shares[place] for run in played]
    wrong = [_wrong_leads(shares, best=assumed.best) for shares in of_runs]
    return Moment(
        at_s=assumed.strata[place][0],
        units=assumed.units_per_second * assumed.strata[place][0],
        shares=tuple(fmean(arm) for arm in zip(*of_runs, strict=True)),
        wrong_leads=fmean(wrong) if len(assumed.best) < len(assumed.arms) else None,
    )


def _wrong_leads(shares: Sequence[float], *, best: frozenset[int]) -> bool:
    """Whether an arm that is not the best has more than each of the best ones; at equal shares nobody leads."""
    return max(shares) > max(shares[place] for place in best) + 1e-9


def _first(assumed: Assumed, run: Run, *, share: float) -> float | None:
    """When the best arms have a share for the first time."""
    for (start, _), shares in zip(assumed.strata, run.shares, strict=True):
        if math.fsum(shares[place] for place in assumed.best) >= share:
            return start
    return None


def _reached(times: Sequence[float | None]) -> Reached:
    """Quantiles over all runs, of which those that never have it come last: half of 4 runs is the second."""
    there = sorted(time for time in times if time is not None)

    def by(share: float) -> float | None:
        place = math.ceil(share * len(times)) - 1
        return there[place] if place < len(there) else None

    return Reached(by_end=len(there) / len(times), half_s=by(0.5), most_s=by(0.9))


def _verdicts(assumed: Assumed, played: Sequence[Run]) -> Verdicts:
    right = assumed.best if 0 not in assumed.best else frozenset()
    return Verdicts(
        best_wins=_reached([run.decided_s if run.won in right else None for run in played]),
        another_wins=fmean(run.won is not None and run.won not in right for run in played),
        no_effect=fmean(run.won is None and run.decided_s is not None for run in played),
    )
