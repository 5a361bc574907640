"""``python -m slipway_inference``: 0 when it was asked to end, 2 when it was told something that does not fit."""

import logging
import os
import sys
from pathlib import Path

import uvloop

from slipway_inference import configuration_file, server
from slipway_inference.configuration import Configuration, ConfigurationError
from slipway_inference.settings import Settings
from slipway_service import logs, signals
from slipway_service.variables import SettingsError


def main() -> int:
    """Run until SIGTERM or SIGINT and the grace time after it."""
    try:
        settings = Settings.from_environment(os.environ)
        logs.configure(level=settings.log_level)
        chosen = configuration_file.read(Path(settings.transformer_config))
        uvloop.run(_live(settings, chosen))
    except (SettingsError, ConfigurationError) as error:
        sys.stderr.write(f"slipway-transformer: {error}\n")
        return 2
    except OSError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    return 0


async def _live(settings: Settings, chosen: Configuration) -> None:
    await server.serve(settings, chosen, signals.ending())


if __name__ == "__main__":
    sys.exit(main())
