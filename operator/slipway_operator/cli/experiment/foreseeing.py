"""What a bandit will probably do with its traffic, from its spec and what is assumed of its arms (``slipway_statistics.bandit_plan``)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from slipway_operator.api.v1alpha1.experiment import ExperimentSpec
from slipway_operator.cli.experiment import figures, sizing
from slipway_operator.cli.experiment.looks import Unanswerable
from slipway_operator.cli.experiment.sizing import Aim, Known
from slipway_operator.cli.experiment.tables import columns
from slipway_operator.reconcile.experiment import designs
from slipway_statistics import bandit, bandit_plan
from slipway_statistics.bandit_plan import Assumed, Claims, Expected, Moment, Outcomes, Reached, Verdicts

SEED: Final = 20261129
"""Of every plan, so that the same question has the same answer."""

_OFTEN_ENOUGH: Final = 0.8
"""Share of the runs in which the best arm should win before the end: the power that tests are planned for."""

ROWS_AT: Final = (0.0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0)
"""Strata that are shown, as parts of all of them: the shares move most at the beginning."""


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """The whole answer."""

    primary: str
    kind: str
    arms: Mapping[str, float]
    """What a unit of each arm is assumed to bring, in the metric's unit; control first."""

    best: tuple[str, ...]
    """Those that bring most, or least where that is better."""

    units_per_day: float
    minimum_effect: float
    planned_units: int
    """Of all arms together, at which a decision is expected; the interval is tightest there."""

    floor: float
    step: float
    update_s: float
    window_s: float
    end_s: float
    expected: Expected


def foresee(spec: ExperimentSpec, known: Known) -> Foreseen:
    """Play the bandit of a spec.

    Raises:
        Unanswerable: something has to be known that is not, something is given that a bandit has no use for, or no bandit could be like that.

    """
    _refuse_what_is_of_a_test(known)
    with sizing.unanswerable(spec):
        aimed = sizing.aim(spec, known)
        means = _means(spec, known, aimed)
        rules, _ = designs.bandit(spec)
        deviation = None if spec.primary.type == "Proportion" else known.deviation
        assumed = Assumed(
            arms=tuple(Outcomes(mean=mean, deviation=deviation) for mean in means.values()),
            units_per_second=known.units_per_day / sizing.DAY_S,
            update_s=float(spec.shares_follow.update_seconds),
            window_s=float(spec.primary.window_s),
            end_s=float(spec.analysis.max_duration_seconds),
            sign=1 if spec.primary.direction == "Up" else -1,
        )
        claims = Claims(
            alpha=aimed.alpha,
            planned=float(aimed.units_per_arm * len(spec.arms)),
            minimum_effect=aimed.effect,
            minimum_units_per_arm=spec.analysis.min_units_per_arm,
            minimum_duration_s=float(spec.analysis.min_duration_seconds),
        )
        expected = bandit_plan.expect(assumed, rules=rules, claims=claims, runs=bandit_plan.affordable_runs(assumed), draws=Random(SEED))  # noqa: S311 - a simulation
    return Foreseen(
        primary=spec.primary.name,
        kind=str(spec.primary.type),
        arms=means,
        best=tuple(name for place, name in enumerate(means) if place in assumed.best),
        units_per_day=known.units_per_day,
        minimum_effect=aimed.effect,
        planned_units=aimed.units_per_arm * len(spec.arms),
        floor=rules.floor,
        step=rules.step,
        update_s=assumed.update_s,
        window_s=assumed.window_s,
        end_s=assumed.end_s,
        expected=expected,
    )


def _refuse_what_is_of_a_test(known: Known) -> None:
    if known.correlation is not None:
        raise Unanswerable("a bandit takes nothing out of its rewards, so --correlation changes nothing; leave it out")
    if known.guardrails or known.deviations:
        raise Unanswerable("guardrails of a bandit are not planned, for nobody knows how many units each arm will get; leave --guardrail-* out")


def _means(spec: ExperimentSpec, known: Known, aimed: Aim) -> dict[str, float]:
    """By arm, control first. Where no lift is given the first arm beside control is better by the least effect that matters, and others are as
    control."""
    treatments = [arm.name for arm in spec.treatments]
    unknown = sorted(set(known.lifts) - set(treatments))
    if unknown:
        raise Unanswerable(f"--lift {unknown[0]}: there is no such arm beside control; give one of {', '.join(treatments)}")
    if known.lifts and not aimed.baseline > 0:
        raise Unanswerable(f"--lift is a share of control's {spec.primary.name}, which is {aimed.baseline:g}; give a --baseline above 0")
    better = aimed.effect if spec.primary.direction == "Up" else -aimed.effect
    effects = {name: aimed.baseline * lift for name, lift in known.lifts.items()} if known.lifts else {treatments[0]: better}
    return {spec.control.name: aimed.baseline} | {name: aimed.baseline + effects.get(name, 0.0) for name in treatments}


def lines(found: Foreseen, *, title: str) -> Iterator[str]:
    """The answer for people."""
    scale = figures.SHARE if found.kind == "Proportion" else figures.PLAIN
    expected = found.expected
    yield f"{title}: a bandit of {len(found.arms)} arms on {found.primary}, {figures.count(found.units_per_day)} new units a day."
    yield (
        f"Shares move every {figures.duration(found.update_s)}, by at most {100 * found.step:.0f} points, and never below {100 * found.floor:.0f} %;"
        f" an outcome counts {figures.duration(found.window_s)} after its unit came."
    )
    yield f"Assumed: {', '.join(f'{arm} {scale.value(mean, reach=_reach(found))}' for arm, mean in found.arms.items())}."
    yield f"Played {expected.runs} times on such outcomes, until the spec ends it; a share of the runs is off by up to {_off(expected.runs)} points."
    yield ""
    yield from columns([_head(found), *(_row(moment) for moment in _shown(expected.moments))])
    yield ""
    yield from _most(found)
    yield from _lost(found)
    yield ""
    yield from _verdicts(found)


def _reach(found: Foreseen) -> float:
    """Digits enough to tell the arms apart."""
    control, *others = found.arms.values()
    return min((abs(other - control) for other in others if other != control), default=found.minimum_effect)


def _off(runs: int) -> str:
    """Two standard errors of a half, in points."""
    return f"{100 / runs**0.5:.0f}"


def _head(found: Foreseen) -> tuple[str, ...]:
    wrong = ("not the best leads",) if found.expected.moments[0].wrong_leads is not None else ()
    return ("after", "units", *found.arms, *wrong)


def _row(moment: Moment) -> tuple[str, ...]:
    wrong = () if moment.wrong_leads is None else (figures.percent(moment.wrong_leads, places=0),)
    shares = (figures.percent(share) for share in moment.shares)
    return (figures.duration(moment.at_s) if moment.at_s else "the beginning", figures.count(moment.units), *shares, *wrong)


def _shown(moments: Sequence[Moment]) -> tuple[Moment, ...]:
    places = sorted({round(part * (len(moments) - 1)) for part in ROWS_AT})
    return tuple(moments[place] for place in places)


def _most(found: Foreseen) -> Iterator[str]:
    best = found.best
    if len(best) == len(found.arms):
        yield "All arms are alike: shares wander, and nothing is lost."
        return
    reached = found.expected.best_has_most
    have = "have" if len(best) > 1 else "has"
    yield f"{_and(best)} {have} most of the units, {figures.percent(found.expected.most, places=0)} (nine tenths of what floors leave),"
    yield f"  {_when(reached, found)}."


def _when(reached: Reached, found: Foreseen) -> str:
    """In how many runs, and how soon."""
    if not reached.by_end:
        return "in no run before the end"
    soon = [
        f"{of} of all runs by {figures.duration(at_s)} ({figures.count(found.units_per_day * at_s / sizing.DAY_S)} units)"
        for of, at_s in (("half", reached.half_s), ("nine tenths", reached.most_s))
        if at_s is not None
    ]
    return "; ".join([f"in {figures.percent(reached.by_end, places=0)} of the runs before the end", *soon])


def _lost(found: Foreseen) -> Iterator[str]:
    lost = found.expected.lost
    if not lost.even_split:
        return
    yield (
        f"Lost by {figures.duration(found.end_s)}, {figures.count(found.expected.units)} units, against all of them with the best arm,"
        f" in {found.primary}:"
    )
    of_even = f"{figures.percent(lost.bandit / lost.even_split, places=0)} of an even split's"
    yield from columns(
        [
            ("the bandit", _amount(lost.bandit), f"\u00b1 {_amount(2 * lost.bandit_error)}", of_even),
            ("an even split", _amount(lost.even_split), "", ""),
            ("floors alone", _amount(lost.floors), "", "which nothing avoids"),
        ]
    )


def _amount(number: float) -> str:
    return figures.count(number) if number >= 10 else f"{number:.2g}"


def _verdicts(found: Foreseen) -> Iterator[str]:
    said = found.expected.verdicts
    if said is None:
        least = f"{100 * bandit.FLOOR_FOR_VERDICTS:.0f}"
        yield f"There will be no verdict: below a floor of {least} % no arm is ever called a winner. For one, set bandit.floorPercent to {least}."
        return
    yield from _judged(found, said)
    yield "Guardrails and harm are not played: a win waits until guardrails are shown to be kept, and an arm that does harm is stopped early."


def _judged(found: Foreseen, said: Verdicts) -> Iterator[str]:
    yield f"A verdict is planned for {figures.count(found.planned_units)} units of all arms."
    winners = [arm for arm in found.best if arm != next(iter(found.arms))]
    if winners and len(found.best) < len(found.arms):
        yield f"  {' or '.join(winners)} wins {_when(said.best_wins, found)}."
        if said.best_wins.by_end < _OFTEN_ENOUGH:
            yield "  That may not fit: raise maxDurationSeconds, bring more units, or take a test for the verdict."
        yield f"  Another arm wins in {figures.percent(said.another_wins)} of the runs."
    else:
        yield f"  No arm is better than {next(iter(found.arms))}; one is called so in {figures.percent(said.another_wins)} of the runs."
    yield f"  No arm is found to have an effect that matters in {figures.percent(said.no_effect)}."


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
