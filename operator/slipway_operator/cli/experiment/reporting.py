"""``slipway experiment report``: the looks of an experiment as one HTML page, or the same as JSON."""

import argparse
import json
from typing import Any

from slipway_operator.cli.experiment import content, page, source
from slipway_operator.cli.experiment.output import write
from slipway_statistics import record


def add_to(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "report",
        help="write what an experiment says as one HTML file",
        description="Writes one HTML file that needs nothing else: the verdict, a picture of each arm's interval narrowing, units, guardrails, "
        "every number with its interval.",
    )
    source.add_arguments(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to, - for standard output; by default NAME.html, and standard output with --json"
    )
    parser.add_argument("--json", action="store_true", help="write the same content as JSON")
    parser.set_defaults(answer=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the report."""
    found = source.read(arguments)
    told = content.report(found)
    text = json.dumps(record.write(told), indent=2, ensure_ascii=False) + "\n" if arguments.json else page.html(told)
    to = arguments.output or ("-" if arguments.json else f"{found[-1].name}.html")
    write(text, to=to)
    if to != "-":
        print(f"{to}: {told.experiment}, {told.looks} look{'s' * (told.looks != 1)}: {told.verdict}")
    return 0
