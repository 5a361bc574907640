"""Where the box keeps things on the machine.

Three roots, by how long their content lives:

* cache: built once, valid for every clone of the same content (binaries, base images, image archives). Survives ``box down``.
* state: of the one cluster on this machine (certificates, etcd data, containerd's root, volumes). Gone after ``box down``.
* run:   sockets and pid files. Gone after ``box down`` or a reboot.
"""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
STATE = Path("/var/lib/slipway-box")
RUN = Path("/run/slipway-box")


def cache() -> Path:
    """The cache root: $SLIPWAY_CACHE, else $XDG_CACHE_HOME/slipway, else ~/.cache/slipway."""
    chosen = os.environ.get("SLIPWAY_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway"
