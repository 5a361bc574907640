"""``slipway experiment``: its subcommands and who answers them."""

import argparse
from typing import Any

from slipway_operator.cli.experiment import planning, replay, reporting, source, status
from slipway_operator.cli.experiment.output import STANDARD_OUTPUT, write

_EPILOG = """\
Looks come from the ledger of the cluster through its API server, from a ledger's own address (--ledger), or from a file (--looks).
Exit status: 0 all is well, 1 the answer is no (a verdict that replay does not find again, an experiment that is Unhealthy),
2 the question could not be answered.
"""


def add_to(commands: Any) -> None:
    """Declare the subcommands."""
    parser = commands.add_parser(
        "experiment",
        aliases=["xp"],
        help="plan an experiment, and read what it says",
        description="Plans experiments and reads what they say.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    planning.add_to(subcommands)
    status.add_to(subcommands)
    reporting.add_to(subcommands)
    replay.add_to(subcommands)
    _add_looks(subcommands)


def _add_looks(commands: Any) -> None:
    parser = commands.add_parser(
        "looks",
        help="fetch the looks of an experiment into a file",
        description="Writes every look of an experiment as the ledger keeps it, one JSON object a line; the other commands read it with --looks.",
    )
    source.add_arguments(parser)
    parser.add_argument("-o", "--output", metavar="FILE", default=STANDARD_OUTPUT, help="where to; by default standard output")
    parser.set_defaults(answer=_write_looks)


def _write_looks(arguments: argparse.Namespace) -> int:
    text = "".join(f"{look.text}\n" for look in source.read(arguments))
    write(text, to=arguments.output)
    return 0
