"""What follows from the looks at all guardrails of a step: roll back, pass, or hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from slipway_statistics.ratios import Look

HoldReason = Literal["HoldTime", "NothingToCompare", "TooFewGroups", "TooLittleTraffic"]
"""HoldTime: the step has not lasted as long as it should. NothingToCompare: a revision had no requests, or a guardrail could not be read yet.
TooFewGroups: too few units or blocks of time to know a standard error. TooLittleTraffic: an increase of the size that the step is to detect would
not have been seen yet."""


@dataclass(frozen=True, kw_only=True)
class RollBack:
    """The candidate is worse than it may be."""

    guardrails: tuple[str, ...]
    """Names of those that say so."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """The step is over, and it would have seen what it was to detect."""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Neither yet."""

    reason: HoldReason
    guardrails: tuple[str, ...] = ()
    """Names of those that the reason is about; empty for HoldTime."""


Decision = RollBack | Pass | Hold


def decide(looks: Mapping[str, Look | None], *, held_s: float, hold_s: float, detect: float) -> Decision:
    """Decide on a step.

    Args:
        looks: by name of the guardrail; None where there is none yet, as at the first look at a latency.
        held_s: seconds since the step began, with every router on it.
        hold_s: seconds that it should last at least.
        detect: the excess over max_increase, as a share of requests, that a guardrail must be able to see before the step passes.

    Returns:
        RollBack as soon as any guardrail crossed its boundary, however short the step was and whatever the others lack. Pass when the hold time is
        over and no guardrail lacks anything; a step without guardrails passes by time alone.

    """
    crossed = tuple(name for name, look in looks.items() if look is not None and look.crossed)
    if crossed:
        return RollBack(guardrails=crossed)
    if held_s < hold_s:
        return Hold(reason="HoldTime")
    for reason, lacking in _LACKS.items():
        names = tuple(name for name, look in looks.items() if lacking(look, detect))
        if names:
            return Hold(reason=reason, guardrails=names)
    return Pass()


def _nothing_to_compare(look: Look | None, _: float) -> bool:
    return look is None or not look.comparable


def _too_few_groups(look: Look | None, _: float) -> bool:
    return look is not None and not look.enough_groups


def _too_little_traffic(look: Look | None, detect: float) -> bool:
    return look is not None and look.detectable > detect


_LACKS: dict[HoldReason, Callable[[Look | None, float], bool]] = {
    "NothingToCompare": _nothing_to_compare,
    "TooFewGroups": _too_few_groups,
    "TooLittleTraffic": _too_little_traffic,
}
"""In the order in which they are told: what is missing most comes first."""
