"""What is known at a look, in sentences that do not say more than may be said."""

from collections.abc import Iterator, Mapping
from typing import Final

from slipway_operator.cli.experiment import figures, sentences
from slipway_operator.cli.experiment.comparing import Compared, Interval
from slipway_statistics import verdict
from slipway_statistics.experiment import Design

TENDS_HIGH: Final = "seen at stopping, tends high"


def sentences_of(look: verdict.Look, *, design: Design, shown: Mapping[str, tuple[Compared, Compared]], final: bool) -> tuple[str, ...]:
    """The verdict, and what the interval of each arm that it is about says.

    Args:
        look: the last one.
        design: of the experiment.
        shown: by arm its primary, closed windows and outcomes to date.
        final: whether the look ended the experiment.

    """
    told = _TOLD.get(look.verdict)
    if told is None:
        return tuple(_general(look, shown))
    return tuple(told(look, design, shown, final))


Shown = Mapping[str, tuple[Compared, Compared]]


def _winning(look: verdict.Look, design: Design, shown: Shown, final: bool) -> Iterator[str]:
    arm = look.winner or ""
    primary = shown[arm][0]
    found = primary.interval
    if found is None or found.at_least is None:
        yield from _general(look, shown)
        return
    least = primary.scale.size(found.at_least, reach=found.reach)
    way = "higher" if found.at_least > 0 else "lower"
    yield f"{arm} wins: {primary.metric} is at least {least}{_of_control(found)} {way} than with {design.control}."
    yield f"{_interval(primary, found)} The interval holds at every look, so stopping early does not spoil it."
    if found.shrunk is not None:
        raw, shrunk = (primary.scale.difference(number, reach=found.reach) for number in (found.estimate, found.shrunk))
        yield f"Best guess {shrunk} (shrunken by what is still unknown); {raw} was {TENDS_HIGH}."
    yield "Each guardrail is shown to be within its margin." if look.arms[arm].guardrails else "There is no guardrail."


def _harmful(look: verdict.Look, design: Design, shown: Shown, final: bool) -> Iterator[str]:
    if not look.arms:
        yield "Every arm was stopped: each was worse than control, or than a guardrail allows."
    for name, arm in look.arms.items():
        if arm.verdict != "Harmful":
            continue
        reasons = {one.reason: one.about for one in arm.findings}
        primary = shown[name][1]
        found = primary.interval
        if "PrimaryHarm" in reasons and found is not None and found.at_least is not None:
            least = primary.scale.size(found.at_least, reach=found.reach)
            worse = "lower" if found.at_least < 0 else "higher"
            yield f"{name} does harm: {primary.metric} is at least {least} {worse} than with {design.control}, by outcomes to date."
            yield _interval(primary, found)
        if "GuardrailCrossed" in reasons:
            yield f"{name} is worse than allowed on {_listed(reasons['GuardrailCrossed'])}: the whole interval is beyond the margin."


def _no_effect(look: verdict.Look, design: Design, shown: Shown, final: bool) -> Iterator[str]:
    least = design.primary.minimum_effect or 0.0
    for name in look.arms:
        primary = shown[name][0]
        if primary.interval is not None:
            within = primary.scale.size(least, reach=least)
            yield f"{name} changes {primary.metric} by less than {within}, the least effect that matters: {_interval(primary, primary.interval)}"


def _general(look: verdict.Look, shown: Shown) -> Iterator[str]:
    """For verdicts that know nothing: the reason, and how far each arm's interval still reaches."""
    yield f"{sentences.VERDICTS.get(look.verdict, look.verdict)} {sentences.findings([(one.reason, one.about) for one in look.findings])}".strip()
    if look.verdict == "Unhealthy":
        return
    for name in look.arms:
        primary = shown[name][0]
        if primary.interval is not None:
            yield f"{name}: {_interval(primary, primary.interval)}"
        else:
            yield f"{name}: no interval yet, because {primary.missing}."


def _interval(primary: Compared, found: Interval) -> str:
    ends = primary.scale.interval(found.lower, found.upper)
    return f"{figures.level(primary.error)} interval of the difference in {primary.metric}: {ends}."


def _of_control(found: Interval) -> str:
    """The same end as a share of control, where that end is on the same side of zero."""
    if found.lift is None or found.at_least is None:
        return ""
    end = found.lift.lower if found.at_least > 0 else found.lift.upper
    if end * found.at_least <= 0:
        return ""
    return f" ({figures.percent(abs(end))})"


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(names)


_TOLD: Final = {"Winning": _winning, "Harmful": _harmful, "NoPracticalEffect": _no_effect}
