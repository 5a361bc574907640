"""What one look says about an experiment, and why.

Harm is looked for first and acts at once: in outcomes to date, also of units whose window is still open, and whatever else is missing. A win and the
absence of an effect are read from closed windows alone, and a win needs all of its conditions at the same look.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from slipway_statistics import analysis, sample_ratio, sequences, strata
from slipway_statistics.analysis import Analysis
from slipway_statistics.experiment import Arms, Design, Memory, Metric, Observed
from slipway_statistics.sample_ratio import SampleRatio, Split

Verdict = Literal["Collecting", "InsufficientData", "Unhealthy", "Winning", "Harmful", "NoPracticalEffect", "Inconclusive"]
"""Collecting: it runs, and nothing is clear yet. InsufficientData: too little to say anything. Unhealthy: the data cannot be believed.
Winning: an arm is better, and within its guardrails. Harmful: an arm is worse than control, or than a guardrail allows. NoPracticalEffect: whatever
the effect is, it is smaller than matters. Inconclusive: the time is over."""

Reason = Literal[
    "PrimaryHarm",
    "GuardrailCrossed",
    "SampleRatio",
    "BrokenJoin",
    "NoOutcomes",
    "CapUnresolved",
    "TooFewUnits",
    "TooFewConversions",
    "MinDuration",
    "GuardrailSilent",
    "GuardrailNotShown",
    "FloorTooLow",
    "NotClear",
    "Better",
    "WithinMinimumEffect",
    "MaxDuration",
    "ArmsStopped",
]
"""PrimaryHarm: the primary is worse, outcomes to date. GuardrailCrossed: worse by more than its margin. SampleRatio: arms did not get the units of
their slots. BrokenJoin: too many units in two arms. NoOutcomes: no outcome for too long. CapUnresolved: where to cut a metric off is not known yet.
TooFewUnits, TooFewConversions: below the minimum. MinDuration: not long enough. GuardrailSilent: no unit of any arm has had it. GuardrailNotShown:
not known yet to be within its margin. FloorTooLow: shares of a bandit may fall so low that nothing is called better. NotClear: the interval of the
primary has zero in it. Better: it has not. WithinMinimumEffect: it is inside ± the minimum effect. MaxDuration: the time is over. ArmsStopped: no
arm is left."""

GuardrailState = Literal["Crossed", "Shown", "NotShown"]
"""Crossed: worse by more than the margin. Shown: better than that. NotShown: neither is known. Of what routers count all three are said of the live
stratum alone: each is a comparison of its own, and who sends the requests has changed."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A reason, and what it is about: names of metrics, or of arms."""

    reason: Reason
    about: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a win and the absence of an effect are read from: the primary of one arm against control, in the metric's unit."""

    lower: float
    upper: float
    """Both hold at all looks with probability 1 - alpha of the arm."""

    shrunk: float
    """The estimate pulled towards zero by what is still unknown."""

    log_e_value: float
    """Of no effect."""

    @classmethod
    def of(cls, found: Analysis) -> "Evidence":
        """Of strata that were split by a plan."""
        return cls(lower=found.lower, upper=found.upper, shrunk=found.shrunk, log_e_value=found.log_e_value)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What a look says of one arm."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    closed: Mapping[str, Analysis | None]
    """By metric, closed windows. None while there is nothing to compare, and for what routers count."""

    to_date: Mapping[str, Analysis | None]
    """The primary and the guardrails, outcomes to date."""

    guardrails: Mapping[str, GuardrailState]
    could_see_harm: bool
    """Whether the primary, outcomes to date, may speak of this arm: its cap is known, and the arm is as large as the minimum asks. Before, that no
    harm was seen says nothing, and a ramp should not go on."""

    evidence: Evidence | None
    """What a win is read from; None while there is nothing."""

    p: float
    """Of no effect on the primary, by this evidence; the least so far."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look says of the experiment."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    winner: str | None
    """Of several arms that win at this look the one with the largest shrunken effect."""

    arms: Mapping[str, Arm]
    """All but control and those that were stopped."""

    sample_ratio: SampleRatio
    memory: Memory
    """For the next look."""


def look(design: Design, observed: Observed, *, evidence: Mapping[str, Evidence | Finding] | None = None) -> Look:
    """Look at an experiment.

    Args:
        design: what was decided before.
        observed: what is known now.
        evidence: by arm, what a win and the absence of an effect are read from, or why nothing is. None: closed windows, stratum by stratum. A bandit
            has scores (``adaptive``): its strata are split by what was seen.

    Raises:
        ValueError: observed is not of this design: sums of a mean where there should be a ratio's, units in an arm without slots, or routers' counts
            that were looked at with another margin.

    """
    ratio = sample_ratio.look(
        [Split(slots=step.slots, units=step.units) for step in observed.steps],
        alpha=design.sample_ratio_alpha,
        before=observed.memory.sample_ratio,
    )
    unhealthy = tuple(_unhealthy(design, observed, ratio))
    closed = {metric.name: _Data.of(metric, observed.closed) for metric in design.metrics}
    to_date = {
        metric.name: _Data.of(metric, observed.open) if metric.name in observed.open else closed[metric.name]
        for metric in (design.primary, *design.guardrails)
    }
    silent = frozenset(metric.name for metric in design.guardrails if metric.source == "Outcomes" and to_date[metric.name].never_seen)
    arms = {
        seen.arm: _arm(seen, unhealthy=unhealthy)
        for seen in (
            _seen(arm, design=design, observed=observed, closed=closed, to_date=to_date, evidence=evidence, silent=silent)
            for arm in design.treatments
            if arm not in observed.stopped
        )
    }
    verdict, findings, winner = _whole(arms, unhealthy=unhealthy, primary=design.primary)
    return Look(
        verdict=verdict,
        findings=findings,
        winner=winner,
        arms=arms,
        sample_ratio=ratio,
        memory=Memory(sample_ratio=ratio.p, primary={**observed.memory.primary, **{name: arm.p for name, arm in arms.items()}}),
    )


@dataclass(frozen=True, kw_only=True)
class _Data:
    """Sums of one metric, with what is the same for all arms."""

    metric: Metric
    arms: Arms
    theta: float

    @classmethod
    def of(cls, metric: Metric, sums: Mapping[str, Arms]) -> "_Data":
        """Of what routers count there are no sums over units."""
        arms = sums.get(metric.name, {}) if metric.source == "Outcomes" else {}
        return cls(metric=metric, arms=arms, theta=strata.theta(arms.values()))

    @property
    def never_seen(self) -> bool:
        """Whether no unit has had anything of it: it may be that nobody sends it."""
        return not any(each.products[0] for steps in self.arms.values() for each in steps.values())

    def analyse(self, arm: str, design: Design) -> Analysis | None:
        return analysis.analyse(self.metric, self.arms, arm=arm, design=design, theta=self.theta)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """All that is known of one arm, and questions to it."""

    arm: str
    design: Design
    observed: Observed
    closed: Mapping[str, Analysis | None]
    to_date: Mapping[str, Analysis | None]
    evidence: Evidence | Finding | None
    silent: frozenset[str]
    """Guardrails that no unit of any arm has had."""

    @property
    def claim(self) -> Evidence | None:
        """What a win can be read from, if anything can."""
        return self.evidence if isinstance(self.evidence, Evidence) else None

    @property
    def primary(self) -> Analysis | None:
        return self.closed[self.design.primary.name]

    def decides(self, metric: Metric, found: Analysis | None) -> bool:
        """Whether a metric may say anything of this arm: its cap is known, and chance has been fair to it."""
        return metric.name not in self.observed.unresolved_caps and found is not None and self.enough(metric, found)

    def enough(self, metric: Metric, found: Analysis) -> bool:
        """Expected events of a proportion or ratio; units of a mean, which may be of either sign and have no events to count."""
        if metric.kind == "Mean":
            return min(found.arm_units, found.control_units) >= self.design.minimum_units_per_arm
        return found.expected_events >= self.design.minimum_conversions

    @property
    def could_see_harm(self) -> bool:
        primary = self.design.primary
        return self.decides(primary, self.to_date[primary.name])

    def guardrail(self, metric: Metric) -> GuardrailState:
        return self._by_outcomes(metric) if metric.source == "Outcomes" else self._by_routers(metric)

    def _by_outcomes(self, metric: Metric) -> GuardrailState:
        margin = metric.margin or 0.0
        to_date, closed = self.to_date[metric.name], self.closed[metric.name]
        if to_date is not None and self.decides(metric, to_date) and -to_date.best(metric) > margin:
            return "Crossed"
        if closed is None or metric.name in self.observed.unresolved_caps or metric.name in self.silent or not self._would_show(metric, closed):
            return "NotShown"
        return "Shown" if closed.worst(metric) < margin else "NotShown"

    def _by_routers(self, metric: Metric) -> GuardrailState:
        found = self.observed.routed.get(metric.name, {}).get(self.arm)
        if found is None:
            return "NotShown"
        if found.max_increase != metric.margin:
            raise ValueError(
                f"metric {metric.name}, arm {self.arm}: requests were looked at with a margin of {found.max_increase} where the design has "
                f"{metric.margin}; pass the metric's margin as max_increase"
            )
        if found.crossed:
            return "Crossed"
        # As of outcomes: ten more bad requests if the margin were used up.
        would_show = found.candidate_requests * (found.max_increase or found.stable_rate) >= self.design.minimum_conversions
        return "Shown" if found.shown and would_show else "NotShown"

    def _would_show(self, metric: Metric, closed: Analysis) -> bool:
        """Ten more events if the margin were used up: none in a few units says nothing. Only units count for a mean."""
        if min(closed.arm_units, closed.control_units) < self.design.minimum_units_per_arm:
            return False
        return metric.kind == "Mean" or closed.arm_units * (metric.margin or closed.control) >= self.design.minimum_conversions


def _seen(
    name: str,
    *,
    design: Design,
    observed: Observed,
    closed: Mapping[str, _Data],
    to_date: Mapping[str, _Data],
    evidence: Mapping[str, Evidence | Finding] | None,
    silent: frozenset[str],
) -> _Seen:
    analyses = {metric: data.analyse(name, design) for metric, data in closed.items()}
    primary = analyses[design.primary.name]
    return _Seen(
        arm=name,
        design=design,
        observed=observed,
        closed=analyses,
        to_date={metric: analyses[metric] if data is closed[metric] else data.analyse(name, design) for metric, data in to_date.items()},
        evidence=evidence.get(name) if evidence is not None else Evidence.of(primary) if primary is not None else None,
        silent=silent,
    )


def _arm(seen: _Seen, *, unhealthy: tuple[Finding, ...]) -> Arm:
    guardrails = {metric.name: seen.guardrail(metric) for metric in seen.design.guardrails}
    verdict, findings = _decide(seen, guardrails, unhealthy=unhealthy)
    before = seen.observed.memory.primary.get(seen.arm, 1.0)
    return Arm(
        verdict=verdict,
        findings=findings,
        closed=seen.closed,
        to_date=seen.to_date,
        guardrails=guardrails,
        could_see_harm=seen.could_see_harm,
        evidence=seen.claim,
        p=sequences.always_valid_p(seen.claim.log_e_value, before=before) if seen.claim is not None else before,
    )


def _decide(seen: _Seen, guardrails: Mapping[str, GuardrailState], *, unhealthy: tuple[Finding, ...]) -> tuple[Verdict, tuple[Finding, ...]]:
    """The order is the policy."""
    harm = tuple(_harm(seen, guardrails))
    if harm:
        return "Harmful", harm
    if unhealthy:
        return "Unhealthy", unhealthy
    insufficient = tuple(_insufficient(seen))
    over = (Finding(reason="MaxDuration"),) if seen.observed.elapsed_s >= seen.design.maximum_duration_s else ()
    if insufficient:
        return ("Inconclusive" if over else "InsufficientData"), over + insufficient
    missing = tuple(_missing_for_a_win(seen, guardrails))
    if not missing:
        return "Winning", (Finding(reason="Better", about=(seen.design.primary.name,)),)
    if _no_practical_effect(seen):
        return "NoPracticalEffect", (Finding(reason="WithinMinimumEffect", about=(seen.design.primary.name,)),)
    return ("Inconclusive" if over else "Collecting"), over + missing


def _harm(seen: _Seen, guardrails: Mapping[str, GuardrailState]) -> Iterable[Finding]:
    primary = seen.design.primary
    to_date = seen.to_date[primary.name]
    if to_date is not None and seen.could_see_harm and to_date.best(primary) < 0:
        yield Finding(reason="PrimaryHarm", about=(primary.name,))
    crossed = tuple(name for name, state in guardrails.items() if state == "Crossed")
    if crossed:
        yield Finding(reason="GuardrailCrossed", about=crossed)


def _unhealthy(design: Design, observed: Observed, ratio: SampleRatio) -> Iterable[Finding]:
    if ratio.p <= design.sample_ratio_alpha:
        yield Finding(reason="SampleRatio")
    if observed.joins.in_two_arms > design.maximum_in_two_arms * observed.joins.units:
        yield Finding(reason="BrokenJoin")
    age_s = observed.joins.newest_outcome_age_s
    if design.maximum_silence_s is not None and (observed.elapsed_s if age_s is None else age_s) > design.maximum_silence_s:
        yield Finding(reason="NoOutcomes")


def _insufficient(seen: _Seen) -> Iterable[Finding]:
    primary, found = seen.design.primary, seen.primary
    if primary.name in seen.observed.unresolved_caps:
        yield Finding(reason="CapUnresolved", about=(primary.name,))
    if found is None or min(found.control_units, found.arm_units) < seen.design.minimum_units_per_arm:
        yield Finding(reason="TooFewUnits")
    elif not seen.enough(primary, found):
        yield Finding(reason="TooFewConversions", about=(primary.name,))


def _missing_for_a_win(seen: _Seen, guardrails: Mapping[str, GuardrailState]) -> Iterable[Finding]:
    primary, claim = seen.design.primary, seen.claim
    if seen.observed.elapsed_s < seen.design.minimum_duration_s:
        yield Finding(reason="MinDuration")
    if isinstance(seen.evidence, Finding):
        yield seen.evidence
    elif claim is None or min(primary.sign * claim.lower, primary.sign * claim.upper) <= 0:
        yield Finding(reason="NotClear", about=(primary.name,))
    silent = tuple(name for name in guardrails if name in seen.silent)
    if silent:
        yield Finding(reason="GuardrailSilent", about=silent)
    waiting = tuple(name for name, state in guardrails.items() if state != "Shown" and name not in silent)
    if waiting:
        yield Finding(reason="GuardrailNotShown", about=waiting)


def _no_practical_effect(seen: _Seen) -> bool:
    claim, least = seen.claim, seen.design.primary.minimum_effect
    if claim is None or least is None or seen.observed.elapsed_s < seen.design.minimum_duration_s:
        return False
    return -least < claim.lower and claim.upper < least


def _whole(arms: Mapping[str, Arm], *, unhealthy: tuple[Finding, ...], primary: Metric) -> tuple[Verdict, tuple[Finding, ...], str | None]:
    """Of the experiment: what is worst of any arm first, then a win of any, then what holds for all."""
    if not arms:
        return "Harmful", (Finding(reason="ArmsStopped"),), None
    harmful = [arm for arm in arms.values() if arm.verdict == "Harmful"]
    if harmful:
        return "Harmful", _together(harmful), None
    if unhealthy:
        return "Unhealthy", unhealthy, None
    winning = {name: arm for name, arm in arms.items() if arm.verdict == "Winning"}
    if winning:
        best = max(winning, key=_effect_of(winning, primary))
        return "Winning", winning[best].findings, best
    for verdict in _OF_ANY:
        which = [arm for arm in arms.values() if arm.verdict == verdict]
        if which:
            return verdict, _together(which), None
    return "NoPracticalEffect", _together(arms.values()), None


def _effect_of(arms: Mapping[str, Arm], primary: Metric) -> Callable[[str], float]:
    def effect(name: str) -> float:
        found = arms[name].evidence
        return primary.sign * found.shrunk if found is not None else 0.0

    return effect


def _together(arms: Iterable[Arm]) -> tuple[Finding, ...]:
    """Their findings, each once, in the order in which they appear."""
    return tuple(dict.fromkeys(finding for arm in arms for finding in arm.findings))


_OF_ANY: tuple[Verdict, ...] = ("Collecting", "InsufficientData", "Inconclusive")
"""While one arm still collects, so does the experiment."""
