"""The keys of rows and schemas: no two rows share one."""

import fnmatch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_features import keys

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
VALUES = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.binary(max_size=12),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["", "1", "i1:1", "s1:a", 0, 1, -1, 0.0, 1.0, True, False, b"1", b""]),
)
ENTITIES = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), VALUES), unique_by=lambda pair: pair[0], max_size=3).map(dict)


def identity(value: keys.JoinValue) -> tuple[str, keys.JoinValue]:
    return type(value).__name__, value


def test_a_key_is_readable() -> None:
    key = keys.row_key("shop", "user_stats", {"user_id": 42, "country": "de", "eu": True, "score": -0.5, "raw": b"\0"})

    assert key == b"slipway:row:shop:user_stats:s2:deb1:1y1:\0f4:-0.5i2:42"
    assert keys.schema_key("shop", "user_stats") == b"slipway:schema:shop:user_stats"


@given(NAMES, NAMES, NAMES, NAMES, ENTITIES, ENTITIES)
def test_two_rows_never_share_a_key(project: str, view: str, project2: str, view2: str, one: dict[str, object], other: dict[str, object]) -> None:
    other = {name: other.get(name, one[name]) for name in one}
    same = (project, view, [identity(one[name]) for name in sorted(one)]) == (project2, view2, [identity(other[name]) for name in sorted(one)])  # type: ignore[arg-type]

    assert (keys.row_key(project, view, one) == keys.row_key(project2, view2, other)) is same  # type: ignore[arg-type]
    assert (keys.schema_key(project, view) == keys.schema_key(project2, view2)) is ((project, view) == (project2, view2))


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_values_that_follow_each_other_are_never_taken_for_others(one: list[keys.JoinValue], other: list[keys.JoinValue]) -> None:
    keys_ = [keys.row_key("p", "v", {f"k{at}": value for at, value in enumerate(values)}) for values in (one, other)]

    assert (keys_[0] == keys_[1]) is ([identity(value) for value in one] == [identity(value) for value in other])


@given(NAMES, NAMES, NAMES)
def test_the_keys_of_a_view_are_found_by_its_prefix_and_those_of_no_other(project: str, view: str, other: str) -> None:
    pattern = keys.prefix(project, view).decode() + "*"

    assert fnmatch.fnmatchcase(keys.row_key(project, view, {"a": 1}).decode(), pattern)
    assert fnmatch.fnmatchcase(keys.row_key(project, other, {"a": 1}).decode(), pattern) is (view == other)


@pytest.mark.parametrize(
    ("seen", "meant"),
    [
        (np.int64(7), 7),
        (np.int32(7), 7),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
        (np.bool_(True), True),
        (-0.0, 0.0),
    ],
)
def test_numpy_values_are_those_of_python(seen: keys.JoinValue, meant: keys.JoinValue) -> None:
    assert keys.row_key("p", "v", {"k": seen}) == keys.row_key("p", "v", {"k": meant})


def test_join_keys_are_in_the_order_of_their_names() -> None:
    assert keys.row_key("p", "v", {"b": 1, "a": 2}) == keys.row_key("p", "v", {"a": 2, "b": 1})


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        (float("nan"), ValueError, "join key k of view v: NaN identifies no row"),
        ("\ud800", ValueError, r"join key k of view v: '\\ud800' is no valid Unicode"),
        (None, TypeError, "join key k of view v: None is a NoneType; rows are found by str, int, bytes, float and bool"),
        ([1], TypeError, r"join key k of view v: \[1\] is a list"),
    ],
)
def test_what_identifies_no_row_is_refused(value: object, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=f"^{told}"):
        keys.row_key("p", "v", {"k": value})  # type: ignore[dict-item]


def test_a_view_needs_a_name() -> None:
    with pytest.raises(ValueError, match=r"^a project or view without a name has no key$"):
        keys.schema_key("p", "")
