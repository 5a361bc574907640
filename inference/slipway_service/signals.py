"""How a service learns that it should end."""

import asyncio
import signal


def ending() -> asyncio.Event:
    """What SIGTERM and SIGINT set from now on, in the event loop that runs."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told
