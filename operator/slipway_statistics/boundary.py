"""How far a canary's difference has to be from zero, in standard errors, when it is looked at as often as one likes.

The boundary is the one-sided sequence of ``sequences``, on the scale of candidate requests.
"""

import math

from slipway_statistics import sequences

PLANNED_REQUESTS = 1000
"""Candidate requests at which the boundary is tightest. Half or twice as many cost a few per cent of power, never of error."""


def alpha_of_one(false_rollback_probability: float, *, guardrails: int, steps: int) -> float:
    """The error that one guardrail may spend at one step, alpha over their number (Bonferroni): 0.01 over two guardrails and three steps is 0.00167.

    Raises:
        ValueError: there is no guardrail or no step, or the probability is not above 0 and below 0.5.

    """
    if guardrails < 1 or steps < 1:
        raise ValueError(f"alpha is shared over at least one guardrail and one step, not over {guardrails} and {steps}")
    return sequences.probability(false_rollback_probability, below=0.5) / (guardrails * steps)


def boundary(requests: int, *, alpha: float) -> float:
    """Standard errors that the difference must be above zero after so many candidate requests; infinite before the first.

    √(2 (u+1)/u · ln(1 + √(u+1)/(2 alpha))) with u = κ(2 alpha) · requests / 1000. For alpha = 0.00167: 100 requests 4.59, 1,000 requests 3.89.

    Raises:
        ValueError: alpha is not above 0 and below 0.5.

    """
    if requests <= 0:
        return math.inf
    u = sequences.information(requests, planned=PLANNED_REQUESTS, alpha=2 * sequences.probability(alpha, below=0.5))
    return sequences.one_sided(u, alpha=alpha)


def normal_of_t(t: float, *, freedom: float) -> float:
    """What a t with so many degrees of freedom weighs as a standard normal; nothing at none.

    z = (8n+1)/(8n+3) · √(n ln(1 + t²/n)) (D. L. Wallace, Bounds on normal approximations to Student's and the chi-square distributions, Annals of
    Mathematical Statistics 1959). t = 4 weighs 2.39 with 4 degrees of freedom and 3.76 with 63.
    """
    if freedom <= 0:
        return 0.0
    return math.copysign(_wallace(freedom) * math.sqrt(freedom * math.log1p(t * t / freedom)), t)


def t_of_normal(z: float, *, freedom: float) -> float:
    """The inverse of ``normal_of_t``; infinite at no freedom, and where no float is large enough."""
    if freedom <= 0 or math.isinf(z):
        return math.copysign(math.inf, z)
    exponent = (z / _wallace(freedom)) ** 2 / freedom
    # A float ends at e^709.
    return math.copysign(math.sqrt(freedom * math.expm1(exponent)) if exponent < 700 else math.inf, z)


def _wallace(freedom: float) -> float:
    return (8 * freedom + 1) / (8 * freedom + 3)
