"""The validator's side of the tables that tests/cluster/api puts to the real API server."""

import pytest

from slipway_operator.cli import validation, wording
from slipway_testing import verdicts
from slipway_testing.verdicts import Body, Refused


def _fields(body: Body) -> list[str]:
    kind = validation.kind_of(body)
    assert kind is not None
    return [wording.dotted(problem.path) for problem in validation.problems(body, kind=kind)]


@pytest.mark.parametrize("case", verdicts.REFUSED, ids=lambda case: case.because)
def test_the_validator_names_the_field_at_fault_and_no_other(case: Refused) -> None:
    assert _fields(case.body) == [case.field]


@pytest.mark.parametrize("body", verdicts.ACCEPTED.values(), ids=verdicts.ACCEPTED)
def test_the_validator_accepts(body: Body) -> None:
    assert _fields(body) == []
