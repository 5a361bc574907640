"""Bodies are what Kubernetes 1.34 answered, shortened."""

from typing import Any

import pytest

from slipway_operator import errors


def status(reason: str, message: str, **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "details": details}


CASES: dict[str, tuple[int, dict[str, Any] | str, type[errors.ApiError]]] = {
    "an object that is not there": (404, status("NotFound", 'configmaps "x" not found', name="x", kind="configmaps"), errors.NotFound),
    "a name in use": (409, status("AlreadyExists", 'configmaps "x" already exists', name="x"), errors.AlreadyExists),
    "a failed precondition": (409, status("Conflict", "the UID in the precondition does not match"), errors.Conflict),
    "an apply onto another object of that name": (
        422,
        status("Invalid", "field is immutable", name="a", causes=[{"reason": "FieldValueInvalid", "field": "metadata.uid"}]),
        errors.Conflict,
    ),
    "compacted history": (410, status("Expired", "too old resource version: 5 (90)"), errors.Gone),
    "a CEL rule": (422, status("Invalid", "ModelDeployment is invalid: spec: Invalid value: exactly one of"), errors.Invalid),
    "a bad request": (400, status("BadRequest", "unknown field"), errors.Invalid),
    "an apply that does not fit the schema": (
        500,
        {"message": "failed to create typed patch object (/a; /v1, Kind=Service): .spec.foo: field not declared in schema"},
        errors.Invalid,
    ),
    "a webhook's verdict": (403, status("Forbidden", 'admission webhook "x.y" denied the request: no'), errors.Invalid),
    "a policy's verdict": (
        403,
        status("Forbidden", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed expression"),
        errors.Invalid,
    ),
    "missing rights": (403, status("Forbidden", 'configmaps is forbidden: User "u" cannot list resource "configmaps"'), errors.Forbidden),
    "a full quota": (403, status("Forbidden", 'configmaps "x" is forbidden: exceeded quota: q, requested: count'), errors.QuotaExceeded),
    "a namespace that is going": (
        403,
        status("Forbidden", "unable to create new content", causes=[{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]),
        errors.NamespaceTerminating,
    ),
    "bad credentials": (401, status("Unauthorized", "Unauthorized"), errors.Unauthorized),
    "throttling": (429, status("TooManyRequests", "too many requests"), errors.TooManyRequests),
    "a webhook that does not answer": (
        500,
        status("InternalError", 'Internal error occurred: failed calling webhook "x.y": connection refused'),
        errors.Unavailable,
    ),
    "an overloaded server": (503, "upstream connect error", errors.Unavailable),
    "a server-side timeout": (504, status("Timeout", "Timeout: request did not complete"), errors.Unavailable),
    "a request timeout": (408, "", errors.Unavailable),
}


@pytest.mark.parametrize(("code", "body", "expected"), CASES.values(), ids=CASES.keys())
def test_each_answer_has_the_class_that_says_what_to_do(code: int, body: dict[str, Any] | str, expected: type[errors.ApiError]) -> None:
    assert type(errors.from_answer(request="apply Service shop/ranker", status=code, body=body)) is expected


def test_the_message_says_what_was_tried_and_what_the_server_said() -> None:
    error = errors.from_answer(request="get ConfigMap shop/x", status=404, body=status("NotFound", 'configmaps "x" not found', name="x"))
    assert str(error) == 'get ConfigMap shop/x: 404 NotFound: configmaps "x" not found'


def test_a_text_answer_is_quoted() -> None:
    assert str(errors.from_answer(request="list Foo", status=404, body="404 page not found\n")) == "list Foo: 404: 404 page not found"


def test_passwords_in_addresses_never_reach_a_message() -> None:
    error = errors.from_answer(request="apply X a/b", status=400, body={"message": "bad uri https://me:hunter2@store/x and s3://k:s@b"})
    assert str(error) == "apply X a/b: 400: bad uri https://***@store/x and s3://***@b"


def test_a_long_answer_is_cut() -> None:
    assert len(str(errors.from_answer(request="apply X a/b", status=400, body="x" * 100_000))) == 2000


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ("404 page not found", True),
        (status("NotFound", "the server could not find the requested resource"), True),
        (CASES["an object that is not there"][1], False),
    ],
)
def test_a_missing_kind_is_told_from_a_missing_object(body: dict[str, Any] | str, missing: bool) -> None:
    error = errors.from_answer(request="get X", status=404, body=body)
    assert isinstance(error, errors.NotFound)
    assert error.kind_missing is missing


def test_no_answer_is_unavailable_and_says_why() -> None:
    assert str(errors.without_answer(request="get X a/b", cause=TimeoutError())) == "get X a/b: no answer: TimeoutError"
