"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Counts and seconds."""

    turns: int
    turn_s: int
    warm_up_s: int
    changes: int
    between_changes_s: float
    spike_s: int


WHOLE = Sizes(turns=11, turn_s=2, warm_up_s=8, changes=1000, between_changes_s=0.03, spike_s=20)
SHORT = Sizes(turns=3, turn_s=2, warm_up_s=4, changes=100, between_changes_s=0.03, spike_s=5)
