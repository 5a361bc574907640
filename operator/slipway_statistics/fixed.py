"""A test of one look: at the size that was declared before the start, and never again.

A z beyond 1.96 is rare at one look. Looked at after every hundred units it is not: with 20,000 units an arm it happens in 43 of 100 experiments
without any difference. So this read-out is locked: it has no answer before the declared size, and gives one once.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

_STANDARD = NormalDist()


class TooEarly(ValueError):
    """An arm has fewer units than were declared: there is nothing to read yet."""


class AlreadyRead(ValueError):
    """The experiment has been read; the first answer stands."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What was said before the first unit came."""

    units: int
    """Units of each arm whose window is closed, at which it is read."""

    alpha: float
    """Probability of a false finding in either direction."""

    def __post_init__(self) -> None:
        """Refuse what cannot be declared."""
        if self.units < 2:
            raise ValueError(f"a test of one look is declared with at least 2 units an arm, not {self.units}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha, the probability of a false finding, is above 0 and below 1, not {self.alpha}")


@dataclass(frozen=True, kw_only=True)
class ReadOut:
    """The one answer. It is kept, and is what ``read`` is given if it is asked again."""

    estimate: float
    """The difference of the arms, in the metric's unit."""

    standard_error: float
    lower: float
    upper: float
    """Interval around the estimate that holds with probability 1 - alpha, at this look alone."""

    p: float
    """Probability, without any difference, of one at least as large in either direction."""

    significant: bool
    """Whether p is at most alpha."""


def read(
    *,
    estimate: float,
    standard_error: float,
    units: tuple[int, int],
    declared: Declared,
    before: ReadOut | None,
) -> ReadOut:
    """Read the experiment by a z-test: p = 2 Φ(-|estimate| / standard_error).

    Args:
        estimate: the difference of the arms.
        standard_error: of the estimate, with each arm's own variance.
        units: of either arm, closed.
        declared: the size and alpha that were declared.
        before: what was read, if it was.

    Raises:
        TooEarly: an arm has fewer units than were declared.
        AlreadyRead: there is an answer already.
        ValueError: the standard error is not above 0.

    """
    if before is not None:
        raise AlreadyRead(f"this experiment was read at its declared {declared.units} units an arm; its answer, p = {before.p:.3g}, stands")
    if min(units) < declared.units:
        missing = declared.units - min(units)
        raise TooEarly(f"declared with {declared.units} units an arm, and an arm has {min(units)}: read it when {missing} more are closed")
    if not standard_error > 0 or math.isinf(standard_error):
        raise ValueError(f"a difference is tested with a finite standard error above 0, not {standard_error}")
    p = math.erfc(abs(estimate) / standard_error / math.sqrt(2))
    reach = -_STANDARD.inv_cdf(declared.alpha / 2) * standard_error
    return ReadOut(
        estimate=estimate,
        standard_error=standard_error,
        lower=estimate - reach,
        upper=estimate + reach,
        p=p,
        significant=p <= declared.alpha,
    )
