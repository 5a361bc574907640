import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway_statistics import latency, quantiles
from slipway_statistics.intervals import Interval
from slipway_statistics.quantiles import Quantile

PLANS = st.builds(Quantile, share=st.floats(0.05, 0.99), alpha=st.floats(0.001, 0.3), planned=st.integers(10, 10_000))


@given(quantile=PLANS, of=st.integers(1, 60))
def test_evidence_against_the_truth_is_one_on_average(quantile: Quantile, of: int) -> None:
    p = quantile.share
    terms = (math.comb(of, k) * p**k * (1 - p) ** (of - k) * math.exp(quantiles.log_evidence(k, of=of, quantile=quantile)) for k in range(of + 1))
    assert math.fsum(terms) == pytest.approx(1)


@given(quantile=PLANS, of=st.integers(0, 400))
def test_the_band_is_every_count_with_too_little_against_it(quantile: Quantile, of: int) -> None:
    limit = -math.log(quantile.alpha)
    kept = [k for k in range(of + 1) if quantiles.log_evidence(k, of=of, quantile=quantile) < limit]
    assert quantiles.band(of, quantile=quantile) == (kept[0], kept[-1])


def test_a_band_in_numbers() -> None:
    """Near the normal mixture's √(n p(1-p) (u+1)/u ln((u+1)/alpha²)) at n = 1,000, u = κ(0.05): 20.3 to either side of 950."""
    kappa = -2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))
    reach = math.sqrt(1000 * 0.95 * 0.05 * (kappa + 1) / kappa * math.log((kappa + 1) / 0.0025))
    assert quantiles.band(1000, quantile=Quantile(planned=1000)) == (928, 969)
    assert quantiles.band(1000, quantile=Quantile(planned=1000)) == pytest.approx((950 - reach, 950 + reach), abs=3)


@given(values=st.lists(st.integers(0, 20).map(float), max_size=80), quantile=PLANS)
def test_values_and_bins_say_the_same(values: list[float], quantile: Quantile) -> None:
    """Bin by bin and value by value, from the definition: a place is kept when a count it may have below is in the band."""
    fewest, most = quantiles.band(len(values), quantile=quantile)
    found = quantiles.of_values(sorted(values), quantile=quantile)
    for place in range(-1, 22):
        below, through = sum(value < place for value in values), sum(value <= place for value in values)
        # No value below all is a quantile of what has values, so ends are values.
        assert (place in found) == (through >= fewest and below <= most)
    binned = quantiles.of_latencies(Counter(100 + round(value) for value in values), quantile=quantile)
    expected_lower = 0.0 if found.lower == -math.inf else latency.edge_s(100 + round(found.lower))
    expected_upper = math.inf if found.upper == math.inf else latency.edge_s(101 + round(found.upper))
    assert binned == Interval(lower=expected_lower, upper=expected_upper)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_ends_have_as_many_values_below_as_the_band_says(share: float) -> None:
    values, quantile = [float(number * number) for number in range(1000)], Quantile(share=share, planned=1000)
    fewest, most = quantiles.band(1000, quantile=quantile)
    found = quantiles.of_values(values, quantile=quantile)
    assert 0 < sum(value <= found.lower for value in values) == fewest
    assert sum(value < found.upper for value in values) == most < 1000


def test_without_values_anything_is_possible() -> None:
    assert quantiles.of_values([], quantile=Quantile()) == Interval(lower=-math.inf, upper=math.inf)
    assert quantiles.of_latencies({}, quantile=Quantile()) == Interval(lower=0, upper=math.inf)
    assert quantiles.ratio({}, {100: 50}, quantile=Quantile()) == Interval(lower=0, upper=math.inf)


def test_values_in_the_end_bins_have_no_edge() -> None:
    assert quantiles.of_latencies({0: 1000}, quantile=Quantile()) == Interval(lower=0, upper=latency.edge_s(1))
    assert quantiles.of_latencies({479: 1000}, quantile=Quantile()) == Interval(lower=latency.edge_s(479), upper=math.inf)
    assert quantiles.ratio({0: 1000}, {100: 1000}, quantile=Quantile()).upper == math.inf
    assert quantiles.ratio({100: 1000}, {0: 1000}, quantile=Quantile()).lower == 0


COUNTS = st.dictionaries(st.integers(0, 479), st.integers(1, 200), min_size=1, max_size=12)


@settings(max_examples=25)
@given(control=COUNTS, treatment=COUNTS, quantile=PLANS)
def test_the_ratio_against_every_pair_of_bins(control: dict[int, int], treatment: dict[int, int], quantile: Quantile) -> None:
    """As an interval of ratios it has every pair of bins whose least evidence together is below 1/alpha, and none narrower does."""

    def least(counts: dict[int, int]) -> dict[int, float]:
        total, found = sum(counts.values()), {}
        for place in range(480):
            below, through = (sum(n for number, n in counts.items() if number < edge) for edge in (place, place + 1))
            found[place] = min(
                quantiles.log_evidence(k, of=total, quantile=quantile) for k in {below, through, *_around(quantile.share * total, below, through)}
            )
        return found

    ours, theirs = least(treatment), least(control)
    kept = [(i, j) for i in ours for j in theirs if ours[i] + theirs[j] < -math.log(quantile.alpha)]
    lower = 0.0 if any(i == 0 or j == 479 for i, j in kept) else 1.025 ** (min(i - j for i, j in kept) - 1)
    upper = math.inf if any(i == 479 or j == 0 for i, j in kept) else 1.025 ** (max(i - j for i, j in kept) + 1)
    found = quantiles.ratio(control, treatment, quantile=quantile)
    assert (found.lower, found.upper) == pytest.approx((lower, upper))


def test_the_e_value_of_equal_quantiles() -> None:
    """What the ratio leaves out, the e-value is sure of: 1 is outside of all ratios at an alpha exactly when e is 1/alpha for one bin."""
    draw = np.random.default_rng(63)
    control, treatment = of_bins(np.exp(draw.normal(-3, 0.5, 2000))), of_bins(1.3 * np.exp(draw.normal(-3, 0.5, 2000)))
    found = quantiles.log_e(control, treatment, quantile=Quantile(planned=2000))
    assert found == pytest.approx(quantiles.log_e(treatment, control, quantile=Quantile(planned=2000)))
    assert found > math.log(20)
    assert quantiles.log_e(control, control, quantile=Quantile(planned=2000)) < 0


def _around(aim: float, below: int, through: int) -> set[int]:
    return {whole for whole in range(math.floor(aim) - 1, math.ceil(aim) + 2) if below <= whole <= through}


def of_bins(values: np.ndarray) -> Counter[int]:
    return Counter(np.minimum(np.log(values / 0.0005) // math.log(1.025), 479).astype(int).tolist())


def test_the_truth_is_inside_at_every_look_and_a_slower_arm_is_seen() -> None:
    """Log-normal latencies with a heap of equal values, 25 looks. Of 100 at 0.05, 12 are outside once in a hundred times."""
    draw, quantile = np.random.default_rng(61), Quantile(planned=2000)
    outside = {"control": 0, "ratio": 0}
    for _ in range(100):
        control, treatment = np.exp(draw.normal(-3, 0.5, 2500)), 1.5 * np.exp(draw.normal(-3, 0.5, 2500))
        heap = draw.random(2500) < 0.3
        # Three in ten take exactly 0.1 s in one arm, 0.15 s in the other: the ratio of any quantile stays 1.5.
        control[heap], treatment[heap] = 0.1, 0.15
        missed = {"control": False, "ratio": False}
        truth = 0.1 if 0.7 * normal_below(math.log(0.1)) + 0.3 > 0.95 else math.exp(-3 + 0.5 * upper_quantile(0.05 / 0.7))
        for size in range(100, 2501, 100):
            counted, other = of_bins(control[:size]), of_bins(treatment[:size])
            missed["control"] |= truth not in quantiles.of_latencies(counted, quantile=quantile)
            if size % 500 == 0:
                missed["ratio"] |= 1.5 not in quantiles.ratio(counted, other, quantile=quantile)
        outside = {name: outside[name] + missed[name] for name in outside}
        assert quantiles.ratio(of_bins(control), of_bins(treatment), quantile=quantile).lower > 1
    assert max(outside.values()) <= 11


def normal_below(log_s: float) -> float:
    return 1 - math.erfc((log_s + 3) / 0.5 / math.sqrt(2)) / 2


def upper_quantile(tail: float) -> float:
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(middle / math.sqrt(2)) / 2 > tail else (low, middle)
    return low


def test_one_alpha_for_both_is_narrower_than_halves() -> None:
    draw = np.random.default_rng(62)
    control, treatment = (of_bins(np.exp(draw.normal(-3, 0.5, 5000))) for _ in range(2))
    half = Quantile(planned=5000, alpha=0.025)
    ours, theirs = (quantiles.of_latencies(counts, quantile=half) for counts in (treatment, control))
    joint = quantiles.ratio(control, treatment, quantile=Quantile(planned=5000))
    assert theirs.lower > 0
    assert joint.upper / joint.lower < (ours.upper / theirs.lower) / (ours.lower / theirs.upper)


@pytest.mark.parametrize(("share", "alpha", "planned"), [(0.0, 0.05, 10), (1.0, 0.05, 10), (0.95, 0.0, 10), (0.95, 0.5, 10), (0.95, 0.05, 0)])
def test_what_is_no_quantile(share: float, alpha: float, planned: int) -> None:
    with pytest.raises(ValueError, match=r"a quantile has a share from 0 to 1, an alpha above 0 and below 0\.5"):
        Quantile(share=share, alpha=alpha, planned=planned)
