"""One JSON object a line, with what it is about."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from slipway_operator import logs


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def line(message: str = "hello %s", *arguments: object, error: bool = False) -> dict[str, str]:
    try:
        raise ValueError("broken") if error else KeyError
    except (ValueError, KeyError):
        record = logging.LogRecord("slipway.x", logging.WARNING, "x.py", 1, message, arguments, sys.exc_info() if error else None)
    read: dict[str, str] = json.loads(logs.JsonFormatter().format(record))
    return read


def test_a_line_outside_a_reconcile() -> None:
    written = line("hello %s", "world")

    assert written.pop("time").endswith("Z")
    assert written == {"level": "warning", "logger": "slipway.x", "message": "hello world"}


def test_a_line_inside_a_reconcile_names_object_and_pass() -> None:
    object_token = logs.current_object.set("shop/digits")
    reconcile_token = logs.current_reconcile.set("0000002a")
    try:
        written = line("x")
    finally:
        logs.current_object.reset(object_token)
        logs.current_reconcile.reset(reconcile_token)

    assert (written["object"], written["reconcileID"]) == ("shop/digits", "0000002a")


def test_an_exception_brings_its_traceback() -> None:
    assert "ValueError: broken" in line("x", error=True)["traceback"]


def test_libraries_are_heard_from_warning_on() -> None:
    logs.configure(level="INFO")

    assert logging.getLogger().level == logging.INFO
    assert logging.getLogger("kopf").level == logging.WARNING
