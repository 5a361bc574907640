"""``python -m slipway_router.agent``: 0 when it was asked to end, 2 when it was told something that does not fit."""

import asyncio
import logging
import os
import signal
import sys

from slipway_router.agent import logs, settings
from slipway_router.agent.agent import Agent
from slipway_router.agent.credentials import Credentials, CredentialsError, load
from slipway_router.agent.settings import Settings, SettingsError


def main() -> int:
    """Run until SIGTERM or SIGINT and the grace time after it."""
    try:
        chosen = Settings.from_environment(os.environ)
        logs.configure(level=chosen.log_level)
        found = load(chosen.kubeconfig, environment=os.environ)
        for name in settings.unknown(os.environ):
            logging.getLogger(__name__).warning("%s: no such setting, it is not used", name)
        asyncio.run(_live(chosen, found))
    except (SettingsError, CredentialsError) as error:
        sys.stderr.write(f"slipway-router: {error}\n")
        return 2
    return 0


async def _live(chosen: Settings, found: Credentials) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Agent(chosen, found).run(stop)


if __name__ == "__main__":
    sys.exit(main())
