"""Group sequential tests: a few planned looks, each with a boundary of its own, together worth one alpha.

The opt-in for experiments whose largest size is known and that are looked at a few times only: nothing has more power then. Unlike a confidence
sequence it says nothing between its looks, and nothing after its last.

The score process S(t) = Z(t)·√t of a difference is a Brownian motion in the share t of the planned information. How much of it has not been stopped
before a look is found by recursive integration: P. Armitage, C. K. McPherson and B. C. Rowe, *Repeated significance tests on accumulating data*
(Journal of the Royal Statistical Society A 1969). Boundaries: S. J. Pocock (Biometrika 1977); P. C. O'Brien and T. R. Fleming (Biometrics 1979);
K. K. G. Lan and D. L. DeMets, *Discrete sequential boundaries for clinical trials* (Biometrika 1983).
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from slipway_statistics import intervals

_STANDARD = NormalDist()

# Beyond 9 standard deviations there is 2e-19 of a normal: less than the rounding of a float.
_FARTHEST = 9.0

# Below this there is nothing to spend: no z that a float tells from infinity belongs to it.
_NOTHING = 1e-18

# Looks that are nearer to each other are one look; and the integration takes as many points as looks are near.
_NEAREST = 0.001


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one of the planned looks says."""

    fraction: float
    """Share of the planned information that has come in, above 0 and at most 1."""

    z: float
    """The difference over its standard error."""

    boundary: float
    """The |z| from which on the difference is called real at this look; infinite where nothing can be spent yet."""

    spent: float
    """Probability, without any difference, of having crossed at this look or before."""

    @property
    def crossed(self) -> bool:
        """Whether the difference is called real."""
        return abs(self.z) >= self.boundary


def look(z: float, *, fractions: Sequence[float], alpha: float) -> Look:
    """Read one look, by what the looks up to it have spent (``lan_demets``).

    Args:
        z: the difference over its standard error, from all data so far.
        fractions: shares of the planned information at the looks so far, this one last. They need not be equally far apart, nor be those that were
            planned, as long as nobody chose them by what was seen.
        alpha: probability of a false finding in either direction, over all looks together.

    Raises:
        ValueError: alpha is not above 0 and below 1, or the fractions do not ascend within 0 and 1.

    """
    boundaries = lan_demets(fractions, alpha=alpha)
    return Look(fraction=fractions[-1], z=z, boundary=boundaries[-1], spent=math.fsum(crossing(boundaries, fractions=fractions)))


def equal(looks: int) -> tuple[float, ...]:
    """Fractions of looks that are equally far apart: of four 0.25, 0.5, 0.75 and 1.

    Raises:
        ValueError: there is no look.

    """
    if looks < 1:
        raise ValueError(f"a test has at least one look, not {looks}")
    return tuple(number / looks for number in range(1, looks + 1))


@functools.cache
def pocock(looks: int, *, alpha: float = 0.05) -> tuple[float, ...]:
    """The same boundary at each of so many equally distant looks. 5 looks at 0.05: 2.413 each; 10 looks: 2.555.

    Raises:
        ValueError: there is no look, or alpha is not above 0 and below 1.

    """
    return _of_one_size(lambda _: 1.0, looks=looks, alpha=alpha)


@functools.cache
def obrien_fleming(looks: int, *, alpha: float = 0.05) -> tuple[float, ...]:
    """Boundaries that fall as c/√t: strict at first, near that of a single look at the end. 5 looks at 0.05: 4.562 at first and c = 2.040 at last.

    Raises:
        ValueError: there is no look, or alpha is not above 0 and below 1.

    """
    return _of_one_size(lambda fraction: 1 / math.sqrt(fraction), looks=looks, alpha=alpha)


def spending(fraction: float, *, alpha: float) -> float:
    """What may be spent up to a share t of the information, both directions together: 4 - 4Φ(z(alpha/4)/√t), alpha at t = 1.

    It is Lan and DeMets' function of O'Brien and Fleming's type, with alpha/2 for each direction. At alpha 0.05 a fifth may spend 0.000001, half
    0.0031, four fifths 0.0244.

    Raises:
        ValueError: the fraction is not above 0 and at most 1, or alpha is not above 0 and below 1.

    """
    _check((fraction,), alpha=alpha)
    return 4 * _tail(_STANDARD.inv_cdf(1 - alpha / 4) / math.sqrt(fraction))


def lan_demets(fractions: Sequence[float], *, alpha: float) -> tuple[float, ...]:
    """Boundaries for looks at any distance, each found from those before it: what comes later does not change what was.

    Fractions of 0.2, 0.4, 0.6, 0.8 and 1 at alpha 0.05 give 4.877, 3.357, 2.680, 2.290 and 2.031.

    Args:
        fractions: shares of the planned information at the looks, ascending, the last at most 1.
        alpha: probability of a false finding in either direction, over all looks together.

    Raises:
        ValueError: alpha is not above 0 and below 1, or the fractions do not ascend within 0 and 1.

    """
    _check(fractions, alpha=alpha)
    found: list[float] = []
    going, spent = _START, 0.0
    for fraction, ahead in zip(fractions, (*fractions[1:], None), strict=True):
        due = spending(fraction, alpha=alpha)
        boundary = _boundary(going, fraction=fraction, due=due - spent)
        # What was too little to spend here is left for the next look.
        spent = due if math.isfinite(boundary) else spent
        found.append(boundary)
        going = going.after(fraction, boundary=boundary, ahead=ahead)
    return tuple(found)


def crossing(boundaries: Sequence[float], *, fractions: Sequence[float], drift: float = 0.0) -> tuple[float, ...]:
    """Probability of crossing at each look for the first time, in either direction.

    Args:
        boundaries: of |z|, one a look.
        fractions: shares of the planned information at the looks, ascending.
        drift: what z is on average when all planned information is in: 0 without a difference; its sum over the looks is then the test's alpha. With
            a fixed test's 80 % of power at 0.05 it is 1.96 + 0.84, and the sum is the power.

    Raises:
        ValueError: there are not as many boundaries as fractions, one is below 0, or the fractions do not ascend within 0 and 1.

    """
    if len(boundaries) != len(fractions) or not all(boundary >= 0 for boundary in boundaries):
        raise ValueError(f"each of {len(fractions)} looks has one boundary of 0 or more, not {list(boundaries)}")
    _check(fractions)
    found: list[float] = []
    going = _START
    for boundary, fraction, ahead in zip(boundaries, fractions, (*fractions[1:], None), strict=True):
        found.append(going.leaving(fraction, boundary=boundary, drift=drift))
        going = going.after(fraction, boundary=boundary, ahead=ahead)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class _Going:
    """The score process that no look has stopped yet, without drift: masses at points, as Gauss and Legendre place them."""

    fraction: float
    points: tuple[float, ...]
    masses: tuple[float, ...]

    def leaving(self, fraction: float, *, boundary: float, drift: float = 0.0) -> float:
        """Probability of being beyond the boundary at the next look.

        With a drift θ a path that ends in s at time t is exp(θs - θ²t/2) times as likely as without, whatever it did before.
        """
        edge, step = boundary * math.sqrt(fraction), math.sqrt(fraction - self.fraction)
        moved = drift * (fraction - self.fraction)
        return math.fsum(
            mass
            * math.exp(drift * point - drift * drift * self.fraction / 2)
            * (_tail((edge - point - moved) / step) + _tail((edge + point + moved) / step))
            for point, mass in zip(self.points, self.masses, strict=True)
        )

    def after(self, fraction: float, *, boundary: float, ahead: float | None) -> "_Going":
        """What goes on after the next look; ahead is where the look after that is, None if there is none.

        Points have to be as near as the steps on either side are small: what is seen of the density through a narrow step is seen sharply.
        """
        if ahead is None:
            return self
        edge, step = min(boundary, _FARTHEST) * math.sqrt(fraction), math.sqrt(fraction - self.fraction)
        # Two points for each standard deviation of a step, and some for the ends, leave an error below 1e-9.
        count = 12 + math.ceil(4 * edge / min(step, math.sqrt(ahead - fraction)))
        scale = 1 / (step * math.sqrt(2 * math.pi))
        places = _legendre(count)
        points = tuple(edge * place for place, _ in places)
        own = tuple(zip(self.points, self.masses, strict=True))
        masses = tuple(
            edge * weight * scale * math.fsum(mass * math.exp(-0.5 * ((point - before) / step) ** 2) for before, mass in own)
            for point, (_, weight) in zip(points, places, strict=True)
        )
        return _Going(fraction=fraction, points=points, masses=masses)


_START = _Going(fraction=0.0, points=(0.0,), masses=(1.0,))


def _of_one_size(shape: Callable[[float], float], *, looks: int, alpha: float) -> tuple[float, ...]:
    """The shape times the constant at which all looks together cross with probability alpha."""
    fractions = equal(looks)
    _check(fractions, alpha=alpha)

    def left(constant: float) -> float:
        return alpha - math.fsum(crossing([constant * shape(fraction) for fraction in fractions], fractions=fractions))

    # One look needs the least, and Bonferroni's share of alpha at each the most.
    last = shape(1.0)
    constant = intervals.zero(left, _z(alpha) / last, _z(alpha / looks) / last)
    return tuple(constant * shape(fraction) for fraction in fractions)


def _boundary(going: _Going, *, fraction: float, due: float) -> float:
    """The |z| that a path still going exceeds with this probability."""
    if due < _NOTHING:
        return math.inf
    return intervals.zero(lambda boundary: due - going.leaving(fraction, boundary=boundary), 0.0, 10.0)


def _z(alpha: float) -> float:
    return -_STANDARD.inv_cdf(alpha / 2)


def _tail(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2


@functools.cache
def _legendre(count: int) -> tuple[tuple[float, float], ...]:
    """Points and weights of Gauss and Legendre on -1 to 1, by Newton's method on the polynomial."""
    found = []
    for number in range(count):
        x = math.cos(math.pi * (number + 0.75) / (count + 0.5))
        slope = 1.0
        for _ in range(20):
            before, value = 1.0, x
            for degree in range(2, count + 1):
                before, value = value, ((2 * degree - 1) * x * value - (degree - 1) * before) / degree
            slope = count * (x * value - before) / (x * x - 1)
            x, last = x - value / slope, x
            if abs(x - last) < 1e-15:
                break
        found.append((x, 2 / ((1 - x * x) * slope * slope)))
    return tuple(found)


def _check(fractions: Sequence[float], *, alpha: float = 0.5) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha, the probability of a false finding, is above 0 and below 1, not {alpha}")
    apart = all(after - before > _NEAREST - 1e-9 for before, after in zip((0.0, *fractions), fractions, strict=False))
    if not fractions or not apart or not fractions[-1] <= 1:
        raise ValueError(
            f"looks are taken at ascending shares of the planned information, at least {_NEAREST} apart and at most 1, not at {list(fractions)}"
        )
