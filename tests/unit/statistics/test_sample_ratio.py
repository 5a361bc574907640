import math

import numpy as np
import pytest

from slipway_statistics import sample_ratio
from slipway_statistics.sample_ratio import Split


def split(units: dict[str, int], slots: dict[str, int] | None = None) -> Split:
    return Split(slots=slots or {"control": 5000, "arm": 5000}, units=units)


def test_the_e_value_is_a_product_of_predictions() -> None:
    """Unit by unit: the share that the counts so far and 100 θ predict, over θ. It is the formula's own meaning, computed without gamma functions."""
    shares, counts, log_e = [0.7, 0.2, 0.1], [0, 0, 0], 0.0
    for arm in np.random.default_rng(3).integers(0, 3, 400):
        log_e += math.log((100 * shares[arm] + counts[arm]) / (100 + sum(counts)) / shares[arm])
        counts[arm] += 1
    assert sample_ratio.log_e_value(counts, shares) == pytest.approx(log_e)


def test_a_fair_split_says_nothing() -> None:
    found = sample_ratio.look([split({"control": 5010, "arm": 4990})])
    assert found.log_e_value < 0
    assert found.p == 1


def test_strata_multiply() -> None:
    parts = [split({"control": 5300, "arm": 4700}), split({"control": 1060, "arm": 940}, {"control": 2, "arm": 2})]
    alone = [sample_ratio.look([part]) for part in parts]
    assert sample_ratio.look(parts).log_e_value == pytest.approx(sum(one.log_e_value for one in alone))


def test_slots_that_wait_are_no_arm_and_a_ramp_is_no_fault() -> None:
    """2 % beside 50 % of control, then half and half: added up, the arm has too few; stratum by stratum it has what it was given."""
    ramp = [
        split({"control": 25_000, "arm": 1000}, {"control": 5000, "arm": 200}),
        split({"control": 5000, "arm": 5000}),
    ]
    assert sample_ratio.look(ramp).p == 1
    assert sample_ratio.look([split({"control": 30_000, "arm": 6000})]).p < 1e-9


def test_p_is_the_least_so_far() -> None:
    assert sample_ratio.look([split({"control": 5, "arm": 5})], before=0.0004).p == 0.0004
    assert sample_ratio.look([split({"control": 9, "arm": 5_000})], before=0.5).p == pytest.approx(0, abs=1e-9)


def test_units_without_slots_are_refused() -> None:
    with pytest.raises(ValueError, match="units came to arm, without slots"):
        sample_ratio.look([Split(slots={"control": 10_000, "arm": 0}, units={"control": 3, "arm": 1})])


def test_the_smallest_loss_would_just_be_seen() -> None:
    """A loss of that size, as counts, has an e-value of 1/alpha; one of nine tenths of it has not."""
    found = sample_ratio.look([split({"control": 20_000, "arm": 20_000})], alpha=0.001)
    assert found.smallest_loss is not None
    for factor, seen in ((1.001, True), (0.9, False)):
        left = 1 - factor * found.smallest_loss
        counts = {"control": round(40_000 / (1 + left)), "arm": round(40_000 * left / (1 + left))}
        assert (sample_ratio.look([split(counts)]).log_e_value >= math.log(1000)) is seen


def test_the_smallest_loss_is_that_of_the_arm_in_which_it_is_hardest_to_see() -> None:
    """The arm has two in a hundred: half of its units may go before it shows, a tenth of control's would show."""
    slots = {"control": 9800, "arm": 200}
    found = sample_ratio.look([split({"control": 9800, "arm": 200}, slots)]).smallest_loss
    assert found is not None
    for lost, seen in ((found * 0.95, False), (found * 1.05, True)):
        fair = 10_000 / (9800 + 200 * (1 - lost))
        counts = {"control": round(9800 * fair), "arm": round(200 * (1 - lost) * fair)}
        assert (sample_ratio.look([split(counts, slots)]).log_e_value >= math.log(1000)) is seen


def test_the_smallest_loss_shrinks_and_is_nothing_at_first() -> None:
    sizes = [sample_ratio.look([split({"control": n, "arm": n})]).smallest_loss for n in (1, 1000, 10_000, 100_000)]
    assert sizes[0] is None
    rest = [size for size in sizes if size is not None]
    assert len(rest) == 3
    assert sorted(rest, reverse=True) == rest
    assert sample_ratio.look([]).smallest_loss is None


def first_seen(share: float, *, alpha: float, runs: int, most: int, seed: int) -> list[float]:
    """Units until 1/e ≤ alpha, looked at after every hundredth; infinite where it never is. Arm has ``share`` of them, half expected."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(runs):
        arm = np.cumsum(random.binomial(100, share, most // 100))
        looks = (100 * (place + 1) for place in range(len(arm)))
        seen = (n for n, ours in zip(looks, arm.tolist(), strict=True) if sample_ratio.log_e_value([n - ours, ours], [0.5, 0.5]) >= -math.log(alpha))
        found.append(next(seen, math.inf))
    return found


def test_a_loss_of_five_in_a_hundred_is_seen_after_25600_units() -> None:
    """Of the units of one arm, alpha 0.001: the median that is published with the design; 15 % either way is what 200 runs may be off."""
    found = sorted(first_seen(0.95 / 1.95, alpha=0.001, runs=200, most=100_000, seed=5))
    assert found[100] == pytest.approx(25_600, rel=0.15)


def test_fifty_two_to_forty_eight_is_caught() -> None:
    """Published: 98 % by 20,000 units, with a median of 7,200, at alpha 0.01."""
    found = sorted(first_seen(0.52, alpha=0.01, runs=200, most=20_000, seed=6))
    assert sum(math.isfinite(n) for n in found) >= 188
    assert found[100] == pytest.approx(7200, rel=0.15)


def test_false_alarms_are_rare() -> None:
    """Nominal 0.01 over 20,000 units: at most 8 of 300 in 99 of 100 simulations."""
    found = first_seen(0.5, alpha=0.01, runs=300, most=20_000, seed=7)
    assert sum(math.isfinite(n) for n in found) <= 8
