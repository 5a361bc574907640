"""The validator's side of the tables of Experiments that tests/cluster/api puts to the real API server."""

import pytest

from slipway_operator.api import crd
from slipway_operator.api.v1alpha1 import experiment
from slipway_operator.cli import validation, wording
from slipway_testing import experiment_verdicts
from slipway_testing.verdicts import Body, Refused


def _fields(body: Body) -> list[str]:
    return [wording.dotted(problem.path) for problem in validation.problems(body, kind=crd.EXPERIMENT, namespace="shop")]


@pytest.mark.parametrize("case", experiment_verdicts.REFUSED, ids=lambda case: case.because)
def test_the_validator_names_the_field_at_fault_and_no_other(case: Refused) -> None:
    assert _fields(case.body) == [case.field]


@pytest.mark.parametrize("body", experiment_verdicts.ACCEPTED.values(), ids=experiment_verdicts.ACCEPTED)
def test_the_validator_accepts(body: Body) -> None:
    assert _fields(body) == []


def test_the_table_has_a_bad_case_for_every_rule() -> None:
    told = {problem.message for case in experiment_verdicts.REFUSED for problem in validation.problems(case.body, kind=crd.EXPERIMENT)}
    rules = (experiment.SPEC_RULES, experiment.METRIC_RULES, experiment.MINIMUM_EFFECT_RULES, experiment.ANALYSIS_RULES)
    sentences = {rule["message"] for some in rules for rule in some["x-kubernetes-validations"]}
    assert sentences <= {message.removeprefix("Invalid value: ") for message in told}
