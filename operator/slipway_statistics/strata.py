"""One arm against control on one metric, stratum by stratum, so that a ramp and a moving base rate do not pass for an effect (Simpson's paradox).

A stratum is a step of the ramp. Within one, units of both arms came in the same time in a fixed proportion, and their difference is an effect; the
differences are averaged with h_s = n_A n_B / (n_A + n_B), the weights under which the average has the least variance if units vary alike everywhere.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from slipway_statistics.sums import Moments, Sums

Kind = Literal["Proportion", "Mean", "Ratio"]
"""Proportion: 0 or 1 for a unit. Mean: a number for a unit. Ratio: a sum over a sum, as errors over requests."""

# A control this many standard errors or fewer from zero cannot be divided by.
_ENOUGH_TO_DIVIDE = 4.0


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """Sums of control and of one arm in one stratum, and what follows from them alone."""

    control: Moments
    arm: Moments
    both: Moments
    """Of the units of both arms as if they were one."""

    @classmethod
    def of(cls, control: Sums, arm: Sums) -> "Stratum | None":
        """None where there is nothing to compare: no units in an arm, fewer than three in both, no denominators."""
        ours, theirs, both = arm.moments, control.moments, (control + arm).moments
        if ours is None or theirs is None or both is None or both.units < 3:
            return None
        return cls(control=theirs, arm=ours, both=both)

    @property
    def weight(self) -> float:
        """h_s = n_A n_B / (n_A + n_B), in units: the information of the stratum. A hundred and a hundred are 50, ten and ninety 9."""
        return self.control.units * self.arm.units / self.both.units


@dataclass(frozen=True, kw_only=True)
class Lift:
    """The effect relative to control, by the delta method; for display, since decisions are made on the absolute scale."""

    estimate: float
    """0.05 is 5 % more than control, in the direction of the difference also where control is below 0."""

    standard_error: float


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Arm minus control over all strata."""

    control_units: int
    arm_units: int
    control: float
    arm: float
    """Values of the arms, averaged over strata with the same weights and with the covariate's share taken out."""

    estimate: float
    """δ = Σ h_s δ_s / Σ h_s."""

    standard_error: float
    """√V, V = Σ h_s² V_s / (Σ h_s)²; infinite where nothing varied and so nothing is known of chance."""

    information: float
    """H = Σ h_s, in units."""

    lift: Lift | None
    """None while control is too near to zero to divide by."""


def theta(arms: Iterable[Mapping[str, Sums]]) -> float:
    """How much of the covariate to take out: Σ S_yx / Σ S_xx, centred within each arm and stratum; 0 where no covariate varies.

    Pooled over arms and strata, control among them, so that it is the same number in every arm and cannot make a difference of its own (CUPED: Deng,
    Xu, Kohavi, Walker, *Improving the sensitivity of online controlled experiments by utilizing pre-experiment data*, WSDM 2013).

    Args:
        arms: for each arm its sums by name of the stratum.

    """
    crossed = squares = 0.0
    for strata in arms:
        for sums in strata.values():
            moments = sums.moments
            if moments is not None:
                crossed += moments.value_before
                squares += moments.before_before
    return crossed / squares if squares > 0 else 0.0


def compare(control: Mapping[str, Sums], arm: Mapping[str, Sums], *, kind: Kind, theta: float = 0.0) -> Difference | None:
    """Compare an arm with control.

    Args:
        control: sums by name of the stratum.
        arm: the same of the arm; a stratum that one of them lacks is left out.
        kind: what is measured; only where nothing varied it matters (``_floor``).
        theta: how much of the covariate to take out (``theta``).

    Returns:
        None while no stratum has anything to compare.

    """
    pairs = (Stratum.of(control[name], arm[name]) for name in control if name in arm)
    return combine([pair for pair in pairs if pair is not None], kind=kind, theta=theta)


def combine(strata: list[Stratum], *, kind: Kind, theta: float = 0.0) -> Difference | None:
    """Average the differences of the strata; None of none."""
    information = sum(stratum.weight for stratum in strata)
    if not information > 0:
        return None
    control = arm = variance = control_variance = arm_variance = 0.0
    for stratum in strata:
        share = stratum.weight / information
        ours, theirs = (_value(moments, stratum.both, theta=theta) for moments in (stratum.arm, stratum.control))
        spread, control_spread = (_variance(moments, stratum.both, theta=theta) for moments in (stratum.arm, stratum.control))
        control += share * theirs
        arm += share * ours
        control_variance += share * share * control_spread
        arm_variance += share * share * spread
    variance = control_variance + arm_variance
    if variance <= 0:
        variance = _floor(strata, information=information, kind=kind)
    return Difference(
        control_units=sum(stratum.control.units for stratum in strata),
        arm_units=sum(stratum.arm.units for stratum in strata),
        control=control,
        arm=arm,
        estimate=arm - control,
        standard_error=math.sqrt(variance),
        information=information,
        lift=_lift(control, arm, control_variance=control_variance, arm_variance=arm_variance),
    )


def _value(moments: Moments, both: Moments, *, theta: float) -> float:
    """ȳ - θ (x̄ - x̄ of both arms)."""
    return moments.value - theta * (moments.before - both.before)


def _variance(moments: Moments, both: Moments, *, theta: float) -> float:
    """Variance of an arm's value: max(s_a², s²)/n_a, where s² is the variance of all units of the stratum as if they were one arm.

    A small arm that has not met the tail of a heavy-tailed metric yet has a small variance of its own and a small mean, and would pass for harmful.
    """
    own = _squares(moments, theta=theta) / (moments.units - 1) if moments.units > 1 else 0.0
    return max(own, _squares(both, theta=theta) / (both.units - 1)) / moments.units


def _squares(moments: Moments, *, theta: float) -> float:
    """Centred sum of squares of y - θx."""
    return max(0.0, moments.value_value - 2 * theta * moments.value_before + theta * theta * moments.before_before)


def _floor(strata: list[Stratum], *, information: float, kind: Kind) -> float:
    """Variance where all units of all strata went the same way: as if half an event had been seen in each stratum (Jeffreys), never 0.

    Without it 60 units without an error would be certain never to have one. An event is 1 for a ratio too, over a denominator of 1, the least there
    can be. A mean has no smallest event; its variance is unknown then, infinite.
    """
    if kind == "Mean":
        return math.inf
    return sum((stratum.weight / information) ** 2 * 0.5 / (stratum.both.units + 1) / stratum.weight for stratum in strata)


def _lift(control: float, arm: float, *, control_variance: float, arm_variance: float) -> Lift | None:
    """(B - A)/|A| with variance Var(B)/A² + B² Var(A)/A⁴: of a loss that becomes smaller, -6 to -5, +1/6 as of a gain that becomes larger."""
    if control == 0 or abs(control) <= _ENOUGH_TO_DIVIDE * math.sqrt(control_variance):
        return None
    return Lift(
        estimate=math.copysign(arm / control - 1, arm - control),
        standard_error=math.sqrt(arm_variance / control**2 + arm**2 * control_variance / control**4),
    )
