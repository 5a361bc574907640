"""The transformer before a model of its own process, the first value of each row: ``slipway_echo.py CONFIGURATION PORT METRICS_PORT``."""

import asyncio
import signal
import sys
from collections.abc import Collection
from pathlib import Path

import uvloop

from slipway_inference import configuration_file, server
from slipway_inference.protocol.datatypes import Tensors
from slipway_inference.settings import Settings
from slipway_service import logs


class First:
    """A model in the transformer's own process."""

    async def infer(self, tensors: Tensors, outputs: Collection[str], trace: bytes) -> Tensors:
        """The first value of each row."""
        return {"y": tensors["x"][:, :1]}

    async def ready(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Nothing is open."""


async def live(chosen: Path, port: int, metrics_port: int) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = Settings(host="127.0.0.1", port=port, metrics_port=metrics_port, drain_seconds=0, grace_seconds=1)
    await server.serve_model(First(), settings, configuration_file.read(chosen), stop)


if __name__ == "__main__":
    logs.configure(level="WARNING")
    uvloop.run(live(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
