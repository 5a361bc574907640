"""What a report says, as values: made of recorded looks, shown by ``page``, and printed as it is by ``--json``."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from slipway_operator.cli.experiment import comparing, headline, history
from slipway_operator.cli.experiment.comparing import Compared, Pooled
from slipway_operator.cli.experiment.history import Change, Of, Point
from slipway_operator.cli.experiment.looks import Recorded, Unanswerable
from slipway_operator.state import slots
from slipway_statistics import holm, record, verdict
from slipway_statistics.adaptive import Moves
from slipway_statistics.analysis import Analysis
from slipway_statistics.experiment import Arms, Design, Observed, Step

FINAL: Final = ("Promote", "RollBack", "KeepControl")
"""What ends an experiment."""

_UNKNOWN_EFFECT: Final = 1e-9

Findings = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """One guardrail of one arm."""

    state: str
    margin: float
    closed: Compared
    to_date: Compared


@dataclass(frozen=True, kw_only=True)
class Secondary:
    """A metric from which nothing follows."""

    compared: Compared
    p: float | None
    """Always valid, the least over all looks; None where nothing could be compared, and of what is only observed."""

    holm: float | None
    """The same among all secondary metrics of all arms; None before the end."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One arm, at the last look that speaks of it."""

    name: str
    sequence: int
    """Of that look."""

    stopped: bool
    verdict: str
    findings: Findings
    primary: Compared
    """Closed windows: what wins, and what the absence of an effect, are read from."""

    primary_to_date: Compared
    """Outcomes to date: what harm is read from."""

    p: float
    """Of no effect on the primary; the least over all looks."""

    holm: float | None
    """The same among all arms; None before the end."""

    guardrails: tuple[Guardrail, ...]
    secondary: tuple[Secondary, ...]
    pooled: Pooled | None
    points_of: Of
    """Of what the verdict was read: outcomes to date of an arm that does harm, else closed windows, or a bandit's scores."""

    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """A step of the ramp, or what a stopped arm made of it."""

    name: str
    percent: float | None
    """Of the units that treatments had together when it was looked at last."""

    slots: Mapping[str, int]
    waiting: int
    """Slots that a later step takes: their units are in no arm."""

    units: Mapping[str, int]
    expected: Mapping[str, float]
    """Units by arm if all that came were split as the slots are."""


@dataclass(frozen=True, kw_only=True)
class SampleRatio:
    """Did the arms get the units of their slots?"""

    p: float
    alpha: float
    """At or below which the data cannot be believed."""

    smallest_loss: float | None
    """Of one arm's units, that would have been seen by now; None while even a loss of all would not."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How well exposures and outcomes found each other."""

    units: int
    in_two_arms: int
    most_in_two_arms: float
    """Share of the units."""

    newest_outcome_age_s: float | None
    most_silence_s: float | None
    unresolved_caps: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of it."""

    experiment: str
    looks: int
    first_at: str
    last_at: str
    elapsed_s: float
    final: bool
    """Whether the last look ended it."""

    verdict: str
    findings: Findings
    winner: str | None
    headline: tuple[str, ...]
    """Sentences: what is known, and what it is not."""

    control: str
    primary: str
    alpha: float
    declared_error: float
    """Probability that it wins or stops an arm wrongly when all arms are alike: alpha plus those of the guardrails."""

    minimum_effect: float | None
    """The least effect that matters, in the primary's unit; None while it is not known yet."""

    minimum_units_per_arm: int
    minimum_duration_s: float
    maximum_duration_s: float
    arms: tuple[Arm, ...]
    strata: tuple[Stratum, ...]
    bandit: Moves | None
    """Where the shares are and go, of a bandit."""

    sample_ratio: SampleRatio
    quality: Quality
    changes: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """The last look that speaks of an arm, read."""

    recorded: Recorded
    design: Design
    observed: Observed
    said: verdict.Look
    moves: Moves | None
    """Of a bandit."""


def report(found: Sequence[Recorded]) -> Report:
    """Say what the looks of an experiment say.

    Raises:
        Unanswerable: the last look of an arm cannot be read.

    """
    last = _read(found[-1])
    final = found[-1].decision is not None and found[-1].decision.get("action") in FINAL
    arms = _with_holm(tuple(_arms(found, last)), final=final)
    design, joins = last.design, last.observed.joins
    return Report(
        experiment=found[-1].experiment,
        looks=len(found),
        first_at=found[0].at,
        last_at=found[-1].at,
        elapsed_s=last.observed.elapsed_s,
        final=final,
        verdict=last.said.verdict,
        findings=tuple((one.reason, one.about) for one in last.said.findings),
        winner=last.said.winner,
        headline=headline.sentences_of(last.said, design=design, shown={arm.name: (arm.primary, arm.primary_to_date) for arm in arms}, final=final),
        control=design.control,
        primary=design.primary.name,
        alpha=design.alpha,
        declared_error=design.declared_error,
        minimum_effect=_least_effect(design),
        minimum_units_per_arm=design.minimum_units_per_arm,
        minimum_duration_s=design.minimum_duration_s,
        maximum_duration_s=design.maximum_duration_s,
        arms=arms,
        strata=_strata(found, last),
        bandit=last.moves,
        sample_ratio=SampleRatio(p=last.said.sample_ratio.p, alpha=design.sample_ratio_alpha, smallest_loss=last.said.sample_ratio.smallest_loss),
        quality=Quality(
            units=joins.units,
            in_two_arms=joins.in_two_arms,
            most_in_two_arms=design.maximum_in_two_arms,
            newest_outcome_age_s=joins.newest_outcome_age_s,
            most_silence_s=design.maximum_silence_s,
            unresolved_caps=last.observed.unresolved_caps,
        ),
        changes=history.changes(found),
    )


def _least_effect(design: Design) -> float | None:
    """An effect that is relative to a baseline is not known before that is; until then the operator writes one that no interval is within."""
    found = design.primary.minimum_effect
    return found if found is not None and found > _UNKNOWN_EFFECT else None


def _read(recorded: Recorded) -> _Seen:
    try:
        return _Seen(
            recorded=recorded,
            design=record.read(Design, recorded.design),
            observed=record.read(Observed, recorded.observed),
            said=record.read(verdict.Look, recorded.said),
            moves=None if recorded.bandit is None else record.read(Moves, recorded.bandit),
        )
    except ValueError as error:
        raise Unanswerable(f"look {recorded.sequence} of {recorded.experiment} cannot be read: {error}; use the slipway that wrote it") from error


def _arms(found: Sequence[Recorded], last: _Seen) -> list[Arm]:
    told = []
    for name in last.design.treatments:
        recorded = next((look for look in reversed(found) if name in look.said.get("arms", {})), None)
        if recorded is not None:
            seen = last if recorded is last.recorded else _read(recorded)
            told.append(_arm(name, seen, found=found, stopped=name in last.observed.stopped))
    return told


def _arm(name: str, seen: _Seen, *, found: Sequence[Recorded], stopped: bool) -> Arm:
    design, said = seen.design, seen.said.arms[name]
    primary = design.primary
    sums = seen.observed.closed.get(primary.name, {})
    pooled = comparing.pooled(primary, sums, arm=name, control=design.control) if seen.moves is None else None
    harmful = any(one.reason == "PrimaryHarm" for one in said.findings)
    of: Of = "ToDate" if harmful else "Closed" if seen.moves is None else "Scores"
    return Arm(
        name=name,
        sequence=seen.recorded.sequence,
        stopped=stopped,
        verdict=said.verdict,
        findings=tuple((one.reason, one.about) for one in said.findings),
        primary=_primary(seen, name),
        primary_to_date=_to_date(seen, name, primary.name),
        p=said.p,
        holm=None,
        guardrails=tuple(
            Guardrail(
                state=said.guardrails[metric.name],
                margin=metric.margin or 0.0,
                closed=_closed(seen, name, metric.name),
                to_date=_to_date(seen, name, metric.name),
            )
            for metric in design.guardrails
        ),
        secondary=tuple(
            Secondary(
                compared=_closed(seen, name, metric.name),
                p=history.least_p(found, arm=name, metric=metric.name) if metric.role == "Secondary" else None,
                holm=None,
            )
            for metric in design.metrics
            if metric.role in ("Secondary", "Observe")
        ),
        pooled=pooled,
        points_of=of,
        points=history.points(found, arm=name, metric=primary.name, of=of),
    )


def _primary(seen: _Seen, arm: str) -> Compared:
    found = _closed(seen, arm, seen.design.primary.name)
    if seen.moves is None:
        return found
    evidence = seen.said.arms[arm].evidence
    return comparing.scored(found, seen.moves.scores.get(arm), shrunk=evidence.shrunk if evidence is not None else None)


def _closed(seen: _Seen, arm: str, name: str) -> Compared:
    return _compared(seen, arm, name, found=seen.said.arms[arm].closed.get(name), sums=seen.observed.closed.get(name))


def _to_date(seen: _Seen, arm: str, name: str) -> Compared:
    sums = seen.observed.open.get(name, seen.observed.closed.get(name))
    return _compared(seen, arm, name, found=seen.said.arms[arm].to_date.get(name), sums=sums)


def _compared(seen: _Seen, arm: str, name: str, *, found: Analysis | None, sums: Arms | None) -> Compared:
    metric = next(metric for metric in seen.design.metrics if metric.name == name)
    return comparing.compared(metric, found, arm=arm, design=seen.design, observed=seen.observed, sums=sums)


def _with_holm(arms: tuple[Arm, ...], *, final: bool) -> tuple[Arm, ...]:
    """Holm's correction is for the end: while it runs every arm is judged by its share of alpha."""
    if not final:
        return arms
    primary = holm.adjusted({arm.name: arm.p for arm in arms})
    others = holm.adjusted({(arm.name, one.compared.metric): one.p for arm in arms for one in arm.secondary if one.p is not None})
    return tuple(
        dataclasses.replace(
            arm,
            holm=primary[arm.name],
            secondary=tuple(dataclasses.replace(one, holm=others.get((arm.name, one.compared.metric))) for one in arm.secondary),
        )
        for arm in arms
    )


def _strata(found: Sequence[Recorded], last: _Seen) -> tuple[Stratum, ...]:
    """Each look belongs to the stratum that was the last one then."""
    percents = {look.observed["steps"][-1]["name"]: look.percent for look in found if look.observed.get("steps")}
    return tuple(
        Stratum(
            name=step.name,
            percent=percents.get(step.name),
            slots=step.slots,
            waiting=slots.SLOTS - sum(step.slots.values()),
            units=step.units,
            expected=_expected(step),
        )
        for step in last.observed.steps
    )


def _expected(step: Step) -> dict[str, float]:
    units, total = sum(step.units.values()), sum(step.slots.values())
    return {arm: units * number / total if total else 0.0 for arm, number in step.slots.items()}
