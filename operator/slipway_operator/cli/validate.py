"""``slipway validate``: what the API server would refuse, with file, line and field."""

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from slipway_operator.cli import files
from slipway_operator.cli.documents import NotYamlError
from slipway_operator.cli.files import Manifest


def add_to(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "validate",
        help="say what the API server would refuse",
        description="Says what the API server would refuse about each of Slipway's objects in the files; objects of other kinds are passed over.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a YAML or JSON file, or - for standard input")
    parser.add_argument("-n", "--namespace", help="where objects go that do not say it themselves; their names must fit with it")
    parser.set_defaults(answer=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for every problem; 1 when there was one."""
    try:
        verdicts = [_is_valid(manifest, namespace=arguments.namespace) for manifest in files.manifests(arguments.files)]
    except NotYamlError as error:
        print(error)
        return 1
    return 0 if all(verdicts) else 1


def _is_valid(manifest: Manifest, *, namespace: str | None) -> bool:
    if manifest.kind is None:
        print(manifest.note("passed over, not one of Slipway's kinds"), file=sys.stderr)
        return True
    problems = [manifest.sentence(problem) for problem in manifest.problems(namespace=namespace)]
    _print(problems or [manifest.note("valid")])
    return not problems


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
