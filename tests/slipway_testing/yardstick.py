"""How long work takes in multiples of other work, measured in turn: what else the machine does then concerns both."""

import time
from collections.abc import Callable
from typing import Final

_STEPS: Final = 100_000


def multiples(took_ms: Callable[[], float], *, tries: int = 5) -> float:
    """What ``took_ms`` tells of one go at the work, over the same of a plain loop (about 10 ms of processor time), each at its best."""
    pairs = [(took_ms(), _loop_ms()) for _ in range(tries)]
    return min(work for work, _ in pairs) / min(loop for _, loop in pairs)


def _loop_ms() -> float:
    """What an interpreter mostly does: look up, add, store."""
    began = time.process_time()
    found: dict[int, int] = {}
    for step in range(_STEPS):
        found[step % 100] = found.get(step % 100, 0) + step
    return 1000 * (time.process_time() - began)
