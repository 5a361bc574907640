"""What others wrote, in sentences that are for them."""


def quoted(text: str) -> str:
    """Something a client wrote, short, in quotes and on one line."""
    return repr(shortened(text))


def shortened(text: str, *, most: int = 60) -> str:
    """The beginning of something that may be long."""
    return text if len(text) <= most else text[:most] + "…"
