"""``python -m slipway_ledger``: 0 when it was asked to end, 1 when the database cannot be used, 2 when it was told something that does not fit."""

import logging
import os
import sys

import uvloop

from slipway_ledger import server
from slipway_ledger.settings import Settings
from slipway_ledger.store.database import Unavailable
from slipway_ledger.tokens import NoTokens
from slipway_ledger.units import NoKey
from slipway_service import logs, signals
from slipway_service.variables import SettingsError


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
    await server.serve(settings, signals.ending())


if __name__ == "__main__":
    sys.exit(main())
