"""The work queue: which key next. One key is never with two workers; edits go before the start-up backlog."""

import asyncio
import enum
import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from slipway_operator import metrics

K = TypeVar("K", bound=Hashable)

_LIVE_IN_A_ROW = 16
"""After so many live keys a waiting resync key gets its turn, so that a busy cluster cannot starve it."""

_STALE_DELAYS = 64
"""Entries of dropped keys that are kept until they fall due."""


class Priority(enum.IntEnum):
    """What goes first."""

    LIVE = 0
    """Something changed just now."""
    RESYNC = 1
    """Start-up, periodic resync: nobody waits for it."""


class ShutDown(Exception):
    """The queue has ended; the worker ends too."""


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long a failing key waits: ``base_s · 2ⁿ``, at most ``limit_s``, plus up to ``jitter`` of it.

    n = 0 → 5 ms; n = 10 → 5.12 s; n ≥ 13 → 30 s; each up to a tenth more.
    """

    base_s: float = 0.005
    limit_s: float = 30.0
    """Nothing tells that KServe's webhook answers again: however long it was away, an object is this late at most."""
    jitter: float = 0.1

    def delay_s(self, failures: int, *, random: float) -> float:
        """The wait after ``failures`` earlier failures; ``random`` is in [0, 1)."""
        exact = min(self.limit_s, self.base_s * 2.0 ** min(failures, 60))
        return exact * (1.0 + self.jitter * random)


class WorkQueue(Generic[K]):
    """Keys in, keys out. Time is the running event loop's.

    A worker's loop: ``key = await queue.get()``; work; then ``forget(key)``, ``add_after`` or ``retry(key)``; and ``done(key)`` always.
    """

    def __init__(self, *, name: str, backoff: Backoff = Backoff(), meters: metrics.Metrics = metrics.DEFAULT) -> None:
        self._backoff = backoff
        self._waiting: tuple[OrderedDict[K, float], OrderedDict[K, float]] = (OrderedDict(), OrderedDict())
        """By priority: key → when it came."""
        self._busy: dict[K, float] = {}
        """Key → when a worker took it."""
        self._again: dict[K, Priority] = {}
        """Keys at work that were asked for meanwhile."""
        self._doubts: dict[K, list[Callable[[], bool]]] = {}
        """Keys of which every request may yet turn out needless, and how to find out."""
        self._failures: dict[K, int] = {}
        self._delayed: _Delayed[K] = _Delayed(self)
        self._live_in_a_row = 0
        self._closed = False
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._meters = _Meters(name=name, meters=meters, busy=self._busy)

    def __len__(self) -> int:
        """Keys that wait for a worker, delayed ones not counted."""
        return sum(len(lane) for lane in self._waiting)

    def add(self, key: K, *, priority: Priority = Priority.LIVE, unless: Callable[[], bool] | None = None) -> None:
        """Ask for one more run. A waiting key stays one (and moves up if this is more urgent); a key at work runs once more after.

        ``unless`` is asked when the key's turn comes: a key that was asked for in vain every time is not given out.
        """
        if self._closed:
            return
        self._doubt(key, unless)
        if key in self._busy:
            if key not in self._again:
                self._meters.adds.inc()
            self._again[key] = min(priority, self._again.get(key, priority))
        elif key in self._waiting[Priority.RESYNC] and priority is Priority.LIVE:
            self._waiting[Priority.LIVE][key] = self._waiting[Priority.RESYNC].pop(key)
        elif not any(key in lane for lane in self._waiting):
            self._meters.adds.inc()
            self._push(key, priority)

    def add_after(self, key: K, *, delay_s: float, priority: Priority = Priority.LIVE) -> None:
        """``add`` later. Of several delays of one key the earliest counts."""
        if self._closed:
            return
        if delay_s <= 0:
            self.add(key, priority=priority)
        else:
            self._delayed.put(key, at=_now() + delay_s, priority=priority)

    def retry(self, key: K, *, backoff: Backoff | None = None) -> float:
        """``add_after`` with a delay that doubles each time, by ``backoff`` or the queue's own. Returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay_s = (backoff or self._backoff).delay_s(failures, random=random.random())  # noqa: S311
        self._meters.retries.inc()
        self.add_after(key, delay_s=delay_s)
        return delay_s

    def forget(self, key: K) -> None:
        """Forget the key's failures: the next ``retry`` starts at the shortest delay."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """How often in a row ``retry`` was called."""
        return self._failures.get(key, 0)

    @property
    def longest_running_s(self) -> float:
        """Seconds for which the key longest at work has been so; 0 when none is."""
        return max((_now() - since for since in self._busy.values()), default=0.0)

    def drop(self, key: K) -> None:
        """What the key stands for is gone: forget its failures and its delays."""
        self.forget(key)
        self._delayed.drop(key)

    def reorder(self, priority: Callable[[K], Priority]) -> None:
        """Give each waiting key its priority anew, for what was urgent when it came need not be so now."""
        waiting = [(key, came) for lane in self._waiting for key, came in lane.items()]
        for lane in self._waiting:
            lane.clear()
        for key, came in waiting:
            self._waiting[priority(key)][key] = came

    async def get(self) -> K:
        """The next key; it is the caller's until ``done``. Raises ShutDown."""
        while True:
            while not self and not self._closed:
                self._some.clear()
                await self._some.wait()
            if self._closed:
                raise ShutDown
            key, came = self._waiting[self._lane()].popitem(last=False)
            self._meters.depth.dec()
            if not self._needless(key):
                break
        now = _now()
        self._meters.clock = asyncio.get_running_loop().time
        self._busy[key] = now
        self._idle.clear()
        self._meters.waited.observe(now - came)
        return key

    def looking(self, key: K) -> None:
        """The worker that has the key looks at the world only now: what it was asked for until here, it will see."""
        self._again.pop(key, None)
        self._doubts.pop(key, None)

    def done(self, key: K) -> None:
        """The work on this key has ended, however."""
        self._meters.worked.observe(_now() - self._busy.pop(key))
        if not self._busy:
            self._idle.set()
        if (priority := self._again.pop(key, None)) is not None and not self._closed:
            self._push(key, priority)

    async def shutdown(self, *, drain_s: float) -> bool:
        """Give out nothing more, wait for the keys at work. False when some were still at work after ``drain_s``."""
        self._closed = True
        self._delayed.clear()
        self._doubts.clear()
        for lane in self._waiting:
            lane.clear()
        self._meters.depth.set(0)
        self._some.set()
        try:
            async with asyncio.timeout(drain_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _push(self, key: K, priority: Priority) -> None:
        self._waiting[priority][key] = _now()
        self._meters.depth.inc()
        self._some.set()

    def _doubt(self, key: K, unless: Callable[[], bool] | None) -> None:
        asked = key in self._again or any(key in lane for lane in self._waiting)
        if unless is None:
            self._doubts.pop(key, None)
        elif not asked:
            self._doubts[key] = [unless]
        elif key in self._doubts:
            self._doubts[key].append(unless)

    def _needless(self, key: K) -> bool:
        doubts = self._doubts.pop(key, None)
        return doubts is not None and all(needless() for needless in doubts)

    def _lane(self) -> Priority:
        """The lane of the next key: live before resync, but not for ever."""
        live, resync = self._waiting
        if live and (not resync or self._live_in_a_row < _LIVE_IN_A_ROW):
            self._live_in_a_row += 1
            return Priority.LIVE
        self._live_in_a_row = 0
        return Priority.RESYNC


class _Delayed(Generic[K]):
    """Keys that go into the queue at a time of their own; one timer, for the earliest."""

    def __init__(self, queue: WorkQueue[K]) -> None:
        self._queue = queue
        self._heap: list[tuple[float, int, K]] = []
        self._due: dict[K, tuple[float, Priority]] = {}
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, key: K, *, at: float, priority: Priority) -> None:
        known = self._due.get(key)
        if known:
            priority = min(priority, known[1])
        if known and known[0] <= at:
            self._due[key] = (known[0], priority)
            return
        self._due[key] = (at, priority)
        heapq.heappush(self._heap, (at, next(self._order), key))
        self._set_timer()

    def drop(self, key: K) -> None:
        """Its entries in the heap go when they are the greater part: a heap gives up its middle only as a whole."""
        self._due.pop(key, None)
        if len(self._heap) > 2 * len(self._due) + _STALE_DELAYS:
            self._heap = [(at, next(self._order), key) for key, (at, _) in self._due.items()]
            heapq.heapify(self._heap)
            self._set_timer()

    def clear(self) -> None:
        self._heap.clear()
        self._due.clear()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._fire) if self._heap else None

    def _fire(self) -> None:
        now = _now()
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._due.get(key, (None,))[0] == at:  # else this delay was shortened, and has fired
                self._queue.add(key, priority=self._due.pop(key)[1])
        self._set_timer()


class _Meters(Generic[K]):
    """The workqueue_* metrics of one queue."""

    def __init__(self, *, name: str, meters: metrics.Metrics, busy: dict[K, float]) -> None:
        self.depth = meters.workqueue_depth.labels(name)
        self.adds = meters.workqueue_adds.labels(name)
        self.retries = meters.workqueue_retries.labels(name)
        self.waited = meters.workqueue_queue_duration.labels(name)
        self.worked = meters.workqueue_work_duration.labels(name)
        self.clock: Callable[[], float] = lambda: 0.0
        """The loop's, once there is one: metrics may be read on another thread."""
        self._busy = busy
        meters.workqueue_unfinished_work.labels(name).set_function(lambda: sum(self._ages()))
        meters.workqueue_longest_running.labels(name).set_function(lambda: max(self._ages(), default=0.0))

    def _ages(self) -> list[float]:
        """Seconds that each key at work has been so."""
        return [self.clock() - since for since in list(self._busy.values())]


def _now() -> float:
    return asyncio.get_running_loop().time()
