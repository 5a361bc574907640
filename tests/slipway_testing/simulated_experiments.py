"""Experiments that never ran, looked at by the real ``verdict.look``: looks as the operator appends them to the ledger.

Every number of a unit is a draw, so two runs of a seed are the same and a difference between arms is one that a person put there. Units come evenly
over time; windows close a fixed number of looks after the unit came.
"""

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from slipway_statistics import adaptive, ratios, record, verdict
from slipway_statistics.bandit import Rules
from slipway_statistics.counts import BUCKETS, Counts
from slipway_statistics.experiment import Design, Joins, Memory, Metric, Observed, Step
from slipway_statistics.sums import Sums

BEGIN = datetime(2026, 11, 1, 8, tzinfo=UTC)
EVERY_S = 3600
"""Between two looks."""

CONVERSION = Metric(name="conversion", kind="Proportion", role="Primary", planned_units_per_arm=14_749, minimum_effect=0.005)
ERRORS = Metric(name="error-rate", kind="Proportion", role="Guardrail", better="Lower", planned_units_per_arm=14_000, margin=0.005)
ROUTED_ERRORS = dataclasses.replace(ERRORS, kind="Ratio", source="Router")
ROUTED_LATENCY = dataclasses.replace(ROUTED_ERRORS, name="latency-p95", margin=0.0)
REVENUE = Metric(name="revenue", kind="Mean", role="Secondary", planned_units_per_arm=14_749)
CLICKS = Metric(name="ctr", kind="Ratio", role="Observe", planned_units_per_arm=14_749)
METRICS = (CONVERSION, ERRORS, REVENUE, CLICKS)


@dataclass(frozen=True, kw_only=True)
class Story:
    """What is true of an experiment, and how it runs."""

    arms: tuple[str, ...] = ("control", "v8")
    rates: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Conversion by arm; 0.1 where it is missing."""

    errors: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Error rate by arm; 0.01 where it is missing."""

    base: Sequence[float] = (1.0,)
    """By step of the ramp, what conversion rates are multiplied with: the last one from then on."""

    ramp: Sequence[tuple[int, int]] = ((20, 12), (50, 10**9))
    """Per cent of the units that treatments have together, and for how many looks."""

    units_per_look: int = 1200
    looks: int = 120
    window_looks: int = 4
    losing: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Share of an arm's exposures that go missing."""

    metrics: tuple[Metric, ...] = METRICS
    experiment: str = "shop/ranker-v8"
    bandit: Rules | None = None
    """Of a bandit, whose shares go where the rules say at every look; the ramp is not asked then."""

    routed: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Share of bad requests by arm, as routers count them; where there is none they count nothing."""

    goes_on: bool = False
    """Whether it goes on after a decision, as nothing does in a cluster."""

    @property
    def design(self) -> Design:
        """As the operator would freeze it."""
        return Design(
            arms=self.arms,
            metrics=self.metrics,
            minimum_units_per_arm=1000,
            minimum_duration_s=24 * EVERY_S,
            maximum_duration_s=self.looks * EVERY_S,
        )


WIN = Story(rates={"v8": 0.12})
ALIKE = Story()
HARM = Story(rates={"v8": 0.05})
UNHEALTHY = Story(losing={"v8": 0.1})
THREE = Story(arms=("control", "v8", "v9"), rates={"v8": 0.125, "v9": 0.06}, units_per_look=2400)
SIMPSON = Story(rates={"v8": 0.1}, base=(2.0, 0.5), ramp=((2, 40), (50, 10**9)), units_per_look=3000, goes_on=True)
BANDIT = Story(arms=("control", "v8", "v9"), rates={"v8": 0.13, "v9": 0.09}, bandit=Rules(floor=0.1), units_per_look=2400, looks=60)
ROUTED = Story(
    rates={"v8": 0.12},
    metrics=(CONVERSION, ROUTED_ERRORS, ROUTED_LATENCY, REVENUE),
    routed={"control": 0.01, "v8": 0.011},
    looks=30,
)
STORIES = {"win": WIN, "alike": ALIKE, "harm": HARM, "unhealthy": UNHEALTHY, "three": THREE, "simpson": SIMPSON, "bandit": BANDIT, "routed": ROUTED}


def looks(story: Story, *, seed: int = 1) -> list[dict[str, Any]]:
    """All looks of an experiment, as JSON gives them, until it is decided."""
    return list(_looks(story, random=random.Random(seed)))  # noqa: S311


def many(number: int) -> list[dict[str, Any]]:
    """As many looks of one experiment, in seconds: real ones, with the time, the number and the ends of intervals of later ones stretched over it."""
    told = looks(dataclasses.replace(ALIKE, looks=200, goes_on=True))
    found = []
    for place in range(number):
        one = told[place * len(told) // number]
        elapsed_s = one["observed"]["elapsedS"] + (place * len(told) / number % 1) * EVERY_S
        found.append(
            one | {"sequence": place + 1, "at": _at(elapsed_s), "observed": one["observed"] | {"elapsedS": elapsed_s}},
        )
    return found


def _looks(story: Story, *, random: random.Random) -> Iterator[dict[str, Any]]:
    design, run, memory = story.design, _Run(story=story, random=random), Memory()
    for number in range(1, story.looks + 1):
        run.advance(number)
        observed = run.observed(number, memory)
        said, moves = _look(design, observed, story=story)
        decision = _decision(said, final=len(run.stopped) + 1 == len(design.treatments))
        yield {
            "sequence": number,
            "at": _at(observed.elapsed_s),
            "version": 1,
            "experiment": story.experiment,
            "step": run.step(number) + 1,
            "percent": story.ramp[run.step(number)][0],
            "design": record.write(design),
            "observed": record.write(observed),
            "said": record.write(said),
            "decision": decision,
        } | ({} if moves is None else {"bandit": record.write(moves)})
        if moves is not None:
            run.share(moves)
        memory = said.memory
        if decision and decision["action"] == "StopArm":
            run.stop(decision["arm"])
        elif decision and not story.goes_on:
            return


def _look(design: Design, observed: Observed, *, story: Story) -> tuple[verdict.Look, adaptive.Moves | None]:
    if story.bandit is None:
        return verdict.look(design, observed), None
    found = adaptive.look(design, observed, rules=story.bandit, reward="Beta")
    return found.said, found.moves


def _decision(said: verdict.Look, *, final: bool) -> dict[str, Any] | None:
    if said.verdict == "Harmful":
        arm = next((name for name, arm in said.arms.items() if arm.verdict == "Harmful"), None)
        return {"action": "RollBack" if final else "StopArm", "arm": arm}
    return {
        "Winning": {"action": "Promote", "arm": said.winner},
        "NoPracticalEffect": {"action": "KeepControl", "arm": None},
        "Inconclusive": {"action": "KeepControl", "arm": None},
        "Unhealthy": {"action": "Hold", "arm": None},
    }.get(said.verdict)


@dataclass
class _Run:
    """What happened so far, by arm and stratum."""

    story: Story
    random: random.Random
    stopped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.slots: dict[str, dict[str, int]] = {}
        self.units: dict[str, dict[str, int]] = {}
        self.shares: dict[str, float] | None = None
        self.moved = 0
        self.counted_in = ""
        self.counts: dict[str, Counts] = {}
        self.arrived: list[tuple[str, dict[str, dict[str, Sums]]]] = []

    def step(self, number: int) -> int:
        left = number
        for place, (_, lasts) in enumerate(self.story.ramp):
            if left <= lasts:
                return place
            left -= lasts
        return len(self.story.ramp) - 1

    def stop(self, arm: str) -> None:
        self.stopped = (*self.stopped, arm)

    def share(self, moves: adaptive.Moves) -> None:
        """Divide the slots anew."""
        self.moved += moves.next_shares != moves.shares
        self.shares = dict(moves.next_shares)

    def _slots(self, step: int) -> dict[str, int]:
        """Of control and of the arms that were not stopped."""
        story = self.story
        if story.bandit is not None:
            shares = self.shares or dict.fromkeys(story.arms, 1 / len(story.arms))
            playing = {arm: share for arm, share in shares.items() if arm not in self.stopped}
            whole = sum(playing.values())
            return adaptive.slots({arm: share / whole for arm, share in playing.items()}, total=10_000, floor=story.bandit.floor)
        each = round(10_000 * story.ramp[step][0] / 100 / len(story.arms[1:]))
        control = 10_000 - round(10_000 * max(share for share, _ in story.ramp) / 100)
        return {story.arms[0]: control} | {arm: each for arm in story.arms[1:] if arm not in self.stopped}

    def advance(self, number: int) -> None:
        """The units of one look's time, with all that they will ever do."""
        story, step = self.story, self.step(number)
        slots = self._slots(step)
        name = str(step + 1 + len(self.stopped) + self.moved)
        self.slots.setdefault(name, slots)
        counts = self.units.setdefault(name, dict.fromkeys(slots, 0))
        base = story.base[min(step, len(story.base) - 1)]
        cohort = {}
        for arm, share in slots.items():
            size = round(story.units_per_look * share / 10_000)
            if arm in story.losing:
                size = sum(self.random.random() >= story.losing[arm] for _ in range(size))
            counts[arm] += size
            cohort[arm] = self._units(size, rate=base * story.rates.get(arm, 0.1), errors=story.errors.get(arm, 0.01))
        self.arrived.append((name, cohort))
        if self.story.routed:
            self._count(number, name, slots)

    def _count(self, number: int, stratum: str, slots: Mapping[str, int]) -> None:
        """Three requests a unit, in the blocks of four seconds of one look's time; routers begin anew in each stratum."""
        if stratum != self.counted_in:
            self.counted_in, self.counts = stratum, {}
        for arm, share in slots.items():
            before = self.counts.get(arm, Counts())
            buckets, blocks = [list(cell) for cell in before.buckets], {block: list(cell) for block, cell in before.blocks.items()}
            for _ in range(3 * round(self.story.units_per_look * share / 10_000)):
                bad = int(self.random.random() < self.story.routed[arm])
                block = (number * EVERY_S + self.random.randrange(200)) // before.block_seconds
                for cell in (buckets[self.random.randrange(BUCKETS)], blocks.setdefault(block, [0, 0, 0])):
                    cell[0] += 1
                    cell[1] += bad
            self.counts[arm] = Counts(
                buckets=tuple((requests, bad, slow) for requests, bad, slow in buckets),
                blocks={block: (requests, bad, slow) for block, (requests, bad, slow) in blocks.items()},
            )

    def _routed(self) -> dict[str, dict[str, ratios.Look]]:
        """Of errors alone: nobody has said yet where the 95th percentile is."""
        if not self.story.routed:
            return {}
        design = self.story.design
        alpha = design.alpha_of_stratum(ROUTED_ERRORS, strata=len(self.story.ramp))
        control = self.counts[design.control]
        return {
            ROUTED_ERRORS.name: {
                arm: ratios.look(counts, control, outcome="bad", max_increase=ROUTED_ERRORS.margin or 0.0, alpha=alpha)
                for arm, counts in self.counts.items()
                if arm != design.control
            }
        }

    def _units(self, size: int, *, rate: float, errors: float) -> dict[str, Sums]:
        bought = sum(self.random.random() < rate for _ in range(size))
        failed = sum(self.random.random() < errors for _ in range(size))
        spent = [round(self.random.expovariate(1 / 20), 2) for _ in range(bought)]
        seen = [self.random.randint(1, 6) for _ in range(size)]
        clicked = [sum(self.random.random() < rate / 2 for _ in range(most)) for most in seen]
        crossed = sum(map(lambda ours, theirs: ours * theirs, clicked, seen))
        return {
            "conversion": Sums(units=size, totals=(bought, 0), products=(bought, 0, 0)),
            "error-rate": Sums(units=size, totals=(failed, 0), products=(failed, 0, 0)),
            "revenue": Sums(units=size, totals=(sum(spent), 0), products=(sum(one * one for one in spent), 0, 0)),
            "ctr": Sums(
                units=size,
                totals=(sum(clicked), sum(seen), 0, 0),
                products=(sum(one * one for one in clicked), crossed, 0, 0, sum(one * one for one in seen), 0, 0, 0, 0, 0),
            ),
        }

    def observed(self, number: int, memory: Memory) -> Observed:
        closed = self.arrived[: max(0, number - self.story.window_looks)]
        units = sum(sum(counts.values()) for counts in self.units.values())
        return Observed(
            elapsed_s=float(number * EVERY_S),
            steps=tuple(Step(name=name, slots=slots, units=dict(self.units[name])) for name, slots in self.slots.items()),
            closed=self._sums(closed, of=[metric.name for metric in self.story.metrics if metric.source == "Outcomes"]),
            open=self._sums(self.arrived, of=["conversion"]),
            routed=self._routed(),
            joins=Joins(units=units, in_two_arms=units // 5000, newest_outcome_age_s=12.0),
            stopped=self.stopped,
            memory=memory,
        )

    def _sums(self, cohorts: Sequence[tuple[str, dict[str, dict[str, Sums]]]], *, of: Sequence[str]) -> dict[str, dict[str, dict[str, Sums]]]:
        found: dict[str, dict[str, dict[str, Sums]]] = {metric: {arm: {} for arm in self.story.arms} for metric in of}
        for name, cohort in cohorts:
            for arm, measured in cohort.items():
                for metric in of:
                    strata = found[metric][arm]
                    strata[name] = strata[name] + measured[metric] if name in strata else measured[metric]
        return found


def _at(elapsed_s: float) -> str:
    return (BEGIN + timedelta(seconds=elapsed_s)).isoformat().replace("+00:00", "Z")
