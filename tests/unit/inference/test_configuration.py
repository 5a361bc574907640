"""Configurations and settings that do not fit are told in a sentence, and end the program with 2."""

from pathlib import Path
from typing import Any

import pytest

from slipway_inference import __main__ as program
from slipway_inference import configuration_file
from slipway_inference.configuration import ConfigurationError
from slipway_inference.settings import Settings
from slipway_service.variables import SettingsError
from slipway_testing.inference import configured, tensor

FEATURES: dict[str, Any] = {
    "redis": "redis://store:6379/0",
    "project": "shop",
    "into": "x",
    "columns": [{"view": "stats", "feature": "ctr"}, {"view": "stats", "feature": "age"}, {"input": "price"}],
    "entities": [{"view": "stats", "keys": [{"name": "user_id", "input": "user"}]}],
}
REQUEST = [tensor("user", "INT64", 1), tensor("price", "FP32", 2)]


def ruled(**rule: Any) -> dict[str, Any]:
    """A validation of one rule."""
    return {"validation": {"rules": [{"input": "x"} | rule]}}


def featured(**changes: Any) -> dict[str, Any]:
    """Features that fit but for ``changes``."""
    return {"request": REQUEST, "features": FEATURES | changes}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another version": ({"version": 2}, "its version is 2, and this transformer knows version 1"),
    "no inputs": ({"inputs": []}, "Expected `array` of length >= 1"),
    "a misspelt field": ({"output": []}, "Object contains unknown field `output`"),
    "a datatype that there is not": ({"inputs": [tensor("x", "BF16", 4)]}, "inputs: x has the datatype 'BF16': it should be one of BOOL, INT8"),
    "a size of zero": ({"inputs": [tensor("x", "FP32", 0)]}, r"inputs: x has the shape \[0\]: sizes are at least 1, or -1"),
    "an input twice": ({"inputs": [tensor("x", "FP32", 4)] * 2}, "inputs has x twice"),
    "an input from nowhere": ({"request": [tensor("z", "FP32", 4)]}, "nothing gives x: it is neither in request nor features.into"),
    "a batch below zero": ({"maxBatchSize": -1}, "Expected `int` >= 0"),
    "a rule for no input": (ruled(input="z"), r"validation.rules\[0\]: clients send no input 'z'; they send x"),
    "a rule for no column": (ruled(column=4), "x has 4 columns, so there is no column 4"),
    "a minimum of text": (ruled(minimum="low"), "minimum is 'low': it should be a number"),
    "a maximum of NaN": (ruled(maximum="NaN"), "maximum is 'NaN': it should be a number"),
    "Impute without a value": (ruled(onInvalid="Impute"), "onInvalid is Impute, and impute does not say the value"),
    "what is to be done is unknown": (ruled(onInvalid="Drop"), "Invalid enum value 'Drop'"),
    "an allowed value that cannot be": ({"inputs": [tensor("x", "INT8", 4)], **ruled(allowed=["300"])}, "allowed is '300', which is no INT8"),
    "a fraction is imputed into whole numbers": ({"inputs": [tensor("x", "INT8", 4)], **ruled(impute="0.5")}, "impute is '0.5', which is no INT8"),
    "a minimum of strings": ({"inputs": [tensor("x", "BYTES", 4)], **ruled(minimum="1")}, "BYTES has no minimum and no maximum; use allowed"),
    "a bool of 1": ({"inputs": [tensor("x", "BOOL", 4)], **ruled(allowed=["1"])}, "allowed is '1': it should be true or false"),
    "a store of another kind": (featured(redis="http://store"), "features.redis is 'http://store': it should begin with redis://"),
    "features without a batch": ({"maxBatchSize": 0, **featured()}, "features need a batch dimension"),
    "features into no input": (
        {"inputs": [tensor("user", "INT64", 1)], **featured(into="user")},
        "features.into is 'user': it should be an input of the model with floats",
    ),
    "columns that do not add up": (featured(columns=FEATURES["columns"][:2]), "features.columns give 2 values, and x takes 4"),
    "a column of two kinds": (featured(columns=[{"view": "stats", "input": "price"}]), r"features.columns\[0\]: it should have a view and a feature"),
    "a column of no kind": (featured(columns=[{}]), "it should have a view and a feature, or an input"),
    "a column of an unknown view": (featured(columns=[{"view": "z", "feature": "a"}]), "features.entities does not say how rows of z are found"),
    "a column of an unknown input": (featured(columns=[{"input": "z"}]), "clients send no numbers of a fixed size in 'z'"),
    "a view twice": (featured(entities=FEATURES["entities"] * 2), "features.entities has a view twice"),
    "a key of two values": (
        featured(entities=[{"view": "stats", "keys": [{"name": "user_id", "input": "price"}]}]),
        "stats takes user_id from 'price': clients send no such input of one value",
    ),
    "a view without keys": (featured(entities=[{"view": "stats", "keys": []}]), "Expected `array` of length >= 1"),
    "a default of text": (featured(default="none"), "features.default is 'none': it should be a number"),
    "a time of zero": (featured(timeoutMilliseconds=0), "Expected `int` >= 1"),
    "hooks without a class": ({"hooks": {"class": "shop"}}, "Expected `str` matching regex"),
    "labels of no output": ({"answer": {"output": "z"}}, "answer.output is 'z': the model has y"),
    "labels of strings": ({"outputs": [tensor("y", "BYTES", 1)], "answer": {"output": "y"}}, "which has no numbers"),
    "labels without a batch": ({"maxBatchSize": 0, "answer": {"output": "y"}}, "answer needs a batch dimension"),
    "other labels than scores": ({"outputs": [tensor("y", "FP32", 3)], "answer": {"output": "y", "labels": ["a"]}}, "has 1 labels, and y takes 3"),
    "other labels than yes and no": ({"answer": {"output": "y", "labels": ["a"]}}, "has 1 labels, and y takes 2"),
    "a threshold of text": ({"answer": {"output": "y", "threshold": "high"}}, "answer.threshold is 'high': it should be a number"),
    "a sample beyond all": ({"log": {"samplePercent": "101", "file": "/a"}}, "samplePercent is '101': it should be from 0 to 100"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_configuration_that_does_not_fit(case: str) -> None:
    changes, said = WRONG[case]
    with pytest.raises(ConfigurationError, match=said):
        configured(**changes)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_configuration_that_is_none(text: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"it is no configuration of the transformer: .*\."):
        configuration_file.parse(text)


def test_the_configuration_of_the_document_is_one() -> None:
    text = (Path(__file__).parents[3] / "docs/design/20261128-request-path.md").read_text()
    assert configuration_file.parse(text.split("```json\n")[1].split("```")[0].encode()).features is not None


def test_features_that_fit() -> None:
    assert configured(**featured()).features is not None


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "transformer.json"
    monkeypatch.setenv("SLIPWAY_TRANSFORMER_CONFIG", str(file))
    return file


def test_a_file_that_is_not_there_ends_the_program(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main() == 2
    assert capsys.readouterr().err == f"slipway-transformer: {environment} cannot be read: No such file or directory.\n"


def test_a_file_that_does_not_fit_ends_the_program(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment.write_text('{"version": 1}')
    assert program.main() == 2
    assert capsys.readouterr().err == (
        f"slipway-transformer: {environment}: it is no configuration of the transformer: Object missing required field `model`.\n"
    )


def test_every_setting_that_does_not_fit_is_told() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"SLIPWAY_PORT": "0", "SLIPWAY_GRACE_SECONDS": "nan", "SLIPWAY_LOG_LEVEL": "loud", "SLIPWAY_MAX_ROWS": "x"})
    assert str(raised.value) == (
        "SLIPWAY_PORT is '0': it should be a whole number from 1 to 65535. SLIPWAY_MAX_ROWS is 'x': it should be a whole number, at least 1. "
        "SLIPWAY_GRACE_SECONDS is 'nan': it should be a number of seconds, at least 0. "
        "SLIPWAY_LOG_LEVEL is 'loud': it should be one of DEBUG, INFO, WARNING, ERROR."
    )


def test_settings_are_read() -> None:
    environment = {"SLIPWAY_PORT": "81", "SLIPWAY_DRAIN_SECONDS": "2.5", "SLIPWAY_LOG_LEVEL": "debug", "SLIPWAY_MAX_ROWS": ""}
    assert Settings.from_environment(environment) == Settings(port=81, drain_seconds=2.5, log_level="DEBUG")
