"""Virtual environments with pinned packages, made anew when their pins change."""

import subprocess
import sys
from pathlib import Path

from slipway_box import packages
from slipway_box.errors import BoxError
from slipway_box.layout import REPOSITORY
from slipway_box.progress import step

_STAMP = "pins.txt"


def need(name: str) -> Path:
    """The environment of requirements/NAME.txt, in build/venvs/NAME.

    Raises BoxError when there are no such pins, or when pip fails; the message carries pip's last lines.
    """
    folder, pins = REPOSITORY / "build/venvs" / name, REPOSITORY / f"requirements/{name}.txt"
    if not pins.exists():
        known = ", ".join(sorted(path.stem for path in pins.parent.glob("*.txt")))
        raise BoxError(f"There are no pins for {name!r} in requirements/; there are {known}.")
    stamp = folder / _STAMP
    if stamp.exists() and stamp.read_bytes() == pins.read_bytes():
        return folder
    packages.need("python3-venv")
    with step(f"installing the Python packages of requirements/{name}.txt", usual_s=30):
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(pins))
        stamp.write_bytes(pins.read_bytes())
    return folder


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise BoxError(f"{' '.join(command[1:4])} failed; check the network and the disk, then try again. Its last lines:\n{last}")
