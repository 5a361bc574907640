"""Sums over units of what each was measured to be: how many, the totals, and the totals of all products of two.

A unit's measurement is a vector: ``(y, x)`` for proportions and means, ``(y, d, x, e)`` for ratios. y is the outcome, or the numerator; d the
denominator; x is the covariate of y, e that of d. Everything is in millionths (``amounts``), products in millionths of millionths, as Python's whole
numbers: exact.
"""

from typing import TypeAlias

Vector: TypeAlias = tuple[int, ...]
Moments: TypeAlias = list[int]
"""n, then the totals of a vector's k elements, then the k(k+1)/2 totals of products: (0, 0), (0, 1), ... (k-1, k-1)."""


def empty(width: int) -> Moments:
    """Of no unit."""
    return [0] * (1 + width + width * (width + 1) // 2)


def add(moments: Moments, vector: Vector, sign: int = 1) -> None:
    """Count a unit, or with ``sign`` -1 count it no more."""
    moments[0] += sign
    if any(vector):
        _totals(moments, vector, sign)


def replace(moments: Moments, old: Vector, new: Vector) -> None:
    """A unit that was counted as ``old`` is now ``new``."""
    if any(old):
        _totals(moments, old, -1)
    if any(new):
        _totals(moments, new, 1)


def _totals(moments: Moments, vector: Vector, sign: int) -> None:
    width = len(vector)
    at = 1 + width
    for first, value in enumerate(vector):
        if not value:
            at += width - first
            continue
        moments[1 + first] += sign * value
        for other in vector[first:]:
            moments[at] += sign * value * other
            at += 1
