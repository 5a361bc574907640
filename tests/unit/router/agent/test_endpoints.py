"""Ready pods out of EndpointSlices."""

from typing import Any

import pytest

from slipway_router.agent import endpoints
from slipway_router.agent.endpoints import Slice


def a_slice(*found: dict[str, Any], service: str = "ranker-1-predictor", family: str = "IPv4") -> dict[str, Any]:
    return {"metadata": {"name": "x", "labels": {"kubernetes.io/service-name": service}}, "addressType": family, "endpoints": list(found)}


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ({"ready": True, "serving": True, "terminating": False}, True),
        ({"ready": False, "serving": False, "terminating": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
        ({}, True),
        (None, True),
    ],
)
def test_an_endpoint_counts_while_it_is_ready_or_nobody_knows(conditions: dict[str, bool] | None, ready: bool) -> None:
    found = endpoints.read(a_slice({"addresses": ["10.88.0.7"], "conditions": conditions}))
    assert found == Slice("ranker-1", "IPv4", ("10.88.0.7",) if ready else ())


@pytest.mark.parametrize("other", [a_slice(service="ranker"), a_slice(service="-predictor"), a_slice(family="FQDN"), {"metadata": {"name": "x"}}])
def test_slices_that_are_no_predictors_addresses_are_left_out(other: dict[str, Any]) -> None:
    assert endpoints.read(other) is None


def test_a_service_without_pods_has_a_slice_without_endpoints() -> None:
    assert endpoints.read(a_slice() | {"endpoints": None}) == Slice("ranker-1", "IPv4", ())


def test_pods_of_the_revisions_that_are_asked_for_sorted_and_once() -> None:
    slices = [
        Slice("ranker-1", "IPv4", ("10.88.0.9", "10.88.0.7")),
        Slice("ranker-1", "IPv4", ("10.88.0.8", "10.88.0.7")),
        Slice("ranker-1", "IPv6", ("fd00::7",)),
        Slice("ranker-2", "IPv6", ("fd00::8",)),
        Slice("digits-1", "IPv4", ("10.88.0.1",)),
    ]
    assert endpoints.pods(slices, revisions=["ranker-1", "ranker-2", "ranker-3"]) == {
        "ranker-1": ("10.88.0.7", "10.88.0.8", "10.88.0.9"),
        "ranker-2": ("fd00::8",),
        "ranker-3": (),
    }
