"""What one revision answered, block of time by block of time, in a form that is small and can be asked for any latency edge at once."""

from array import array
from bisect import bisect_left

_OPEN = 2
"""Blocks that are still being counted into: what nginx counted a second ago may end in the block before the newest."""
_MOST = 0xFFFFFFFF


class _Block:
    """A block of time: requests, those that were bad, and all of them by latency bin."""

    __slots__ = ("bad", "bins", "requests")

    def __init__(self, *, requests: int = 0, bad: int = 0, bins: dict[int, int] | None = None) -> None:
        self.requests = requests
        self.bad = bad
        self.bins = {} if bins is None else bins

    def add(self, other: "_Block") -> None:
        self.requests += other.requests
        self.bad += other.bad
        for bin_, n in other.bins.items():
            self.bins[bin_] = self.bins.get(bin_, 0) + n

    def slow(self, edge: int) -> int:
        return sum(n for bin_, n in self.bins.items() if bin_ >= edge)


class Blocks:
    """The newest blocks are dicts; older ones are packed into arrays, for each bin with how many requests were in it or above it.

    So a look at an edge is one binary search a block. A block that something is counted into after it was packed is there twice; readers add up.
    """

    __slots__ = ("_bad", "_bins", "_ends", "_from_here", "_numbers", "_open", "_requests")

    def __init__(self) -> None:
        self._open: dict[int, _Block] = {}
        self._numbers = array("Q")
        self._requests = array("Q")
        self._bad = array("Q")
        self._ends = array("I")
        """Where the bins of each packed block end in the next two."""
        self._bins = array("H")
        self._from_here = array("I")

    @property
    def cells(self) -> int:
        """Pairs of block and bin that are held, of 6 bytes each."""
        return len(self._bins) + sum(len(block.bins) for block in self._open.values())

    def numbers(self) -> set[int]:
        """The blocks in which anything was counted."""
        return {*self._numbers, *self._open}

    def add(self, number: int, bin_: int, *, bad: int, n: int) -> bool:
        """Count ``n`` requests, ``bad`` of them bad. Whether the block is new here (or had been packed)."""
        block = self._open.get(number)
        if block is None:
            self._begin(number, _Block(requests=n, bad=bad, bins={bin_: n}))
            return True
        block.requests += n
        block.bad += bad
        block.bins[bin_] = block.bins.get(bin_, 0) + n
        return False

    def rows(self, edge: int) -> dict[int, list[int]]:
        """For each block [requests, bad, those at or above the edge]."""
        rows: dict[int, list[int]] = {}
        first, bins, from_here = 0, self._bins, self._from_here
        for number, requests, bad, end in zip(self._numbers, self._requests, self._bad, self._ends, strict=True):
            place = bisect_left(bins, edge, first, end)
            row = [requests, bad, from_here[place] if place < end else 0]
            rows[number] = row if number not in rows else _sum(rows[number], row)
            first = end
        for number, block in self._open.items():
            row = [block.requests, block.bad, block.slow(edge)]
            rows[number] = row if number not in rows else _sum(rows[number], row)
        return rows

    def merged(self) -> "Blocks":
        """The same with one block for every two: number k for those 2k and 2k + 1."""
        merged = Blocks()
        for number, place in sorted(zip(self._numbers, range(len(self._numbers)), strict=True)):
            merged._put(number >> 1, self._unpacked(place))
        for number, block in sorted(self._open.items()):
            merged._put(number >> 1, block)
        return merged

    def _put(self, number: int, block: _Block) -> None:
        if number in self._open:
            self._open[number].add(block)
        else:
            self._begin(number, block)

    def _begin(self, number: int, block: _Block) -> None:
        self._open[number] = block
        for old in sorted(self._open)[:-_OPEN]:
            self._pack(old, self._open.pop(old))

    def _pack(self, number: int, block: _Block) -> None:
        ordered = sorted(block.bins)
        above, totals = 0, []
        for bin_ in reversed(ordered):
            above += block.bins[bin_]
            totals.append(min(above, _MOST))
        self._numbers.append(number)
        self._requests.append(block.requests)
        self._bad.append(block.bad)
        self._bins.extend(ordered)
        self._from_here.extend(reversed(totals))
        self._ends.append(len(self._bins))

    def _unpacked(self, place: int) -> _Block:
        first, end = self._ends[place - 1] if place else 0, self._ends[place]
        above = (*self._from_here[first:end], 0)
        bins = {bin_: above[k] - above[k + 1] for k, bin_ in enumerate(self._bins[first:end])}
        return _Block(requests=self._requests[place], bad=self._bad[place], bins=bins)


def _sum(one: list[int], other: list[int]) -> list[int]:
    return [a + b for a, b in zip(one, other, strict=True)]
