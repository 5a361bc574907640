"""One arm on one metric: the interval that holds at every look, and what goes with it."""

import math
from dataclasses import dataclass

from slipway_statistics import sequences, strata
from slipway_statistics.experiment import Arms, Design, Metric


@dataclass(frozen=True, kw_only=True)
class Lift:
    """The effect as a share of control's value; for display only."""

    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """An arm against control, in the metric's unit; all numbers are finite."""

    control_units: int
    arm_units: int
    control: float
    arm: float
    estimate: float
    """Arm minus control; seen when a test stops early, it tends to be high."""

    standard_error: float
    boundary: float
    """Standard errors from the estimate to either end."""

    lower: float
    upper: float
    """Both hold at all looks with probability 1 - alpha; of a guardrail each end alone does."""

    information: float
    """u, from 0 up: how far the experiment has come, times κ(alpha)."""

    shrunk: float
    """The estimate pulled towards zero by what is still unknown, estimate · u/(u+1)."""

    at_least: float | None
    """The end of the interval that is nearer to zero, where zero is outside: "at least so much". None while zero is inside."""

    log_e_value: float
    """Of no effect; of a guardrail: of being worse by the margin at most."""

    lift: Lift | None
    expected_events: float
    """Events that the arm, by its number of units, would have at the pooled rate. Of a proportion: conversions."""

    @property
    def z(self) -> float:
        """The estimate in standard errors."""
        return self.estimate / self.standard_error

    def worst(self, metric: Metric) -> float:
        """How much worse the arm can be, in the metric's unit."""
        return -min(metric.sign * self.lower, metric.sign * self.upper)

    def best(self, metric: Metric) -> float:
        """How much better the arm can be."""
        return max(metric.sign * self.lower, metric.sign * self.upper)


def analyse(metric: Metric, arms: Arms, *, arm: str, design: Design, theta: float) -> Analysis | None:
    """Compare an arm with control.

    Args:
        metric: what is compared; its role says which sequence.
        arms: sums by arm and stratum.
        arm: which one.
        design: for its control and its alpha.
        theta: how much of the covariate to take out (``strata.theta`` of all arms).

    Returns:
        None while there is nothing to compare, or nothing that varied.

    """
    control, treatment = arms.get(design.control, {}), arms.get(arm, {})
    found = strata.compare(control, treatment, kind=metric.kind, theta=theta)
    if found is None or not 0 < found.standard_error < math.inf:
        return None
    alpha, planned = design.alpha_of(metric), metric.planned_units_per_arm / 2
    guards = metric.role == "Guardrail"
    u = sequences.information(found.information, planned=planned, alpha=2 * alpha if guards else alpha)
    boundary = sequences.one_sided(u, alpha=alpha) if guards else sequences.two_sided(u, alpha=alpha)
    reach = boundary * found.standard_error
    lower, upper = found.estimate - reach, found.estimate + reach
    return Analysis(
        control_units=found.control_units,
        arm_units=found.arm_units,
        control=found.control,
        arm=found.arm,
        estimate=found.estimate,
        standard_error=found.standard_error,
        boundary=boundary,
        lower=lower,
        upper=upper,
        information=u,
        shrunk=sequences.shrunk(found.estimate, u=u),
        at_least=lower if lower > 0 else upper if upper < 0 else None,
        log_e_value=_log_e_value(metric, found, u=u),
        lift=None
        if found.lift is None
        else Lift(
            estimate=found.lift.estimate,
            lower=found.lift.estimate - boundary * found.lift.standard_error,
            upper=found.lift.estimate + boundary * found.lift.standard_error,
        ),
        expected_events=_expected_events(arms, arm=arm, control=design.control),
    )


def _log_e_value(metric: Metric, found: strata.Difference, *, u: float) -> float:
    if metric.margin is None:
        return sequences.log_e_value(found.estimate / found.standard_error, u=u)
    return sequences.log_one_sided_e_value((-metric.sign * found.estimate - metric.margin) / found.standard_error, u=u)


def _expected_events(arms: Arms, *, arm: str, control: str) -> float:
    """Σ over strata of n_arm · (events of both, ``Sums.events``) / (units of both); a stratum that one of them lacks has none."""
    found = 0.0
    for name, ours in arms.get(arm, {}).items():
        theirs = arms.get(control, {}).get(name)
        if theirs is not None and ours.units and theirs.units:
            total, squares = ours.totals[0] + theirs.totals[0], ours.products[0] + theirs.products[0]
            found += ours.units * total * total / squares / (ours.units + theirs.units) if squares > 0 else 0.0
    return found
