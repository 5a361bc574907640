"""YAML as kubectl reads it. Each row of the table was tried with kubectl 1.34 against a real API server."""

from typing import Any

import pytest

from slipway_operator.cli import documents
from slipway_operator.cli.documents import Document, NotYamlError, Problem


def _one(text: str) -> Document:
    (document,) = documents.read(text)
    return document


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("y", True), ("Y", True), ("yes", True), ("on", True), ("True", True), ("n", False), ("No", False), ("off", False),
        ('"y"', "y"), ("!!str y", "y"), ("'1'", "1"), ("!!str 1", "1"),
        ("", None), ("~", None), ("null", None), ('"~"', "~"),
        ("1", 1), ("+1", 1), ("-1", -1), ("0", 0), ("1_000", 1000), ("0777", 511), ("0o7", 7), ("0x1f", 31), ("-0x1", -1), ("0b11", 3), ("018", 18),
        ("1.0", 1), ("1.", 1), ("1e3", 1000), ("12e03", 12000), (".5", 0.5), ("+.5", 0.5), ("1.25", 1.25), ("1e400", "1e400"),
        ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("=", "="), ("500m", "500m"), ("0x", "0x"), ("0b_", "0b_"), ("1e", "1e"),
    ],
)  # fmt: skip
def test_a_plain_scalar_is_what_kubectl_makes_of_it(written: str, value: Any) -> None:
    read = _one(f"v: {written}\n").value["v"]
    assert (type(read), read) == (type(value), value)


def test_a_boolean_key_is_written_out() -> None:
    assert _one("{y: 1, n: 2, off: 3}").value == {"true": 1, "false": 3}


def test_every_field_knows_its_line() -> None:
    document = _one("a:\n  b:\n    - c\n    - d: 1\n\n# a comment\ne: {f: 2,\n  g: 3}\n")
    expected = {(): 1, ("a",): 1, ("a", "b"): 2, ("a", "b", 0): 3, ("a", "b", 1): 4, ("a", "b", 1, "d"): 4, ("e",): 7, ("e", "f"): 7, ("e", "g"): 8}
    assert document.lines == expected


def test_a_field_that_is_not_written_has_the_line_of_what_lacks_it() -> None:
    assert _one("kind: X\nspec:\n  model: {}\n").line(("spec", "model", "uri")) == 3


def test_documents_are_told_apart_and_empty_ones_left_out() -> None:
    read = list(documents.read("---\n---\n# nothing\n---\na: 1\n---\na: 2\n"))
    assert [(document.value, document.line(("a",))) for document in read] == [({"a": 1}, 5), ({"a": 2}, 7)]


def test_json_is_yaml() -> None:
    assert _one('{"a": ["y", 1, null]}').value == {"a": ["y", 1, None]}


def test_a_key_written_twice_is_a_problem_at_the_second_place() -> None:
    document = _one("spec:\n  a: 1\n  b: 2\n  a: 3\n")
    assert document.problems == (Problem(path=("spec", "a"), message="the key is written twice"),)
    assert document.line(("spec", "a")) == 4


def test_anchors_and_merges_are_followed() -> None:
    text = "base: &base {x: 1, y1: 2}\nother: &other {x: 9, z: 8}\none: {<<: *base, x: 3}\nboth: {<<: [*base, *other]}\nsame: *base\n"
    document = _one(text)
    assert document.value["one"] == {"x": 3, "y1": 2}
    assert document.value["both"] == {"x": 1, "y1": 2, "z": 8}
    assert document.value["same"] == {"x": 1, "y1": 2}
    assert document.problems == ()


def test_an_alias_inside_what_it_points_to_is_a_problem() -> None:
    assert _one("a: &a\n  - *a\n").problems == (Problem(path=("a", 0), message="an alias stands inside what it points to"),)


def test_the_objects_of_a_list_are_documents_of_their_own() -> None:
    document = _one("kind: List\nitems:\n- kind: A\n  kind: B\n- kind: C\n")
    first, second = document.objects()
    assert (first.value, first.line(("kind",)), first.problems) == (
        {"kind": "B"},
        4,
        (Problem(path=("kind",), message="the key is written twice"),),
    )
    assert (second.value, second.line(()), second.problems) == ({"kind": "C"}, 5, ())


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: [1\nc: 2\n", 3, "no YAML: expected ',' or ']', but got ':'"),
        ("a: *nowhere\n", 1, "no YAML: found undefined alias 'nowhere'"),
        ("a: 1\n\tb: 2\n", 2, "no YAML: found character '\\t' that cannot start any token"),
        ("a: \x00", 1, "no YAML: unacceptable character"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(NotYamlError) as refusal:
        list(documents.read(text))
    assert refusal.value.line == line
    assert str(refusal.value).startswith(message)
