"""``python -m slipway_router.agent``: 0 when it was asked to end, 2 when it was told something that does not fit."""

import asyncio
import logging
import os
import sys

from slipway_router.agent import settings
from slipway_router.agent.agent import Agent
from slipway_router.agent.credentials import Credentials, CredentialsError, load
from slipway_router.agent.settings import Settings
from slipway_service import logs, signals
from slipway_service.variables import SettingsError


def main() -> int:
    """Run until SIGTERM or SIGINT and the grace time after it."""
    try:
        chosen = Settings.from_environment(os.environ)
        logs.configure(level=chosen.log_level, chatty=("aiohttp", "asyncio"))
        found = load(chosen.kubeconfig, environment=os.environ)
        for name in settings.unknown(os.environ):
            logging.getLogger(__name__).warning("%s: no such setting, it is not used", name)
        asyncio.run(_live(chosen, found))
    except (SettingsError, CredentialsError) as error:
        sys.stderr.write(f"slipway-router: {error}\n")
        return 2
    return 0


async def _live(chosen: Settings, found: Credentials) -> None:
    await Agent(chosen, found).run(signals.ending())


if __name__ == "__main__":
    sys.exit(main())
