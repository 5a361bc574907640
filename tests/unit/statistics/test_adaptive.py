import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import adaptive, bandit, record, sequences, sums, verdict
from slipway_statistics.adaptive import Look, Moves, Reward
from slipway_statistics.bandit import Bandit, Rewards, Rules, Scores
from slipway_statistics.experiment import Design, Joins, Memory, Metric, Observed, Step
from slipway_statistics.sums import Sums
from slipway_statistics.verdict import Finding

CONVERSION = Metric(name="conversion", kind="Proportion", role="Primary", planned_units_per_arm=5000, minimum_effect=0.01)
DESIGN = Design(arms=("control", "one", "two"), metrics=(CONVERSION,))
TWO = dataclasses.replace(DESIGN, arms=("control", "one"))
RULES = Rules(floor=0.1, step=0.2)

Batch = Mapping[str, Sums]
"""Sums by arm."""


def converted(units: int, good: int) -> Sums:
    return Sums(units=units, totals=(good, 0), products=(good, 0, 0))


def played(design: Design, batches: Sequence[tuple[Mapping[str, int], Batch]], **changes: Any) -> Observed:
    """Slots and sums of each stratum; all windows are closed, or there are none."""
    steps = tuple(
        Step(name=str(number), slots=slots, units={arm: of.units for arm, of in batch.items()})
        for number, (slots, batch) in enumerate(batches, start=1)
    )
    data = {"conversion": {arm: {str(number): batch[arm] for number, (_, batch) in enumerate(batches, start=1)} for arm in design.arms}}
    units = sum(sum(step.units.values()) for step in steps)
    found = Observed(elapsed_s=7200, steps=steps, closed=data, open=data, joins=Joins(units=units, in_two_arms=0))
    return dataclasses.replace(found, **changes)


def even(design: Design, units: int, **good: int) -> Observed:
    """One stratum, all arms alike."""
    return played(design, [(dict.fromkeys(design.arms, 1000), {arm: converted(units, good.get(arm, units // 10)) for arm in design.arms})])


def told(look: Look) -> tuple[str, list[str]]:
    return look.said.verdict, [finding.reason for finding in look.said.findings]


def kept(look: Look) -> Look:
    """The same, if JSON keeps both of its parts."""
    written = json.loads(json.dumps({"said": record.write(look.said), "bandit": record.write(look.moves)}, allow_nan=False))
    assert (record.read(verdict.Look, written["said"]), record.read(Moves, written["bandit"])) == (look.said, look.moves)
    return look


CASES: list[tuple[Reward, str, float | None]] = [
    (reward, better, half_life) for reward in ("Beta", "Normal") for better in ("Higher", "Lower") for half_life in (None, 900.0)
]


@pytest.mark.parametrize(("reward", "better", "half_life"), CASES)
def test_strata_say_what_batch_after_batch_said(reward: Reward, better: Any, half_life: float | None) -> None:
    """A bandit that is played forward and remembers, its shares made whole slots; and at each look the same from the strata alone."""
    rules = Rules(floor=0.1, step=0.2, half_life=half_life)
    metric = dataclasses.replace(CONVERSION, better=better, kind="Proportion" if reward == "Beta" else "Mean")
    design = dataclasses.replace(DESIGN, metrics=(metric,))
    draw, batches, played_on, moved = np.random.default_rng(71), [], Bandit.of(3), 0
    for _ in range(12):
        slots = adaptive.slots(dict(zip(design.arms, played_on.shares, strict=True)), total=9000, floor=rules.floor)
        shares = tuple(each / 9000 for each in slots.values())
        batch = {
            arm: values(draw, int(900 * share), mean=mean, reward=reward)
            for arm, share, mean in zip(design.arms, shares, (0.1, 0.2, 0.3), strict=True)
        }
        batches.append((slots, batch))
        before = dataclasses.replace(played_on, shares=shares)
        played_on = before.after([rewards(of, reward=reward) for of in batch.values()], rules=rules, best=best_of(reward, better))
        found = adaptive.look(design, played(design, batches), rules=rules, reward=reward).moves
        assert tuple(found.shares.values()) == pytest.approx(shares)
        assert tuple(found.next_shares.values()) == pytest.approx(played_on.shares)
        assert (found.lacks is None) == (played_on.lacks(rules) is None)
        moved += played_on.shares != shares
    assert moved >= 11
    assert (played_on.shares[2] > 0.5) == (better == "Higher"), "it follows the better arm"


def values(draw: np.random.Generator, units: int, *, mean: float, reward: Reward) -> Sums:
    if reward == "Beta":
        return converted(units, int(draw.binomial(units, mean)))
    return sums.of_units([(value,) for value in draw.normal(mean, 0.2, units).tolist()])


def rewards(of: Sums, *, reward: Reward) -> Rewards:
    """Every unit with some outcome of a normal counts as a conversion here, so that none lacks any."""
    return Rewards(units=of.units, conversions=of.totals[0] if reward == "Beta" else of.units, total=of.totals[0], squares=of.products[0])


def best_of(reward: Reward, better: str) -> Callable[[Sequence[Rewards]], tuple[float, ...]]:
    """By another way than the package's: of all arms less one the same probability of being best, of the values turned round."""
    if reward == "Beta":
        turned: Callable[[Rewards], Rewards] = lambda arm: Rewards.of_conversions(arm.units, arm.units - arm.total)  # noqa: E731
        return lambda arms: bandit.beta([arm if better == "Higher" else turned(arm) for arm in arms])
    return lambda arms: bandit.normal([arm if better == "Higher" else dataclasses.replace(arm, total=-arm.total) for arm in arms])


def test_scores_are_those_of_batch_after_batch() -> None:
    """Interval and evidence, by the formulas; a batch in which an arm had less than a tenth is not scored."""
    slots = [{"control": 500, "one": 300, "two": 200}, {"control": 800, "one": 190, "two": 10}, {"control": 200, "one": 500, "two": 300}]
    batches = [(given, {arm: converted(each, each // rate) for (arm, each), rate in zip(given.items(), (10, 8, 7), strict=True)}) for given in slots]
    found = adaptive.look(DESIGN, played(DESIGN, batches), rules=RULES, reward="Beta").moves.scores
    for place, (arm, scored) in enumerate((("one", (0, 1, 2)), ("two", (0, 2))), start=1):
        scores = Scores(control=0, treatment=place)
        for number in scored:
            given, batch = batches[number]
            scores = scores.after([rewards(of, reward="Beta") for of in batch.values()], shares=[each / 1000 for each in given.values()])
        one, u = found[arm], sequences.kappa(0.025) * 1000 * len(scored) / 15_000
        assert one is not None
        reach = math.sqrt(2 * (u + 1) / u * math.log(math.sqrt(u + 1) / 0.025)) * one.standard_error
        assert (one.units, one.estimate, one.information) == pytest.approx((scores.units, scores.estimate, u))
        assert one.standard_error == pytest.approx(math.sqrt((scores.squares / scores.units - scores.estimate**2) / scores.units))
        assert (one.lower, one.upper) == pytest.approx((one.estimate - reach, one.estimate + reach))


@pytest.mark.parametrize(
    ("of", "expected", "winner"),
    [
        (even(DESIGN, 5000, two=750), ("Winning", ["Better"]), "two"),
        (even(DESIGN, 5000, one=700, two=750), ("Winning", ["Better"]), "two"),
        (even(DESIGN, 5000), ("Collecting", ["NotClear"]), None),
        (even(DESIGN, 100_000), ("NoPracticalEffect", ["WithinMinimumEffect"]), None),
        (even(DESIGN, 5000, one=250, two=750), ("Harmful", ["PrimaryHarm"]), None),
        (even(DESIGN, 90, two=40), ("InsufficientData", ["TooFewUnits"]), None),
        (dataclasses.replace(even(DESIGN, 5000), elapsed_s=1e9), ("Inconclusive", ["MaxDuration", "NotClear"]), None),
        (dataclasses.replace(even(DESIGN, 5000, two=750), memory=Memory(sample_ratio=1e-4)), ("Unhealthy", ["SampleRatio"]), None),
    ],
)
def test_verdicts(of: Observed, expected: tuple[str, list[str]], winner: str | None) -> None:
    look = kept(adaptive.look(DESIGN, of, rules=RULES, reward="Beta"))
    assert (told(look), look.said.winner) == (expected, winner)


def test_a_win_is_read_from_scores_and_not_from_strata_averaged() -> None:
    """Six batches, nine units of control for one of the arm, 10 % and 15 %: the one interval has left zero, the other has not."""
    batch = {"control": converted(900, 90), "one": converted(100, 15)}
    of = played(TWO, [({"control": 900, "one": 100}, batch)] * 6)
    look = adaptive.look(TWO, of, rules=RULES, reward="Beta")
    assert (verdict.look(TWO, of).verdict, look.said.verdict) == ("Collecting", "Winning")
    evidence, scored = look.said.arms["one"].evidence, look.moves.scores["one"]
    assert evidence is not None
    assert scored is not None
    assert evidence == scored.evidence
    assert look.said.arms["one"].p == pytest.approx(min(1.0, math.exp(-evidence.log_e_value)))
    assert look.said.memory.primary == {"one": look.said.arms["one"].p}


@pytest.mark.parametrize("floor", [0.0, 0.05, 0.09])
def test_below_a_floor_of_a_tenth_nothing_wins_and_harm_still_stops(floor: float) -> None:
    rules = Rules(floor=floor)
    look = kept(adaptive.look(TWO, even(TWO, 20_000, one=4000), rules=rules, reward="Beta"))
    assert (told(look), look.moves.scores) == (("Collecting", ["FloorTooLow"]), {"one": None})
    assert look.said.findings == (Finding(reason="FloorTooLow"),)
    assert told(adaptive.look(TWO, even(TWO, 100_000), rules=rules, reward="Beta")) == ("Collecting", ["FloorTooLow"])
    assert told(adaptive.look(TWO, even(TWO, 20_000, one=1000), rules=rules, reward="Beta")) == ("Harmful", ["PrimaryHarm"])
    assert look.moves.next_shares["one"] > 0.5, "the shares follow the reward all the same"


def test_where_less_is_better() -> None:
    design = dataclasses.replace(TWO, metrics=(dataclasses.replace(CONVERSION, better="Lower"),))
    look = adaptive.look(design, even(design, 5000, one=300), rules=RULES, reward="Beta")
    assert (look.said.winner, look.moves.next_shares["one"] > 0.5) == ("one", True)
    assert told(adaptive.look(design, even(design, 5000, one=800), rules=RULES, reward="Beta"))[0] == "Harmful"


def test_units_in_two_arms_are_what_a_bandit_makes() -> None:
    of = dataclasses.replace(even(TWO, 5000), joins=Joins(units=10_000, in_two_arms=4000))
    assert told(adaptive.look(TWO, of, rules=RULES, reward="Beta")) == ("Collecting", ["NotClear"])
    assert verdict.look(TWO, of).verdict == "Unhealthy"


def test_each_stratum_has_a_split_of_its_own() -> None:
    """3:1 of slots 1:1 is unhealthy, of slots 3:1 it is not; in a stratum that is not the live one."""
    three_to_one = {"control": converted(3000, 300), "one": converted(1000, 100)}
    one_to_one = ({"control": 500, "one": 500}, {"control": converted(2000, 200), "one": converted(2000, 200)})
    for slots, expected in (({"control": 750, "one": 250}, "Collecting"), ({"control": 500, "one": 500}, "Unhealthy")):
        look = adaptive.look(TWO, played(TWO, [(slots, three_to_one), one_to_one]), rules=RULES, reward="Beta")
        assert look.said.verdict == expected
        assert (look.moves.lacks == "Unhealthy") == (expected == "Unhealthy")


def test_shares_stay_where_the_split_is_broken_even_if_an_arm_is_harmful() -> None:
    of = dataclasses.replace(even(DESIGN, 5000, one=250, two=750), memory=Memory(sample_ratio=1e-4))
    look = adaptive.look(DESIGN, of, rules=RULES, reward="Beta")
    assert (look.said.verdict, look.moves.lacks) == ("Harmful", "Unhealthy")
    assert look.moves.next_shares == look.moves.shares


@pytest.mark.parametrize(
    ("of", "lacks"),
    [
        (even(TWO, 99, one=60), "TooFewUnits"),
        (even(TWO, 1000, one=9), "TooFewConversions"),
        (dataclasses.replace(even(TWO, 5000, one=700), unresolved_caps=("conversion",)), "CapUnresolved"),
        (played(TWO, []), "TooFewUnits"),
    ],
)
def test_shares_stay_while_something_lacks(of: Observed, lacks: str) -> None:
    moves = kept(adaptive.look(TWO, of, rules=RULES, reward="Beta")).moves
    assert (moves.lacks, moves.next_shares) == (lacks, {"control": 0.5, "one": 0.5})


def test_a_mean_of_either_sign_waits_for_units_only() -> None:
    """As many at +1 as at -1 are no events at all."""
    design = dataclasses.replace(TWO, metrics=(dataclasses.replace(CONVERSION, kind="Mean"),))
    nothing = sums.of_units([(1,), (-1,)] * 100)
    moves = adaptive.look(
        design, played(design, [({"control": 500, "one": 500}, {"control": nothing, "one": nothing})]), rules=RULES, reward="Normal"
    ).moves
    assert moves.lacks is None
    assert moves.next_shares == pytest.approx({"control": 0.5, "one": 0.5})


def test_what_is_too_old_to_count_moves_nothing() -> None:
    """With a half-life of ten units 200 units leave a millionth of those before; the arm had no closed unit since."""
    first = {"control": converted(500, 50), "one": converted(500, 50)}
    of = played(TWO, [({"control": 500, "one": 500}, first), ({"control": 999, "one": 1}, {"control": converted(200, 20), "one": converted(0, 0)})])
    for reward in ("Beta", "Normal"):
        assert adaptive.look(TWO, of, rules=Rules(half_life=10), reward=reward).moves.lacks == "TooFewUnits"


def test_an_arm_that_was_stopped_has_no_share_and_says_nothing() -> None:
    """Its units stay in the batches that the others were split beside: the scores of the others are the same as if it went on."""
    of = even(DESIGN, 5000, one=700, two=300)
    whole, stopped = (adaptive.look(DESIGN, dataclasses.replace(of, stopped=arms), rules=RULES, reward="Beta") for arms in ((), ("two",)))
    assert set(stopped.moves.shares) == set(stopped.moves.next_shares) == {"control", "one"}
    assert stopped.moves.shares == {"control": 0.5, "one": 0.5}
    assert stopped.moves.scores == {"one": whole.moves.scores["one"]}
    assert (told(whole)[0], stopped.said.winner) == ("Harmful", "one")
    over = adaptive.look(DESIGN, dataclasses.replace(of, stopped=("one", "two")), rules=RULES, reward="Beta")
    assert (told(over), over.moves.next_shares) == (("Harmful", ["ArmsStopped"]), {"control": 1.0})


def test_a_look_can_be_made_again_from_what_was_kept() -> None:
    of = even(DESIGN, 5000, one=700)
    look = adaptive.look(DESIGN, of, rules=Rules(floor=0.15, half_life=5000), reward="Beta")
    written = json.loads(json.dumps({"design": record.write(DESIGN), "observed": record.write(of), "bandit": record.write(look.moves)}))
    moves = record.read(Moves, written["bandit"])
    again = adaptive.look(record.read(Design, written["design"]), record.read(Observed, written["observed"]), rules=moves.rules, reward=moves.reward)
    assert again == look


@pytest.mark.parametrize(
    ("kind", "reward", "message"),
    [
        ("Mean", "Beta", "a reward of the kind Beta is a proportion of units, not a mean"),
        ("Ratio", "Beta", "a reward of the kind Beta is a proportion of units, not a ratio"),
        ("Ratio", "Normal", "a reward of the kind Normal is a mean or a proportion of units, not a ratio"),
    ],
)
def test_rewards_of_another_kind(kind: Any, reward: Reward, message: str) -> None:
    design = dataclasses.replace(TWO, metrics=(dataclasses.replace(CONVERSION, kind=kind),))
    with pytest.raises(ValueError, match=message):
        adaptive.look(design, played(TWO, []), rules=RULES, reward=reward)


def test_floors_that_do_not_fit_are_told_at_the_first_look() -> None:
    with pytest.raises(ValueError, match=r"3 arms cannot have at least 0\.4 each"):
        adaptive.look(DESIGN, played(DESIGN, []), rules=Rules(floor=0.4), reward="Beta")


@st.composite
def shares_above(draw: st.DrawFn) -> tuple[dict[str, float], float]:
    weights = draw(st.lists(st.floats(0.001, 1), min_size=1, max_size=6))
    floor = draw(st.floats(0, 1)) / len(weights) * 0.9
    shares = bandit.floored([one / sum(weights) for one in weights], floor=floor)
    return {str(number): share for number, share in enumerate(shares)}, floor


@given(given=shares_above(), total=st.integers(1000, 10_000))
def test_slots_are_the_shares_and_keep_the_floor(given: tuple[dict[str, float], float], total: int) -> None:
    shares, floor = given
    found = adaptive.slots(shares, total=total, floor=floor)
    assert sum(found.values()) == total
    assert min(found.values()) / total >= floor - 1e-9
    # A floor that is no whole number of slots is rounded up, for each arm at most by one, and somebody pays for it.
    assert all(abs(of - shares[arm] * total) <= len(shares) for arm, of in found.items())


@pytest.mark.parametrize(
    ("shares", "total", "floor", "expected"),
    [
        ({"a": 0.55, "b": 0.35, "c": 0.1}, 10, 0.0, {"a": 6, "b": 3, "c": 1}),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, 10_000, 0.1, {"a": 3334, "b": 3333, "c": 3333}),
        ({"a": 0.9, "b": 0.1}, 9999, 0.1, {"a": 8999, "b": 1000}),
        ({"a": 0.5, "b": 0.5}, 10_000, 0.0, {"a": 5000, "b": 5000}),
        ({"a": 1.0}, 7, 0.1, {"a": 7}),
    ],
)
def test_slots_by_hand(shares: dict[str, float], total: int, floor: float, expected: dict[str, int]) -> None:
    assert adaptive.slots(shares, total=total, floor=floor) == expected


@pytest.mark.parametrize(
    ("shares", "total", "floor", "message"),
    [
        ({"a": 0.5, "b": 0.6}, 10, 0.0, "1 together"),
        ({"a": -0.1, "b": 1.1}, 10, 0.0, "0 or more"),
        ({}, 10, 0.0, "1 together"),
        ({"a": 0.4, "b": 0.3, "c": 0.3}, 4, 0.3, "4 slots are too few for 3 arms with 2 each"),
    ],
)
def test_slots_that_cannot_be_given(shares: dict[str, float], total: int, floor: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        adaptive.slots(shares, total=total, floor=floor)
