"""Writes the configuration and becomes nginx: ``python -m slipway_router.nginx``."""

import os
import secrets
from pathlib import Path

from slipway_router.nginx.configuration import Settings, render


def main() -> None:
    """Start nginx, with as many workers as SLIPWAY_ROUTER_WORKERS says, or else one."""
    settings = Settings(workers=int(os.environ.get("SLIPWAY_ROUTER_WORKERS", "1")), birth=secrets.token_hex(6))
    run = Path(settings.run)
    # What an nginx that was killed has left: a socket there would keep this one from listening.
    for left in ("nginx.sock", "nginx.pid", "draining"):
        (run / left).unlink(missing_ok=True)
    configuration = run / "nginx.conf"
    configuration.write_text(render(settings), encoding="utf-8")
    os.execvp("nginx", ["nginx", "-e", "stderr", "-c", str(configuration)])  # noqa: S606 - the container's one process


if __name__ == "__main__":
    main()
