"""What routers counted of one revision in one epoch, and the sum of several routers."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

BUCKETS = 64
"""Groups that the units are hashed into, the same for every revision."""

Cell = tuple[int, int, int]
"""Requests; bad ones among them; slow ones among them."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counts of one revision. Every request is in one bucket, in one block and in one latency bin."""

    block_seconds: int = 4
    """Length of a time block."""

    buckets: tuple[Cell, ...] = ((0, 0, 0),) * BUCKETS
    """64 cells, by the bucket of the unit."""

    blocks: Mapping[int, Cell] = field(default_factory=dict)
    """Cells by number of the time block: Unix time in seconds // block_seconds. Empty blocks may be missing."""

    latency: Mapping[int, int] = field(default_factory=dict)
    """Requests by latency bin (``latency.bin_of``). Empty bins may be missing."""

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(requests for requests, _, _ in self.buckets)


NONE = Counts()
"""Nothing was counted."""


def parse(answer: Mapping[str, Any]) -> dict[str, Counts]:
    """The counts of every revision in one router's answer to ``GET /v1/counts``, from its JSON.

    Raises:
        ValueError: it does not look like such an answer.

    """
    try:
        block_seconds = int(answer["blockSeconds"])
        return {name: _counts(revision, block_seconds=block_seconds) for name, revision in answer["revisions"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not the counts of a router: {error}") from error


def merge(parts: Iterable[Counts]) -> Counts:
    """The sum of what several routers counted of the same revision in the same epoch; ``NONE`` of none.

    Blocks are aligned by time. Routers with blocks of different lengths are brought to the shortest length that all of them divide: the longer one
    where it is a multiple of the other. 4 s and 8 s give 8 s; 4 s and 6 s give 12 s.
    """
    parts = tuple(parts)
    if len(parts) < 2:
        return parts[0] if parts else NONE
    block_seconds = math.lcm(*(part.block_seconds for part in parts))
    latency: dict[int, int] = {}
    for part in parts:
        for number, requests in part.latency.items():
            latency[number] = latency.get(number, 0) + requests
    return Counts(
        block_seconds=block_seconds,
        buckets=tuple(_sum(cells) for cells in zip(*(part.buckets for part in parts), strict=True)),
        blocks=_merged_blocks(parts, block_seconds=block_seconds),
        latency=latency,
    )


def with_blocks_of(counts: Counts, *, block_seconds: int) -> Counts:
    """The same counts in longer blocks, a multiple of theirs."""
    return (
        counts
        if counts.block_seconds == block_seconds
        else dataclasses.replace(counts, block_seconds=block_seconds, blocks=_merged_blocks((counts,), block_seconds=block_seconds))
    )


def _merged_blocks(parts: tuple[Counts, ...], *, block_seconds: int) -> dict[int, Cell]:
    merged: dict[int, Cell] = {}
    for part in parts:
        ratio = block_seconds // part.block_seconds
        for number, cell in part.blocks.items():
            block = number // ratio
            before = merged.get(block)
            # Ten routers and an hour of blocks are 18,000 turns of this loop: no call in it.
            merged[block] = cell if before is None else (before[0] + cell[0], before[1] + cell[1], before[2] + cell[2])
    return merged


def _sum(cells: Iterable[Cell]) -> Cell:
    requests, bad, slow = map(sum, zip(*cells, strict=True))
    return requests, bad, slow


def _counts(revision: Mapping[str, Any], *, block_seconds: int) -> Counts:
    found = Counts(
        block_seconds=block_seconds,
        buckets=tuple((requests, bad, slow) for requests, bad, slow in revision["buckets"]),
        blocks={int(number): (requests, bad, slow) for number, (requests, bad, slow) in revision["blocks"].items()},
        latency={int(number): requests for number, requests in revision["latency"].items()},
    )
    if block_seconds < 1 or len(found.buckets) != BUCKETS:
        raise ValueError(f"{len(found.buckets)} buckets and blocks of {block_seconds} s, where there should be {BUCKETS} and a second or more")
    _check(found.buckets)
    _check(found.blocks.values())
    return found


def _check(cells: Iterable[Cell]) -> None:
    for requests, bad, slow in cells:
        if not (0 <= bad <= requests and 0 <= slow <= requests):
            raise ValueError(f"of {requests} requests neither {bad} can be bad nor {slow} slow")
