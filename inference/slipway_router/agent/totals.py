"""What nginx counted, as Prometheus has it: sums that only rise, for revisions that a table names."""

import time
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from slipway_router.agent import bins

GRACE_S = 300.0
"""How long a revision's sums are shown after the last table that named it: Prometheus has to see the last of them."""

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BOUND_OF = bins.histogram_of(BOUNDS_S)
_OUTCOMES = {"2xx", "4xx", "5xx", "none", "gone"}
EVENTS = ("retried", "fallback", "shed", "noUnit", "noPods", "notShadowed")
"""What can happen to a request besides its outcome."""


class Histogram:
    """Requests of a revision by latency."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        """Between each bound and the one before, and past the last."""
        self.sum_s = 0.0
        """As exact as bins of 2.5 % are."""

    def add(self, bin_: int, n: int) -> None:
        """Count ``n`` requests of a bin."""
        self.counts[_BOUND_OF[bin_]] += n
        self.sum_s += bins.middle_s(bin_) * n


class Totals:
    """Sums by (model, revision, …)."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.requests: dict[tuple[str, str, str, str, str], int] = {}
        """By model, revision, role, protocol, outcome."""
        self.events: dict[tuple[str, str, str], int] = {}
        """By one of EVENTS, model, revision."""
        self.latency: dict[tuple[str, str], Histogram] = {}
        """By model, revision."""
        self.pending: Mapping[str, int] = {}
        """Requests under way, by revision."""
        self._gone_since: dict[tuple[str, str], float] = {}

    def known(self, named: Set[tuple[str, str]]) -> None:
        """Which (model, revision) there are now, and (model, "") for what belongs to no revision: others are dropped after a while."""
        now = self._clock()
        everyone = {key[:2] for key in self.requests} | {key[1:] for key in self.events} | self.latency.keys()
        self._gone_since = {key: self._gone_since.get(key, now) for key in everyone if key not in named}
        over = {key for key, since in self._gone_since.items() if now - since >= GRACE_S}
        if over:
            self.requests = {key: n for key, n in self.requests.items() if key[:2] not in over}
            self.events = {key: n for key, n in self.events.items() if key[1:] not in over}
            self.latency = {key: n for key, n in self.latency.items() if key not in over}

    def add(self, totals: Iterable[Any], *, pending: Mapping[str, int]) -> int:
        """Count nginx's totals, ``[model, epoch, revision, role, protocol, what, n]``. How many could not be counted."""
        lost = 0
        self.pending = pending
        for total in totals:
            try:
                model, _, revision, role, protocol, what, n = total
                if what in _OUTCOMES:
                    outcome = (model, revision, role, protocol, what)
                    self.requests[outcome] = self.requests.get(outcome, 0) + n
                elif what in EVENTS:
                    event = (what, model, revision)
                    self.events[event] = self.events.get(event, 0) + n
                else:
                    lost += 1
            except (ValueError, TypeError):
                lost += 1
        return lost

    def add_latency(self, cells: Iterable[Any]) -> None:
        """Count the latencies of nginx's cells, each request once. Cells that are not what they should be are told by ``Counts.add``."""
        for cell in cells:
            if len(cell) == 8 and cell[3] == "b" and 0 <= cell[5] < bins.BINS:
                key = (cell[0], cell[2])
                if key not in self.latency:
                    self.latency[key] = Histogram()
                self.latency[key].add(cell[5], cell[7])
