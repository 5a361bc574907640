"""Log lines as JSON, and those that must not come too often."""

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
            "time": rfc3339(record.created, timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Seldom:
    """Passes a warning on at most once in ``every_s`` seconds, however often it is given one."""

    def __init__(self, logger: logging.Logger, *, every_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._every_s = every_s
        self._clock = clock
        self._next = float("-inf")

    def warning(self, message: str, *arguments: object, exc_info: BaseException | None = None) -> None:
        """As ``logging.Logger.warning``."""
        now = self._clock()
        if now >= self._next:
            self._next = now + self._every_s
            self._logger.warning(message, *arguments, exc_info=exc_info)


def configure(*, level: str, chatty: tuple[str, ...] = ()) -> None:
    """Log to stderr at ``level``; the ``chatty`` loggers, of libraries that say more than we want to know, from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in chatty:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))


def rfc3339(seconds: float, *, timespec: str = "seconds") -> str:
    """A Unix time as ``2026-11-25T03:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
