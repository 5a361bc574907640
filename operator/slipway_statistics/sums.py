"""What is known of one metric in one arm and one stratum: how many units, the totals of what was measured on them, and the totals of all products.

A proportion is a mean of zeros and ones. A mean measures two things on a unit: the outcome, and a covariate (the same metric before the unit's first
exposure; 0 where there was none). A ratio measures four: numerator, denominator, and both before the first exposure.

Sums of several routers, days or strata are added. Whole numbers stay whole, so variances of counts are exact however large the counts are.
"""

import functools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Number = int | float

MEAN = 2
"""Things measured on a unit for a mean or a proportion: outcome, covariate."""

RATIO = 4
"""Things measured on a unit for a ratio: numerator, denominator, numerator before, denominator before."""

# What rounding leaves of a variance: sums of doubles are off by some units in the sixteenth digit, so a difference of two sums that is smaller than
# this share of either is no variance.
_NOISE = 2.0**-44


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What the analysis works with: a value per unit and its spread, and the same of the covariate."""

    units: int
    value: float
    """Mean of the outcome; for a ratio Σ numerator / Σ denominator."""

    before: float
    """The same of the covariate; 0 where there is none."""

    value_value: float
    value_before: float
    before_before: float
    """Centred sums of squares and products over the units. For a ratio of (numerator - value · denominator) / (mean denominator), which has the
    variance of the ratio to first order (delta method), and the like of the covariate."""


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums over units. ``totals`` and ``products`` belong to the same things in the same order."""

    units: int
    totals: tuple[Number, ...]
    """A mean, outcome y and covariate x: (Σy, Σx). A ratio, numerator m, denominator d, and both before, u and v: (Σm, Σd, Σu, Σv)."""

    products: tuple[Number, ...]
    """Upper triangle, row by row. Mean: (Σy², Σyx, Σx²). Ratio: (Σm², Σmd, Σmu, Σmv, Σd², Σdu, Σdv, Σu², Σuv, Σv²)."""

    def __add__(self, other: "Sums") -> "Sums":
        """Both together.

        Raises:
            ValueError: one is of a mean and the other of a ratio.

        """
        if len(self.totals) != len(other.totals):
            raise ValueError(f"sums of {len(self.totals)} and of {len(other.totals)} things measured on a unit cannot be added")
        return Sums(
            units=self.units + other.units,
            totals=tuple(map(operator.add, self.totals, other.totals)),
            products=tuple(map(operator.add, self.products, other.products)),
        )

    @property
    def mean(self) -> float:
        """Mean of the outcome, or of the numerator; 0 without units."""
        return self.totals[0] / self.units if self.units else 0.0

    @property
    def variance(self) -> float:
        """Variance of the outcome, or of the numerator, between units: Σ(y - ȳ)²/(n - 1); 0 for fewer than two units."""
        return _centred(self.units, self.products[0], self.totals[0], self.totals[0]) / (self.units - 1) if self.units > 1 else 0.0

    @property
    def events(self) -> float:
        """How many equal events weigh as much as what was seen, (Σy)²/Σy². Of zeros and ones: how many ones. 0 where nothing was seen."""
        total, squares = self.totals[0], self.products[0]
        return total * total / squares if squares > 0 else 0.0

    @functools.cached_property
    def moments(self) -> Moments | None:
        """What the analysis works with; None without units, and for a ratio whose denominators add up to 0. Control is asked once for each arm."""
        if not self.units:
            return None
        return _mean(self) if len(self.totals) == MEAN else _ratio(self)

    def to_json(self) -> dict[str, Any]:
        """As ``parse`` reads it."""
        return {"units": self.units, "totals": list(self.totals), "products": list(self.products)}


def nothing(things: int) -> Sums:
    """No units; things is ``MEAN`` or ``RATIO``."""
    return Sums(units=0, totals=(0,) * things, products=(0,) * (things * (things + 1) // 2))


def of_units(rows: Iterable[Sequence[Number]], *, things: int = MEAN) -> Sums:
    """The sums of single units, each a row of outcome and covariate, or of numerator, denominator and both before; what is left out is 0.

    Each sum is rounded once (``math.fsum``), whole numbers never.
    """
    columns: list[tuple[Number, ...]] = [tuple(row) + (0,) * (things - len(row)) for row in rows]
    return Sums(
        units=len(columns),
        totals=tuple(_total([row[i] for row in columns]) for i in range(things)),
        products=tuple(_total([row[i] * row[j] for row in columns]) for i in range(things) for j in range(i, things)),
    )


def merge(parts: Iterable[Sums]) -> Sums:
    """All of them together.

    Raises:
        ValueError: there are none, or they are of a mean and of a ratio.

    """
    found: Sums | None = None
    for part in parts:
        found = part if found is None else found + part
    if found is None:
        raise ValueError("there are no sums to merge: nothing says what they would be of")
    return found


def parse(answer: Mapping[str, Any], *, of: str = "sums") -> Sums:
    """Read the sums from JSON: ``{"units": 3, "totals": [2, 0], "products": [2, 0, 0]}``.

    Args:
        answer: the JSON object.
        of: what they are of, for the message of an error: "conversion, challenger, stratum 2".

    Raises:
        ValueError: something is missing, no finite number, or cannot be sums of as many units.

    """
    try:
        units, totals, products = answer["units"], tuple(answer["totals"]), tuple(answer["products"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{of}: sums are an object with units, totals and products, and this is not ({error!r})") from error
    things = len(totals)
    if things not in (MEAN, RATIO) or len(products) != things * (things + 1) // 2:
        raise ValueError(f"{of}: 2 totals and 3 products, or 4 and 10, not {things} and {len(products)}")
    if isinstance(units, bool) or not isinstance(units, int) or units < 0:
        raise ValueError(f"{of}: units are a whole number from 0 up, not {units!r}")
    for number in (*totals, *products):
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise ValueError(f"{of}: a sum is a finite number, not {number!r}")
    found = Sums(units=units, totals=totals, products=products)
    _check(found, of=of)
    return found


def _check(found: Sums, *, of: str) -> None:
    """No units have such sums unless n Σy² ≥ (Σy)² and Σy² Σx² ≥ (Σyx)² (Cauchy and Schwarz)."""
    things = len(found.totals)
    places = [(i, j) for i in range(things) for j in range(i, things)]
    squares = {i: number for (i, j), number in zip(places, found.products, strict=True) if i == j}
    slack = 1 + 1e-9
    for i, total in enumerate(found.totals):
        if total * total > found.units * squares[i] * slack:
            raise ValueError(f"{of}: {found.units} units with squares of {squares[i]!r} cannot add up to {total!r} (number {i + 1} of the totals)")
    for (i, j), number in zip(places, found.products, strict=True):
        if squares[i] < 0 or number * number > squares[i] * squares[j] * slack:
            raise ValueError(f"{of}: products of {number!r} do not go with squares of {squares[i]!r} and {squares[j]!r}")


def _mean(found: Sums) -> Moments:
    units, (outcome, covariate), (yy, yx, xx) = found.units, found.totals, found.products
    return Moments(
        units=units,
        value=outcome / units,
        before=covariate / units,
        value_value=_centred(units, yy, outcome, outcome),
        value_before=_centred(units, yx, outcome, covariate) if xx else 0.0,
        before_before=_centred(units, xx, covariate, covariate) if xx else 0.0,
    )


def _ratio(found: Sums) -> Moments | None:
    units, (m, d, u, v) = found.units, found.totals
    if d <= 0:
        return None
    mm, md, mu, mv, dd, du, dv, uu, uv, vv = found.products
    value = m / d
    scale = units / d
    squares = _quadratic(value, _centred(units, mm, m, m), _centred(units, md, m, d), _centred(units, dd, d, d))
    if v <= 0:
        return Moments(units=units, value=value, before=0.0, value_value=squares * scale**2, value_before=0.0, before_before=0.0)
    before, scale_before = u / v, units / v
    squares_before = _quadratic(before, _centred(units, uu, u, u), _centred(units, uv, u, v), _centred(units, vv, v, v))
    crossed = (
        _centred(units, mu, m, u)
        - before * _centred(units, mv, m, v)
        - value * _centred(units, du, d, u)
        + value * before * _centred(units, dv, d, v)
    )
    return Moments(
        units=units,
        value=value,
        before=before,
        value_value=squares * scale**2,
        value_before=crossed * scale * scale_before,
        before_before=squares_before * scale_before**2,
    )


def _quadratic(ratio: float, mm: float, md: float, dd: float) -> float:
    """Centred sum of squares of m - ratio · d; 0 where rounding could have made it."""
    found = mm - 2 * ratio * md + ratio * ratio * dd
    return found if found > _NOISE * (mm + ratio * ratio * dd) else 0.0


def _centred(units: int, product: Number, total: Number, other: Number) -> float:
    """Σ(a - ā)(b - b̄) = Σab - Σa Σb / n. Exact for whole numbers; a square is 0 where rounding could have made it, never below."""
    if isinstance(product, int) and isinstance(total, int) and isinstance(other, int):
        return (units * product - total * other) / units
    found = product - total * other / units
    return 0.0 if abs(found) <= _NOISE * abs(product) else found


def _total(values: Sequence[Number]) -> Number:
    return sum(values) if all(isinstance(value, int) for value in values) else math.fsum(values)
