"""Log lines as JSON, and those that must not come too often. No line holds a unit, a request id or a token."""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and where there is one a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Seldom:
    """Passes a warning on at most once in ``every_s`` seconds, however often it is given it."""

    def __init__(self, logger: logging.Logger, *, every_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._every_s = every_s
        self._clock = clock
        self._next = float("-inf")

    def warning(self, message: str, *arguments: object) -> None:
        """As ``logging.Logger.warning``."""
        now = self._clock()
        if now >= self._next:
            self._next = now + self._every_s
            self._logger.warning(message, *arguments)


def configure(*, level: str) -> None:
    """Log to stderr at ``level``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
