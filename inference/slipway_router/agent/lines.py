"""Lines out of a stream of chunks, of any length."""

from collections.abc import AsyncIterator


async def split(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of ``chunks`` without their ends, each as soon as it is whole; blank ones are left out.

    ValueError when the stream ends in the middle of a line.
    """
    parts: list[bytes] = []
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for end in whole:
            line = b"".join((*parts, end)).strip()
            parts.clear()
            if line:
                yield line
        if rest:
            parts.append(rest)
    if b"".join(parts).strip():
        raise ValueError("the stream ended in the middle of a line")
