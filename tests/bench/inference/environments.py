"""Environments of the peers and of Triton: one each, for they do not fit together."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

from slipway_box import layout, packages

_VENVS = layout.REPOSITORY / "build" / "venvs"
_PINS = layout.REPOSITORY / "requirements"


class NotInstalled(Exception):
    """pip does not install it; the message has its last line."""


@cache
def peer(name: str) -> Path:
    """build/venvs/peers-NAME, from requirements/peers/NAME.in. NotInstalled."""
    return _made(f"peers-{name}", _PINS / "peers" / f"{name}.in")


@cache
def triton() -> Path:
    """build/venvs/triton-cpu, from the pins of the image. NotInstalled."""
    return _made("triton-cpu", _PINS / "triton-cpu.txt", "--no-deps", "--require-hashes")


def packages_of(venv: Path) -> Path:
    """Where its packages are."""
    [found] = (venv / "lib").glob("python3.*/site-packages")
    return found


def versions(name: str) -> list[str]:
    """What is pinned for a peer."""
    return [line for line in (_PINS / "peers" / f"{name}.in").read_text().split() if "==" in line]


def _made(name: str, pins: Path, *options: str) -> Path:
    venv = _VENVS / name
    stamp = venv / "pins.txt"
    if stamp.exists() and stamp.read_bytes() == pins.read_bytes():
        return venv
    packages.need("python3-venv")
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run(["python3", "-m", "venv", str(venv)], check=True)
    command = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options, "--requirement", str(pins)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled((done.stderr.strip().splitlines() or ["pip says nothing"])[-1])
    stamp.write_bytes(pins.read_bytes())
    return venv
