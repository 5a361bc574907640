"""Lines out of a stream of chunks, of any length."""

from collections.abc import AsyncIterator


async def split(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of ``chunks`` without their newlines, as soon as each is complete; empty ones are left out.

    ValueError when the stream ends in the middle of a line.
    """
    rest = bytearray()
    searched = 0
    async for chunk in chunks:
        rest += chunk
        while (end := rest.find(b"\n", searched)) >= 0:
            line = bytes(rest[:end])
            del rest[: end + 1]
            searched = 0
            if line.strip():
                yield line
        searched = len(rest)
    if rest.strip():
        raise ValueError("the stream ended in the middle of a line")
