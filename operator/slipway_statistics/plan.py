"""How many units an experiment needs, how long that takes, and what it would see.

All of it is for one arm beside control with half of the units each. Another split needs the same information, h = n_A n_B / (n_A + n_B), which half
and half have at h = n/2 for n units an arm.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from slipway_statistics import sequences
from slipway_statistics.sums import Sums

_NORMAL = NormalDist()

_TANGENTS = 24
"""Places at which the boundary is replaced by its tangent (``power``)."""

_STEPS = 60
"""Parts of the integral for the mean size of a sample."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Variances of a unit, in the square of the metric's unit."""

    control: float
    arm: float

    def __post_init__(self) -> None:
        if not self.control >= 0 or not self.arm >= 0 or not self.control + self.arm > 0:
            raise ValueError(f"variances are 0 or more, and not both 0: {self.control} and {self.arm}")

    @property
    def both(self) -> float:
        """n times the variance of the difference at n units an arm."""
        return self.control + self.arm

    @property
    def tested(self) -> float:
        """The same as a look takes it: each arm has the variance of both together if its own is less (``strata``). 2 % more for 0.10 → 0.11."""
        mean = self.both / 2
        return max(self.control, mean) + max(self.arm, mean)

    def with_covariate(self, correlation: float) -> "Spread":
        """What is left when a covariate with this correlation is taken out: 1 - ρ² of it (CUPED). At 0.5 three quarters, at 0.9 a fifth.

        Raises:
            ValueError: the correlation is not above -1 and below 1.

        """
        if not -1 < correlation < 1:
            raise ValueError(f"a correlation is above -1 and below 1, not {correlation}")
        left = 1 - correlation**2
        return Spread(control=self.control * left, arm=self.arm * left)


def of_proportion(rate: float, *, effect: float) -> Spread:
    """p(1 - p) in control and with the effect added.

    Raises:
        ValueError: one of the rates is not above 0 and below 1.

    """
    for p in (rate, rate + effect):
        if not 0 < p < 1:
            raise ValueError(f"a proportion is above 0 and below 1, not {p:g} (control {rate:g}, effect {effect:g})")
    return Spread(control=rate * (1 - rate), arm=(rate + effect) * (1 - rate - effect))


def of_units(before: Sums) -> Spread:
    """From units of the time before, as a ledger sums them: the variance of a mean, or of a ratio by the delta method; the same in both arms.

    Raises:
        ValueError: there are fewer than two units, or a ratio without denominators.

    """
    moments = before.moments
    if moments is None or moments.units < 2:
        raise ValueError("a variance needs two units or more with something measured on them")
    variance = moments.value_value / (moments.units - 1)
    return Spread(control=variance, arm=variance)


def units_per_arm(spread: Spread, *, effect: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Units an arm of a test with a fixed end, looked at once: ⌈(z₁₋ₐ/₂ + z_power)² (σ²_A + σ²_B) / δ²⌉.

    0.10 → 0.11 at 0.05 and 0.8: 2.8016² · 0.1879 / 0.0001 = 14,749. The same number is where a sequence is best made tightest (``Metric
    .planned_units_per_arm``), both arms together twice as many; with twice these at most it sees more than the fixed test at about the same mean.

    Raises:
        ValueError: the effect is 0, or alpha or power is no probability.

    """
    if effect == 0:
        raise ValueError("no number of units shows an effect of 0")
    reach = _quantile(1 - sequences.probability(alpha, below=1) / 2) + _quantile(sequences.probability(power, below=1))
    return math.ceil(reach**2 * spread.both / effect**2)


def power(units: float, *, planned: float, spread: Spread, effect: float, alpha: float = 0.05) -> float:
    """Probability that the interval has left zero on the right side by so many units an arm, with looks all the time: a lower bound, close.

    The difference times its information is a Brownian motion with a drift. The boundary is concave, so each of its tangents is above it and is met
    later; when a line is met has a closed form, Φ((m√t) - a/√t) + exp(2am) Φ(-m√t - a/√t) for a line a + s·t and a drift that is m steeper. The best
    of 24 tangents is taken. With 150 to 300 looks in place of looks all the time a simulation sees 0.02 less at most.

    Args:
        units: of an arm, looked at until then.
        planned: of an arm, at which the interval is tightest.
        spread: variances of a unit.
        effect: arm minus control.
        alpha: two-sided, over all looks.

    """
    if units <= 0:
        return 0.0
    line = _Line(drift=abs(effect) / math.sqrt(spread.both), higher=math.sqrt(spread.tested / spread.both), planned=planned, alpha=alpha)
    return max(line.met(units, tangent_at=units * (part + 1) / _TANGENTS) for part in range(_TANGENTS))


def mean_units(most: float, *, planned: float, spread: Spread, effect: float, alpha: float = 0.05) -> float:
    """Units an arm that the experiment takes on average when it stops as soon as the interval leaves zero, and at ``most`` if it never does."""
    edges = [most * part / _STEPS for part in range(_STEPS + 1)]
    still = [1 - power(units, planned=planned, spread=spread, effect=effect, alpha=alpha) for units in edges]
    return most / _STEPS * (math.fsum(still) - (still[0] + still[-1]) / 2)


def smallest_effect(units: float, *, planned: float, spread: Spread, alpha: float = 0.05, power_of: float = 0.8) -> float:
    """The effect that is seen by so many units an arm with this probability; in the metric's unit.

    Raises:
        ValueError: units is not above 0, or power_of is no probability.

    """
    if not units > 0:
        raise ValueError(f"an effect is seen in some units, not in {units}")
    sequences.probability(power_of, below=1)
    scale = math.sqrt(spread.both / units)
    return _least(lambda size: power(units, planned=planned, spread=spread, effect=size, alpha=alpha) >= power_of, start=scale)


def units_to_show(spread: Spread, *, margin: float, alpha: float, power: float = 0.8, planned: float | None = None) -> int:
    """Units an arm until a guardrail that is not worse at all is shown to be within its margin, with this probability at that look.

    The least n with (boundary + z_power) · √((σ²_A + σ²_B)/n) ≤ margin. At 1 % errors and alpha 0.01, a margin of 0.005 takes 13,950 units an arm,
    one of 0.002 takes 87,200: the guardrail is often dearer than the win.

    Args:
        spread: variances of a unit.
        margin: how much worse it may be, above 0.
        alpha: of this guardrail and arm, one-sided (``Design.alpha_of``).
        power: probability that it is shown at that look.
        planned: units an arm at which the interval is tightest; None: at the number that this answers.

    Raises:
        ValueError: the margin is not above 0.

    """
    if not margin > 0:
        raise ValueError(f"a guardrail that may not get worse by more than {margin} is never shown to be as good")

    def shown(units: float) -> bool:
        u = sequences.information(units, planned=planned or units, alpha=2 * alpha)
        return (sequences.one_sided(u, alpha=alpha) + _quantile(power)) * math.sqrt(spread.both / units) <= margin

    return math.ceil(_least(shown, start=spread.both / margin**2))


@dataclass(frozen=True, kw_only=True)
class RampStep:
    """A step of the ramp, as shares of all units that come."""

    control: float
    """Share of the units that are control; the rest of a step that is not the last waits."""

    arm: float
    hold_s: float
    """How long; of the last step it does not matter."""


def duration_s(units: float, *, ramp: Sequence[RampStep], units_per_second: float, window_s: float = 0) -> float:
    """Seconds until an experiment has the information of so many units an arm, and the last of them had their time for an outcome.

    Args:
        units: of an arm, at half and half (``units_per_arm``).
        ramp: its steps.
        units_per_second: *new* units, as they come for the first time; who comes again brings nothing.
        window_s: time that a unit has for its outcome.

    Raises:
        ValueError: no units come, or the last step gives an arm none.

    """
    if not ramp or not units_per_second > 0 or min(ramp[-1].control, ramp[-1].arm) <= 0:
        raise ValueError("without new units in control and in the arm at the last step it never ends")
    missing, passed = units / 2, 0.0
    for step in ramp[:-1]:
        rate = _information_per_second(step, units_per_second=units_per_second)
        if rate * step.hold_s >= missing:
            return passed + missing / rate + window_s
        missing -= rate * step.hold_s
        passed += step.hold_s
    return passed + missing / _information_per_second(ramp[-1], units_per_second=units_per_second) + window_s


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What somebody should know before an experiment begins."""

    units_per_arm: int
    """At which a decision is expected: ``Metric.planned_units_per_arm`` of the primary."""

    power: float
    """Probability that the planned effect wins by twice as many units, with the arm's share of alpha."""

    mean_units: float
    """Units an arm that it takes on average if the effect is the planned one, twice ``units_per_arm`` at most."""

    smallest_effect: float
    """What is seen with probability 0.8 by twice as many units."""

    guardrails: Mapping[str, int]
    """By name: units an arm until one that is no worse is shown to be so. A win waits for the largest of them."""

    seconds: float
    """Until the last of twice as many units, or of those that a guardrail needs, had its time for an outcome."""


def outline(
    spread: Spread,
    *,
    effect: float,
    alpha: float,
    guardrails: Mapping[str, tuple[Spread, float, float]],
    ramp: Sequence[RampStep],
    units_per_second: float,
    window_s: float = 0,
) -> Outline:
    """Plan an experiment for one of its arms.

    Args:
        spread: variances of the primary.
        effect: what it is to find, absolute.
        alpha: of the arm, two-sided (``Design.alpha_of``): with three arms a third of the experiment's.
        guardrails: by name variances, margin and alpha (``Design.alpha_of``).
        ramp: its steps.
        units_per_second: new units.
        window_s: time that a unit has for its outcome.

    Raises:
        ValueError: as ``units_per_arm``, ``units_to_show`` and ``duration_s`` do.

    """
    n = units_per_arm(spread, effect=effect, alpha=alpha)
    costs = {name: units_to_show(of, margin=margin, alpha=own) for name, (of, margin, own) in guardrails.items()}
    return Outline(
        units_per_arm=n,
        power=power(2 * n, planned=n, spread=spread, effect=effect, alpha=alpha),
        mean_units=mean_units(2 * n, planned=n, spread=spread, effect=effect, alpha=alpha),
        smallest_effect=smallest_effect(2 * n, planned=n, spread=spread, alpha=alpha),
        guardrails=costs,
        seconds=duration_s(max(2 * n, *costs.values()) if costs else 2 * n, ramp=ramp, units_per_second=units_per_second, window_s=window_s),
    )


def _information_per_second(step: RampStep, *, units_per_second: float) -> float:
    both = step.control + step.arm
    return units_per_second * step.control * step.arm / both if both > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class _Line:
    """The boundary of a Brownian motion whose time is units of an arm."""

    drift: float
    higher: float
    """How much higher the boundary is because variances are taken on the safe side."""

    planned: float
    alpha: float

    def met(self, units: float, *, tangent_at: float) -> float:
        """Probability that the motion meets the tangent by so many units."""
        scale = sequences.kappa(self.alpha) / self.planned
        x = scale * tangent_at + 1
        # The boundary of the motion itself is √(2 x ln(√x/alpha) / scale); this is the slope of it.
        height = math.sqrt(x * (math.log(x) - 2 * math.log(self.alpha)) / scale)
        slope = (math.log(x) - 2 * math.log(self.alpha) + 1) / (2 * height)
        start, steeper = self.higher * (height - slope * tangent_at), self.drift - self.higher * slope
        root = math.sqrt(units)
        below = _NORMAL.cdf(-steeper * root - start / root)
        return min(1.0, _NORMAL.cdf(steeper * root - start / root) + (math.exp(min(2 * start * steeper, 700.0)) * below if below > 0 else 0.0))


def _least(enough: Callable[[float], bool], *, start: float) -> float:
    """The least number that is enough, for something that once it is enough stays so: doubled until it is, then halved to a millionth."""
    high = start
    while not enough(high):
        high *= 2
    low = 0.0
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _quantile(share: float) -> float:
    return _NORMAL.inv_cdf(share)
