"""Debian packages that the box needs, installed when they are missing."""

import os
import shutil
import subprocess

from slipway_box.errors import BoxError
from slipway_box.progress import step


def need(*names: str, usual_s: float = 60) -> None:
    """Install those of the Debian packages ``names`` that are not installed.

    Raises BoxError when the machine has no apt, or when apt fails; the message carries apt's last lines.
    """
    missing = [name for name in names if not _installed(name)]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise BoxError(f"The box needs the Debian packages {', '.join(missing)} and this machine has no apt-get: run it on Debian 12.")
    with step(f"installing {', '.join(missing)}", usual_s=usual_s):
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *missing)


def _installed(name: str) -> bool:
    asked = subprocess.run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", name], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and asked.stdout == "installed"


def _apt(*arguments: str) -> None:
    # Debian starts a service as soon as its package is installed; policy-rc.d is how it is told not to.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    done = subprocess.run(["apt-get", "--quiet", *arguments], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise BoxError(f"apt-get {arguments[0]} failed; check the network and the disk, then try again. Its last lines:\n{last}")
