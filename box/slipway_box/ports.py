"""TCP ports: finding free ones, and saying who has one that is taken."""

import fcntl
import functools
import os
import random
import socket
import tempfile
from pathlib import Path

from slipway_box.errors import BoxError

# Below the ports that the kernel hands out by itself and below the node ports of a cluster, so that neither takes one in between.
_FREE = range(20000, 29999)

_given: set[int] = set()


def free(count: int) -> list[int]:
    """``count`` different ports that nobody listens on now, each given once on this machine as long as this process lives."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_FREE)  # noqa: S311  (spreads parallel test runs; nothing secret)
        # Claimed before it is tried: to try it is to listen on it for a moment, in which its owner could not.
        if port not in _given and _claimed(port):
            _given.add(port)
            found += [port] * available("127.0.0.1", port)
    return found


def _claimed(port: int) -> bool:
    """Whether no other process was given ``port``: a lock on the byte of that number in a file of all processes, which the kernel takes back at the
    end of this one, however it ends."""
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    return True


@functools.cache
def _claims() -> int:
    return os.open(Path(tempfile.gettempdir()) / f"slipway-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def available(address: str, port: int) -> bool:
    """Whether we could listen on ``address``:``port``; true as well while the address itself does not exist yet."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen(1)
        except OSError as error:
            return error.errno != _ADDRESS_IN_USE
    return True


def require(component: str, address: str, port: int) -> None:
    """Raise BoxError, naming who has it, when ``component`` could not listen on ``address``:``port``."""
    if not available(address, port):
        raise BoxError(f"{component} needs port {port} on {address}, which {holder(port)} holds: end that program, then try again.")


def holder(port: int) -> str:
    """'nginx (process 812)' for the program that listens on ``port``, or 'another program' when it cannot be seen."""
    sockets = _listening_inodes(port)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and sockets & _socket_inodes(entry):
            return f"{(entry / 'comm').read_text().strip()} (process {entry.name})"
    return "another program"


def _listening_inodes(port: int) -> set[str]:
    lines = [line.split() for table in ("tcp", "tcp6") for line in _table(table)]
    return {fields[9] for fields in lines if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port}


def _table(name: str) -> list[str]:
    try:
        return (Path("/proc/net") / name).read_text().splitlines()[1:]
    except OSError:
        return []


def _socket_inodes(process: Path) -> set[str]:
    inodes = set()
    try:
        for descriptor in (process / "fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    except OSError:
        return inodes  # it ended while we looked, or belongs to somebody else
    return inodes


_ADDRESS_IN_USE = 98
_LISTEN = "0A"
