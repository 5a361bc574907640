"""Waiting for something that others bring about."""

import time
from collections.abc import Callable

from slipway_box.errors import BoxError


def until(holds: Callable[[], bool], *, within_s: float, otherwise: str) -> None:
    """Ask ``holds`` every 50 ms until it is true; raise BoxError saying ``otherwise`` after ``within_s`` seconds."""
    last = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > last:
            raise BoxError(otherwise)
        time.sleep(0.05)
