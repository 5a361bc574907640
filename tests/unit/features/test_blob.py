"""Rows as blobs: what is written comes back, and nothing else ever does."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_features.blob import Reader, Row, Status, Writer
from slipway_features.schema import NUMBERS, Schema
from slipway_testing import feature_rows
from slipway_testing.feature_rows import NOW_US, Sample, number

WIDE = Schema.of([(f"f{at}", "float32") for at in range(200)])
MIXED = Schema.of(
    [("flag", "bool"), ("n", "int32"), ("name", "string"), ("x", "float64"), ("ids", "list[int64]"), ("y", "float32"), ("tags", "list[bytes]")]
)
VALUES = {"flag": True, "n": -3, "name": "Köln", "x": 0.1, "ids": [1, -2], "y": 0.5, "tags": [b"", b"\0\1"]}
BLOB = Writer(MIXED).row(VALUES, NOW_US, 7)


def test_a_row_is_laid_out_as_documented() -> None:
    schema = Schema.of([("a", "int32"), ("s", "string"), ("b", "bool")])

    blob = Writer(schema).row({"a": 1, "s": "xy"}, event_us=2, created_us=3)

    assert blob.hex(" ") == (
        f"01 {schema.fingerprint.hex(' ')} 02 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00 "  # version, fingerprint, event, created
        "04 01 00 00 00 02 00 00 00 00 78 79"  # b is null; 1, two bytes of text, nothing; the text
    )


@given(feature_rows.rows())
def test_every_row_comes_back(sample: Sample) -> None:
    found = Reader(sample.schema, sample.names).values(sample.blob, NOW_US)

    assert found == Row(Status.OK, sample.event_us, sample.created_us, sample.values)


@given(st.data(), st.lists(feature_rows.rows(NUMBERS), min_size=1, max_size=1), st.integers(0, 4))
def test_every_number_comes_back_in_the_order_asked_for(data: st.DataObject, samples: list[Sample], copies: int) -> None:
    sample = samples[0]
    names = data.draw(st.lists(st.sampled_from(sample.names), max_size=8) if sample.names else st.just([]))

    found, status = Reader(sample.schema, names).rows([sample.blob, None] * copies, NOW_US)

    single = bool(names) and all(sample.schema.columns[sample.names.index(name)].dtype == "float32" for name in names)
    expected = np.array([[number(sample.values[name]) for name in names], [np.nan] * len(names)] * copies, np.float32 if single else np.float64)
    np.testing.assert_array_equal(found, expected.reshape(2 * copies, len(names)), strict=True)
    assert status.tolist() == [Status.OK, Status.MISSING] * copies


@given(feature_rows.rows(), st.data())
def test_numbers_are_read_beside_strings_and_lists(sample: Sample, data: st.DataObject) -> None:
    names = [column.name for column in sample.schema.columns if column.is_number]
    other = Writer(sample.schema).row({}, sample.event_us)

    found, status = Reader(sample.schema, names).rows([other, sample.blob, b"", sample.blob + b"\0"], NOW_US)

    assert status.tolist() == [Status.OK, Status.OK, Status.STALE, Status.STALE]
    assert found[1].tolist() == pytest.approx([number(sample.values[name]) for name in names], rel=0, abs=0, nan_ok=True)
    assert np.isnan(found[[0, 2, 3]]).all()


@given(feature_rows.rows(), st.data())
def test_a_blob_that_was_cut_or_grew_is_refused(sample: Sample, data: st.DataObject) -> None:
    blob, reader = sample.blob, Reader(sample.schema, sample.names)
    for length in range(len(blob)):
        assert reader.values(blob[:length], NOW_US) == Row(Status.STALE)
    assert reader.values(blob + data.draw(st.binary(min_size=1, max_size=9)), NOW_US) == Row(Status.STALE)


@given(feature_rows.rows())
def test_a_flipped_bit_is_refused_or_confined_to_one_value(sample: Sample) -> None:
    blob, reader = sample.blob, Reader(Schema(sample.schema.columns), sample.names)
    meant = reader.values(blob, NOW_US)
    for bit in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        found = reader.values(bytes(flipped), NOW_US)
        if found.status is Status.STALE:
            continue
        changed = [name for name in sample.names if repr(found.values[name]) != repr(meant.values[name])]
        times = (found.event_us != meant.event_us) + (found.created_us != meant.created_us)
        assert len(changed) + times <= 1, f"bit {bit}"


@given(feature_rows.schemas(), feature_rows.rows())
def test_a_blob_of_another_schema_is_stale(schema: Schema, sample: Sample) -> None:
    if schema.fingerprint == sample.schema.fingerprint:
        return
    reader = Reader(schema, [column.name for column in schema.columns if column.is_number])

    assert reader.rows([sample.blob], NOW_US)[1].tolist() == [Status.STALE]


def test_another_version_is_stale() -> None:
    assert Reader(MIXED, ["n"]).values(b"\2" + BLOB[1:], NOW_US) == Row(Status.STALE)


@pytest.mark.parametrize(
    ("age_us", "status"),
    [(60_000_000, Status.OK), (60_000_001, Status.EXPIRED), (-5, Status.OK)],
    ids=["as old as the TTL", "a microsecond older", "of the future"],
)
def test_a_row_older_than_the_ttl_has_expired(age_us: int, status: Status) -> None:
    schema = Schema.of([("a", "float32"), ("s", "string")], ttl_s=60)
    blob = Writer(schema).row({"a": 1.0, "s": "x"}, NOW_US - age_us)

    found, statuses = Reader(schema, ["a"]).rows([blob], NOW_US)

    assert statuses.tolist() == [status]
    assert found.tolist() == [[1.0]] if status is Status.OK else np.isnan(found).all()
    assert Reader(schema, ["a"]).values(blob, NOW_US).status is status


def test_a_row_without_ttl_never_expires() -> None:
    assert Reader(MIXED, ["n"]).rows([Writer(MIXED).row({"n": 1}, 0)], 2**62)[1].tolist() == [Status.OK]


def test_float32_of_random_bits_come_back_to_the_bit() -> None:
    drawn = np.random.default_rng(1).integers(0, 2**32, (100, 200), dtype=np.uint32).view(np.float32)
    drawn[np.isnan(drawn)] = 0  # nulls have no bits of their own
    blobs = [Writer(WIDE).row({f"f{at}": float(value) for at, value in enumerate(line)}, NOW_US) for line in drawn]

    found, _ = Reader(WIDE, [f"f{at}" for at in range(200)]).rows(blobs, NOW_US)

    np.testing.assert_array_equal(found.view(np.uint32), drawn.view(np.uint32), strict=True)


def test_a_bool_that_is_neither_is_true_everywhere() -> None:
    schema = Schema.of([("a", "bool")])
    blob = Writer(schema).row({"a": True}, 0)[:-1] + b"\2"

    assert Reader(schema, ["a"]).rows([blob], 0)[0].tolist() == [[1.0]]
    assert Reader(schema, ["a"]).values(blob, 0).values == {"a": True}


@pytest.mark.parametrize(
    ("dtype", "value", "told"),
    [
        ("int32", 2**31, "cannot hold 2147483648"),
        ("int32", 1.5, "cannot hold 1.5: a float is no int32"),
        ("int64", 2**63, "cannot hold 9223372036854775808"),
        ("int64", True, "cannot hold True: a bool is no int64"),
        ("float32", 1e39, "cannot hold 1e[+]39"),
        ("float32", "1", "cannot hold '1': a str is no float32"),
        ("bool", 1, "cannot hold 1: a int is no bool"),
        ("string", b"a", "cannot hold b'a': a bytes is no string"),
        ("string", "\ud800", "cannot hold .*surrogates"),
        ("bytes", "a", "cannot hold 'a': a str is no bytes"),
        ("list[int32]", 1, "cannot hold 1: a int is no list"),
        ("list[int32]", [2**31], r"cannot hold \[2147483648\]"),
        ("list[int32]", [None], r"cannot hold \[None\]: a NoneType is no int32"),
        ("list[string]", ["a", 1], "cannot hold .*: a int is no string"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(dtype: str, value: object, told: str) -> None:
    with pytest.raises(ValueError, match=rf"^column a is {dtype.replace('[', '.').replace(']', '.')} and {told}"):
        Writer(Schema.of([("b", "float64"), ("a", dtype)])).row({"b": 1e300, "a": value}, 0)


def test_times_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^the times 9223372036854775808 and 0 are no 64-bit microseconds"):
        Writer(MIXED).row({}, 2**63)


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^q: the schema has no such columns$"):
        Writer(MIXED).row({"q": 1}, 0)
    with pytest.raises(ValueError, match=r"^q: the schema has no such columns$"):
        Reader(MIXED, ["n", "q"])


def test_text_goes_into_no_array() -> None:
    with pytest.raises(TypeError, match=r"^column name is string, which is no number"):
        Reader(MIXED, ["n", "name"]).rows([BLOB], NOW_US)


def test_numpy_values_are_written_as_those_of_python() -> None:
    given_ = {
        "flag": np.bool_(True),
        "n": np.int32(-3),
        "name": "Köln",
        "x": np.float64(0.1),
        "ids": np.array([1, -2]),
        "y": np.float32(0.5),
        "tags": (b"", b"\0\1"),
    }

    assert Writer(MIXED).row(given_, NOW_US, 7) == BLOB


def test_no_python_is_run_per_value() -> None:
    """20000 values; the clock of a busy machine would say less."""
    blobs = [Writer(WIDE).row({f"f{at}": 1.0 for at in range(200)}, NOW_US)] * 100
    reader = Reader(WIDE, [f"f{at}" for at in range(200)])

    assert calls(lambda: reader.rows(blobs, NOW_US)) < 500


def calls(work: Callable[[], object]) -> int:
    """How many functions Python calls, its own and those of C."""
    seen = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal seen
        seen += event in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen
