"""The last tables that nginx took, in a file: with them a router starts when there is no API server."""

import asyncio
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slipway_router.agent.routes import Wanted
from slipway_service import logs

_VERSION = 1

_log = logging.getLogger(__name__)


async def keep(path: Path, taken: Callable[[], Wanted], *, every_s: float) -> None:
    """Write what nginx took last into the file whenever it has changed, looking every ``every_s`` seconds, until cancelled."""
    written = Wanted()
    seldom = logs.Seldom(_log)
    while True:
        await asyncio.sleep(every_s)
        now = taken()
        if now == written:
            continue
        try:
            await asyncio.to_thread(write, path, now)
            written = now
        except OSError as error:
            seldom.warning("the tables cannot be saved: %s", error)


def write(path: Path, wanted: Wanted) -> None:
    """Replace the file in one step; OSError where that fails, with the old file in place."""
    document = {"version": _VERSION, "routes": {model: table.text for model, table in wanted.tables.items()}, "pods": wanted.pods}
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps(document, separators=(",", ":")))
    os.replace(beside, path)


def read(path: Path) -> tuple[dict[str, str], dict[str, tuple[str, ...]]] | None:
    """Texts of tables and addresses of pods; None where there is no such file, or none that can be used."""
    try:
        document: Any = json.loads(path.read_text())
        if document["version"] != _VERSION:
            return None
        pods = {str(revision): tuple(map(str, addresses)) for revision, addresses in document["pods"].items()}
        return {str(model): str(text) for model, text in document["routes"].items()}, pods
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
