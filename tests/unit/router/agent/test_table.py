"""Reading a route table, and refusing one that a router must not execute."""

import hashlib
from typing import Any

import pytest

from slipway_router.agent.table import Refused, Table
from slipway_testing.fake_nginx import routes_json

EXPOSURES = {"experiment": "shop/ranker-v8-1a2b3c4d", "stratum": "1", "arms": ["control", "v8", "waiting"]}
RESPONSE = {"status": 200, "contentType": "application/json", "body": "{}"}


def parsed(text: str) -> Table:
    return Table.parse(text, namespace="shop", model="ranker")


def test_a_table_with_everything_in_it() -> None:
    text = routes_json(
        slots=[[5000, 0, 0], [5200, 1, 1], [10000, 0, 2]],
        exposures=EXPOSURES,
        shadow={"revision": "ranker-77777777", "percent": "10"},
        fallback={"revision": "ranker-5e5e5e5e"},
        httpOnly=["ranker-9f8e7d6c"],
    )

    assert parsed(text) == Table(
        model="ranker",
        epoch=7,
        text=text,
        revisions=("ranker-0a1b2c3d", "ranker-9f8e7d6c", "ranker-77777777", "ranker-5e5e5e5e"),
        shadow="ranker-77777777",
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
    )


def test_what_a_later_operator_adds_is_left_to_later_routers() -> None:
    assert parsed(routes_json(later={"a": 1})).revisions == ("ranker-0a1b2c3d", "ranker-9f8e7d6c")


def test_a_table_before_anything_has_been_ready() -> None:
    assert parsed(routes_json(revisions=[], slots=[], unit=None)).revisions == ()


def test_a_fallback_may_be_a_fixed_answer_or_a_revision_that_takes_requests_too() -> None:
    assert parsed(routes_json(fallback={"response": RESPONSE})).revisions == ("ranker-0a1b2c3d", "ranker-9f8e7d6c")
    assert parsed(routes_json(fallback={"revision": "ranker-0a1b2c3d"})).revisions == ("ranker-0a1b2c3d", "ranker-9f8e7d6c")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": 2}, "its version is 2, this router knows 1"),
        ({"version": None}, "its version is None"),
        ({"namespace": "other"}, "it is for namespace 'other'"),
        ({"model": "digits"}, "it is for model 'digits'"),
        ({"seed": ""}, "'seed' is"),
        ({"epoch": True}, "'epoch' is true, it should be a whole number"),
        ({"epoch": -1}, "'epoch' is -1"),
        ({"unit": {"header": "x-user-id"}}, "'unit' is"),
        ({"unit": {"header": "x-user-id", "onMissing": "Never"}}, "'unit' is"),
        ({"revisions": [{"name": "a"}]}, "'revisions' is"),
        ({"revisions": [{"name": "a", "role": "Candidate"}]}, "role Stable once"),
        ({"revisions": [{"name": "a", "role": "Stable"}, {"name": "b", "role": "Stable"}]}, "role Stable once"),
        ({"revisions": [{"name": "a", "role": "Stable"}, {"name": "a", "role": "Candidate"}]}, "a name twice"),
        ({"revisions": []}, "'slots' is not empty"),
        ({"slots": []}, "does not end at 10000"),
        ({"slots": [[9999, 0]]}, "does not end at 10000"),
        ({"slots": [[0, 1], [10000, 0]]}, "does not rise"),
        ({"slots": [[500, 1], [500, 0], [10000, 0]]}, "does not rise"),
        ({"slots": [[10000, 2]]}, "a revision that is not there"),
        ({"slots": [[10000]]}, "'slots' is"),
        ({"slots": [[10000, -1]]}, "'slots' is"),
        ({"timeoutMilliseconds": 0}, "'timeoutMilliseconds' is 0"),
        ({"limits": {"bodyBytes": 1}}, "'limits' is"),
        ({"tokens": "yes"}, "'tokens' is"),
        ({"slots": [[10000, 0, 0, 0]]}, "'slots' is"),
        ({"slots": [[10000, 0, None]]}, "'slots' is"),
        ({"slots": [[10000, 0, 0]]}, "an arm that is not one of 'exposures.arms'"),
        ({"slots": [[9900, 0, 2], [10000, 0, 3]], "exposures": EXPOSURES}, "an arm that is not one of 'exposures.arms'"),
        ({"exposures": {"experiment": "x"}}, "'exposures' is"),
        ({"exposures": EXPOSURES | {"stratum": 1}}, "'exposures' is"),
        ({"exposures": EXPOSURES | {"stratum": ""}}, "'exposures' is"),
        ({"exposures": EXPOSURES | {"stratum": "-1"}}, "'exposures' is"),
        ({"exposures": EXPOSURES | {"stratum": "s" * 64}}, "'exposures' is"),
        ({"exposures": EXPOSURES | {"arms": []}}, "'exposures' is"),
        ({"exposures": EXPOSURES | {"arms": ["a", "a"]}}, "'exposures' is"),
        ({"exposures": EXPOSURES | {"arms": ["a\n"]}}, "'exposures' is"),
        ({"exposures": EXPOSURES | {"arms": [7]}}, "'exposures' is"),
        ({"shadow": {"revision": "x", "percent": 10}}, "'shadow' is"),
        ({"shadow": {"revision": "x", "percent": "101"}}, "'shadow' is"),
        ({"httpOnly": "ranker-0a1b2c3d"}, "'httpOnly' is"),
        ({"httpOnly": [7]}, "'httpOnly' is"),
        ({"fallback": {}}, "'fallback' is"),
        ({"fallback": {"revision": "x", "response": RESPONSE}}, "'fallback' is"),
        ({"fallback": {"response": RESPONSE | {"status": 99}}}, "'fallback' is"),
        ({"seed": ["x" * 200]}, "xxx..., it should be a text"),
    ],
)
def test_a_table_with_something_wrong_is_refused_with_what_it_is(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told):
        parsed(routes_json(**changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "\ud800", '"x"', "[" * 100_000])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parsed(text)
