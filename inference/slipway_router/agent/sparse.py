"""Counters for few of many keys, in as many bytes as a machine needs for them."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator

_MOST = 0xFFFFFFFF


class Sparse:
    """How often each key below 65,536 was counted, up to four thousand million times: two sorted arrays, 6 bytes a key where a dict takes 100."""

    __slots__ = ("_counts", "_keys")

    def __init__(self) -> None:
        self._keys = array("H")
        self._counts = array("I")

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: int, n: int) -> None:
        """Count ``key`` ``n`` times."""
        place = bisect_left(self._keys, key)
        if place < len(self._keys) and self._keys[place] == key:
            self._counts[place] = min(self._counts[place] + n, _MOST)
        else:
            self._keys.insert(place, key)
            self._counts.insert(place, min(n, _MOST))

    def sum(self, first: int, end: int) -> int:
        """What was counted from ``first`` on and before ``end``."""
        place = bisect_left(self._keys, first)
        return sum(self._counts[place : bisect_left(self._keys, end, place)])

    def items(self) -> Iterator[tuple[int, int]]:
        """(key, count), in order."""
        return zip(self._keys, self._counts, strict=True)
