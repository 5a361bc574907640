"""Commands of the machine itself, run for their effect."""

import subprocess

from slipway_box.errors import BoxError


def run(*argv: str, stdin: str | None = None) -> str:
    """What the command printed.

    Raises BoxError with the command and what it complained about.
    """
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BoxError(f"`{' '.join(argv)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def output(*argv: str) -> str:
    """What the command printed; nothing when it failed or is not installed."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def succeeds(*argv: str) -> bool:
    """Whether the command ends with status 0."""
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
