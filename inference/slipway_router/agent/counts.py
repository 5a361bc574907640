"""What nginx counted, added up per model, epoch of its table and revision, for the operator's guardrails."""

import contextlib
import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from slipway_router.agent.bins import BINS
from slipway_router.agent.blocks import Blocks
from slipway_router.agent.shadow.sums import ShadowSums
from slipway_router.agent.sparse import Sparse
from slipway_service import logs

BLOCK_S = 4
"""Length of nginx's blocks of time, in seconds."""
BUCKETS = 64
BLOCKS = 512
"""Most blocks of an epoch: with one more every two neighbours become one of twice the length."""
EPOCHS = 3
"""Epochs of a model that are kept."""
GRACE_S = 600.0
"""How long a model is remembered after its table went: a ConfigMap that was deleted by mistake is back in a moment."""
CELLS = 1_500_000
"""Most cells (a bin of a block, a bin of a bucket) that are kept of all models together, of 6 bytes each; see ``Counts.tidy``."""

_COARSE_OLD, _COARSE = 16, 128
"""Blocks that an epoch keeps at least when memory is short: one that is over, one that is on."""


class RevisionCounts:
    """What one revision answered during one epoch."""

    __slots__ = ("_bad", "_by_bin", "_latency", "_requests", "blocks")

    def __init__(self) -> None:
        self.blocks = Blocks()
        self._requests = array("Q", bytes(8 * BUCKETS))
        self._bad = array("Q", bytes(8 * BUCKETS))
        self._latency = Sparse()
        self._by_bin = Sparse()
        """By bucket times BINS, plus bin."""

    @property
    def cells(self) -> int:
        """Cells that are held."""
        return self.blocks.cells + len(self._by_bin)

    def add(self, bucket: int, bin_: int, *, bad: int, n: int) -> None:
        """Count ``n`` requests of a bucket, ``bad`` of them bad."""
        self._requests[bucket] += n
        self._bad[bucket] += bad
        self._latency.add(bin_, n)
        self._by_bin.add(bucket * BINS + bin_, n)

    def answer(self, edge: int) -> dict[str, Any]:
        """As ``/v1/counts`` gives it; slow are requests at or above bin ``edge``."""
        slow = (self._by_bin.sum(bucket * BINS + edge, (bucket + 1) * BINS) for bucket in range(BUCKETS))
        return {
            "latency": dict(self._latency.items()),
            "buckets": list(zip(self._requests, self._bad, slow, strict=True)),
            "blocks": self.blocks.rows(edge),
        }


class Epoch:
    """One epoch of a model's table."""

    __slots__ = ("_halvings", "revisions", "shadows")

    def __init__(self) -> None:
        self.revisions: dict[str, RevisionCounts] = {}
        self.shadows: dict[str, ShadowSums] = {}
        self._halvings = 0

    @property
    def block_s(self) -> int:
        """Length of a block of time, in seconds."""
        return BLOCK_S << self._halvings

    @property
    def cells(self) -> int:
        """Cells that are held."""
        return sum(revision.cells for revision in self.revisions.values())

    def add(self, revision: str, by: str, place: int, bin_: int, *, bad: int, n: int) -> None:
        """One cell as nginx gives it: ``by`` is ``b`` for a bucket or ``t`` for a block. ValueError where it cannot be."""
        if not (0 <= bin_ < BINS and n > 0 and place >= 0):
            raise ValueError(f"bin {bin_}, {n} requests")
        counts = self.revisions.get(revision)
        if counts is None:
            counts = self.revisions[revision] = RevisionCounts()
        if by == "t":
            if counts.blocks.add(place >> self._halvings, bin_, bad=n if bad else 0, n=n):
                self.coarsen(to=BLOCKS)
        elif by == "b" and place < BUCKETS:
            counts.add(place, bin_, bad=n if bad else 0, n=n)
        else:
            raise ValueError(f"'{by}' {place}")

    def blocks(self) -> int:
        """In how many blocks anything was counted."""
        return len(set().union(*(revision.blocks.numbers() for revision in self.revisions.values())))

    def coarsen(self, *, to: int) -> None:
        """Merge neighbouring blocks until there are at most ``to``."""
        while self.blocks() > to:
            self._halvings += 1
            for revision in self.revisions.values():
                revision.blocks = revision.blocks.merged()


class _Model:
    __slots__ = ("current", "epochs", "gone_since", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.epochs: dict[int, Epoch] = {}
        self.current: int | None = None
        self.gone_since: float | None = None

    def epoch(self, number: int) -> Epoch | None:
        """The epoch, which a new number opens and the oldest makes room for; None for one that is long over."""
        if number in self.epochs:
            return self.epochs[number]
        if len(self.epochs) >= EPOCHS and number != self.current and number < max(self.epochs):
            return None
        self.epochs[number] = opened = Epoch()
        for old in list(self.epochs)[:-EPOCHS]:
            del self.epochs[old]
        return opened


class Counts:
    """All that was counted. Nothing here waits for anything."""

    def __init__(self, *, clock: Callable[[], float] = time.time, most_cells: int = CELLS) -> None:
        self._clock = clock
        self._most_cells = most_cells
        self._models: dict[str, _Model] = {}

    @property
    def cells(self) -> int:
        """Cells that are held, of all models."""
        return sum(epoch.cells for model in self._models.values() for epoch in model.epochs.values())

    def known(self, epochs: Mapping[str, int]) -> None:
        """Which models there are now, and the epoch of the table of each: others are forgotten after a while."""
        now = self._clock()
        for name, number in epochs.items():
            model = self._models.setdefault(name, _Model(now))
            model.current, model.gone_since = number, None
        for name in [name for name in self._models if name not in epochs]:
            model = self._models[name]
            model.gone_since = model.gone_since if model.gone_since is not None else now
            if now - model.gone_since >= GRACE_S:
                del self._models[name]

    def epoch(self, model: str, number: int) -> Epoch | None:
        """Where to count; None for a model that nobody knows, and for an epoch that is long over."""
        known = self._models.get(model)
        return known.epoch(number) if known else None

    def add(self, cells: Iterable[Any]) -> int:
        """Count nginx's cells, ``[model, epoch, revision, "b" or "t", bucket or block, bin, bad, n]``. How many could not be counted."""
        lost = 0
        for cell in _in_order(cells):
            try:
                model, number, revision, by, place, bin_, bad, n = cell
                epoch = self.epoch(model, number)
                if epoch is None:
                    lost += 1
                else:
                    epoch.add(revision, by, place, bin_, bad=bad, n=n)
            except (ValueError, TypeError, OverflowError):
                lost += 1
        return lost

    def tidy(self) -> None:
        """Keep to the memory there is: merge blocks of epochs that are over, then of those that are on, and at last forget the former."""
        cells = self.cells
        while cells > self._most_cells and (spared := self._spare()):
            cells -= spared

    def _spare(self) -> int:
        """Make the epoch smaller that matters least for its size. How many cells that spared."""
        everyone = [
            (number == model.current, -epoch.cells, number, model) for model in self._models.values() for number, epoch in model.epochs.items()
        ]
        for current, cells, number, model in sorted(everyone, key=lambda each: each[:2]):
            epoch = model.epochs[number]
            least = _COARSE if current else _COARSE_OLD
            if (blocks := epoch.blocks()) > least:
                epoch.coarsen(to=max(least, blocks // 2))
                return max(-cells - epoch.cells, 1)
        over = [(cells, number, model) for current, cells, number, model in everyone if not current]
        if not over:
            return 0
        cells, number, model = min(over, key=lambda each: each[0])
        del model.epochs[number]
        return max(-cells, 1)

    def answer(self, model: str, number: int, *, edges: Mapping[str, int]) -> dict[str, Any]:
        """As ``/v1/counts`` gives it; ``edges`` has the bin from which on a revision's requests are slow."""
        known = self._models.get(model)
        epoch = (known.epochs.get(number) if known else None) or Epoch()
        answer: dict[str, Any] = {
            "epoch": number,
            "blockSeconds": epoch.block_s,
            "started": logs.rfc3339(known.started if known else self._clock()),
            "revisions": {name: revision.answer(edges.get(name, BINS)) for name, revision in epoch.revisions.items()},
        }
        if epoch.shadows:
            answer["shadow"] = [sums.answer(revision) for revision, sums in epoch.shadows.items()][-1]
        return answer


def _in_order(cells: Iterable[Any]) -> Iterable[Any]:
    """By block, as ``Blocks`` packs them best: after a pause many of them come at once."""
    cells = list(cells)
    with contextlib.suppress(TypeError, LookupError):  # some of them are no cells, which is found out later
        cells.sort(key=itemgetter(4))
    return cells
