"""``python -m slipway_ledger``: 0 when it was asked to end, 1 when the database cannot be used, 2 when it was told something that does not fit."""

import asyncio
import logging
import os
import signal
import sys

import uvloop

from slipway_ledger import logs, server
from slipway_ledger.settings import Settings, SettingsError
from slipway_ledger.store.database import Unavailable
from slipway_ledger.tokens import NoTokens
from slipway_ledger.units import NoKey


def main() -> int:
    """Run until SIGTERM or SIGINT and the grace time after it."""
    try:
        settings = Settings.from_environment(os.environ)
        logs.configure(level=settings.log_level)
        uvloop.run(_live(settings))
    except (SettingsError, NoTokens, NoKey) as error:
        sys.stderr.write(f"slipway-ledger: {error}\n")
        return 2
    except (OSError, Unavailable) as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    return 0


async def _live(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.serve(settings, stop)


if __name__ == "__main__":
    sys.exit(main())
