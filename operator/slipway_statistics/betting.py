"""Exact confidence sequences: valid at every look and every size, without a normal law behind them.

The opt-in for metrics whose sums are not near normal when they are decided on: conversions of a few in a thousand, a handful of them per arm. They
are wider than the asymptotic sequences where those hold, since they promise more.

Two kinds, for what is known of the data:

- **Counts of conversions** (``proportion``, ``difference``, ``log_e``). For a share p the likelihood ratio of a Beta(a, b) mixture to p,
  B(a + s, b + n - s) / (B(a, b) p^s (1-p)^(n-s)), is a martingale that starts at 1, so by Ville's inequality it ever reaches 1/alpha with probability
  alpha at most: J. Ville, *Étude critique de la notion de collectif*, 1939; H. Robbins, *Statistical methods related to the law of the iterated
  logarithm* (Annals of Mathematical Statistics 1970). It needs the sums alone, not the order in which units came. With a = b = ½ (Krichevsky and
  Trofimov, IEEE Transactions on Information Theory 1981) it pays ½ ln n for not knowing p, rare or not; ``Prior.around`` pays less where somebody
  does know about how many convert.
- **Values from 0 to 1** (``Bernstein``, ``bets``): a bet against each mean m, sized by what came before. I. Waudby-Smith and A. Ramdas, *Estimating
  means of bounded random variables by betting* (Journal of the Royal Statistical Society B 2024, arXiv:2010.09686), theorems 2 and 3. The size of a
  bet depends on the order, so these read values one by one.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from slipway_statistics import intervals
from slipway_statistics.intervals import Interval

_MOST = 0.5
"""The most that is bet, as a share of what can be lost: the truncation of Waudby-Smith and Ramdas, within which no value ruins."""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """The Beta mixture. It has to be chosen before the data; chosen badly it makes intervals wider, never wrong."""

    conversions: float = 0.5
    others: float = 0.5

    @classmethod
    def around(cls, rate: float, *, conversions: float = 10.0) -> "Prior":
        """As if a share had been seen with so many conversions: tight where shares turn out to be within some tenths of this one.

        By 100 conversions of 50,000 units a share is then known to ± 0.0006 instead of ± 0.0008.

        Raises:
            ValueError: the rate is not above 0 and below 1, or the conversions are not above 0.

        """
        if not 0 < rate < 1 or not conversions > 0:
            raise ValueError(f"a share is expected above 0 and below 1, from more than 0 conversions, not at {rate} from {conversions}")
        return cls(conversions=conversions, others=conversions * (1 - rate) / rate)


UNKNOWN = Prior()
"""Beta(½, ½): for any share."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """Units of one arm in one stratum, and how many of them converted."""

    units: int
    conversions: int

    def __post_init__(self) -> None:
        """Refuse what cannot be counted."""
        if not 0 <= self.conversions <= self.units:
            raise ValueError(f"of {self.units} units, {self.conversions} cannot have converted")


def log_evidence(share: Share, *, p: float, prior: Prior = UNKNOWN) -> float:
    """Logarithm of the evidence against p being the share: ln 20 = 3.0 or more rejects it at 0.05, whenever one looks.

    Nothing seen: 0. Of 10 units 5 converted: -1.40 against 0.5, and 3.71 against 0.1. Infinite where p cannot be.
    """
    seen, other = share.conversions, share.units - share.conversions
    mixed = _log_beta(prior.conversions + seen, prior.others + other) - _log_beta(prior.conversions, prior.others)
    return mixed - _times_log(seen, p) - _times_log(other, 1 - p)


def proportion(share: Share, *, alpha: float, prior: Prior = UNKNOWN) -> Interval:
    """Every p whose evidence against it is below 1/alpha. The true share is in all of them, at all looks, with probability 1 - alpha.

    Raises:
        ValueError: alpha is not above 0 and below 1.

    """
    limit = _limit(alpha)
    seen = share.conversions / share.units if share.units else 0.5
    lower = intervals.zero(lambda p: limit - log_evidence(share, p=p, prior=prior), 0.0, seen) if share.conversions else 0.0
    upper = intervals.zero(lambda p: log_evidence(share, p=p, prior=prior) - limit, seen, 1.0) if share.conversions < share.units else 1.0
    return Interval(lower=lower, upper=upper)


def log_e(strata: Sequence[tuple[Share, Share]], *, prior: Prior = UNKNOWN) -> float:
    """Logarithm of an e-value against "in every stratum both arms have the same share"; 1/e, the least over all looks, is an always-valid p.

    In a stratum it is the product of both arms' evidence against the share p that fits the null best, that of both arms together: whatever the common
    share is, the evidence against it is at least as large, so its mean is 1 at most. Strata have units of their own, so their e-values multiply.

    Args:
        strata: control and treatment of each.
        prior: of every arm's share in every stratum.

    """
    return math.fsum(_log_e_of_one(control, treatment, prior=prior) for control, treatment in strata)


def difference(strata: Sequence[tuple[Share, Share]], *, alpha: float, prior: Prior = UNKNOWN) -> Interval:
    """By how much the treatment's share is above the control's: Σ h δ / Σ h over the strata, h = n_A n_B / (n_A + n_B), as the default method weighs.

    The shares of all arms and strata together, as one point, have the product of their evidence against them. All points where it is below 1/alpha
    are a confidence sequence, with all of alpha for the two arms, and this is how far the weighted difference reaches among them. Nothing
    is assumed of how shares or differences move from stratum to stratum, and the weights may change as units come in.

    The farthest point makes ln evidence(p) ± λ·weight·p least for each arm and stratum, at the λ that uses up 1/alpha; each least point is the root
    of a quadratic.

    Args:
        strata: control and treatment of each; those with an empty arm weigh nothing.
        alpha: probability that the difference is ever outside.
        prior: of every arm's share in every stratum.

    Returns:
        From -1 to 1 where nothing can be compared.

    Raises:
        ValueError: alpha is not above 0 and below 1.

    """
    limit = _limit(alpha)
    harmonic = [control.units * treatment.units / max(1, control.units + treatment.units) for control, treatment in strata]
    total = math.fsum(harmonic)
    if not total:
        return Interval(lower=-1.0, upper=1.0)
    weighted = [
        (share, sign * weight / total)
        for (control, treatment), weight in zip(strata, harmonic, strict=True)
        if weight
        for share, sign in ((control, -1), (treatment, 1))
    ]
    lower = -_farthest([(share, -weight) for share, weight in weighted], limit=limit, prior=prior)
    return Interval(lower=max(-1.0, lower), upper=min(1.0, _farthest(weighted, limit=limit, prior=prior)))


@dataclass(frozen=True, kw_only=True)
class Bernstein:
    """The predictable plug-in empirical-Bernstein sequence (theorem 2), as far as it has read; begin with ``Bernstein(alpha=…)``.

    Its ends are in closed form and cost nothing to keep, so it is for values that come one by one. ``bets`` is narrower and reads all values again.
    """

    alpha: float
    """Probability that the mean is ever outside."""

    count: int = 0
    total: float = 0.0
    """Sum of the values."""

    squares: float = 0.0
    """Sum of (x - mean so far)², the mean being (½ + Σx)/(n+1)."""

    bet: float = 0.0
    """Sum of the bets λ."""

    won: float = 0.0
    """Sum of λx."""

    paid: float = 0.0
    """Sum of v·ψ(λ), v = (x - mean before)², ψ(λ) = -ln(1-λ) - λ."""

    def after(self, value: float) -> "Bernstein":
        """Having read one more.

        Raises:
            ValueError: the value is not from 0 to 1, or alpha is not above 0 and below 1.

        """
        bet = min(_MOST, _bet(self.count + 1, variance=self._variance, alpha=self.alpha))
        apart = _checked(value) - self._mean
        moved = dataclasses.replace(self, count=self.count + 1, total=self.total + value)
        return dataclasses.replace(
            moved,
            squares=self.squares + (value - moved._mean) ** 2,
            bet=self.bet + bet,
            won=self.won + bet * value,
            paid=self.paid + apart * apart * (-math.log1p(-bet) - bet),
        )

    @property
    def interval(self) -> Interval:
        """Σλx/Σλ ± (ln(2/alpha) + Σ v ψ(λ))/Σλ, within 0 and 1."""
        if not self.count:
            return Interval(lower=0.0, upper=1.0)
        middle, reach = self.won / self.bet, (_limit(self.alpha / 2) + self.paid) / self.bet
        return Interval(lower=min(1.0, max(0.0, middle - reach)), upper=max(0.0, min(1.0, middle + reach)))

    @property
    def _mean(self) -> float:
        return (0.5 + self.total) / (self.count + 1)

    @property
    def _variance(self) -> float:
        return (0.25 + self.squares) / (self.count + 1)


def bets(values: Sequence[float], *, alpha: float) -> Interval:
    """The hedged betting interval after the last value (theorem 3): every mean m against which neither bet has made 2/alpha of 1.

    Bets that the mean is above m make Π(1 + λ(x - m)), λ at most ½/m; bets that it is below Π(1 - λ(x - m)), λ at most ½/(1-m). Every factor of the
    first falls in m and every factor of the second rises, so each end is one root. Intervals of earlier looks may be cut with it.

    Args:
        values: all so far, in the order in which they came, from 0 to 1.
        alpha: probability that the mean is ever outside.

    Raises:
        ValueError: a value is not from 0 to 1, or alpha is not above 0 and below 1.

    """
    limit = _limit(alpha / 2)
    sized: list[tuple[float, float]] = []
    state = Bernstein(alpha=alpha)
    for value in values:
        sized.append((value, _bet(state.count + 1, variance=state._variance, alpha=alpha)))
        state = state.after(value)
    mirrored = [(1 - value, bet) for value, bet in sized]
    return Interval(lower=_lowest(sized, limit=limit), upper=1 - _lowest(mirrored, limit=limit))


def _lowest(sized: Sequence[tuple[float, float]], *, limit: float) -> float:
    """The mean at which betting that it is higher has made the limit; 0 where no value was above it, and such bets made nothing."""
    if not any(value for value, _ in sized):
        return 0.0
    return intervals.zero(lambda m: limit - _log_wealth(sized, m), 0.0, 1.0)


def _log_wealth(sized: Sequence[tuple[float, float]], m: float) -> float:
    """What betting on a mean above m has made, as a logarithm."""
    most = _MOST / m
    return math.fsum(math.log1p(min(bet, most) * (value - m)) for value, bet in sized)


def _bet(number: int, *, variance: float, alpha: float) -> float:
    """√(2 ln(2/alpha) / (variance · n ln(n+1))) for the n-th value, of the variance before it."""
    return math.sqrt(2 * _limit(alpha / 2) / (variance * number * math.log1p(number)))


def _farthest(weighted: Sequence[tuple[Share, float]], *, limit: float, prior: Prior) -> float:
    """The largest Σ weight · p over all points with less evidence against them than the limit."""

    def point(multiplier: float) -> list[tuple[Share, float, float]]:
        return [(share, weight, _least(share, slope=-multiplier * weight)) for share, weight in weighted]

    def beyond(log_multiplier: float) -> float:
        return math.fsum(log_evidence(share, p=p, prior=prior) for share, _, p in point(math.exp(log_multiplier))) - limit

    # e^60 is more than any count: the point is then at a corner.
    multiplier = math.exp(intervals.zero(beyond, -60.0, 60.0))
    return math.fsum(weight * p for _, weight, p in point(multiplier))


def _least(share: Share, *, slope: float) -> float:
    """The p at which -s ln p - (n-s) ln(1-p) + slope·p is least: slope·p² - (n + slope)·p + s = 0, by the root that cancels nothing."""
    seen, units = (share.conversions, share.units) if slope >= 0 else (share.units - share.conversions, share.units)
    steep = abs(slope)
    found = 2 * seen / (units + steep + math.sqrt(max(0.0, (units + steep) ** 2 - 4 * steep * seen)))
    return found if slope >= 0 else 1 - found


def _log_e_of_one(control: Share, treatment: Share, *, prior: Prior) -> float:
    units = control.units + treatment.units
    pooled = (control.conversions + treatment.conversions) / units if units else 0.5
    return log_evidence(control, p=pooled, prior=prior) + log_evidence(treatment, p=pooled, prior=prior)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _times_log(count: int, p: float) -> float:
    """count · ln p, and 0 for none."""
    if not count:
        return 0.0
    return count * math.log(p) if p > 0 else -math.inf


def _limit(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha, the probability of ever being outside, is above 0 and below 1, not {alpha}")
    return -math.log(alpha)


def _checked(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"values are brought to 0 to 1 first; {value} is not there")
    return value
