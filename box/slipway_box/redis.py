"""A Redis for online features: Debian's, installed when first asked for. It keeps nothing on disk."""

from slipway_box.component import Component
from slipway_box.extras import Packaged
from slipway_box.probe import Tcp
from slipway_box.site import Site

NAME = "redis"
PORT = 6379
PROGRAM = Packaged(package="redis-server", path="/usr/bin/redis-server", usual_s=15)


def component(site: Site, program: str) -> Component:
    """The server, on the bridge address: pods reach it, other machines do not."""
    folder = site.state / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "bind": site.address,
        "port": str(PORT),
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "protected-mode": "no",
        "set-proc-title": "no",
    }
    return Component(
        name=NAME,
        argv=(program, *(word for option, value in options.items() for word in (f"--{option}", value))),
        probe=Tcp(site.address, PORT),
        listens=((site.address, PORT),),
    )


def url(site: Site) -> str:
    """Of its first database."""
    return f"redis://{site.address}:{PORT}/0"
