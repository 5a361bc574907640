"""What became of a model's samples during one epoch, in numbers."""

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class ShadowSums:
    """Sums over samples of one shadow revision."""

    sampled: int = 0
    """Samples that nginx handed over."""
    answered: int = 0
    """Samples that the shadow answered as well as the assigned revision, with something that can be compared."""
    agreed: int = 0
    """Of those, answers that were equal."""
    failed: int = 0
    """Samples without a good or comparable answer of the shadow."""
    dropped: int = 0
    """Samples that found the queue full, or no pod."""
    absolute_difference: float = 0.0
    """Mean absolute difference between the numbers of two answers, summed over ``answered``."""
    seconds_difference: float = 0.0
    """How much longer than the assigned revision the shadow took, in seconds, summed over ``answered``."""

    def answer(self, revision: str) -> dict[str, Any]:
        """As ``/v1/counts`` gives it: the differences as means over ``answered``, null where nothing was."""
        return {
            "revision": revision,
            "sampled": self.sampled,
            "answered": self.answered,
            "agreed": self.agreed,
            "failed": self.failed,
            "dropped": self.dropped,
            "meanAbsoluteDifference": self.absolute_difference / self.answered if self.answered else None,
            "secondsDifference": self.seconds_difference / self.answered if self.answered else None,
        }
