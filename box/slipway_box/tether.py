"""Ends a control plane of the tests when the program that made it is gone, however it went.

Run with the record folder as argument and a pipe as standard input: the pipe closes when its other end's process ends.
"""

import signal
import sys
from pathlib import Path

from slipway_box.component import Supervisor


def main(run: Path) -> None:
    """Wait for the end of standard input, then end everything that is recorded in ``run``."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C at the terminal must not end this before its work is done
    sys.stdin.buffer.read()
    supervisor = Supervisor(run=run, logs=run)
    supervisor.kill(*supervisor.recorded())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
