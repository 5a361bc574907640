import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_statistics import counts
from slipway_statistics.counts import Cell, Counts


def cells_of(**by_bucket: Cell) -> tuple[Cell, ...]:
    """64 cells, empty but for those named b0 to b63."""
    return tuple(by_bucket.get(f"b{number}", (0, 0, 0)) for number in range(64))


def answer(**changes: Any) -> dict[str, Any]:
    """An answer of GET /v1/counts as JSON carries it."""
    revision = {
        "latency": {"150": 4, "170": 1},
        "buckets": [list(cell) for cell in cells_of(b0=(3, 1, 0), b63=(2, 0, 1))],
        "blocks": {"100": [1, 1, 0], "101": [4, 0, 1]},
    }
    return {"epoch": 7, "blockSeconds": 4, "started": "2026-11-25T10:00:00Z", "revisions": {"ranker-1": revision | changes}}


ONE = Counts(
    block_seconds=4,
    buckets=cells_of(b0=(3, 1, 0), b63=(2, 0, 1)),
    blocks={100: (1, 1, 0), 101: (4, 0, 1)},
    latency={150: 4, 170: 1},
)


def test_the_answer_of_a_router_is_read() -> None:
    assert counts.parse(json.loads(json.dumps(answer()))) == {"ranker-1": ONE}


def test_an_epoch_without_requests_has_no_revisions() -> None:
    assert counts.parse({"epoch": 8, "blockSeconds": 4, "started": "2026-11-25T10:00:00Z", "revisions": {}}) == {}


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"blockSeconds": 4, "revisions": []},
        {"blockSeconds": 4, "revisions": {"ranker-1": {}}},
        answer() | {"blockSeconds": 0},
        answer() | {"blockSeconds": None},
        answer(buckets=[[0, 0, 0]] * 63),
        answer(buckets=[[0, 0]] * 64),
        answer(buckets=[["1", "0", "0"]] * 64),
        answer(buckets=[[1, 2, 0]] * 64),
        answer(buckets=[[1, 0, 2]] * 64),
        answer(buckets=[[1, -1, 0]] * 64),
        answer(blocks={"a": [1, 0, 0]}),
        answer(blocks={"1": [1, 0]}),
        answer(blocks={"1": [1, 2, 0]}),
        answer(latency={"a": 1}),
        answer(latency=[]),
    ],
)
def test_what_no_router_says_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not the counts of a router"):
        counts.parse(bad)


def test_routers_are_added_up_by_bucket_block_and_bin() -> None:
    other = Counts(block_seconds=4, buckets=cells_of(b0=(7, 2, 1), b5=(1, 0, 0)), blocks={101: (5, 1, 1), 103: (3, 1, 0)}, latency={170: 2, 171: 6})
    assert counts.merge([ONE, other]) == Counts(
        block_seconds=4,
        buckets=cells_of(b0=(10, 3, 1), b5=(1, 0, 0), b63=(2, 0, 1)),
        blocks={100: (1, 1, 0), 101: (9, 1, 2), 103: (3, 1, 0)},
        latency={150: 4, 170: 3, 171: 6},
    )


@pytest.mark.parametrize(
    ("seconds", "block_seconds", "blocks"),
    [
        # Block 50 of 8 s and blocks 100 and 101 of 4 s are the seconds 400 to 407.
        (8, 8, {50: (7, 2, 1), 51: (1, 0, 0)}),
        # Block 50 of 6 s begins at second 300, which is within block 25 of 12 s; 400 to 407 are within its block 33.
        (6, 12, {25: (2, 1, 0), 33: (5, 1, 1), 25 + 0.5: None}),
    ],
)
def test_blocks_of_different_lengths_are_aligned_by_time(seconds: int, block_seconds: int, blocks: dict[float, Cell | None]) -> None:
    other = Counts(block_seconds=seconds, blocks={50: (2, 1, 0), 51: (1, 0, 0)} if seconds == 8 else {50: (1, 1, 0), 51: (1, 0, 0)})
    merged = counts.merge([ONE, other])
    assert (merged.block_seconds, merged.blocks) == (block_seconds, {key: cell for key, cell in blocks.items() if cell})


def test_nothing_is_the_sum_of_nothing() -> None:
    assert counts.merge([]) == counts.NONE == Counts(block_seconds=4, buckets=cells_of(), blocks={}, latency={})
    assert counts.merge([ONE]) == ONE


def test_longer_blocks_keep_every_request() -> None:
    assert counts.with_blocks_of(ONE, block_seconds=8).blocks == {50: (5, 1, 1)}
    assert counts.with_blocks_of(ONE, block_seconds=4) == ONE


def test_requests_are_those_of_all_buckets() -> None:
    assert (ONE.requests, counts.NONE.requests) == (5, 0)


CELLS = st.tuples(st.integers(10, 99), st.integers(0, 10), st.integers(0, 10))
COUNTS = st.builds(
    Counts,
    block_seconds=st.sampled_from([2, 4, 8]),
    buckets=st.lists(CELLS, min_size=64, max_size=64).map(tuple),
    blocks=st.dictionaries(st.integers(1000, 1010), CELLS),
    latency=st.dictionaries(st.integers(0, 479), st.integers(1, 9)),
)


@given(parts=st.lists(COUNTS, min_size=1, max_size=4), order=st.randoms(use_true_random=False))
def test_the_order_of_routers_does_not_matter_and_nothing_is_lost(parts: list[Counts], order: Any) -> None:
    merged = counts.merge(parts)
    shuffled = list(parts)
    order.shuffle(shuffled)
    assert counts.merge(shuffled) == merged
    assert sum(cell[1] for cell in merged.blocks.values()) == sum(cell[1] for part in parts for cell in part.blocks.values())
    assert merged.requests == sum(part.requests for part in parts)
