import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import bandit
from slipway_statistics.bandit import NONE, Bandit, FloorTooLow, Rewards, Rules, Scores

CONVERSIONS = st.tuples(st.integers(0, 5000), st.floats(0, 1)).map(lambda given: Rewards.of_conversions(given[0], round(given[0] * given[1])))


def log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def second_is_better(first: Rewards, second: Rewards) -> float:
    """For whole counts in closed form: Σ over i < a₂ of B(a₁+i, b₁+b₂) / ((b₂+i) B(1+i, b₂) B(a₁, b₁)) (E. Miller, 2013)."""
    a1, b1 = 1 + first.conversions, 1 + first.units - first.conversions
    a2, b2 = 1 + second.conversions, 1 + second.units - second.conversions
    terms = (log_beta(a1 + i, b1 + b2) - math.log(b2 + i) - log_beta(1 + i, b2) - log_beta(a1, b1) for i in range(int(a2)))
    return math.fsum(map(math.exp, terms))


@given(first=CONVERSIONS, second=CONVERSIONS)
def test_the_better_of_two_in_closed_form(first: Rewards, second: Rewards) -> None:
    assert bandit.beta([first, second]) == pytest.approx((1 - second_is_better(first, second), second_is_better(first, second)), abs=3e-4)


@pytest.mark.parametrize("of", [[(100, 5), (120, 9), (80, 2)], [(40, 20), (30, 18), (20, 11), (10, 6)], [(0, 0), (0, 0), (5000, 3000)]])
def test_the_best_of_several_against_draws(of: list[tuple[int, int]]) -> None:
    draws = np.random.default_rng(51).beta([1 + s for _, s in of], [1 + n - s for n, s in of], (400_000, len(of)))
    counted = np.bincount(draws.argmax(axis=1), minlength=len(of)) / len(draws)
    assert bandit.beta([Rewards.of_conversions(n, s) for n, s in of]) == pytest.approx(counted.tolist(), abs=4 * math.sqrt(0.25 / len(draws)))


def of_values(values: list[float]) -> Rewards:
    return Rewards(
        units=len(values), conversions=sum(map(bool, values)), total=math.fsum(values), squares=math.fsum(value * value for value in values)
    )


def test_the_best_of_normals_against_draws_of_mean_and_variance() -> None:
    """Variance first, from a scaled inverse χ², then the mean. The arms have one variance: the pooled one is larger for some and not for others."""
    draw = np.random.default_rng(52)
    arms = [draw.normal(mean, 1, size).tolist() for mean, size in ((0, 6), (0.2, 9), (0.5, 5))]
    pooled = sum((len(arm) - 1) * np.var(arm, ddof=1) for arm in arms) / sum(len(arm) - 1 for arm in arms)
    drawn = []
    for arm in arms:
        variance = (len(arm) - 1) * max(np.var(arm, ddof=1), pooled) / draw.chisquare(len(arm) - 1, 400_000)
        drawn.append(draw.normal(np.mean(arm), np.sqrt(variance / len(arm))))
    counted = np.bincount(np.argmax(drawn, axis=0), minlength=3) / 400_000
    assert bandit.normal([of_values(arm) for arm in arms]) == pytest.approx(counted.tolist(), abs=4 * math.sqrt(0.25 / 400_000))


def test_an_arm_that_has_not_met_its_large_outcomes_is_not_sure_to_be_poor() -> None:
    """100 units of nothing beside 10,000 of which one in a hundred brings 100: by its own variance of 0 it would be given up at once."""
    poor, other = bandit.normal([Rewards(units=100), Rewards(units=10_000, conversions=100, total=10_000, squares=1_000_000)])
    assert poor > 0.1
    assert poor + other == pytest.approx(1)


def test_outcomes_without_variance_leave_ties() -> None:
    same, more = Rewards(units=10, conversions=10, total=10, squares=10), Rewards(units=10, conversions=10, total=20, squares=40)
    assert bandit.normal([same, more, more]) == (0, 0.5, 0.5)


def test_a_mean_is_not_known_by_one_unit() -> None:
    with pytest.raises(ValueError, match="by 2 units at least, and there are 1"):
        bandit.normal([Rewards(units=1), Rewards(units=5)])


@given(arms=st.lists(CONVERSIONS, min_size=2, max_size=5))
def test_what_is_best_is_a_distribution_that_does_not_care_for_order(arms: list[Rewards]) -> None:
    found = bandit.beta(arms)
    assert math.fsum(found) == pytest.approx(1)
    assert all(one >= 0 for one in found)
    assert bandit.beta(arms[::-1]) == pytest.approx(found[::-1], abs=1e-9)


@st.composite
def steps(draw: st.DrawFn) -> tuple[tuple[float, ...], tuple[float, ...], float, float]:
    arms = draw(st.integers(2, 6))
    floor = draw(st.floats(0, 1)) / arms
    best, shares = (bandit.floored(_normalised(draw(st.lists(st.floats(0.001, 1), min_size=arms, max_size=arms))), floor=f) for f in (0, floor))
    return best, shares, min(floor, 0.5), draw(st.floats(0.01, 1))


def _normalised(values: list[float]) -> list[float]:
    return [value / sum(values) for value in values]


@given(given=steps())
def test_shares_stay_shares_above_the_floor_and_move_by_a_step_at_most(given: tuple[tuple[float, ...], tuple[float, ...], float, float]) -> None:
    best, shares, floor, step = given
    aim = bandit.floored(best, floor=floor)
    moved = bandit.toward(aim, shares=shares, step=step)
    assert math.fsum(moved) == pytest.approx(1)
    assert min(moved) >= floor - 1e-12
    assert max(abs(new - old) for new, old in zip(moved, shares, strict=True)) <= step + 1e-12
    # On the way: never past the aim, never away from it.
    assert all(min(old, to) - 1e-12 <= new <= max(old, to) + 1e-12 for new, old, to in zip(moved, shares, aim, strict=True))


def test_the_worked_lines() -> None:
    assert bandit.floored((0.9, 0.1), floor=0.1) == pytest.approx((0.82, 0.18))
    assert bandit.toward((0.9, 0.1), shares=(0.5, 0.5), step=0.2) == pytest.approx((0.7, 0.3))
    assert bandit.toward((0.6, 0.4), shares=(0.5, 0.5), step=0.2) == pytest.approx((0.6, 0.4))
    assert bandit.floored((0.1,) * 10, floor=0.1) == pytest.approx((0.1,) * 10)


def test_floors_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"11 arms cannot have at least 0\.1 each; 0\.0909 is the most"):
        bandit.floored((1 / 11,) * 11, floor=0.1)


RULES = Rules(floor=0.1, step=0.2)


def after(*batches: list[tuple[int, int]], rules: Rules = RULES) -> Bandit:
    state = Bandit.of(len(batches[0]))
    for batch in batches:
        state = state.after([Rewards.of_conversions(n, s) for n, s in batch], rules=rules, best=bandit.beta)
    return state


@pytest.mark.parametrize(
    ("batch", "lack"),
    [
        ([(99, 50), (500, 250)], "TooFewUnits"),
        ([(100, 9), (500, 250)], "TooFewConversions"),
        ([(99, 9), (99, 9)], "TooFewUnits"),
        ([(100, 10), (100, 10)], None),
    ],
)
def test_nothing_moves_before_enough_is_seen(batch: list[tuple[int, int]], lack: str | None) -> None:
    state = after(batch)
    assert state.lacks(RULES) == lack
    if lack:
        assert state.shares == (0.5, 0.5)


def test_shares_go_to_the_better_arm_step_by_step() -> None:
    batch = [(1000, 50), (1000, 100)]
    found = [after(*[batch] * times).shares[1] for times in (1, 2, 3, 4)]
    assert found[0] == pytest.approx(0.7)
    # 0.1 + 0.8 · best is as far as it goes with a floor of 0.1 for the other.
    assert found[1:] == pytest.approx([0.9] * 3, abs=1e-4)


def test_revenue_moves_shares_too() -> None:
    """Of 400 units an arm one in four buys, of the second arm for twice as much."""
    draw, state = np.random.default_rng(53), Bandit.of(2)
    for expected in (0.7, 0.9):
        batch = [of_values(np.where(draw.random(400) < 0.25, draw.gamma(2, scale, 400), 0.0).tolist()) for scale in (1, 2)]
        state = state.after(batch, rules=RULES, best=bandit.normal)
        assert state.shares[1] == pytest.approx(expected, abs=0.01)


def test_what_is_old_counts_half_after_a_half_life() -> None:
    state = after([(600, 60), (400, 40)], [(300, 3), (700, 7)], rules=dataclasses.replace(RULES, half_life=1000.0))
    assert state.seen == (Rewards.of_conversions(900, 63), Rewards.of_conversions(1100, 47))
    assert state.weighed == (Rewards.of_conversions(600, 33), Rewards.of_conversions(900, 27))


def test_with_a_half_life_a_change_is_found_sooner() -> None:
    before, now = [(5000, 300), (5000, 250)], [(5000, 250), (5000, 300)]
    batches = [before] * 6 + [now] * 3
    assert after(*batches).shares[1] < 0.3
    assert after(*batches, rules=dataclasses.replace(RULES, half_life=10_000.0)).shares[1] > 0.5


def test_a_batch_has_every_arm() -> None:
    with pytest.raises(ValueError, match="each of 2 arms, not of 3"):
        Bandit.of(2).after([NONE] * 3, rules=RULES, best=bandit.beta)


@pytest.mark.parametrize("rule", [{"floor": -0.1}, {"floor": 0.6}, {"step": 0.0}, {"step": 1.1}, {"half_life": 0.0}, {"half_life": -5.0}])
def test_rules_that_are_none(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"the floor is|the step of|a half-life is"):
        dataclasses.replace(Rules(), **rule)


def test_one_arm_is_no_bandit() -> None:
    with pytest.raises(ValueError, match="nothing to choose between 1 arms"):
        Bandit.of(1)


@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_scores_are_those_of_every_unit(seed: int, sizes: list[int]) -> None:
    """One by one, from the definition: m_B - m_A plus or minus (y - m)/share, m from the batches before."""
    draw = np.random.default_rng(seed)
    state, scores, history = Scores(control=2, treatment=0), [], ([], [], [])  # type: ignore[var-annotated]
    for size in sizes:
        shares = draw.dirichlet([3, 3, 3])
        arms, values = draw.choice(3, size, p=shares), draw.gamma(0.5, 2, size)
        means = [float(np.mean(one)) if one else 0.0 for one in history]
        for arm, value in zip(arms, values, strict=True):
            weighed = {0: 1, 1: 0, 2: -1}[int(arm)] * (value - means[int(arm)]) / shares[arm]
            scores.append(means[0] - means[2] + weighed)
        batch = []
        for arm in range(3):
            chosen = values[arms == arm].tolist()
            history[arm].extend(chosen)
            batch.append(of_values(chosen))
        state = state.after(batch, shares=shares.tolist())
    expected = (len(scores), math.fsum(scores), math.fsum(score**2 for score in scores), np.mean(scores))
    assert (state.units, state.total, state.squares, state.estimate) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_interval_of_scores_in_numbers() -> None:
    """By hand: N = 1,000, s² = 4 - 0.01, κ(0.05) = 7.936154, u = 3.968077: √(3.99/1000 · 4.968077/3.968077 · ln(4.968077/0.0025)) = 0.194792."""
    found = Scores(control=0, treatment=1, units=1000, total=100, squares=4000).interval(alpha=0.05, planned=2000)
    reach = math.sqrt(3.99 / 1000 * 4.968077 / 3.968077 * math.log(4.968077 / 0.0025))
    assert (found.lower, found.upper) == pytest.approx((0.1 - reach, 0.1 + reach), abs=1e-6)


def test_below_the_floor_there_is_no_verdict() -> None:
    batch = [Rewards.of_conversions(1800, 90), Rewards.of_conversions(200, 10)]
    enough = Scores(control=0, treatment=1).after(batch, shares=(0.9, 0.1))
    assert enough.interval(alpha=0.05, planned=2000).lower < 0
    with pytest.raises(FloorTooLow, match=r"share fell to 0\.0999, and below 0\.1 such intervals are wrong .* set the floor to 0\.1"):
        enough.after(batch, shares=(0.9001, 0.0999)).interval(alpha=0.05, planned=2000)


def test_before_any_unit_everything_is_possible() -> None:
    found = Scores(control=0, treatment=1).interval(alpha=0.05, planned=2000)
    assert (found.lower, found.upper) == (-math.inf, math.inf)


@pytest.mark.parametrize(("alpha", "planned"), [(0.0, 1.0), (1.0, 1.0), (0.05, 0.0)])
def test_what_no_interval_has(alpha: float, planned: float) -> None:
    with pytest.raises(ValueError, match=r"a probability of error is|towards a plan above 0"):
        Scores(control=0, treatment=1, units=10, squares=1).interval(alpha=alpha, planned=planned)


def test_an_arm_without_a_share_has_no_scores() -> None:
    with pytest.raises(ValueError, match="arm without a share"):
        Scores(control=0, treatment=1).after([NONE, NONE], shares=(1.0, 0.0))
