"""JSON for the API server, which reads the body of an apply as YAML."""

import json
import re
from collections.abc import Mapping
from typing import Any

_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_ESCAPED = re.compile("[\x7f-\uffff]")


def encoded(body: Mapping[str, Any]) -> bytes:
    """Compact JSON that is YAML too.

    JSON writes a character beyond U+FFFF as two escapes, each of which YAML refuses; YAML refuses control characters that JSON takes as they are.
    So the former stand as they are and the latter, with the rest of what is not ASCII, escaped.
    """
    text = _COMPACT.encode(body)
    if not text.isascii() or "\x7f" in text:
        text = _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.encode()
