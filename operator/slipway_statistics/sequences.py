"""Confidence sequences: intervals that hold at all looks at once, and the e-values and p-values that belong to them.

All of them are the normal mixture of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, *Time-uniform central limit theory and asymptotic confidence
sequences* (Annals of Statistics 2024, arXiv:2103.06476v7; equation 9 two-sided, 134 one-sided, 155 the e-value, 161 where to make it tightest).
What the paper writes as N·ρ² is u here, the information so far: u = κ(alpha) · (information so far) / (information at which a decision is expected).
A mixture sequential probability ratio test with a normal prior of variance τ² is the same thing at u = τ²/V.
"""

import math


def kappa(alpha: float) -> float:
    """The time scale of the mixture, κ(a) = -2 ln a + ln(1 - 2 ln a): the boundary is tightest where u equals it (equation 161).

    κ(0.05) = 5.99 + 1.95 = 7.94; κ(0.0033) = 11.41 + 2.52 = 13.93.
    """
    twice = -2 * math.log(alpha)
    return twice + math.log1p(twice)


def information(now: float, *, planned: float, alpha: float) -> float:
    """u of a two-sided sequence: κ(alpha) · now / planned. One-sided sequences take twice their alpha here.

    now and planned are in any one unit that grows as 1/variance does: units, requests, or Σ n_A n_B / (n_A + n_B).

    Raises:
        ValueError: planned is not above 0, now is below 0, or alpha is no probability of error.

    """
    if not planned > 0 or not now >= 0:
        raise ValueError(f"information grows from 0 towards a plan above 0, not from {now} towards {planned}")
    return kappa(probability(alpha, below=1)) * now / planned


def two_sided(u: float, *, alpha: float) -> float:
    """Standard errors between the estimate and either end of the interval; infinite at u = 0 (equation 9).

    √(2 (u+1)/u · ln(√(u+1)/alpha)). For alpha = 0.05 at u = κ(0.05) = 7.94: √(2.252 · 4.091) = 3.035.

    Raises:
        ValueError: alpha is not above 0 and below 1.

    """
    probability(alpha, below=1)
    return math.sqrt(2 * (u + 1) / u * math.log(math.sqrt(u + 1) / alpha)) if u > 0 else math.inf


def one_sided(u: float, *, alpha: float) -> float:
    """Standard errors between the estimate and an end that is used alone; infinite at u = 0 (equation 134).

    √(2 (u+1)/u · ln(1 + √(u+1)/(2 alpha))). For alpha = 0.00167 at u = κ(0.0033) = 13.93: 3.889.

    Raises:
        ValueError: alpha is not above 0 and below 0.5.

    """
    probability(alpha, below=0.5)
    return math.sqrt(2 * (u + 1) / u * math.log1p(math.sqrt(u + 1) / (2 * alpha))) if u > 0 else math.inf


def log_e_value(z: float, *, u: float) -> float:
    """Logarithm of the two-sided e-value of an estimate z standard errors from zero: u z²/(2(u+1)) - ln(u+1)/2 (equation 155).

    It reaches ln(1/alpha) exactly where |z| reaches ``two_sided``. A logarithm, since a z of 40 is beyond what a float holds.
    """
    return u * z * z / (2 * (u + 1)) - math.log1p(u) / 2


def log_one_sided_e_value(z: float, *, u: float) -> float:
    """The same with only positive effects in the mixture: ln 2 + u z²/(2(u+1)) - ln(u+1)/2 + ln Φ(z √(u/(u+1))).

    It reaches ln(1/alpha) no later than z reaches ``one_sided``, whose closed form is on the safe side.
    """
    return math.log(2) + log_e_value(z, u=u) + _log_normal(z * math.sqrt(u / (u + 1)))


def always_valid_p(log_e: float, *, before: float = 1.0) -> float:
    """The p-value at this look: the least 1/e of all looks, this one and those behind ``before``, and no more than 1.

    The caller keeps it from look to look. The chance that it ever falls to alpha is at most alpha, so it may be read at any time.
    """
    return min(before, 1.0, math.exp(min(-log_e, 0.0)))


def shrunk(estimate: float, *, u: float) -> float:
    """What the mixture expects of the effect, estimate · u/(u+1): the mean of the posterior under a normal prior around zero.

    What is seen when a test stops early tends to be high; this is pulled towards zero by as much as the information so far allows.
    """
    return estimate * u / (u + 1)


def _log_normal(z: float) -> float:
    """ln Φ(z). Where Φ is below what a float holds, by its leading term, -z²/2 - ln(-z √2π), which is right to 0.001 there."""
    if z > -30:
        return math.log(math.erfc(-z / math.sqrt(2)) / 2)
    return -z * z / 2 - math.log(-z * math.sqrt(2 * math.pi))


def probability(alpha: float, *, below: float) -> float:
    """Alpha itself.

    Raises:
        ValueError: it is not above 0 and below the bound.

    """
    if not 0 < alpha < below:
        raise ValueError(f"a probability of error is above 0 and below {below:g}, not {alpha}")
    return alpha
