"""All looks of many experiments at once: ``slipway_statistics.strata`` and ``analysis`` again, with arrays.

A unit test holds it against the package, look by look.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipway_statistics import sequences
from slipway_statistics.sums import Sums

CONTROL, ARM = 0, 1
MINIMUM_EVENTS = 10
MINIMUM_UNITS = 100

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums over units at every look, since the beginning. Arrays by run, look, stratum and arm; a mean has ones for denominators."""

    units: Floats
    m: Floats
    mm: Floats
    d: Floats
    md: Floats
    dd: Floats
    x: Floats
    mx: Floats
    xx: Floats
    decides: Booleans
    """By run and look: whether it is known where to cut the metric off."""

    counts: bool = True
    """Whether it is a proportion or a ratio, with events to expect."""

    ratio: bool = False

    @classmethod
    def of_mean(cls, units: Floats, m: Floats, mm: Floats, *, counts: bool = True, decides: Booleans | None = None) -> "Totals":
        """Without a covariate."""
        nothing, n = np.zeros_like(m), np.broadcast_to(units, m.shape)
        known = np.ones(m.shape[:2], np.bool_) if decides is None else decides
        return cls(units=n, m=m, mm=mm, d=n, md=m, dd=n, x=nothing, mx=nothing, xx=nothing, decides=known, counts=counts)

    def sums(self, run: int, look: int, stratum: int, arm: int) -> Sums:
        """As the package takes them."""
        at = (run, look, stratum, arm)
        m, mm, d, md, dd, x, mx, xx = (float(values[at]) for values in (self.m, self.mm, self.d, self.md, self.dd, self.x, self.mx, self.xx))
        if self.ratio:
            return Sums(units=int(self.units[at]), totals=(m, d, 0, 0), products=(mm, md, 0, 0, dd, 0, 0, 0, 0, 0))
        return Sums(units=int(self.units[at]), totals=(m, x), products=(mm, mx, xx))


@dataclass(frozen=True, kw_only=True)
class Series:
    """What every look sees; arrays by run and look."""

    estimate: Floats
    error: Floats
    u: Floats
    boundary: Floats
    wins: Booleans
    harms: Booleans
    ready: Booleans
    """Whether as many events are expected as are needed."""

    @property
    def lower(self) -> Floats:
        """Of the interval."""
        return self.estimate - self.boundary * self.error

    @property
    def upper(self) -> Floats:
        """The other end."""
        return self.estimate + self.boundary * self.error


def series(
    of: Totals, *, planned: float | Floats, alpha: float = 0.05, one_sided: bool = False, own_variance: bool = False, by_population: bool = False
) -> Series:
    """Test at every look.

    Args:
        of: the sums.
        planned: units an arm at which the interval is tightest; an array by run and look where runs have plans of their own.
        alpha: of both ends together, or of each.
        one_sided: whether each end is used alone, as of a guardrail.
        own_variance: as if each arm's own variance were good enough.
        by_population: as if strata weighed as many units as they have.

    """
    with np.errstate(divide="ignore", invalid="ignore"):
        m, mm, md = _without_covariate(of)
        n, both = of.units, of.units.sum(axis=-1)
        there = (n > 0).all(axis=-1) & (both >= 3)
        value = m / of.d
        own = _variance(n, m, mm, of.d, md, of.dd)
        pooled = _variance(*(values.sum(axis=-1) for values in (n, m, mm, of.d, md, of.dd)))
        used = np.where(n > 1, own, 0) if own_variance else np.fmax(np.where(n > 1, own, 0), pooled[..., None])
        h = np.where(there, n.prod(axis=-1) / both, 0)
        weight = np.where(there, both, 0) if by_population else h
        total, information = weight.sum(axis=-1), h.sum(axis=-1)
        estimate = np.where(there, weight * (value[..., ARM] - value[..., CONTROL]), 0).sum(axis=-1) / total
        variance = np.where(there, weight**2 * (used / n).sum(axis=-1), 0).sum(axis=-1) / total**2
        u = sequences.kappa(2 * alpha if one_sided else alpha) * information / (planned / 2)
        far = np.log1p(np.sqrt(u + 1) / (2 * alpha)) if one_sided else np.log(np.sqrt(u + 1) / alpha)
        boundary = np.sqrt(2 * (u + 1) / u * far)
        error = np.sqrt(variance)
        ready = of.decides & (error > 0) & _enough(of)
        closed = ready & (np.where(there[..., None], n, 0).sum(axis=2) >= MINIMUM_UNITS).all(axis=-1)
        return Series(
            estimate=estimate,
            error=error,
            u=u,
            boundary=boundary,
            wins=closed & (estimate - boundary * error > 0),
            harms=ready & (estimate + boundary * error < 0),
            ready=ready,
        )


def naive(of: Totals) -> Booleans:
    """Runs in which a z-test at 0.05, with all units added up and looked at each time, ever says something; both arms need ten events."""
    m, mm, d, md, dd, n = (values.sum(axis=2) for values in (of.m, of.mm, of.d, of.md, of.dd, of.units))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (m / d)[..., ARM] - (m / d)[..., CONTROL]
        z /= np.sqrt((_variance(n, m, mm, d, md, dd) / n).sum(axis=-1))
        enough = (n >= MINIMUM_UNITS).all(axis=-1) & ((m * m / mm >= MINIMUM_EVENTS).all(axis=-1) | (not of.counts))
    found: Booleans = (enough & of.decides & (np.abs(z) > 1.959964)).any(axis=1)
    return found


def first(that: Booleans) -> Iterator[int | None]:
    """For each run the first look at which something holds."""
    for row in that:
        yield int(row.argmax()) if row.any() else None


def _without_covariate(of: Totals) -> tuple[Floats, Floats, Floats]:
    """Sums of y - θx; θ is pooled over arms and strata, centred in each."""
    if not of.xx.any():
        return of.m, of.mm, of.md
    crossed, squares = of.mx - of.m * of.x / of.units, of.xx - of.x * of.x / of.units
    theta = (np.nansum(crossed, axis=(2, 3)) / np.nansum(squares, axis=(2, 3)))[:, :, None, None]
    m = of.m - theta * of.x
    return m, of.mm - 2 * theta * of.mx + theta**2 * of.xx, m


def _variance(n: Floats, m: Floats, mm: Floats, d: Floats, md: Floats, dd: Floats) -> Floats:
    """Of a unit, of (m - r d)/(mean d); a residual adds up to 0, so its squares are centred."""
    r = m / d
    found: Floats = np.maximum(mm - 2 * r * md + r * r * dd, 0) * (n / d) ** 2 / (n - 1)
    return found


def _enough(of: Totals) -> Booleans:
    """Ten expected events in the arm; of a mean a hundred units in both."""
    n = of.units
    there: Booleans = np.asarray((n > 0).all(axis=-1))
    if not of.counts:
        enough: Booleans = (np.where(there[..., None], n, 0).sum(axis=2) >= MINIMUM_UNITS).all(axis=-1)
        return enough
    m, mm = of.m.sum(axis=-1), of.mm.sum(axis=-1)
    events = np.where(mm > 0, m * m / mm, 0)
    expected = np.where(there, n[..., ARM] * events / n.sum(axis=-1), 0).sum(axis=-1)
    found: Booleans = expected >= MINIMUM_EVENTS
    return found
