"""Sums of vectors and of their products."""

from itertools import combinations_with_replacement, pairwise

from hypothesis import given
from hypothesis import strategies as st

from slipway_ledger import moments

VECTORS = st.sampled_from([2, 4]).flatmap(lambda width: st.lists(st.tuples(*[st.integers(-(10**15), 10**15)] * width), min_size=1, max_size=6))


def one_pass(vectors: list[tuple[int, ...]]) -> list[int]:
    """The sums, written down."""
    width = len(vectors[0])
    pairs = combinations_with_replacement(range(width), 2)
    return [len(vectors), *(sum(v[at] for v in vectors) for at in range(width)), *(sum(v[a] * v[b] for v in vectors) for a, b in pairs)]


@given(VECTORS)
def test_adding_gives_the_sums(vectors: list[tuple[int, ...]]) -> None:
    found = moments.empty(len(vectors[0]))
    for vector in vectors:
        moments.add(found, vector)
    assert found == one_pass(vectors)


@given(VECTORS, VECTORS)
def test_what_is_taken_away_leaves_nothing(vectors: list[tuple[int, ...]], others: list[tuple[int, ...]]) -> None:
    found = moments.empty(len(vectors[0]))
    others = [other for other in others if len(other) == len(vectors[0])]
    for vector in vectors + others:
        moments.add(found, vector)
    for other in others:
        moments.add(found, other, -1)
    assert found == one_pass(vectors)


@given(VECTORS)
def test_a_replaced_vector_counts_as_the_new_one(vectors: list[tuple[int, ...]]) -> None:
    found = moments.empty(len(vectors[0]))
    moments.add(found, vectors[0])
    for old, new in pairwise(vectors):
        moments.replace(found, old, new)
    assert found == one_pass(vectors[-1:])
