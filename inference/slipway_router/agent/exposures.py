"""Exposures as JSON lines in files of bounded size. A disk that is full or slow costs exposures, never anything else."""

import asyncio
import contextlib
import json
import logging
import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from slipway_router.agent import logs

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
        self._file = _File(path, file_bytes=file_bytes, files=files)
        self._waiting: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._seldom = logs.Seldom(_log)

    def put(self, exposures: Iterable[Any], *, lost: int) -> None:
        """Write these soon; ``lost`` more are lost already."""
        self._lose(lost, "nginx had no room for them")
        full = 0
        for exposure in exposures:
            if len(self._waiting) < _WAITING:
                self._waiting.append(json.dumps(exposure, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
            else:
                full += 1
        self._lose(full, "the disk is too slow")
        if self._waiting:
            self._wake.set()

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
                    self.dropped += await asyncio.to_thread(self._file.append, b"".join(batch))
                    self.written += len(batch)
                except OSError as error:
                    self._lose(len(batch), f"{error.strerror} ({self._file.path})")

    def _lose(self, lost: int, why: str) -> None:
        if lost:
            self.lost += lost
            self._seldom.warning("%d exposures are lost, %d since the start: %s", lost, self.lost, why)


class _File:
    """A file that is appended to, and the full ones before it: ``path.1`` is the newest of those."""

    def __init__(self, path: Path, *, file_bytes: int, files: int) -> None:
        self.path = path
        self._file_bytes = file_bytes
        self._files = files
        self._mended = False

    def append(self, lines: bytes) -> int:
        """Append whole lines, all or none, and give the number of lines that went with the oldest file. Raises OSError."""
        dropped = self._rotate() if self._size() + len(lines) > self._file_bytes else 0
        with open(self.path, "ab", buffering=0) as file:
            size = file.tell()
            try:
                self._mended = self._mended or not size or self._mend(size)
                size = file.seek(0, os.SEEK_END)
                if file.write(lines) < len(lines):
                    raise OSError(28, "the disk is full")
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise
        return dropped

    def _mend(self, size: int) -> bool:
        """Cut off half a line that a killed agent left behind."""
        with open(self.path, "r+b") as file:
            file.seek(max(0, size - 65_536))
            tail = file.read(65_536)
            if tail and not tail.endswith(b"\n"):
                file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
        return True

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _rotate(self) -> int:
        if not self._size():
            return 0
        oldest = self._numbered(self._files)
        dropped = _lines(oldest)
        for number in range(self._files - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self._numbered(number), self._numbered(number + 1))
        os.replace(self.path, self._numbered(1))
        return dropped

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _lines(path: Path) -> int:
    try:
        with open(path, "rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(65_536), b""))
    except FileNotFoundError:
        return 0
