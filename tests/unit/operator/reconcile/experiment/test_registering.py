"""Which experiments of a ledger have their object in this cluster."""

from typing import Any

import pytest

from slipway_operator.reconcile.experiment import registering
from slipway_operator.state.experiment import Registration
from slipway_testing import experiments as xp

REGISTERED = Registration(namespace="shop", name="digits-v8-1a2b3c4d", running=True)


def body(*, uid: str = xp.UID, namespace: str = "shop", told: str | None = None, **meta: Any) -> dict[str, Any]:
    """The Experiment that it is of."""
    status = {"status": {"ledgerName": told}} if told else {}
    return {"metadata": {"name": xp.NAME, "namespace": namespace, "uid": uid} | meta} | status


def test_what_has_its_object_is_not_left_over() -> None:
    assert registering.without_object([REGISTERED], [body()], namespace=None) == ()


@pytest.mark.parametrize(
    "bodies",
    [
        [],
        [body(namespace="market")],
        [body(uid="99999999-5e6f-7081-92a3-b4c5d6e7f809")],
        [body(uid="99999999-5e6f-7081-92a3-b4c5d6e7f809", told="digits-v8-99999999")],
    ],
    ids=["no object", "one of another namespace", "a namesake that came later", "a namesake that has begun"],
)
def test_what_has_none_is(bodies: list[dict[str, Any]]) -> None:
    assert registering.without_object([REGISTERED], bodies, namespace=None) == (REGISTERED,)


def test_an_object_that_was_restored_with_its_status_goes_by_the_name_in_it() -> None:
    restored = body(uid="99999999-5e6f-7081-92a3-b4c5d6e7f809", told=REGISTERED.name)
    assert registering.without_object([REGISTERED], [restored], namespace=None) == ()


def test_an_object_that_is_being_deleted_is_still_there() -> None:
    assert registering.without_object([REGISTERED], [body(deletionTimestamp="2026-11-24T12:00:00Z")], namespace=None) == ()


@pytest.mark.parametrize(
    ("registered", "namespace"),
    [
        (Registration(namespace="shop", name="digits-v8-1a2b3c4d", running=False), None),
        (Registration(namespace="shop", name="checkout", running=True), None),
        (Registration(namespace="shop", name="checkout-2026", running=True), None),
        (Registration(namespace="shop", name="1a2b3c4d", running=True), None),
        (REGISTERED, "market"),
    ],
    ids=["it has ended", "a name that no object has", "nor this one", "nor this one either", "it is for another operator to see"],
)
def test_nobody_asks_after_what_no_operator_of_here_registered(registered: Registration, namespace: str | None) -> None:
    assert registering.without_object([registered], [], namespace=namespace) == ()
