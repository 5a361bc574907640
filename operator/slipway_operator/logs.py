"""Log lines as JSON, each with the object and the reconcile that it belongs to."""

import contextvars
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

current_object: Final = contextvars.ContextVar("current_object", default="")
"""``namespace/name`` of the ModelDeployment that this task works on."""

current_reconcile: Final = contextvars.ContextVar("current_reconcile", default="")
"""Tells the passes over one object apart."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and where known object, reconcile id and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if name := current_object.get():
            line["object"] = name
        if reconcile := current_reconcile.get():
            line["reconcileID"] = reconcile
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(*, level: str) -> None:
    """Log to stderr at ``level``; kopf and aiohttp from WARNING on, for they are chatty and we are not their developers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
