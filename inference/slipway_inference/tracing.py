"""W3C trace context: whose request a call to Triton belongs to."""

import re
import secrets
from collections.abc import Callable

_PARENT = re.compile(r"([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_STATE = re.compile(r"[\x20-\x7e\t]{0,1024}")
Draw = Callable[[int], str]


def headers(parent: str | None, state: str | None, *, draw: Draw = secrets.token_hex) -> bytes:
    """Header lines for the next hop, with a parent id of our own; nothing where the request belongs to no trace that can be read.

    ``draw`` gives so many random bytes in hexadecimal.
    """
    if parent is None or not (found := _PARENT.fullmatch(parent)) or found[1] == "ff" or (found[1] == "00" and found[2]):
        return b""
    trace, flags = parent[3:35], parent[53:55]
    lines = f"traceparent: 00-{trace}-{draw(8)}-{flags}\r\n"
    if state and _STATE.fullmatch(state):
        lines += f"tracestate: {state}\r\n"
    return lines.encode()
