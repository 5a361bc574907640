"""Lines in files of bounded size: appended to the newest, read from wherever a reader came to.

A file is ``path``, or once it was full ``path.1``, which becomes ``path.2`` with the next full one and so on. Whatever it is called, it is known by
the SHA-256 of its first line: the number of an inode may come again with the very next file.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where lines are done."""

    file: str
    """What the file is known by: 16 hexadecimal digits."""
    offset: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Some lines that follow a position."""

    lines: tuple[bytes, ...]
    """Without their ends. Empty: there are none as yet."""
    end: Position | None
    """The position after them."""
    left: int | None
    """How many lines there were from the oldest on, if the position was in no file any more; else None."""


class Spool:
    """Not for several threads at once."""

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

    def read(self, position: Position | None, *, most_lines: int, most_bytes: int) -> Portion:
        """What follows a position, of one file: up to so many lines and bytes, and one line in any case. Without a position, or where it is in
        no file, from the oldest line on. Raises OSError."""
        gone = position is not None and self._where(position) is None
        left = self.left(None) if gone else None
        for path, known_by, offset in self._from(position):
            lines, end = _whole_lines(path, offset, most_lines=most_lines, most_bytes=most_bytes)
            if lines:
                return Portion(lines, Position(known_by, end), left)
        return Portion((), position, left)

    def left(self, position: Position | None) -> int:
        """How many whole lines follow. Raises OSError."""
        return sum(_lines(path, offset) for path, _, offset in self._from(position))

    def _from(self, position: Position | None) -> Iterator[tuple[Path, str, int]]:
        """The files to read, the oldest first: where each is, what it is known by, and from which byte on."""
        begin = position and self._where(position)
        for path in self._paths()[begin or 0 :]:
            if known_by := _known_by(path):
                yield path, known_by, position.offset if begin is not None and position and position.file == known_by else 0

    def _where(self, position: Position) -> int | None:
        paths = self._paths()
        for index in reversed(range(len(paths))):
            if _known_by(paths[index]) == position.file and paths[index].stat().st_size >= position.offset:
                return index
        return None

    def _paths(self) -> list[Path]:
        return [*map(self._numbered, range(self._files, 0, -1)), self.path]

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
        dropped = _lines(oldest, 0)
        for number in range(self._files - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self._numbered(number), self._numbered(number + 1))
        os.replace(self.path, self._numbered(1))
        return dropped

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _known_by(path: Path) -> str:
    """Empty where there is no such file, or no whole line in it."""
    try:
        with open(path, "rb") as file:
            first = file.readline()
    except FileNotFoundError:
        return ""
    return hashlib.sha256(first).hexdigest()[:16] if first.endswith(b"\n") else ""


def _whole_lines(path: Path, offset: int, *, most_lines: int, most_bytes: int) -> tuple[tuple[bytes, ...], int]:
    """Lines from a byte on, and the byte after them."""
    lines: list[bytes] = []
    end = offset
    with open(path, "rb") as file:
        file.seek(offset)
        while len(lines) < most_lines and (line := file.readline()).endswith(b"\n"):
            if lines and end - offset + len(line) > most_bytes:
                break
            lines.append(line.rstrip(b"\n"))
            end += len(line)
    return tuple(lines), end


def _lines(path: Path, offset: int) -> int:
    """How many whole lines a file has from a byte on; 0 where it is not there."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(65_536), b""))
    except FileNotFoundError:
        return 0
