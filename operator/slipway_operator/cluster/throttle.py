"""A token bucket: bursts up to a limit, then a steady rate."""

from collections.abc import Callable


class TokenBucket:
    """``burst`` tokens at first, ``rate_per_s`` new ones, never more than ``burst``. The clock gives seconds."""

    def __init__(self, *, rate_per_s: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    def take(self) -> bool:
        """Take a token if there is one."""
        self._fill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def reserve(self) -> float:
        """Take a token, on credit if need be, and return how many seconds to wait before using it.

        At 2 tokens a second with none left, three calls in a row give 0.5, 1.0 and 1.5.
        """
        self._fill()
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate_per_s)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(float(self._burst), self._tokens + (now - self._filled_at) * self._rate_per_s)
        self._filled_at = now
