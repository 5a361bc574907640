"""Exposures as JSON lines in files of bounded size. A disk that is full or slow costs exposures, never anything else."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from slipway_router.agent.spool import Portion, Position, Spool
from slipway_service import logs

_WAITING = 20_000
"""Lines that wait for the disk at most, of about 250 bytes each."""
_log = logging.getLogger(__name__)


class Exposures:
    """Takes exposures at once, writes them on another thread."""

    def __init__(self, path: Path, *, file_bytes: int, files: int) -> None:
        self.written = 0
        """Lines in files, those of files that are gone by now included."""
        self.lost = 0
        """Exposures that never came into a file: nginx had no room, the disk was full or too slow."""
        self.dropped = 0
        """Lines that went with the oldest file, whether anybody had read them or not."""
        self.grown = asyncio.Event()
        """Set when lines came into a file; who waits for it clears it."""
        self._spool = Spool(path, file_bytes=file_bytes, files=files)
        self._waiting: deque[bytes] = deque()
        self._put = 0
        self._settled = 0
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._seldom = logs.Seldom(_log)

    def put(self, exposures: Iterable[Any], *, lost: int) -> int:
        """Write these soon; ``lost`` more are lost already. What is given back ``settled`` may be asked of."""
        self._lose(lost, "nginx had no room for them")
        full = 0
        for exposure in exposures:
            if len(self._waiting) < _WAITING:
                self._put += 1
                self._waiting.append(json.dumps(exposure, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
            else:
                full += 1
        self._lose(full, "the disk is too slow")
        if self._waiting:
            self._wake.set()
        return self._put

    def settled(self, put: int) -> bool:
        """Whether all that was given up to then is in files, or lost."""
        return self._settled >= put

    async def read(self, position: Position | None, *, most_lines: int, most_bytes: int) -> Portion:
        """Lines that follow a position, as ``Spool.read`` has them. Raises OSError."""
        async with self._writing:
            return await asyncio.to_thread(self._spool.read, position, most_lines=most_lines, most_bytes=most_bytes)

    async def left(self, position: Position | None) -> int:
        """How many lines follow a position, of those that are ``written``. Raises OSError."""
        async with self._writing:
            return await asyncio.to_thread(self._spool.left, position)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits."""
        async with self._writing:
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), 1000))]
                try:
                    self.dropped += await asyncio.to_thread(self._spool.append, b"".join(batch))
                    self.written += len(batch)
                    self.grown.set()
                except OSError as error:
                    self._lose(len(batch), f"{error.strerror} ({self._spool.path})")
                self._settled += len(batch)

    def _lose(self, lost: int, why: str) -> None:
        if lost:
            self.lost += lost
            self._seldom.warning("%d exposures are lost, %d since the start: %s", lost, self.lost, why)
