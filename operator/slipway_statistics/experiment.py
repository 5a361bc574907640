"""What an experiment is and what one look at it has to go by: plain values that can be kept as JSON (``record``) and looked at again."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from slipway_statistics import ratios, sequences
from slipway_statistics.strata import Kind
from slipway_statistics.sums import Sums

Role = Literal["Primary", "Secondary", "Guardrail", "Observe"]
"""Primary: what a win and a loss are. Guardrail: what may not get worse. Secondary and Observe: intervals, and nothing follows from them."""

Source = Literal["Outcomes", "Router"]
"""Who counts a metric. Outcomes: applications send it, unit by unit, and the ledger sums it. Router: the routers count requests."""

Strata = Mapping[str, Sums]
"""Sums by name of the stratum."""

Arms = Mapping[str, Strata]
"""The same by name of the arm, control among them."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One thing that is measured on units."""

    name: str
    kind: Kind
    role: Role
    planned_units_per_arm: int
    """Units of an arm at which a decision is expected, ``plan.units_per_arm``. The interval is tightest there; half or twice as many cost little. Of
    what routers count nothing depends on it (``boundary.PLANNED_REQUESTS``)."""

    better: Literal["Higher", "Lower"] = "Higher"
    minimum_effect: float | None = None
    """Primary: the least effect that matters, absolute, in the metric's unit. An interval within ± it says that there is none that does."""

    margin: float | None = None
    """Guardrail: how much worse it may be, absolute, in the metric's unit, 0 or more. 0.005 is half a point of a proportion. Of what routers count:
    in shares of requests, 1 at most; 0 for a quantile of latency, whose margin is in the edges (``latency.edges``)."""

    alpha: float | None = None
    """Guardrail: probability of a false alarm, over all arms and looks. None: its part of the experiment's."""

    source: Source = "Outcomes"
    """Routers count guardrails only: bad and slow requests, a ratio of which less is better."""

    def __post_init__(self) -> None:
        if self.planned_units_per_arm < 1:
            raise ValueError(f"metric {self.name}: a decision is planned for 1 unit or more, not {self.planned_units_per_arm}")
        if (self.role == "Guardrail") != (self.margin is not None):
            raise ValueError(f"metric {self.name}: a guardrail has a margin, and nothing else has one")
        if self.margin is not None and not 0 <= self.margin < math.inf:
            raise ValueError(f"metric {self.name}: a margin is 0 or more, not {self.margin}")
        if (self.role == "Primary") != (self.minimum_effect is not None):
            raise ValueError(f"metric {self.name}: the primary has a minimum effect, and nothing else has one")
        if self.minimum_effect is not None and not 0 < self.minimum_effect < math.inf:
            raise ValueError(f"metric {self.name}: a minimum effect is above 0, not {self.minimum_effect}")
        if self.alpha is not None:
            sequences.probability(self.alpha, below=0.5)
        if self.source == "Router":
            self._check_routed()

    def _check_routed(self) -> None:
        if self.role != "Guardrail":
            raise ValueError(f"metric {self.name}: routers count requests, not units, so it can be a guardrail and not a {self.role} metric")
        if self.kind != "Ratio" or self.better != "Lower":
            raise ValueError(
                f"metric {self.name}: what routers count is a ratio of bad requests, of which less is better, not a {self.kind} of which "
                f"{self.better.lower()} is better"
            )
        if self.margin is not None and self.margin > 1:
            raise ValueError(f"metric {self.name}: a margin of what routers count is a share of requests, 1 at most, not {self.margin}")

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.better == "Higher" else -1


@dataclass(frozen=True, kw_only=True)
class Design:
    """What was decided before the first unit came, and stays."""

    arms: tuple[str, ...]
    """Control first."""

    metrics: tuple[Metric, ...]
    alpha: float = 0.05
    """Probability that the primary says of any arm that it is better or worse when none is, over all looks."""

    guardrail_alpha: float = 0.01
    """The same for all guardrails that have none of their own, together."""

    sample_ratio_alpha: float = 0.001
    minimum_units_per_arm: int = 100
    """Units with closed windows in control and in an arm, before it may win or be called without effect."""

    minimum_conversions: float = 10
    """Events that an arm of its size is expected to have at the pooled rate, before a proportion or a ratio says anything. Expected, not seen: an arm
    that is dead never has any."""

    minimum_duration_s: float = 0
    maximum_duration_s: float = 28 * 86_400
    """From the first exposure; with the window of the last units in it."""

    maximum_in_two_arms: float = 0.01
    """Share of the units that may have been seen in two arms."""

    maximum_silence_s: float | None = None
    """Age of the newest outcome above which the experiment is deaf; None: never."""

    def __post_init__(self) -> None:
        for what, names in (("arms", self.arms), ("metrics", tuple(metric.name for metric in self.metrics))):
            twice = [name for name, times in Counter(names).items() if times > 1]
            if twice:
                raise ValueError(f"{what} have names of their own, and {', '.join(twice)} is there twice")
        if len(self.arms) < 2:
            raise ValueError(f"an experiment has control and another arm or more, not {len(self.arms)} arms")
        primaries = [metric.name for metric in self.metrics if metric.role == "Primary"]
        if len(primaries) != 1:
            raise ValueError(f"an experiment has exactly one primary metric, not {len(primaries)} ({', '.join(primaries) or 'none'})")
        for alpha in (self.alpha, self.guardrail_alpha, self.sample_ratio_alpha):
            sequences.probability(alpha, below=0.5)

    @property
    def control(self) -> str:
        """The arm that others are compared with."""
        return self.arms[0]

    @property
    def treatments(self) -> tuple[str, ...]:
        """The others."""
        return self.arms[1:]

    @property
    def primary(self) -> Metric:
        """The metric that decides."""
        return next(metric for metric in self.metrics if metric.role == "Primary")

    @property
    def guardrails(self) -> tuple[Metric, ...]:
        """The metrics that may not get worse."""
        return tuple(metric for metric in self.metrics if metric.role == "Guardrail")

    def alpha_of(self, metric: Metric) -> float:
        """What one arm's interval of a metric may err: two-sided alpha over the arms; for a guardrail one-sided, its alpha over the arms."""
        if metric.role != "Guardrail":
            return self.alpha / len(self.treatments)
        return self._guardrail_alpha(metric) / len(self.treatments)

    def alpha_of_stratum(self, metric: Metric, *, strata: int) -> float:
        """What the look at the routers' counts of one arm in one stratum may err: ``alpha_of`` over the number of strata (Bonferroni).

        Routers count from the beginning of a stratum, since slots have changed hands and with them who sends the requests. So each stratum is a test
        of its own that starts from nothing, and any of them can be a false alarm. Guardrails that outcomes tell of are one test over all strata and
        need no sharing. 0.01 over two guardrails, one arm and three steps: 0.00167, as for a canary (``boundary.alpha_of_one``).

        Args:
            metric: a guardrail that routers count.
            strata: how many there will be at most: steps of the ramp, one for a fresh estimate, and one more for each other arm that may be stopped
                on the way; for a bandit as many updates as fit into its longest time. One more where others may follow that nobody can count: they
                share its part.

        Raises:
            ValueError: the metric is no guardrail that routers count, or there is no stratum.

        """
        if metric.source != "Router":
            raise ValueError(f"metric {metric.name}: only what routers count is tested anew in each stratum; use alpha_of")
        if strata < 1:
            raise ValueError(f"metric {metric.name}: alpha is shared over at least one stratum, not over {strata}")
        return self.alpha_of(metric) / strata

    @property
    def declared_error(self) -> float:
        """Probability that the experiment wins or stops an arm wrongly when all arms are alike: alpha plus those of the guardrails."""
        return self.alpha + sum(self._guardrail_alpha(metric) for metric in self.guardrails)

    def _guardrail_alpha(self, metric: Metric) -> float:
        own = sum(other.alpha is None for other in self.guardrails)
        return metric.alpha if metric.alpha is not None else self.guardrail_alpha / own


@dataclass(frozen=True, kw_only=True)
class Step:
    """A stratum: a step of the ramp, or what a stopped arm made of it."""

    name: str
    slots: Mapping[str, int]
    """Slots by arm. Slots that wait for a later step are in no arm, and their units count nowhere."""

    units: Mapping[str, int]
    """Units by arm that came for the first time in this step, whatever their windows."""


@dataclass(frozen=True, kw_only=True)
class Joins:
    """How well exposures and outcomes found each other."""

    units: int
    """All that were exposed."""

    in_two_arms: int
    newest_outcome_age_s: float | None = None
    """None: there was none yet."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What is carried from look to look: the least p-values so far."""

    sample_ratio: float = 1.0
    primary: Mapping[str, float] = field(default_factory=dict)
    """By arm; 1 where it is missing."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """All that one look goes by."""

    elapsed_s: float
    """Since the first exposure."""

    steps: tuple[Step, ...]
    closed: Mapping[str, Arms]
    """By metric: sums over units whose window of that metric is over, with the outcomes inside it."""

    open: Mapping[str, Arms]
    """By metric: sums over all units so far, with their outcomes to date. For metrics without a window the same as closed, and may be missing."""

    joins: Joins
    unresolved_caps: tuple[str, ...] = ()
    """Metrics whose cap is not known yet: they decide nothing."""

    routed: Mapping[str, Mapping[str, ratios.Look]] = field(default_factory=dict)
    """By metric that routers count, by arm: the look at their counts of the live stratum, with ``Design.alpha_of_stratum`` and the metric's margin.
    An arm of which nothing was counted yet may be missing."""

    stopped: tuple[str, ...] = ()
    """Arms that were taken out. They take no further part, and their share of alpha stays spent."""

    memory: Memory = field(default_factory=Memory)
