"""One look: what it goes by, what is kept of it, and how the status tells it."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from slipway_operator.api.v1alpha1.experiment import (
    ERROR_RATE,
    WAITING,
    ArmStatus,
    ExperimentSpec,
    ExperimentStatus,
    Interval,
    SampleRatioStatus,
)
from slipway_operator.reconcile.experiment import designs
from slipway_operator.reconcile.rollout import TIME_FORMAT
from slipway_operator.state.experiment import Observed, Sums
from slipway_statistics import experiment as statistics
from slipway_statistics import ratios, record, strata, verdict
from slipway_statistics.analysis import Analysis
from slipway_statistics.counts import Counts
from slipway_statistics.experiment import Design, Joins, Memory, Step

VERSION: Final = 1
_DIGEST_LENGTH: Final = 16
_NOTHING: Final = Counts()
_FIXED_BOUNDARY: Final = 1.96
"""Standard errors around an estimate that is read once: 95 %."""


def observed_by(observed: Observed, spec: ExperimentSpec, status: ExperimentStatus, *, sums: Sums, design: Design) -> statistics.Observed:
    """All that a look goes by. Units of arms that had no slots cannot be: they count as joined wrongly."""
    strays = sum(sum(units.values()) for units in _strays(status, sums))
    counted = {metric.name for metric in spec.metrics if metric.source == "Outcomes"}
    # Nobody reads other metrics to date, and a look of all of them would be twice as long.
    to_date = {metric.name for metric in spec.metrics if metric.role in ("Primary", "Guardrail")} & counted
    memory = observed.journal.memory if observed.journal else Memory()
    return statistics.Observed(
        elapsed_s=max(0.0, (sums.now - _started(status)).total_seconds()),
        steps=tuple(_steps(status, sums)),
        closed={name: arms for name, arms in sums.closed.items() if name in counted},
        open={name: arms for name, arms in sums.open.items() if name in to_date},
        joins=Joins(
            units=sum(sum(units.values()) for units in sums.units.values()),
            in_two_arms=sums.in_two_arms + strays,
            newest_outcome_age_s=(sums.now - sums.newest_outcome).total_seconds() if sums.newest_outcome else None,
        ),
        unresolved_caps=tuple(metric.name for metric in designs.uncapped(spec, designs.by_name(status.metrics))),
        routed=routed(observed, spec, status, design=design),
        stopped=tuple(arm.name for arm in status.arms if arm.stopped),
        memory=memory,
    )


def _started(status: ExperimentStatus) -> datetime:
    return datetime.fromisoformat(status.started_at or status.admitted_at or "")


def _steps(status: ExperimentStatus, sums: Sums) -> Iterator[Step]:
    for stratum in status.strata:
        slots = {group.arm: group.slots for group in stratum.slots if group.arm != WAITING}
        units = sums.units.get(stratum.name, {})
        yield Step(name=stratum.name, slots=slots, units={arm: units.get(arm, 0) for arm in slots})


def _strays(status: ExperimentStatus, sums: Sums) -> Iterator[dict[str, int]]:
    given = {stratum.name: {group.arm for group in stratum.slots} for stratum in status.strata}
    for name, units in sums.units.items():
        yield {arm: count for arm, count in units.items() if arm not in given.get(name, set())}


def routed(observed: Observed, spec: ExperimentSpec, status: ExperimentStatus, *, design: Design) -> dict[str, dict[str, ratios.Look]]:
    """What routers counted in the live stratum, metric by metric and arm by arm."""
    target = observed.target
    if target is None or not target.counts:
        return {}
    by_arm = {arm.name: target.counts.get(arm.revision, _NOTHING) for arm in status.arms}
    control = by_arm.get(spec.control.name, _NOTHING)
    found: dict[str, dict[str, ratios.Look]] = {}
    for metric in design.guardrails:
        if metric.source != "Router" or (metric.name != ERROR_RATE and target.edges is None):
            continue
        alpha = designs.alpha_of_stratum(spec, design, metric, number=status.traffic.stratum if status.traffic else 1)
        outcome: ratios.Outcome = "bad" if metric.name == ERROR_RATE else "slow"
        found[metric.name] = {
            arm.name: ratios.look(by_arm[arm.name], control, outcome=outcome, max_increase=metric.margin or 0.0, alpha=alpha)
            for arm in status.arms
            if arm.name != spec.control.name and not arm.stopped
        }
    return found


def crossed(found: Mapping[str, Mapping[str, ratios.Look]]) -> dict[str, tuple[str, ...]]:
    """Arms that are worse than a guardrail of the routers allows, and which."""
    arms = {arm for looks in found.values() for arm in looks}
    broken = {arm: tuple(metric for metric, looks in found.items() if arm in looks and looks[arm].crossed) for arm in sorted(arms)}
    return {arm: metrics for arm, metrics in broken.items() if metrics}


def crossing(observed: Observed, spec: ExperimentSpec, status: ExperimentStatus) -> dict[str, tuple[str, ...]]:
    """The same by what routers have counted by now and what is settled, without a look."""
    return crossed(routed(observed, spec, status, design=designs.design(spec, designs.by_name(status.metrics))))


def alarmed(observed: Observed, spec: ExperimentSpec) -> bool:
    """Whether a guardrail of the routers is crossed by an arm that no look has called harmful yet: reason enough for a look at once, also while some
    router has not taken the division up.

    The boundary of a guardrail holds at all looks together, however many there are and whenever they come, and so do those of outcomes: reading
    counts between two looks, and looking because of what they say, costs nothing of what may be claimed.
    """
    status = observed.status
    return bool(crossing(observed, spec, status).keys() - {arm.name for arm in status.arms if arm.verdict == "Harmful"})


def written(
    observed: Observed,
    status: ExperimentStatus,
    *,
    design: Design,
    by: statistics.Observed,
    said: verdict.Look,
    sums: Sums,
    decision: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The look as the ledger keeps it: all that it takes to compute its verdict again."""
    return {
        "sequence": (observed.journal.sequence if observed.journal else 0) + 1,
        "at": sums.now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "version": VERSION,
        "experiment": f"{observed.identity.namespace}/{observed.identity.name}",
        "step": status.traffic.step if status.traffic else 0,
        "percent": status.traffic.percent if status.traffic else 0,
        "design": record.write(design),
        "observed": record.write(by),
        "said": record.write(said),
        "decision": decision,
    }


def fingerprint(look: Mapping[str, Any]) -> str:
    """Of what was seen and said, the mere passing of time aside: a look that is the same but for that is not kept again."""
    seen = {name: value for name, value in look["observed"].items() if name not in ("elapsedS", "joins", "memory")}
    joins = {name: value for name, value in look["observed"]["joins"].items() if name != "newestOutcomeAgeS"}
    said = {"verdict": look["said"]["verdict"], "findings": look["said"]["findings"], "winner": look["said"]["winner"]}
    return digest({"design": look["design"], "seen": seen, "joins": joins, "said": said, "decision": look["decision"], "step": look["step"]})


def digest(value: Any) -> str:
    """16 hexadecimal digits of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:_DIGEST_LENGTH]


def arms(
    spec: ExperimentSpec, status: ExperimentStatus, *, sums: Sums, said: verdict.Look, by: statistics.Observed, design: Design
) -> tuple[ArmStatus, ...]:
    """The arms with what this look says of them."""
    units: dict[str, int] = {}
    for stratum in sums.units.values():
        for arm, count in stratum.items():
            units[arm] = units.get(arm, 0) + count
    return tuple(
        arm.model_copy(
            update={
                "units": units.get(arm.name, 0),
                "verdict": said.arms[arm.name].verdict if arm.name in said.arms else arm.verdict,
                "metrics": tuple(_intervals(design, said.arms[arm.name], by, arm=arm.name)) if arm.name in said.arms else arm.metrics,
            }
        )
        for arm in status.arms
    )


def _intervals(design: Design, said: verdict.Arm, by: statistics.Observed, *, arm: str) -> Iterator[Interval]:
    for metric in design.metrics:
        state = said.guardrails.get(metric.name)
        if metric.source == "Router":
            look = by.routed.get(metric.name, {}).get(arm)
            if look is not None and look.comparable:
                yield Interval(metric=metric.name, estimate=_signed(look.estimate), lower=_signed(look.lower), upper=_signed(look.upper), state=state)
            continue
        found = said.closed.get(metric.name) or said.to_date.get(metric.name)
        if found is not None:
            yield _interval(metric.name, found, state=state)


def _interval(name: str, found: Analysis, *, state: str | None) -> Interval:
    return Interval(
        metric=name,
        estimate=_signed(found.estimate),
        lower=_signed(found.lower),
        upper=_signed(found.upper),
        shrunken=_signed(found.shrunk),
        relative_percent=_signed(100 * found.lift.estimate) if found.lift else None,
        state=state,
    )


def sample_ratio(said: verdict.Look, *, alpha: float) -> SampleRatioStatus:
    """The test of units against slots, as the status tells it."""
    loss = said.sample_ratio.smallest_loss
    return SampleRatioStatus(
        p=f"{said.sample_ratio.p:.3g}",
        summary="Mismatch" if said.sample_ratio.p <= alpha else "OK",
        detectable_loss_percent=f"{100 * loss:.2g}" if loss is not None else None,
    )


def lift(design: Design, said: verdict.Look) -> str | None:
    """The primary's effect on the winner, or on the arm that is farthest, for a column."""
    primary = design.primary.name
    found = {name: analysis for name, arm in said.arms.items() if (analysis := arm.closed.get(primary) or arm.to_date.get(primary)) is not None}
    if not found:
        return None
    name = said.winner if said.winner in found else max(found, key=lambda arm: design.primary.sign * found[arm].estimate)
    best = found[str(name)]
    of = f"{name} " if len(design.treatments) > 1 else ""
    if best.lift is not None:
        return f"{of}{_signed(100 * best.lift.estimate)}% ({_signed(100 * best.lift.lower)} to {_signed(100 * best.lift.upper)})"
    return f"{of}{_signed(best.estimate)} ({_signed(best.lower)} to {_signed(best.upper)})"


def fresh(design: Design, sums: Sums, *, arm: str, stratum: str) -> str | None:
    """The primary's effect by the units of one stratum alone, which was read once, at a time that was fixed: 1.96 standard errors to either side.

    None while they have nothing to compare.
    """
    primary = design.primary
    arms = {name: sums.closed.get(primary.name, {}).get(name, {}) for name in (design.control, arm)}
    control, treatment = ({stratum: of[stratum]} if stratum in of else {} for of in arms.values())
    found = strata.compare(control, treatment, kind=primary.kind)
    if found is None or not math.isfinite(found.standard_error):
        return None
    reach = _FIXED_BOUNDARY * found.standard_error
    return f"{_signed(found.estimate)} ({_signed(found.estimate - reach)} to {_signed(found.estimate + reach)})"


def _signed(number: float) -> str:
    """Three digits, so that a look that found little new writes no status."""
    return f"{number:+.3g}"


def time(sums: Sums) -> str:
    """When the look was taken, as statuses have times."""
    return sums.now.strftime(TIME_FORMAT)
