"""Settings from environment variables."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from slipway_service import variables
from slipway_service.variables import SettingsError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One of each type."""

    host: str = "::"
    port: int = 8080
    body_bytes: int = 1_000_000
    drain_seconds: float = 5.0


def read(environment: dict[str, str], *, wrong: tuple[str, ...] = ()) -> dict[str, Any]:
    return variables.read(Settings, environment, partial(variables.like_default, number=variables.seconds), wrong=wrong)


def test_fields_are_as_their_defaults_are() -> None:
    environment = {"SLIPWAY_HOST": "::1", "SLIPWAY_PORT": "81", "SLIPWAY_BODY_BYTES": "70000", "SLIPWAY_DRAIN_SECONDS": "2"}
    assert Settings(**read(environment)) == Settings(host="::1", port=81, body_bytes=70_000, drain_seconds=2.0)


def test_empty_variables_and_those_of_others_are_passed_over() -> None:
    assert read({"SLIPWAY_HOST": "", "HOST": "x", "SLIPWAY_PORT_8080_TCP": "tcp://10.0.0.1:8080"}) == {}


def test_a_service_of_the_settings_name_is_no_setting() -> None:
    assert read({"SLIPWAY_PORT": "tcp://10.0.0.1:80"}) == {}, "as Kubernetes tells pods of a Service called slipway"


def test_all_that_is_wrong_is_told_at_once_and_what_was_known_first() -> None:
    told = (
        "SLIPWAY_NAME is not set. SLIPWAY_PORT is '65536': it should be a whole number from 1 to 65535. "
        "SLIPWAY_BODY_BYTES is '1e6': it should be a whole number, at least 1. "
        "SLIPWAY_DRAIN_SECONDS is '-1': it should be a number of seconds, at least 0."
    )
    environment = {"SLIPWAY_HOST": "x", "SLIPWAY_PORT": "65536", "SLIPWAY_BODY_BYTES": "1e6", "SLIPWAY_DRAIN_SECONDS": "-1"}
    with pytest.raises(SettingsError, match=f"^{re.escape(told)}$"):
        read(environment, wrong=("SLIPWAY_NAME is not set.",))


def test_what_was_known_to_be_wrong_is_enough() -> None:
    with pytest.raises(SettingsError, match=r"^SLIPWAY_NAME is not set\.$"):
        read({}, wrong=("SLIPWAY_NAME is not set.",))


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (partial(variables.whole, least=0, most=3), "0", 0),
        (partial(variables.whole, least=0, most=3), " 3 ", 3),
        (partial(variables.whole, least=1), "1000000000", 1_000_000_000),
        (variables.amount, "999999.5", 999_999.5),
        (variables.amount, "0", 0.0),
        (partial(variables.seconds, least=0.05), "0.05", 0.05),
        (variables.level, "warning", "WARNING"),
    ],
)
def test_what_fits(reader: Callable[[str], Any], text: str, value: object) -> None:
    assert reader(text) == value


@pytest.mark.parametrize(
    ("reader", "text", "told"),
    [
        (partial(variables.whole, least=0, most=3), "4", "it should be a whole number from 0 to 3"),
        (partial(variables.whole, least=0, most=3), "-1", "it should be a whole number from 0 to 3"),
        (partial(variables.whole, least=2), "1", "it should be a whole number, at least 2"),
        (partial(variables.whole, least=2), "2.0", "it should be a whole number, at least 2"),
        (variables.amount, "five", "it should be a number, as 2.5"),
        (variables.amount, "nan", "it should be a number, at least 0"),
        (variables.amount, "1000000", "it should be a number, at least 0"),
        (variables.seconds, "5s", "it should be a number of seconds, as 2.5"),
        (partial(variables.seconds, least=0.05), "0.04", "it should be a number of seconds, at least 0.05"),
        (variables.level, "loud", "it should be one of DEBUG, INFO, WARNING, ERROR"),
    ],
)
def test_what_does_not_fit(reader: Callable[[str], Any], text: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        reader(text)


def test_a_reader_is_given_the_field() -> None:
    asked: list[tuple[str, str]] = []

    def parsed(field: variables.Field, text: str) -> str:
        asked.append((field.name, text))
        return text

    variables.read(Settings, {"SLIPWAY_PORT": "1", "SLIPWAY_HOST": "x"}, parsed)

    assert asked == [("host", "x"), ("port", "1")]
    assert {name for name, _ in asked} < {field.name for field in dataclasses.fields(Settings)}
