"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Counts and seconds."""

    turns: int
    turn_s: int
    warm_up_s: int


WHOLE = Sizes(turns=11, turn_s=2, warm_up_s=6)
SHORT = Sizes(turns=3, turn_s=1, warm_up_s=2)
