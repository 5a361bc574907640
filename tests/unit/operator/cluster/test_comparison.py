from typing import Any

import pytest

from slipway_operator.cluster import comparison


@pytest.mark.parametrize(
    ("value", "shape", "expected"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 9}}, {"b": {"c": 2}}),
        ({"a": 1}, {"b": {"c": 9}}, {"b": None}),
        ({"ports": [{"port": 80, "protocol": "TCP"}]}, {"ports": [{"port": 80}]}, {"ports": [{"port": 80, "protocol": "TCP"}]}),
        ({"a": "text"}, {"a": {"b": 1}}, {"a": "text"}),
    ],
)
def test_a_projection_keeps_what_the_shape_speaks_about(value: Any, shape: Any, expected: Any) -> None:
    assert comparison.project(value, shape) == expected


def test_the_digest_does_not_see_the_order_of_keys_but_that_of_lists() -> None:
    assert comparison.digest({"a": 1, "b": [1, 2]}) == comparison.digest({"b": [1, 2], "a": 1})
    assert comparison.digest([1, 2]) != comparison.digest([2, 1])


def live(*entries: tuple[str, dict[str, Any], str | None]) -> dict[str, Any]:
    fields = [
        {"manager": manager, "fieldsV1": owned} | ({"subresource": subresource} if subresource else {}) for manager, owned, subresource in entries
    ]
    return {"metadata": {"managedFields": fields}}


BODY = {"spec": {"replicas": 3, "selector": {"app": "x"}, "ports": [{"port": 80}]}}
Entry = tuple[str, dict[str, Any], str | None]
OURS: Entry = ("slipway", {"f:spec": {"f:selector": {}}}, None)
STATUS: Entry = ("kserve", {"f:status": {"f:ready": {}}}, "status")
ELSEWHERE: Entry = ("labeller", {"f:metadata": {"f:labels": {"f:team": {}}}}, None)
FIGHTERS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "who holds a field": (live(OURS, STATUS, ELSEWHERE, ("editor", {"f:spec": {"f:replicas": {}}}, None)), ("editor",)),
    "who holds an item of a list": (live(OURS, ELSEWHERE, ("editor", {"f:spec": {"f:ports": {'k:{"port":80}': {}}}}, None)), ("editor",)),
    "everybody else when nobody holds one": (live(OURS, STATUS, ELSEWHERE), ("labeller",)),
    "nobody when there is nobody": (live(OURS, STATUS), ()),
}


@pytest.mark.parametrize(("obj", "managers"), FIGHTERS.values(), ids=FIGHTERS.keys())
def test_the_other_side_of_a_fight(obj: dict[str, Any], managers: tuple[str, ...]) -> None:
    assert comparison.other_managers(obj, body=BODY, manager="slipway") == managers


@pytest.mark.parametrize(
    ("entries", "strange"),
    [
        ([("slipway", "Apply")], False),
        ([], False),
        ([("slipway", "Apply"), ("kserve", "Update")], True),
        ([("slipway", "Update")], True),
    ],
)
def test_only_our_own_applies_make_an_object_ours(entries: list[tuple[str, str]], strange: bool) -> None:
    fields = [{"manager": manager, "operation": operation} for manager, operation in entries]
    assert comparison.has_strangers({"metadata": {"managedFields": fields}}, manager="slipway") is strange
