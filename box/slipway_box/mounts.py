"""Mounts below the box's own folders."""

import ctypes
import os
from pathlib import Path

_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def below(*folders: Path) -> list[Path]:
    """Mount points in or at ``folders``, the last mounted first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(_unescaped(line.split()[4])) for line in lines]
    return [point for point in reversed(points) if any(point == folder or folder in point.parents for folder in folders)]


def detach(*folders: Path) -> None:
    """Unmount everything in or at ``folders``, even what is still in use."""
    for point in below(*folders):
        if _libc.umount2(os.fsencode(point), _DETACH):
            raise OSError(ctypes.get_errno(), "cannot unmount", str(point))


def _unescaped(field: str) -> str:
    r"""Mount points as the kernel prints them: blanks and the like as octal, '\040'."""
    return field.encode().decode("unicode_escape") if "\\" in field else field
