"""Adding up what nginx counted: nothing gets lost when it is packed, merged or when memory is short."""

import itertools
import time
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slipway_router.agent import bins
from slipway_router.agent.blocks import Blocks
from slipway_router.agent.counts import BLOCKS, GRACE_S, Counts
from slipway_router.agent.server import _COMPACT
from slipway_router.agent.shadow.sums import ShadowSums
from slipway_router.agent.sparse import Sparse
from slipway_testing import yardstick

NOW = 1_796_000_000
BLOCK = NOW // 4


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def counting(*models: str, epoch: int = 7, **options: Any) -> Counts:
    counts = Counts(clock=Clock(), **options)
    counts.known(dict.fromkeys(models or ("ranker",), epoch))
    return counts


def request(*, revision: str = "a", epoch: int = 7, bucket: int = 5, block: int = BLOCK, bin_: int = 100, bad: int = 0, n: int = 1) -> list[Any]:
    """Requests as nginx counts them: once in a bucket, once in a block."""
    return [["ranker", epoch, revision, "b", bucket, bin_, bad, n], ["ranker", epoch, revision, "t", block, bin_, bad, n]]


def rows(counts: Counts, *, edge: int = 480, epoch: int = 7, revision: str = "a") -> dict[int, list[int]]:
    found: dict[int, list[int]] = counts.answer("ranker", epoch, edges={revision: edge})["revisions"][revision]["blocks"]
    return found


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 5))), st.integers(0, 200), st.integers(0, 200))
def test_sparse_counters_are_counters(added: list[tuple[int, int]], first: int, end: int) -> None:
    sparse, counter = Sparse(), Counter[int]()
    for key, n in added:
        sparse.add(key, n)
        counter[key] += n
    assert list(sparse.items()) == sorted(counter.items())
    assert len(sparse) == len(counter)
    assert sparse.sum(first, end) == sum(n for key, n in counter.items() if first <= key < end)


def test_a_sparse_counter_stops_at_its_end() -> None:
    sparse = Sparse()
    sparse.add(3, 2**40)
    sparse.add(3, 5)
    assert list(sparse.items()) == [(3, 2**32 - 1)]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 9), st.integers(0, 3), st.integers(0, 1)), max_size=200),
    st.integers(0, 10),
    st.integers(0, 3),
)
def test_blocks_say_the_same_packed_merged_or_not_in_whatever_order_things_come(
    added: list[tuple[int, int, int, int]], edge: int, halvings: int
) -> None:
    blocks, expected = Blocks(), dict[int, list[int]]()
    for number, bin_, n, bad in added:
        blocks.add(number, bin_, bad=bad * n, n=n)
        row = expected.setdefault(number >> halvings, [0, 0, 0])
        row[0] += n
        row[1] += bad * n
        row[2] += n * (bin_ >= edge)
    for _ in range(halvings):
        blocks = blocks.merged()
    assert blocks.rows(edge) == expected
    assert blocks.numbers() == expected.keys()


def test_an_answer_has_latencies_buckets_and_blocks_of_each_revision() -> None:
    counts = counting()
    cells = request(bin_=100, n=8) + request(bin_=200, bad=1, n=2) + request(revision="c", bucket=63, block=BLOCK + 1, bin_=479)
    assert counts.add(cells) == 0
    nothing = (0, 0, 0)

    answer = counts.answer("ranker", 7, edges={"a": 200, "c": 479, "who": 1})

    assert answer == {
        "epoch": 7,
        "blockSeconds": 4,
        "started": "2026-11-30T00:53:20Z",
        "revisions": {
            "a": {
                "latency": {100: 8, 200: 2},
                "buckets": [(10, 2, 2) if bucket == 5 else nothing for bucket in range(64)],
                "blocks": {BLOCK: [10, 2, 2]},
            },
            "c": {
                "latency": {479: 1},
                "buckets": [(1, 0, 1) if bucket == 63 else nothing for bucket in range(64)],
                "blocks": {BLOCK + 1: [1, 0, 1]},
            },
        },
    }


def test_what_nobody_counted_has_no_revisions() -> None:
    counts = counting()
    for model, epoch in (("ranker", 7), ("ranker", 1), ("who", 7)):
        assert counts.answer(model, epoch, edges={})["revisions"] == {}
    assert counts.answer("ranker", 7, edges={})["blockSeconds"] == 4


def test_an_edge_is_counted_from_its_own_bin_on() -> None:
    counts = counting()
    for block in range(10):  # most of them packed
        counts.add(request(block=BLOCK + block, bin_=100) + request(block=BLOCK + block, bin_=101))
    for edge, slow in ((99, 2), (100, 2), (101, 1), (102, 0), (480, 0)):
        assert set(map(tuple, rows(counts, edge=edge).values())) == {(2, 0, slow)}
        assert counts.answer("ranker", 7, edges={"a": edge})["revisions"]["a"]["buckets"][5] == (20, 0, 10 * slow)


def test_past_512_blocks_two_neighbours_become_one() -> None:
    counts = counting()
    even = BLOCK - BLOCK % 2
    for block in range(BLOCKS):
        counts.add(request(block=even + block, revision="ac"[block % 2]))
    assert counts.answer("ranker", 7, edges={})["blockSeconds"] == 4
    counts.add(request(block=even + BLOCKS))
    answer = counts.answer("ranker", 7, edges={})
    assert answer["blockSeconds"] == 8
    assert answer["revisions"]["a"]["blocks"] == {even // 2 + k: [1, 0, 0] for k in range(BLOCKS // 2 + 1)}
    assert answer["revisions"]["c"]["blocks"] == {even // 2 + k: [1, 0, 0] for k in range(BLOCKS // 2)}
    counts.add(request(block=even + BLOCKS + 1) + request(block=even + 1) + request(block=even + BLOCKS + 2))
    blocks = rows(counts)
    assert [blocks[even // 2 + k] for k in (0, BLOCKS // 2, BLOCKS // 2 + 1)] == [[2, 0, 0], [2, 0, 0], [1, 0, 0]]


def test_what_comes_late_and_mixed_up_takes_no_more_memory() -> None:
    counts = counting()
    counts.add([request(block=BLOCK + block, bad=bad)[1] for bad in (0, 1) for block in range(20)])
    assert counts.cells == 20
    assert rows(counts) == {BLOCK + block: [2, 1, 0] for block in range(20)}


def test_the_last_three_epochs_are_kept() -> None:
    counts = counting(epoch=5)
    for epoch in (5, 6, 7, 8):
        counts.known({"ranker": epoch})
        assert counts.add(request(epoch=epoch)) == 0
    assert counts.add(request(epoch=5)) == 2  # too late
    assert [bool(counts.answer("ranker", epoch, edges={})["revisions"]) for epoch in (5, 6, 7, 8)] == [False, True, True, True]


def test_a_model_that_begins_anew_with_its_first_epoch_is_counted() -> None:
    counts = counting(epoch=9)
    for epoch in (7, 8, 9):
        counts.add(request(epoch=epoch))
    counts.known({"ranker": 1})
    assert counts.add(request(epoch=1)) == 0
    assert rows(counts, epoch=1) == {BLOCK: [1, 0, 0]}


def test_a_model_is_remembered_for_a_while_after_its_table_went() -> None:
    clock = Clock()
    counts = Counts(clock=clock)
    counts.known({"ranker": 7})
    counts.add(request())
    counts.known({})
    clock.now += GRACE_S - 1
    counts.known({})
    counts.known({"ranker": 7})
    assert rows(counts) == {BLOCK: [1, 0, 0]}
    counts.known({})
    clock.now += GRACE_S
    counts.known({})
    counts.known({"ranker": 7})
    answer = counts.answer("ranker", 7, edges={})
    assert answer["revisions"] == {}
    assert answer["started"] == "2026-11-30T01:13:19Z"


def test_what_makes_no_sense_is_not_counted_and_holds_nothing_up() -> None:
    counts = counting()
    nonsense: list[Any] = [
        ["ranker", 7, "a", "b", 64, 100, 0, 1],
        ["ranker", 7, "a", "b", -1, 100, 0, 1],
        ["ranker", 7, "a", "x", 5, 100, 0, 1],
        ["ranker", 7, "a", "b", 5, 480, 0, 1],
        ["ranker", 7, "a", "t", 5, "x", 0, 1],
        ["ranker", 7, "a", "t", BLOCK, 100, 0, 0],
        ["who", 7, "a", "b", 5, 100, 0, 1],
        ["ranker"],
        None,
    ]
    assert counts.add([*nonsense, *request()]) == len(nonsense)
    assert rows(counts) == {BLOCK: [1, 0, 0]}


def test_when_memory_is_short_old_epochs_get_coarser_first_and_no_request_is_forgotten() -> None:
    counts = counting(epoch=6, most_cells=2200)
    for epoch in (6, 7):
        counts.known({"ranker": epoch})
        for block, bin_ in itertools.product(range(400), range(5)):
            counts.add(request(epoch=epoch, block=BLOCK + block, bin_=bin_))
    assert counts.cells > 4000
    counts.tidy()
    assert counts.cells <= 2200
    assert len(rows(counts, epoch=6)) == 25
    assert len(rows(counts, epoch=7)) == 400
    for epoch in (6, 7):
        assert sum(row[0] for row in rows(counts, epoch=epoch).values()) == 2000


def test_when_nothing_can_be_coarser_the_oldest_epochs_go_and_the_current_one_never() -> None:
    counts = counting(epoch=6, most_cells=10)
    for epoch in (6, 7):
        counts.known({"ranker": epoch})
        for bin_ in range(20):
            counts.add(request(epoch=epoch, bin_=bin_))
    counts.tidy()
    assert counts.answer("ranker", 6, edges={})["revisions"] == {}
    assert rows(counts) == {BLOCK: [20, 0, 0]}


def test_a_shadow_is_told_with_means_over_its_answers() -> None:
    counts = counting()
    epoch = counts.epoch("ranker", 7)
    assert epoch
    epoch.shadows["s"] = ShadowSums(sampled=9, answered=4, agreed=3, failed=2, dropped=3, absolute_difference=2.0, seconds_difference=-1.0)
    assert counts.answer("ranker", 7, edges={})["shadow"] == {
        "revision": "s",
        "sampled": 9,
        "answered": 4,
        "agreed": 3,
        "failed": 2,
        "dropped": 3,
        "meanAbsoluteDifference": 0.5,
        "secondsDifference": -0.25,
    }


def test_an_hour_of_a_busy_model_is_answered_in_a_moment() -> None:
    counts = counting()
    for block, bin_, revision in itertools.product(range(900), range(100, 180, 2), "ac"):
        counts.add(request(block=BLOCK + block, bucket=(block + bin_) % 64, bin_=bin_, revision=revision, n=10))

    def took_ms() -> float:
        began = time.process_time()
        _COMPACT.encode(counts.answer("ranker", 7, edges={"a": 160, "c": 162}))
        return 1000 * (time.process_time() - began)

    assert yardstick.multiples(took_ms, tries=20) < 0.3


def test_bins_are_those_of_the_contract() -> None:
    assert bins.middle_s(0) == 0.0005 * 1.025**0.5
    assert 60 < bins.middle_s(479) < 75
    assert bins.histogram_of((0.001, 0.01))[:1] == (0,)
    assert bins.histogram_of((0.001, 0.01))[28:29] == (1,)
    assert bins.histogram_of((0.001, 0.01))[479:] == (2,)
