import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from slipway_statistics import record


@dataclass(frozen=True, kw_only=True)
class Inner:
    some_number: int | float


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    kind: Literal["A", "B"]
    share: float
    inner: tuple[Inner, ...] = ()
    by_name: Mapping[str, Inner] = field(default_factory=dict)
    perhaps: float | None = None

    def __post_init__(self) -> None:
        if self.share < 0:
            raise ValueError(f"a share is 0 or more, not {self.share}")


WHOLE = Outer(name="x", kind="A", share=0.5, inner=(Inner(some_number=10**20), Inner(some_number=0.1)), by_name={"a_b": Inner(some_number=3)})


def test_json_and_back() -> None:
    assert record.read(Outer, json.loads(json.dumps(record.write(WHOLE)))) == WHOLE


def test_names_are_those_of_json() -> None:
    assert record.write(WHOLE) == {
        "name": "x",
        "kind": "A",
        "share": 0.5,
        "inner": [{"someNumber": 10**20}, {"someNumber": 0.1}],
        "byName": {"a_b": {"someNumber": 3}},
        "perhaps": None,
    }


@pytest.mark.parametrize(("value", "text"), [(math.inf, "Infinity"), (-math.inf, "-Infinity")])
def test_infinities_are_texts(value: float, text: str) -> None:
    """Of a float, of one that may be missing, and of a number that may be whole."""
    whole = Outer(name=text, kind="A", share=abs(value), inner=(Inner(some_number=value),), perhaps=value)
    written = record.write(whole)
    assert (written["share"], written["inner"][0]["someNumber"], written["perhaps"]) == ("Infinity", text, text)
    assert record.read(Outer, json.loads(json.dumps(written, allow_nan=False))) == whole


def test_what_is_not_a_number_is_not_kept() -> None:
    with pytest.raises(ValueError, match="not a number cannot be kept"):
        record.write(Inner(some_number=math.nan))


def test_whole_numbers_stay_whole_and_defaults_may_be_missing() -> None:
    found = record.read(Outer, {"name": "x", "kind": "B", "share": 1, "inner": [{"someNumber": 2}]})
    assert (type(found.share), type(found.inner[0].some_number)) == (float, int)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "C"}, r"Outer\.kind is one of A, B, not 'C'"),
        ({"share": "1"}, r"Outer\.share is a float, not '1'"),
        ({"share": "infinity"}, r"Outer\.share is a float, not 'infinity'"),
        ({"inner": [{"someNumber": "x"}]}, r"Outer\.inner\[0\]\.someNumber is a float, not 'x'"),
        ({"share": True}, r"Outer\.share is a float, not True"),
        ({"name": 3}, r"Outer\.name is a str, not 3"),
        ({"inner": [{"someNumber": 1}, {}]}, r"Outer\.inner\[1\] lacks someNumber"),
        ({"byName": {"q": {"someNumber": None}}}, r"Outer\.byName\[q\]\.someNumber is a"),
        ({"extra": 1}, "Outer has no extra; it has name, kind"),
        ({"share": -1}, "Outer: a share is 0 or more"),
        ({"inner": {}}, r"Outer\.inner is a list"),
    ],
)
def test_what_is_wrong_and_where(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        record.read(Outer, {"name": "x", "kind": "A", "share": 0.5} | wrong)
