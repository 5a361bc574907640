"""Arguments of ``slipway`` and which function answers them."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Final

from slipway_operator.cli import render, validate
from slipway_operator.cli.experiment import commands as experiment
from slipway_operator.cli.experiment.looks import Unanswerable
from slipway_operator.cli.files import FileError

_EPILOG = """\
validate and render ask no cluster: both read the same definition of the kinds as the operator does.
Exit status: 0 all is well, 1 something in a manifest is wrong, 2 the question could not be answered.
"""
_SIGPIPE: Final = 141


def run(argv: Sequence[str] | None = None) -> int:
    """Answer ``argv`` (by default the process's own arguments) and return the exit status.

    141, as of a process that SIGPIPE ended, where whoever read the answer has read enough: ``slipway experiment looks NAME | head -1``.
    """
    arguments = _parser().parse_args(argv)
    try:
        answer = int(arguments.answer(arguments))
        sys.stdout.flush()
        return answer
    except (FileError, Unanswerable) as error:
        print(f"slipway: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter fails at its end, at what is left to flush
        return _SIGPIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slipway",
        description="Says what a Slipway manifest means and what experiments say.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"slipway {_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    validate.add_to(commands)
    render.add_to(commands)
    experiment.add_to(commands)
    return parser


def _version() -> str:
    try:
        return metadata.version("slipway-ml")
    except metadata.PackageNotFoundError:
        return "(from a source tree, not installed)"
