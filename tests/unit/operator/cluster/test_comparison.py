import json
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


FIELDS: dict[str, Any] = {
    "f:metadata": {
        "f:annotations": {"f:class": {}},
        "f:labels": {".": {}, "f:app": {}},
        "f:ownerReferences": {'k:{"uid":"u1"}': {}},
    },
    "f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:protocol": {}}}, "f:selector": {}, "f:empty": {}},
}
WANTED: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "a", "namespace": "b", "annotations": {"class": "x"}, "labels": {"app": "x"}, "ownerReferences": [{"uid": "u1"}]},
    "spec": {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "x"}, "empty": {}},
}


def stored(*, fields: Any = FIELDS, entry: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """WANTED as the server has it after our apply, with what it and others added."""
    ours = {"manager": "slipway", "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields} | (entry or {})
    ports = [{"port": 81, "protocol": "TCP", "nodePort": 1}, {"port": 80, "protocol": "TCP", "nodePort": 2}]
    added = {"uid": "u2", "resourceVersion": "7", "labels": {"app": "x", "team": "y"}, "managedFields": [ours]}
    return WANTED | {
        "metadata": WANTED["metadata"] | added | (metadata or {}),
        "spec": {"ports": ports, "selector": {"app": "x"}, "empty": {}, "clusterIP": "10.0.0.1"} | spec,
        "status": {},
    }


def fields_but(**changes: Any) -> dict[str, Any]:
    return FIELDS | {"f:spec": FIELDS["f:spec"] | {name.replace("f_", "f:"): value for name, value in changes.items()}}


APPLIED: dict[str, tuple[dict[str, Any], bool]] = {
    "as it was applied": (stored(), True),
    "with the fields as text": (stored(fields=json.dumps(FIELDS)), True),
    "another value": (stored(selector={"app": "y"}), False),
    "a key more in a map that is owned whole": (stored(selector={"app": "x", "b": "c"}), False),
    "another value in an item of a list": (stored(ports=[{"port": 80, "protocol": "UDP"}]), False),
    "an item that is gone": (stored(ports=[]), False),
    "a list that is no list any more": (stored(ports=None), False),
    "another owner": (stored(metadata={"ownerReferences": [{"uid": "u9"}]}), False),
    "a field of ours that the body lacks": (stored(fields=fields_but(f_extra={})), False),
    "an annotation of ours that the body lacks": (
        stored(fields=FIELDS | {"f:metadata": FIELDS["f:metadata"] | {"f:annotations": {"f:class": {}, "f:stop": {}}}}),
        False,
    ),
    "an item of ours that the body lacks": (
        stored(fields=fields_but(f_ports=FIELDS["f:spec"]["f:ports"] | {'k:{"port":81,"protocol":"TCP"}': {"f:port": {}, "f:protocol": {}}})),
        False,
    ),
    "a field of the body that is not ours": (stored(fields={"f:metadata": FIELDS["f:metadata"]}), False),
    "a list that is a set to the server": (stored(fields=fields_but(f_ports={'v:"x"': {}})), False),
    "an apply by another manager": (stored(entry={"manager": "kubectl"}), False),
    "a plain create of ours": (stored(entry={"operation": "Update"}), True),
    "a plain create of ours with a field that the body lacks": (stored(fields=fields_but(f_extra={}), entry={"operation": "Update"}), False),
    "an apply of another version of the kind": (stored(entry={"apiVersion": "v2"}), False),
    "an apply of the status": (stored(entry={"subresource": "status"}), False),
}


@pytest.mark.parametrize(("obj", "applied"), APPLIED.values(), ids=APPLIED.keys())
def test_what_an_earlier_operator_applied_is_recognised(obj: dict[str, Any], applied: bool) -> None:
    assert comparison.applied(obj, WANTED, manager="slipway") is applied


def test_a_create_of_ours_can_be_claimed_as_an_apply() -> None:
    theirs = {"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "fieldsV1": {}}
    ours = theirs | {"manager": "slipway"}
    status = ours | {"subresource": "status"}

    assert comparison.claimed({"metadata": {"managedFields": [theirs, status, ours]}}, manager="slipway") == [
        theirs,
        status,
        ours | {"operation": "Apply"},
    ]


@pytest.mark.parametrize("entries", [[], [{"manager": "kubectl", "operation": "Update"}], [{"manager": "slipway", "operation": "Apply"}]])
def test_nothing_is_claimed_that_is_not_ours_or_applied_already(entries: list[dict[str, Any]]) -> None:
    assert comparison.claimed({"metadata": {"managedFields": entries}}, manager="slipway") is None
