"""Logarithm, sine and cosine out of operations that every machine rounds alike.

numpy's own may differ by a last bit between a long array and a short one, and between processors: each has a kernel of its own. IEEE 754
prescribes the result of + - * / and of comparisons, of floor, fmod and frexp to the bit, and numpy does each of them alone, without fusing two into
one. So what is made of them is the same for a row alone, within a batch, at training and at serving. All of it is float64, within four units in the
last place.
"""

import math

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

_LN2_HIGH = 0x162E42FEFA3 / 2**41
"""The first 41 bits of ln 2, so that its product with an exponent is exact."""
_LN2_LOW = 2.8235290563031577e-13
"""The next 53."""

_ATANH = tuple(1 / (2 * power + 1) for power in range(13))
"""atanh(s) / s as a series in s**2; with |s| < 0.172 the first term left out is below 1e-21."""
_SINE = tuple((-1) ** power / math.factorial(2 * power + 1) for power in range(10))
"""sin(a) / a as a series in a**2; with |a| <= pi / 4 the first term left out is below 1e-21."""
_COSINE = tuple((-1) ** power / math.factorial(2 * power) for power in range(11))


def log1p(values: Doubles) -> Doubles:
    """log(1 + x): -inf at -1, NaN below and for NaN."""
    with np.errstate(all="ignore"):
        above = 1.0 + values
        # What adding 1 has rounded off, as the logarithm's first order has it.
        lost = (values - (above - 1.0)) / above
        found = _log(above) + np.where(np.abs(values) < 2.0**60, lost, 0.0)
        return np.where(above > 0, np.where(np.isinf(above), above, found), np.where(above == 0, -np.inf, np.nan))


def _log(values: Doubles) -> Doubles:
    """The logarithm of finite positive numbers: of a mantissa between sqrt(1/2) and sqrt(2), and of a power of two."""
    mantissa, exponent = np.frexp(values)
    small = mantissa < math.sqrt(0.5)
    excess = np.where(small, mantissa * 2.0, mantissa) - 1.0
    power = exponent - small.astype(np.float64)
    ratio = excess / (2.0 + excess)
    return power * _LN2_HIGH + (2.0 * ratio * _series(_ATANH, ratio * ratio) + power * _LN2_LOW)


def sine_and_cosine(turns: Doubles) -> tuple[Doubles, Doubles]:
    """Of angles in whole turns, each from 0 to below 1; NaN for NaN."""
    quarter = np.floor(turns * 4.0 + 0.5)
    angle = (turns - quarter * 0.25) * (2.0 * math.pi)
    square = angle * angle
    sine, cosine = angle * _series(_SINE, square), _series(_COSINE, square)
    odd = (quarter == 1) | (quarter == 3)
    first, second = np.where(odd, cosine, sine), np.where(odd, sine, cosine)
    down, left = (quarter == 2) | (quarter == 3), (quarter == 1) | (quarter == 2)
    return np.where(down, -first, first), np.where(left, -second, second)


def _series(coefficients: tuple[float, ...], values: Doubles) -> Doubles:
    found = np.full_like(values, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        found = found * values + coefficient
    return found


def mixed(values: Doubles) -> npt.NDArray[np.uint64]:
    """64 bits that look random, the same for the same number: splitmix64 of its bits, 0.0 and -0.0 being one number."""
    bits = (values + 0.0).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
