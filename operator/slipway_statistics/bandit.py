"""Giving more units to the arm that seems to be best, while it is being found out: Thompson sampling in batches.

A unit is given an arm with the probability that the arm is the best one, by what has been seen: W. R. Thompson, *On the likelihood that one unknown
probability exceeds another* (Biometrika 1933). Within a batch the shares stand still, so nothing is drawn here: the shares are those probabilities,
by quadrature, the same for the same counts. Only units whose window is closed may be counted, and units keep the arm that they were given.

Shares that follow outcomes spoil the usual tests: a difference is then looked for where it already showed. ``Scores`` is what may be said of a
difference nevertheless, and only if no arm's share ever fell below a tenth.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from slipway_statistics import sequences
from slipway_statistics.intervals import Interval

FLOOR_FOR_VERDICTS = 0.1
"""Share of every arm below which nothing is called significant: the smaller the floor, the fewer units there are behind some scores, and the farther
their sums are from normal (docs/statistics-methods.md has the figures)."""

_UNITS_OF_A_MEAN = 2

Lack = Literal["TooFewUnits", "TooFewConversions"]
"""Why the shares have not moved yet: an arm has fewer units, or fewer units with an outcome above 0, than the rules want."""


@dataclass(frozen=True, kw_only=True)
class Rewards:
    """What the closed units of one arm brought. Sums may be discounted, so none of them need be whole."""

    units: float = 0.0
    conversions: float = 0.0
    """Units with an outcome other than 0."""

    total: float = 0.0
    """Sum of the outcomes."""

    squares: float = 0.0
    """Sum of their squares."""

    @classmethod
    def of_conversions(cls, units: float, conversions: float) -> "Rewards":
        """Of outcomes that are 0 or 1."""
        return cls(units=units, conversions=conversions, total=conversions, squares=conversions)

    @property
    def mean(self) -> float:
        """Outcome of a unit; 0 without any."""
        return self.total / self.units if self.units else 0.0

    def plus(self, other: "Rewards", *, keep: float = 1.0) -> "Rewards":
        """These, of which a share is kept, and those."""
        return Rewards(
            units=self.units * keep + other.units,
            conversions=self.conversions * keep + other.conversions,
            total=self.total * keep + other.total,
            squares=self.squares * keep + other.squares,
        )


NONE = Rewards()
"""Nothing was seen."""

Best = Callable[[Sequence[Rewards]], tuple[float, ...]]
"""Gives each arm's probability of having the highest mean: ``beta`` or ``normal``."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How far shares may go."""

    floor: float = FLOOR_FOR_VERDICTS
    """Least share of an arm. A tenth where a verdict is wanted; 0.05 is for reward alone, and no floor at all gives up arms for good."""

    step: float = 0.2
    """Most that a share changes in one update: what serves an arm has to grow with it."""

    half_life: float | None = None
    """Units, of all arms together, after which an outcome counts half. None: for ever, where nothing is expected to change."""

    least_units: int = 100
    """Units of every arm before the first move."""

    least_conversions: int = 10
    """Conversions of every arm before the first move."""

    def __post_init__(self) -> None:
        """Refuse what is no rule."""
        if not 0 <= self.floor <= 0.5:
            raise ValueError(f"the floor is a share that two arms can have, from 0 to 0.5, not {self.floor}")
        if not 0 < self.step <= 1:
            raise ValueError(f"the step of a share is above 0 and at most 1, not {self.step}")
        if self.half_life is not None and not self.half_life > 0:
            raise ValueError(f"a half-life is so many units, more than 0, not {self.half_life}")


@dataclass(frozen=True, kw_only=True)
class Bandit:
    """Where the shares are, and what they are moved by. Arms are in one order everywhere."""

    shares: tuple[float, ...]
    """Of new units; the propensities of the batch that comes next."""

    seen: tuple[Rewards, ...]
    """All of it."""

    weighed: tuple[Rewards, ...]
    """The same, with the old counting less."""

    @classmethod
    def of(cls, arms: int) -> "Bandit":
        """Nothing seen, and equal shares.

        Raises:
            ValueError: there are fewer than two arms.

        """
        if arms < 2:
            raise ValueError(f"there is nothing to choose between {arms} arms; a bandit has at least two")
        return cls(shares=(1 / arms,) * arms, seen=(NONE,) * arms, weighed=(NONE,) * arms)

    def lacks(self, rules: Rules) -> Lack | None:
        """Why the shares do not move yet, or not any more: two units that still count are what a mean and a variance take."""
        if any(arm.units < rules.least_units for arm in self.seen) or any(arm.units < _UNITS_OF_A_MEAN for arm in self.weighed):
            return "TooFewUnits"
        return "TooFewConversions" if any(arm.conversions < rules.least_conversions for arm in self.seen) else None

    def after(self, batch: Sequence[Rewards], *, rules: Rules, best: Best) -> "Bandit":
        """After one more batch of closed units.

        Raises:
            ValueError: the batch has other arms, or the rules' floor is more than all arms can have.

        """
        return self.counting(batch, rules=rules).moved(rules=rules, best=best)

    def counting(self, batch: Sequence[Rewards], *, rules: Rules) -> "Bandit":
        """With one more batch seen, and the shares as they are.

        Raises:
            ValueError: the batch has other arms.

        """
        if len(batch) != len(self.shares):
            raise ValueError(f"a batch has the rewards of each of {len(self.shares)} arms, not of {len(batch)}")
        keep = 1.0 if rules.half_life is None else 2 ** (-math.fsum(arm.units for arm in batch) / rules.half_life)
        return dataclasses.replace(
            self,
            seen=tuple(before.plus(new) for before, new in zip(self.seen, batch, strict=True)),
            weighed=tuple(before.plus(new, keep=keep) for before, new in zip(self.weighed, batch, strict=True)),
        )

    def moved(self, *, rules: Rules, best: Best) -> "Bandit":
        """With the shares that follow from what was seen.

        Raises:
            ValueError: the rules' floor is more than all arms can have.

        """
        if self.lacks(rules):
            return self
        return dataclasses.replace(self, shares=toward(floored(best(self.weighed), floor=rules.floor), shares=self.shares, step=rules.step))


def floored(best: Sequence[float], *, floor: float) -> tuple[float, ...]:
    """Shares of which each arm has the floor first: floor + (1 - arms·floor)·best. 0.9 and 0.1 become 0.82 and 0.18 above a floor of 0.1.

    Raises:
        ValueError: the arms' floors are more than 1 together.

    """
    rest = 1 - len(best) * floor
    # 10 floors of 0.1 are 1 but for rounding.
    if rest < -1e-9:
        raise ValueError(f"{len(best)} arms cannot have at least {floor} each; {1 / len(best):.3g} is the most")
    return tuple(floor + max(0.0, rest) * one for one in best)


def toward(aim: Sequence[float], *, shares: Sequence[float], step: float) -> tuple[float, ...]:
    """From shares to the aim, or as far on the straight way as no share changes by more than the step: 0.5 and 0.5 to 0.9 and 0.1 is 0.7 and 0.3."""
    farthest = max(abs(new - old) for new, old in zip(aim, shares, strict=True))
    part = min(1.0, step / farthest) if farthest else 1.0
    return tuple(old + part * (new - old) for new, old in zip(aim, shares, strict=True))


_PLACES = tuple(math.sinh(number / 25) for number in range(-150, 151))
"""Where a posterior is looked at, in standard deviations: 25 places within half of one, fewer the farther out, up to 200 for heavy tails. The
probabilities are right to 0.0002."""


def beta(arms: Sequence[Rewards], *, places: Sequence[float] = _PLACES) -> tuple[float, ...]:
    """Each arm's probability of having the highest share of conversions, by Beta(1 + conversions, 1 + others)."""
    return _best([_Beta(1 + arm.conversions, 1 + arm.units - arm.conversions) for arm in arms], places)


def normal(arms: Sequence[Rewards], *, places: Sequence[float] = _PLACES) -> tuple[float, ...]:
    """Each arm's probability of having the highest mean, by Student's t around its mean: neither mean nor variance is known beforehand.

    That is the posterior of a normal's mean under the prior 1/sigma: n - 1 degrees of freedom and a scale of s/√n (Gelman and others, *Bayesian Data
    Analysis*, 3.2). The variance of an arm is at least that of all together: a small arm that has not met its large outcomes yet would else be sure
    that it is poor.

    Raises:
        ValueError: an arm has fewer than two units, so nothing is known of its variance.

    """
    if any(arm.units < _UNITS_OF_A_MEAN for arm in arms):
        raise ValueError(f"an arm's mean is known by 2 units at least, and there are {min(arm.units for arm in arms):g}")
    apart = [max(0.0, arm.squares - arm.total * arm.mean) for arm in arms]
    pooled = math.fsum(apart) / math.fsum(arm.units - 1 for arm in arms)
    if not pooled:
        most = max(arm.mean for arm in arms)
        ties = sum(arm.mean == most for arm in arms)
        return tuple((arm.mean == most) / ties for arm in arms)
    return _best(
        [
            _Student(mean=arm.mean, scale=math.sqrt(max(own / (arm.units - 1), pooled) / arm.units), freedom=arm.units - 1)
            for arm, own in zip(arms, apart, strict=True)
        ],
        places,
    )


class FloorTooLow(ValueError):
    """An arm's share was too small for a verdict; the shares may still follow the reward."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What two arms of a bandit differ by, batch by batch; begin with ``Scores(control=0, treatment=1)``.

    A unit of arm A scores m_B - m_A ± (y - m_A)/share_A: + for the treatment, - for the control, nothing for other arms. Shares and the predictions m
    are those from before its batch, so a score's mean is the difference, whatever the shares did (augmented inverse propensity weighting: J. M.
    Robins, A. Rotnitzky and L. P. Zhao, Journal of the American Statistical Association 1994), and the scores have the asymptotic confidence sequence
    of Waudby-Smith and others (arXiv:2103.06476, equation 9).
    """

    control: int
    treatment: int
    """Which arms, by number."""

    units: float = 0.0
    total: float = 0.0
    """Sum of the scores."""

    squares: float = 0.0
    """Sum of their squares."""

    least_share: float = 1.0
    """The smallest share that either arm had."""

    seen: tuple[Rewards, Rewards] = (NONE, NONE)
    """Of control and treatment: what the next batch is predicted by."""

    def after(self, batch: Sequence[Rewards], *, shares: Sequence[float]) -> "Scores":
        """After one more batch, which was split by these shares (``Bandit.shares`` before it).

        Raises:
            ValueError: one of the two arms had no share.

        """
        own = (batch[self.control], batch[self.treatment])
        used = (shares[self.control], shares[self.treatment])
        if not min(used) > 0:
            raise ValueError(f"a unit of an arm without a share cannot be weighed: shares were {list(shares)}")
        expected = self.seen[1].mean - self.seen[0].mean
        others = math.fsum(arm.units for arm in batch) - own[0].units - own[1].units
        total, squares = others * expected, others * expected * expected
        for arm, share, sign, before in zip(own, used, (-1, 1), self.seen, strict=True):
            # Of all units of an arm: Σ(y - m) and Σ(y - m)².
            apart = arm.total - before.mean * arm.units
            apart_squared = arm.squares - 2 * before.mean * arm.total + before.mean**2 * arm.units
            total += arm.units * expected + sign * apart / share
            squares += arm.units * expected**2 + 2 * expected * sign * apart / share + apart_squared / share**2
        return dataclasses.replace(
            self,
            units=self.units + others + own[0].units + own[1].units,
            total=self.total + total,
            squares=self.squares + squares,
            least_share=min(self.least_share, *used),
            seen=(self.seen[0].plus(own[0]), self.seen[1].plus(own[1])),
        )

    @property
    def estimate(self) -> float:
        """By how much a unit of the treatment brings more; 0 without units."""
        return self.total / self.units if self.units else 0.0

    @property
    def standard_error(self) -> float:
        """Of the estimate, s/√N; infinite without units."""
        return math.sqrt(max(0.0, self.squares / self.units - self.estimate**2) / self.units) if self.units else math.inf

    def interval(self, *, alpha: float, planned: float) -> Interval:
        """Around the estimate, for every look: ± s/√N standard errors by ``sequences.two_sided`` at u = κ(alpha) N / planned.

        Args:
            alpha: probability that the difference is ever outside.
            planned: units of all arms at which a decision is expected; the interval is tightest there.

        Raises:
            FloorTooLow: an arm's share was below a tenth.
            ValueError: alpha is not above 0 and below 1, or nothing is planned.

        """
        if self.least_share < FLOOR_FOR_VERDICTS - 1e-9:
            raise FloorTooLow(
                f"an arm's share fell to {self.least_share:.3g}, and below {FLOOR_FOR_VERDICTS:g} such intervals are wrong more often than they say: "
                f"set the floor to {FLOOR_FOR_VERDICTS:g} for a verdict, or use the bandit for reward alone"
            )
        if not self.units:
            return Interval(lower=-math.inf, upper=math.inf)
        reach = sequences.two_sided(sequences.information(self.units, planned=planned, alpha=alpha), alpha=alpha) * self.standard_error
        return Interval(lower=self.estimate - reach, upper=self.estimate + reach)


@dataclass(frozen=True)
class _Beta:
    a: float
    b: float

    def around(self, places: Sequence[float]) -> list[float]:
        mean = self.a / (self.a + self.b)
        deviation = math.sqrt(mean * (1 - mean) / (self.a + self.b + 1))
        return [min(1.0, max(0.0, mean + deviation * place)) for place in places]

    def log_densities(self, places: Sequence[float]) -> list[float]:
        a, b = self.a - 1, self.b - 1
        return [a * math.log(x) + b * math.log(1 - x) if 0 < x < 1 else _power_log(a, x) + _power_log(b, 1 - x) for x in places]


@dataclass(frozen=True, kw_only=True)
class _Student:
    mean: float
    scale: float
    freedom: float

    def around(self, places: Sequence[float]) -> list[float]:
        return [self.mean + self.scale * place for place in places]

    def log_densities(self, places: Sequence[float]) -> list[float]:
        mean, scale, freedom = self.mean, self.scale, self.freedom
        return [-(freedom + 1) / 2 * math.log1p(((x - mean) / scale) ** 2 / freedom) for x in places]


def _best(posteriors: Sequence[_Beta] | Sequence[_Student], places: Sequence[float]) -> tuple[float, ...]:
    """∫ f_i Π F_j for each arm i, by trapezia over the places of all arms together."""
    all_places = sorted({place for posterior in posteriors for place in posterior.around(places)})
    masses, belows = zip(*(_shape(posterior.log_densities(all_places), all_places) for posterior in posteriors), strict=True)
    found = []
    for number, own in enumerate(masses):
        others = [below for other, below in enumerate(belows) if other != number]
        highest = [math.prod(column) for column in zip(*others, strict=True)]
        found.append(math.fsum(mass * (left + right) / 2 for mass, left, right in zip(own, highest, highest[1:], strict=False)))
    whole = math.fsum(found)
    return tuple(one / whole for one in found)


def _shape(logs: Sequence[float], places: Sequence[float]) -> tuple[list[float], list[float]]:
    """Of a density: its mass between each two places, and below each place."""
    top = max(logs)
    heights = [math.exp(one - top) for one in logs]
    masses = [(left + right) / 2 * (far - near) for left, right, near, far in zip(heights, heights[1:], places, places[1:], strict=False)]
    whole = math.fsum(masses)
    shares = [mass / whole for mass in masses]
    return shares, [0.0, *itertools.accumulate(shares)]


def _power_log(power: float, x: float) -> float:
    """power · ln x, and 0 for no power."""
    if not power:
        return 0.0
    return power * math.log(x) if x > 0 else -math.inf
