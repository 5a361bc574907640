"""How the apt inside an image build reaches Debian's archive: as the machine's own apt does.

Nothing of it becomes part of an image: its settings, keys and certificates are mounted while a build runs.
"""

from collections.abc import Mapping
from pathlib import Path

SETTINGS = (
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
    "/etc/apt/apt.conf.d",
    "/etc/apt/auth.conf.d",
    "/etc/apt/keyrings",
    "/etc/apt/trusted.gpg.d",
    "/usr/share/keyrings",
)
RELEASE = Path("/etc/os-release")


def mounts(root: Path = Path("/")) -> Mapping[Path, str]:
    """Files and folders of this machine and where to mount them, read-only, in the build; none on a machine that is not the build's Debian."""
    if not _is_bookworm(root):
        return {}
    return {root / place[1:]: place for place in SETTINGS if (root / place[1:]).exists()}


def _is_bookworm(root: Path) -> bool:
    release = root / str(RELEASE)[1:]
    return release.is_file() and "VERSION_CODENAME=bookworm" in release.read_text(encoding="utf-8")
