"""The hash against the definition, written down once more in Python."""

import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from router.reference import MASK, murmur2, part

Module = Callable[[str], Any]


def defined(hashed: int, parts: int) -> int:
    return next((k for k in range(parts) if hashed < (k + 1) * MASK // parts), parts - 1)


def test_known_hashes(module: Module) -> None:
    """Of MurmurHash2 with seed 0, as published."""
    assert [int(module("hash").murmur2(text)) for text in (b"", b"a", b"abc")] == [0, 0x92685F5E, 0x13577C9B]


def test_any_bytes_have_the_hash_of_the_definition(module: Module) -> None:
    lua = module("hash")
    chance = random.Random(20261125)  # noqa: S311
    texts = [chance.randbytes(length) for length in range(70) for _ in range(30)]
    assert [int(lua.murmur2(text)) for text in texts] == [murmur2(text) for text in texts]


def test_parts_at_and_around_every_threshold(module: Module) -> None:
    lua = module("hash")
    for parts in (64, 10000):
        near = {min(max(k * MASK // parts + step, 0), MASK) for k in range(parts + 1) for step in (-1, 0, 1)}
        assert [hashed for hashed in near if int(lua.part(hashed, parts)) != part(hashed, parts)] == []


@settings(max_examples=200)
@given(hashed=st.integers(0, MASK), parts=st.sampled_from([64, 10000]))
def test_the_quick_part_is_the_defined_one(hashed: int, parts: int) -> None:
    assert part(hashed, parts) == defined(hashed, parts)
