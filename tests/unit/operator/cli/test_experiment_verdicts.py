"""The validator's side of the tables of Experiments that tests/cluster/api puts to the real API server, and what render prints of one."""

import json
from pathlib import Path

import pytest
import yaml

from slipway_operator import cli
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


def test_render_prints_what_the_ledger_is_told_and_who_has_which_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arms = [{"name": "control"}, *({"name": name, "model": {"uri": f"s3://models/ranker/{name}"}} for name in ("v8", "v9"))]
    metrics = [*experiment_verdicts.beside(windowSeconds=60, cuped={"days": 7}), experiment_verdicts.ERRORS]
    ramp = [{"percent": 20, "holdSeconds": 900}, {"percent": 50}]
    file = tmp_path / "experiment.yaml"
    file.write_text(json.dumps(experiment_verdicts.valid(arms=arms, metrics=metrics, ramp=ramp)))

    assert cli.main(["render", str(file), "--namespace=shop"]) == 0

    assert yaml.safe_load(capsys.readouterr().out) == {
        "experiment": "shop/ranker-v8",
        "target": "shop/ranker",
        "seed": "shop/ranker-v8",
        "ledger": {
            "service": "ranker",
            "arms": ["control", "v8", "v9"],
            # What routers count is nothing for the ledger.
            "metrics": [
                {"name": "conversion", "type": "Proportion", "windowSeconds": 86_400},
                {"name": "revenue", "type": "Mean", "windowSeconds": 60, "cuped": {"days": 7}},
            ],
        },
        # Both arms together have the share of a step; what the last step takes beyond it waits, and the rest is control from the first on.
        "steps": [
            {"percent": 20, "holdSeconds": 900, "slots": {"control": 5_000, "v8": 1_000, "v9": 1_000, "waiting": 3_000}},
            {"percent": 50, "slots": {"control": 5_000, "v8": 2_500, "v9": 2_500}},
        ],
    }


def test_render_prints_what_a_bandit_begins_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(json.dumps(experiment_verdicts.bandit()))

    assert cli.main(["render", str(file)]) == 0

    assert yaml.safe_load(capsys.readouterr().out)["steps"] == [{"slots": {"control": 5_000, "v8": 5_000}}]


def test_validate_names_the_line_of_a_field_of_an_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(experiment_verdicts.valid(analysis={"alpha": "0.5"}), sort_keys=False))
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "analysis:" in text)

    assert cli.main(["validate", str(file)]) == 1

    sentence = "alpha must be above 0 and below 0.5, power above 0 and below 1"
    assert capsys.readouterr().out == f"{file}:{line}: Experiment ranker-v8: spec.analysis: Invalid value: {sentence}\n"


def test_only_what_revisions_are_named_after_must_leave_room_beside_the_namespace() -> None:
    body = experiment_verdicts.valid()
    body["metadata"] |= {"name": "x" * 39, "namespace": "n" * 30}
    assert _fields(body) == []
