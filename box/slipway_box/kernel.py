"""Kernel settings that a node needs; what they were before is kept and put back by ``box down``."""

import json
from pathlib import Path

_PROC = Path("/proc/sys")

WANTED = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
}

# The kubelet sets these by itself, to values of its own.
ALSO_CHANGED = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
                "kernel/keys/root_maxbytes")  # fmt: skip


def ensure(memory: Path) -> None:
    """Set what is wanted; the first time, write what was there to ``memory``."""
    if not memory.exists():
        memory.write_text(json.dumps({name: now for name in (*WANTED, *ALSO_CHANGED) if (now := _read(name)) is not None}, indent=2))
    for name, value in WANTED.items():
        if _read(name) not in (value, None):
            (_PROC / name).write_text(value)


def restore(memory: Path) -> list[str]:
    """Put back what ``memory`` holds; names of the settings that could not be put back."""
    if not memory.exists():
        return []
    return [name for name, value in json.loads(memory.read_text()).items() if not _put_back(name, value)]


def _put_back(name: str, value: str) -> bool:
    if _read(name) == value:
        return True
    try:
        (_PROC / name).write_text(value)
    except OSError:
        return False
    return True


def _read(name: str) -> str | None:
    try:
        return (_PROC / name).read_text().strip()
    except OSError:
        return None
