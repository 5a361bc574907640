"""Units of pretended experiments, and what they do: the sums that a ledger would answer at every look."""

from dataclasses import dataclass

import numpy as np

from bench.experiments.looks import Floats, Totals
from slipway_statistics import caps

LOOKS = 200


@dataclass(frozen=True, kw_only=True)
class Split:
    """How many units come between two looks, in which stratum, and how the base rate moves."""

    units: Floats
    """By look, stratum and arm."""

    level: Floats
    """By look: factor on how often something happens, in both arms."""

    @property
    def stratum(self) -> list[int]:
        """By look."""
        return [int(number) for number in self.units.sum(axis=2).argmax(axis=1)]


def even(*, looks: int = LOOKS, each: int = 100) -> Split:
    """Half and half."""
    return Split(units=np.full((looks, 1, 2), float(each)), level=np.ones(looks))


def ramp() -> Split:
    """2 %, 20 %, then half of the units that will ever be treated, beside a control of the same size; half of all conversions fall away meanwhile."""
    steps = [(60, 8), (60, 80), (80, 200)]
    units = np.zeros((LOOKS, len(steps), 2))
    begins = 0
    for stratum, (looks, arm) in enumerate(steps):
        units[begins : begins + looks, stratum] = (200, arm)
        begins += looks
    return Split(units=units, level=np.linspace(1.4, 0.7, LOOKS))


def lopsided(*, looks: int = LOOKS, each: int = 10) -> Split:
    """2 % beside 98 %, all the time."""
    return Split(units=np.broadcast_to(np.array([[[49.0 * each, float(each)]]]), (looks, 1, 2)).copy(), level=np.ones(looks))


def all_at_once() -> Split:
    """Everybody comes before the first look; after that only outcomes come."""
    units = np.zeros((LOOKS, 1, 2))
    units[0] = 10_000
    return Split(units=units, level=np.ones(LOOKS))


def proportion(split: Split, *, rate: float, runs: int, random: np.random.Generator, effect: float = 0.0) -> Totals:
    """Units that convert or do not; effect is added to the rate of the arm."""
    rates = rate * split.level[:, None, None] + np.array([0.0, effect])
    found = random.binomial(split.units.astype(np.int64), np.clip(rates, 0, 1), (runs, *split.units.shape)).cumsum(axis=1).astype(float)
    return Totals.of_mean(split.units.cumsum(axis=0), found, found)


def revenue(split: Split, *, runs: int, random: np.random.Generator, capped: bool = True, effect: float = 0.0) -> Totals:
    """One unit in ten spends something, log-normal with a standard deviation of 1.5 of the logarithm (kurtosis in the thousands).

    Capped at the 0.999 quantile of the first 10,000 units, and nothing is decided before. In the arm all spend 1 + effect times as much.
    """
    arms, looks = _arms(split), _looks(split)
    shape = (runs, *split.units.shape)
    m, mm, known = np.zeros(shape), np.zeros(shape), np.ones((runs, len(split.level)), np.bool_)
    strata = split.stratum
    for run in range(runs):
        values = np.where(random.random(arms.size) < 0.1 * split.level[looks], np.exp(random.normal(3, 1.5, arms.size)), 0.0)
        values *= np.where(arms == 1, 1 + effect, 1.0)
        if capped:
            cap = caps.resolve(values[:10_000].tolist(), quantile=0.999)
            if cap is not None:
                values = np.minimum(values, cap.value)
            known[run] = split.units.sum(axis=(1, 2)).cumsum() >= 10_000
        for arm in (0, 1):
            ours = arms == arm
            for into, what in ((m, values), (mm, values**2)):
                into[run, np.arange(len(strata)), strata, arm] = np.bincount(looks[ours], what[ours], minlength=len(strata))
    return Totals.of_mean(split.units.cumsum(axis=0), m.cumsum(axis=1), mm.cumsum(axis=1), counts=False, decides=known)


def spending(split: Split, *, runs: int, random: np.random.Generator, correlation: float, effect: float = 0.0) -> Totals:
    """A mean with a covariate: both normal, from sums of normals; with the correlation that is asked for."""
    n = np.broadcast_to(split.units, (runs, *split.units.shape))
    root = np.sqrt(1 - correlation**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Of n pairs of independent standard normals: sums are normal, squares chi-square, the product of two centred ones normal times a root.
        sums = [random.normal(0, 1, n.shape) * np.sqrt(n) for _ in range(2)]
        squares = [np.where(n > 1, random.chisquare(np.maximum(n - 1, 1)), 0) for _ in range(2)]
        crossed = random.normal(0, 1, n.shape) * np.sqrt(squares[0])
        # The second is what is left of it beside its part along the first (Bartlett's decomposition).
        rest = np.where(n > 2, random.chisquare(np.maximum(n - 2, 1)), 0)
        xx, xe, ee = squares[0], crossed, crossed**2 / np.where(squares[0] > 0, squares[0], 1) + rest
        x, e = sums
        xx, xe, ee = xx + x * x / n, xe + x * e / n, ee + e * e / n
    x, e, xx, xe, ee = (np.where(n > 0, values, 0) for values in (x, e, xx, xe, ee))
    shift = np.array([0.0, effect])
    plain, plain_squares = correlation * x + root * e, correlation**2 * xx + 2 * correlation * root * xe + root**2 * ee
    plain_crossed = correlation * xx + root * xe
    m = plain + shift * n
    mm, mx = plain_squares + 2 * shift * plain + shift**2 * n, plain_crossed + shift * x
    m, mm, x, mx, xx = (values.cumsum(axis=1) for values in (m, mm, x, mx, xx))
    known = np.ones((runs, len(split.level)), np.bool_)
    units = n.cumsum(axis=1)
    return Totals(units=units, m=m, mm=mm, d=units, md=m, dd=units, x=x, mx=mx, xx=xx, decides=known, counts=False)


def errors(split: Split, *, runs: int, random: np.random.Generator) -> Totals:
    """A ratio: users with 1 to 20 requests each, of whom few have most of the errors."""
    arms, looks = _arms(split), _looks(split)
    strata = np.array(split.stratum)
    shape = (runs, *split.units.shape)
    found = {name: np.zeros(shape) for name in ("m", "mm", "d", "md", "dd")}
    for run in range(runs):
        d = random.integers(1, 21, arms.size)
        rate = np.minimum(random.beta(0.3, 5.7, arms.size) * split.level[looks], 1)
        m = random.binomial(d, rate)
        for name, what in (("m", m), ("mm", m * m), ("d", d), ("md", m * d), ("dd", d * d)):
            by_look = np.bincount(looks * 2 + arms, what, minlength=2 * len(strata)).reshape(-1, 2)
            found[name][run, np.arange(len(strata)), strata] = by_look
    sums = {name: np.asarray(values.cumsum(axis=1), np.float64) for name, values in found.items()}
    nothing = np.zeros(shape)
    units = np.broadcast_to(split.units.cumsum(axis=0), shape)
    known = np.ones(shape[:2], np.bool_)
    return Totals(
        units=units,
        m=sums["m"],
        mm=sums["mm"],
        d=sums["d"],
        md=sums["md"],
        dd=sums["dd"],
        x=nothing,
        mx=nothing,
        xx=nothing,
        decides=known,
        ratio=True,
    )


def to_date(split: Split, *, rate: float, lag_looks: float, window: int, runs: int, random: np.random.Generator, effect: float = 0.0) -> Totals:
    """Conversions of all units so far, each coming after an exponential time with this mean, in looks, and within a window of so many looks.

    What happens between two looks is a Poisson number, since conversions are many, rare and by themselves.
    """
    chance = -np.diff(np.exp(-np.arange(window + 1) / lag_looks))
    chance /= chance.sum()
    rates = split.units * (rate * split.level[:, None, None]) * np.array([1.0, 1 + effect])
    each = np.apply_along_axis(lambda came: np.convolve(came, chance)[: len(came)], 0, rates)
    found = random.poisson(each, (runs, *each.shape)).cumsum(axis=1).astype(float)
    return Totals.of_mean(split.units.cumsum(axis=0), found, found)


def _arms(split: Split) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The arm of each unit, in the order in which they come; mixed evenly within a look, as a hash would."""
    parts = []
    for control, arm in split.units.sum(axis=1).astype(int):
        part = np.zeros(control + arm, np.int64)
        part[np.linspace(0, control + arm - 1, arm).astype(int)] = 1
        parts.append(part)
    return np.concatenate(parts)


def _looks(split: Split) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The look before which each unit comes."""
    return np.repeat(np.arange(len(split.level)), split.units.sum(axis=(1, 2)).astype(int))
