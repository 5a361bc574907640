"""The work queue: which key next. One key is never with two workers; edits go before the start-up backlog."""

import enum
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from slipway_operator import metrics

K = TypeVar("K", bound=Hashable)


class Priority(enum.IntEnum):
    """What goes first."""

    LIVE = 0
    """Something changed just now."""
    RESYNC = 1
    """Start-up, periodic resync: nobody waits for it."""


class ShutDown(Exception):  # noqa: N818
    """The queue has ended; the worker ends too."""


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long a failing key waits: ``base_s · 2ⁿ``, at most ``limit_s``, plus up to ``jitter`` of it.

    n = 0 → 5 ms; n = 10 → 5.12 s; n ≥ 16 → 300 s; each up to a tenth more.
    """

    base_s: float = 0.005
    limit_s: float = 300.0
    jitter: float = 0.1

    def delay_s(self, failures: int, *, random: float) -> float:
        """The wait after ``failures`` earlier failures; ``random`` is in [0, 1)."""
        raise NotImplementedError


class WorkQueue(Generic[K]):
    """Keys in, keys out. Time is the running event loop's.

    A worker's loop: ``key = await queue.get()``; work; then ``forget(key)``, ``add_after`` or ``retry(key)``; and ``done(key)`` always.
    """

    def __init__(self, *, name: str, backoff: Backoff = Backoff(), meters: metrics.Metrics = metrics.DEFAULT) -> None:
        raise NotImplementedError

    def __len__(self) -> int:
        """Keys that wait for a worker, delayed ones not counted."""
        raise NotImplementedError

    def add(self, key: K, *, priority: Priority = Priority.LIVE) -> None:
        """Ask for one more run. A waiting key stays one (and moves up if this is more urgent); a key at work runs once more after."""
        raise NotImplementedError

    def add_after(self, key: K, *, delay_s: float, priority: Priority = Priority.LIVE) -> None:
        """``add`` later. Of several delays of one key the earliest counts."""
        raise NotImplementedError

    def retry(self, key: K) -> float:
        """``add_after`` with this key's backoff, which doubles each time. Returns the delay in seconds."""
        raise NotImplementedError

    def forget(self, key: K) -> None:
        """Forget the key's failures: the next ``retry`` starts at the shortest delay."""
        raise NotImplementedError

    def failures(self, key: K) -> int:
        """How often in a row ``retry`` was called."""
        raise NotImplementedError

    async def get(self) -> K:
        """The next key; it is the caller's until ``done``. Raises ShutDown."""
        raise NotImplementedError

    def done(self, key: K) -> None:
        """The work on this key has ended, however."""
        raise NotImplementedError

    async def shutdown(self, *, drain_s: float) -> bool:
        """Give out nothing more, wait for the keys at work. False when some were still at work after ``drain_s``."""
        raise NotImplementedError
