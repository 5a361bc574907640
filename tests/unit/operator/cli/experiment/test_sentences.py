from typing import get_args

import pytest

from slipway_operator.api.v1alpha1 import experiment
from slipway_operator.cli.experiment import sentences
from slipway_operator.reconcile.experiment import telling
from slipway_statistics import adaptive, verdict


def test_every_word_has_a_sentence() -> None:
    assert set(get_args(verdict.Reason)) == set(telling.REASONS)
    assert set(get_args(adaptive.Lack)) == set(sentences.LACKS)
    assert set(get_args(verdict.GuardrailState)) == set(sentences.GUARDRAILS)
    assert {*get_args(verdict.Verdict), *get_args(experiment.Verdict)} == set(sentences.VERDICTS)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([("MaxDuration", ()), ("NotClear", ("conversion",))], "The time is over; the interval of the primary metric has zero in it (conversion)."),
        ([("NewWord", ("a", "b"))], "NewWord (a, b)."),
        ([], ""),
    ],
)
def test_reasons_make_a_sentence(found: list[tuple[str, tuple[str, ...]]], expected: str) -> None:
    assert sentences.findings(found) == expected


def test_what_was_done() -> None:
    assert sentences.action({"action": "Promote", "arm": "v8"}) == "v8 becomes stable"
    assert sentences.action({"action": "New", "arm": None}) == "New"
