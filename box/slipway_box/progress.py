"""One line a long step: what happens, how long it has taken, how long it usually takes."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

HEARTBEAT_S = 30.0


@contextlib.contextmanager
def step(what: str, *, usual_s: float) -> Iterator[None]:
    """Print ``what`` when the block starts, every 30 seconds while it runs, and when it ends.

    ``usual_s`` is the time a cold run took on a 2-core machine, in seconds; it is printed so that nobody wonders whether it hangs.
    A step that ends within two seconds prints one line only.
    """
    started = time.monotonic()
    ended = threading.Event()

    def heartbeat() -> None:
        while not ended.wait(HEARTBEAT_S):
            _say(f"   {what}: {_duration(time.monotonic() - started)} so far, usually {_duration(usual_s)}")

    if usual_s > 2:
        _say(f"-> {what} (usually {_duration(usual_s)})")
    beat = threading.Thread(target=heartbeat, daemon=True)
    beat.start()
    outcome = "failed after"
    try:
        yield
        outcome = "done in"
    finally:
        ended.set()
        beat.join()
        took = time.monotonic() - started
        if usual_s > 2 or took > 2:
            _say(f"   {what}: {outcome} {_duration(took)}")


def _duration(seconds: float) -> str:
    """72.4 -> '1 min 12 s'; 0.4 -> '0.4 s'."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
