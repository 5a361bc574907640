"""Sends exposures from their files to the ledger, from a position that outlives the agent on: each batch until it was answered.

An exposure that is sent twice counts once there, so that the position may be behind, and never ahead, of what the ledger has.
"""

import asyncio
import json
import logging
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from slipway_router.agent.exposures import Exposures
from slipway_router.agent.spool import Position
from slipway_service import logs

MOST_LINES = 1000
MOST_BYTES = 512 * 1024
BATCH_S = 0.2
"""How long lines are waited for that may go with the first one."""
BACKOFF_S = (0.25, 8.0)
"""The first and the longest wait after trouble, where the ledger does not say how long."""
LONGEST_WAIT_S = 30.0
"""Whatever the ledger says."""
_HURRIED_S = 0.25
_TIMEOUT_S = 10.0

_log = logging.getLogger(__name__)


class Trouble(Exception):
    """The ledger took nothing, and may take the same later; the message says why not now."""

    def __init__(self, message: str, *, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s
        """How long it asks to be left alone."""


class Unfit(Exception):
    """The ledger will not read this body, however often it is sent: it may read parts of it. The message is its reason, a word."""


class Sender:
    """``run`` is its life; ``finish`` brings it to an end."""

    def __init__(
        self,
        exposures: Exposures,
        *,
        url: str,
        token_file: Path | None,
        position_file: Path,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.sent = 0
        """Exposures that the ledger has, those that it had already among them."""
        self.refused: dict[str, int] = {}
        """Exposures that it does not want, by its reason."""
        self.failures = 0
        """Batches that were not taken, each time that they were sent."""
        self.unsent = 0
        """Exposures that went with the oldest file before they were sent."""
        self._exposures = exposures
        self._url = f"{url}/v1/exposures"
        self._token_file = token_file
        self._position_file = position_file
        self._position: Position | None = None
        self._sleep = sleep
        self._done = 0
        """Of those that the exposures call written; less than none by as many as were in the files before."""
        self._hurried = asyncio.Event()
        self._progress = asyncio.Event()
        self._troubles = logs.Seldom(_log)
        self._refusals = logs.Seldom(_log)
        self._losses = logs.Seldom(_log)

    @property
    def waiting(self) -> int:
        """Exposures in files that are still to be sent."""
        return max(0, self._exposures.written - self._done)

    async def run(self) -> None:
        """Send until cancelled. Never raises for the ledger's sake, nor for the disk's."""
        self._position = await asyncio.to_thread(read_position, self._position_file)
        begun = False
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session:
            while True:
                try:
                    if not begun:
                        left = await self._exposures.left(self._position)
                        self._done, begun = self._exposures.written - left, True
                    await self._next(session)
                except OSError as error:
                    self._troubles.warning("exposures cannot be read, %d wait: %s", self.waiting, error)
                    await self._pause(BACKOFF_S[1])

    async def finish(self) -> None:
        """Send what waits without waiting for more, and return when nothing does: with a ledger that is away, never."""
        self._hurried.set()
        while self.waiting:
            self._progress.clear()
            await self._progress.wait()

    async def _next(self, session: aiohttp.ClientSession) -> None:
        """Send one batch, or wait until there is something for one."""
        self._exposures.grown.clear()
        portion = await self._exposures.read(self._position, most_lines=MOST_LINES, most_bytes=MOST_BYTES)
        if portion.left is not None:
            self._overtaken(portion.left)
        if not portion.lines:
            await self._exposures.grown.wait()
            await self._pause(BATCH_S)
            return
        await self._deliver(session, portion.lines)
        self._position = portion.end
        await self._keep()
        self._progress.set()

    def _overtaken(self, left: int) -> None:
        """The file that was to be read next is gone, and with it all that waited but for ``left``."""
        lost = self.waiting - left
        self._done = self._exposures.written - left
        if lost > 0:
            self.unsent += lost
            self._losses.warning("%d exposures went with the oldest file before they were sent, %d since the start", lost, self.unsent)

    async def _deliver(self, session: aiohttp.ClientSession, lines: Sequence[bytes]) -> None:
        """Send lines until the ledger has judged each; where it will not read them together, in halves."""
        failures = 0
        while True:
            try:
                self._settle(len(lines), await self._post(session, lines))
                return
            except Unfit as unfit:
                if len(lines) == 1:
                    self._settle(1, [{"reason": str(unfit), "error": "it cannot be read"}])
                    return
                middle = len(lines) // 2
                await self._deliver(session, lines[:middle])
                await self._deliver(session, lines[middle:])
                return
            except Trouble as trouble:
                failures += 1
                self.failures += 1
                self._troubles.warning("exposures cannot be sent, %d wait: %s", self.waiting, trouble)
                await self._pause(_wait_s(failures, after_s=trouble.after_s))

    async def _post(self, session: aiohttp.ClientSession, lines: Sequence[bytes]) -> Sequence[Any]:
        """What the ledger refuses of these lines. Raises Trouble and Unfit."""
        body = b"".join(line + b"\n" for line in lines)
        try:
            headers = {"Content-Type": "application/x-ndjson", **self._authorization()}
            async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                text = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as cause:
            raise Trouble(f"{self._url}: {str(cause) or type(cause).__name__}") from cause
        said = _object(text)
        if response.status in (200, 422) and isinstance(said.get("refused"), list):
            return list(said["refused"])
        if response.status in (400, 413):
            raise Unfit(str(said.get("reason") or response.status))
        raise Trouble(f"{self._url}: {response.status} {said.get('error') or ''}".rstrip(), after_s=_seconds(response.headers.get("Retry-After")))

    def _authorization(self) -> Mapping[str, str]:
        """The token as it stands in its file now: the kubelet writes another one before the last has expired. Raises OSError."""
        return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"} if self._token_file else {}

    def _settle(self, lines: int, refused: Sequence[Any]) -> None:
        self._done += lines
        self.sent += max(0, lines - len(refused))
        for each in refused:
            reason = str(each.get("reason") if isinstance(each, dict) else "")[:63]
            self.refused[reason] = self.refused.get(reason, 0) + 1
        if refused:
            first = refused[0].get("error") if isinstance(refused[0], dict) else refused[0]
            self._refusals.warning("the ledger refuses %d of %d exposures, the first because %s", len(refused), lines, first)

    async def _keep(self) -> None:
        try:
            await asyncio.to_thread(keep_position, self._position_file, self._position)
        except OSError as error:
            self._troubles.warning("how far exposures were sent cannot be written, and they will be sent again after a restart: %s", error)

    async def _pause(self, seconds: float) -> None:
        """Sleep for so long, or less where it is to finish."""
        if self._hurried.is_set():
            await self._sleep(min(seconds, _HURRIED_S))
            return
        either = asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._hurried.wait())
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in either:
                each.cancel()


def read_position(path: Path) -> Position | None:
    """Up to where exposures were sent; None where there is no such file, or none that can be read: then all there are are sent again."""
    try:
        found: Any = json.loads(path.read_text())
        return Position(str(found["file"]), int(found["offset"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_position(path: Path, position: Position | None) -> None:
    """Replace the file in one step. Raises OSError."""
    if position is None:
        return
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps({"file": position.file, "offset": position.offset}))
    os.replace(beside, path)


def _wait_s(failures: int, *, after_s: float) -> float:
    """Doubles with each failure in a row, half of it random: 0.125 to 0.25 s, 0.25 to 0.5 s, …, 4 to 8 s; not less than the ledger asks for."""
    first_s, longest_s = BACKOFF_S
    own_s = min(longest_s, first_s * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1.0)  # noqa: S311
    return min(LONGEST_WAIT_S, max(own_s, after_s))


def _seconds(text: str | None) -> float:
    """Of Retry-After: a whole number, or nothing that is understood here."""
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
