"""The command ``slipway``: what a manifest means, told without a cluster, and what experiments say."""

import sys
from collections.abc import Sequence

_EXTRA = "operator"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 for yes, 1 for no, 2 for a question that could not be answered.

    The package is installable without its dependencies, so those are looked for here, before anything that needs them.
    """
    try:
        from slipway_operator.cli import command
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("slipway_operator"):
            raise
        print(f"slipway: {missing.name} is not installed; pip install 'slipway-ml[{_EXTRA}]' brings it", file=sys.stderr)
        return 2
    return command.run(argv)
