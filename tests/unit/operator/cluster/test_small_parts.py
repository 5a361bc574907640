"""Lines, token bucket, bounded memory."""

from collections.abc import AsyncIterator

import pytest

from slipway_operator.cluster import lines
from slipway_operator.cluster.recent import Recent
from slipway_operator.cluster.throttle import TokenBucket


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((b"one\ntwo\n",), [b"one", b"two"]),
        ((b"o", b"ne\nt", b"wo", b"\n"), [b"one", b"two"]),
        ((b"one\n\n \ntwo\n",), [b"one", b"two"]),
        ((b"x" * 70_000, b"y" * 70_000 + b"\n"), [b"x" * 70_000 + b"y" * 70_000]),
        ((), []),
    ],
)
async def test_lines_come_out_whole_however_they_went_in(parts: tuple[bytes, ...], expected: list[bytes]) -> None:
    assert [line async for line in lines.split(chunks(*parts))] == expected


async def test_half_a_line_at_the_end_is_an_error() -> None:
    split = lines.split(chunks(b"one\n{half"))
    assert await anext(split) == b"one"
    with pytest.raises(ValueError, match="in the middle of a line"):
        await anext(split)


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    now = 0.0
    bucket = TokenBucket(rate_per_s=2, burst=3, clock=lambda: now)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now = 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    now = 1000.0
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_reservations_queue_up() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=1, clock=lambda: 0.0)
    assert [bucket.reserve() for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]


def test_the_least_recently_used_entry_is_forgotten() -> None:
    recent: Recent[str, int] = Recent(limit=2)
    recent.put("a", 1)
    recent.put("b", 2)
    recent.get("a")
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
    recent.forget("a")
    recent.forget("never there")
    assert len(recent) == 1
