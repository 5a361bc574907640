"""What verdicts and reasons mean, in sentences: the same for the report, the status and whoever reads JSON."""

from collections.abc import Mapping, Sequence
from typing import Final

from slipway_operator.reconcile.experiment import telling

VERDICTS: Final[Mapping[str, str]] = {
    "Pending": "It has not begun.",
    "Collecting": "It runs, and nothing is clear yet.",
    "InsufficientData": "There is too little to say anything.",
    "Unhealthy": "The data cannot be believed, so nothing is decided.",
    "Winning": "An arm is better, and within its guardrails.",
    "Harmful": "An arm is worse than control, or than a guardrail allows.",
    "NoPracticalEffect": "Whatever the effect is, it is smaller than matters.",
    "Inconclusive": "The time is over without an answer.",
    "Won": "An arm won and was promoted.",
    "RolledBack": "Every unit is back at control.",
}

GUARDRAILS: Final[Mapping[str, str]] = {
    "Crossed": "worse by more than the margin",
    "Shown": "within the margin",
    "NotShown": "not known yet",
}

LACKS: Final[Mapping[str, str]] = {
    "Unhealthy": "the data cannot be believed",
    "CapUnresolved": "it is not known yet where values are cut off",
    "TooFewUnits": "an arm has too few units",
    "TooFewConversions": "an arm has too few units that converted",
}
"""Why the shares of a bandit stay as they are."""

ACTIONS: Final[Mapping[str, str]] = {
    "Promote": "{arm} becomes stable",
    "RollBack": "every unit goes back to control",
    "StopArm": "{arm} is stopped, its units go back to control",
    "KeepControl": "control stays",
    "Hold": "everything stays as it is",
    "NextStep": "the ramp takes its next step",
}


def finding(reason: str, about: Sequence[str] = ()) -> str:
    """``the interval of the primary metric has zero in it (conversion)``. A reason that is not known here stands as it is."""
    return telling.sentence(reason, about)


def findings(found: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Several in one sentence, with its full stop."""
    told = "; ".join(finding(reason, about) for reason, about in found)
    return f"{told[:1].upper()}{told[1:]}." if told else ""


def action(decision: Mapping[str, object]) -> str:
    """What was done."""
    name, arm = str(decision.get("action")), decision.get("arm")
    return ACTIONS.get(name, name).format(arm=arm or "the arm")
