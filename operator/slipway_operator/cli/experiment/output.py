"""Where an answer goes."""

import sys
from pathlib import Path

from slipway_operator.cli.experiment.looks import Unanswerable

STANDARD_OUTPUT = "-"


def write(text: str, *, to: str) -> None:
    """Write to a file, or to standard output for ``-``.

    Raises:
        Unanswerable: it cannot be written.

    """
    if to == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    try:
        Path(to).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unanswerable(f"cannot write {to}: {error.strerror}; give another file with -o") from error
