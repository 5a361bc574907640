"""Log lines, warnings that come seldom, times."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from slipway_service import logs


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, which is put right again."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logging.getLogger("chatty").setLevel(logging.NOTSET)


def record(*, broken: bool) -> logging.LogRecord:
    """A warning, as ``logging`` makes one; ``broken``: of an exception."""
    try:
        raise ValueError("broken")
    except ValueError:
        made = logging.LogRecord("slipway.x", logging.WARNING, "x.py", 1, "grüß %s", ("dich",), sys.exc_info() if broken else None)
    made.created = 1_795_950_000.0625
    return made


def test_a_line_is_one_object_of_json() -> None:
    assert logs.JsonFormatter().format(record(broken=False)) == (
        '{"time": "2026-11-29T11:00:00.062Z", "level": "warning", "logger": "slipway.x", "message": "grüß dich"}'
    )


def test_an_exception_brings_its_traceback_in_the_same_line() -> None:
    line = logs.JsonFormatter().format(record(broken=True))

    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("ValueError: broken")


def test_warnings_in_between_are_not_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    seldom = logs.Seldom(logging.getLogger("x"), every_s=60.0, clock=lambda: now[0])

    for at in (100.0, 100.0, 159.9, 160.0, 219.0, 500.0):
        now[0] = at
        seldom.warning("at %s", at)

    assert caplog.messages == ["at 100.0", "at 160.0", "at 500.0"]


def test_a_warning_brings_its_exception(caplog: pytest.LogCaptureFixture) -> None:
    cause = ValueError("broken")
    logs.Seldom(logging.getLogger("x")).warning("no", exc_info=cause)

    [told] = caplog.records
    assert told.exc_info
    assert told.exc_info[1] is cause


def test_chatty_libraries_are_heard_from_warning_on(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="INFO", chatty=("chatty",))
    for name in ("chatty", "slipway"):
        logging.getLogger(name).info("from %s", name)
    logging.getLogger("chatty").warning("trouble")

    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == ["from slipway", "trouble"]


def test_chatty_libraries_are_no_louder_than_all_others(root: logging.Logger) -> None:
    logs.configure(level="ERROR", chatty=("chatty",))
    assert logging.getLogger("chatty").level == logging.ERROR


def test_times_are_written_in_utc() -> None:
    assert (logs.rfc3339(1_795_950_000.0625), logs.rfc3339(0.5, timespec="microseconds")) == ("2026-11-29T11:00:00Z", "1970-01-01T00:00:00.500000Z")
