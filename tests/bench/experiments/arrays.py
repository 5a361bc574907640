"""``slipway_statistics.bandit`` again, with arrays: many runs at once. A unit test holds it against the package."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipway_statistics import sequences

Floats = NDArray[np.float64]

_PLACES = np.sinh(np.arange(-150, 151) / 25)


def beta(units: Floats, conversions: Floats) -> Floats:
    """Each arm's probability of being best; all arrays are runs x arms."""
    a, b = 1 + conversions, 1 + units - conversions
    mean = a / (a + b)
    deviation = np.sqrt(mean * (1 - mean) / (a + b + 1))
    places = np.sort(np.clip(mean[:, :, None] + deviation[:, :, None] * _PLACES, 0, 1).reshape(len(units), -1), axis=1)
    with np.errstate(divide="ignore"):
        logs_of = np.log(places), np.log1p(-places)
    with np.errstate(invalid="ignore"):
        # 0 · -inf: a power of none is 1 even at an end.
        logs = sum(
            np.nan_to_num((power - 1)[:, :, None] * log[:, None, :], nan=0.0, neginf=-np.inf) for power, log in zip((a, b), logs_of, strict=True)
        )
    heights = np.exp(logs - logs.max(axis=2, keepdims=True))
    masses = (heights[:, :, 1:] + heights[:, :, :-1]) / 2 * np.diff(places, axis=1)[:, None, :]
    masses /= masses.sum(axis=2, keepdims=True)
    below = np.concatenate([np.zeros((*units.shape, 1)), np.cumsum(masses, axis=2)], axis=2)
    found = np.empty_like(units)
    for arm in range(units.shape[1]):
        highest = np.delete(below, arm, axis=1).prod(axis=1)
        found[:, arm] = (masses[:, arm] * (highest[:, 1:] + highest[:, :-1]) / 2).sum(axis=1)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def floored(best: Floats, *, floor: float) -> Floats:
    """Shares above a floor."""
    return np.asarray(floor + (1 - best.shape[1] * floor) * best)


def toward(aim: Floats, *, shares: Floats, step: float) -> Floats:
    """Shares after an update of a step at most."""
    farthest = np.abs(aim - shares).max(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return np.asarray(shares + np.minimum(1.0, step / farthest) * (aim - shares))


@dataclass
class Scores:
    """Sums of the scores of arm 1 against arm 0 of two, run by run."""

    units: Floats
    total: Floats
    squares: Floats
    seen_units: Floats
    seen_conversions: Floats

    @classmethod
    def of(cls, runs: int) -> "Scores":
        """Nothing yet."""
        return cls(np.zeros(runs), np.zeros(runs), np.zeros(runs), np.zeros((runs, 2)), np.zeros((runs, 2)))

    def add(self, units: Floats, conversions: Floats, *, shares: Floats) -> None:
        """One more batch of conversions, split by these shares."""
        means = np.divide(self.seen_conversions, self.seen_units, out=np.zeros_like(shares), where=self.seen_units > 0)
        expected = (means[:, 1] - means[:, 0])[:, None]
        sign = np.array([-1.0, 1.0])
        converted, other = expected + sign * (1 - means) / shares, expected - sign * means / shares
        self.units = self.units + units.sum(axis=1)
        self.total = self.total + (conversions * converted + (units - conversions) * other).sum(axis=1)
        self.squares = self.squares + (conversions * converted**2 + (units - conversions) * other**2).sum(axis=1)
        self.seen_units = self.seen_units + units
        self.seen_conversions = self.seen_conversions + conversions

    def excluded(self, *, alpha: float, planned: float) -> NDArray[np.bool_]:
        """Whether 0 is outside the interval, whatever the shares were."""
        u = sequences.kappa(alpha) * self.units / planned
        estimate = self.total / self.units
        variance = np.maximum(0, self.squares / self.units - estimate**2)
        return np.asarray(np.abs(estimate) > np.sqrt(variance / self.units * (u + 1) / u * np.log((u + 1) / alpha**2)))


@dataclass
class Strata:
    """Arm 1 against arm 0, each batch a stratum: what harm is read from (``strata``), run by run."""

    information: Floats
    weighed: Floats
    """Sum of h δ."""

    variance: Floats
    """Sum of h² V."""

    expected: Floats
    """Conversions of arm 1 at the rate of both."""

    @classmethod
    def of(cls, runs: int) -> "Strata":
        """Nothing yet."""
        return cls(np.zeros(runs), np.zeros(runs), np.zeros(runs), np.zeros(runs))

    def add(self, units: Floats, conversions: Floats) -> None:
        """One more batch; where an arm got none there is nothing to compare."""
        there = (units > 0).all(axis=1)
        n, s = units[there], conversions[there]
        whole, rate = n.sum(axis=1), s.sum(axis=1) / n.sum(axis=1)
        own = np.divide(s * (n - s), n * (n - 1), out=np.zeros_like(n), where=n > 1)
        used = np.maximum(own, (rate * (1 - rate) * whole / (whole - 1))[:, None])
        h = n.prod(axis=1) / whole
        self.information[there] += h
        self.weighed[there] += h * (s[:, 1] / n[:, 1] - s[:, 0] / n[:, 0])
        self.variance[there] += h**2 * (used / n).sum(axis=1)
        self.expected[there] += n[:, 1] * rate

    def harmed(self, *, alpha: float, planned: float) -> NDArray[np.bool_]:
        """Whether arm 1 is worse; planned are units an arm."""
        u = sequences.kappa(alpha) * self.information / (planned / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.sqrt(self.variance * 2 * (u + 1) / u * np.log(np.sqrt(u + 1) / alpha))
        return np.asarray((self.expected >= 10) & (self.weighed + reach < 0))


def z(units: Floats, conversions: Floats) -> Floats:
    """The z of two proportions, as if the shares had stood still; 0 where there is no variance yet."""
    pooled = conversions.sum(axis=1) / units.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (conversions[:, 1] / units[:, 1] - conversions[:, 0] / units[:, 0]) / np.sqrt(pooled * (1 - pooled) * (1 / units).sum(axis=1))
    return np.asarray(np.nan_to_num(found, nan=0.0, posinf=math.inf, neginf=-math.inf))
