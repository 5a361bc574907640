"""The floor: a script that sends given requests with aiohttp, a bounded number at a time, and looks at nothing but the status.

    python -m bench.operator.bare KUBECONFIG FILE IN_FLIGHT

FILE holds one JSON list a line: the requests of one object, in order, each ``[method, path, content type, body]``.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from slipway_operator.cluster import credentials


async def send(session: aiohttp.ClientSession, server: str, objects: Iterator[str]) -> None:
    """The requests of one object after another."""
    for line in objects:
        requests: list[tuple[str, str, str, Any]] = json.loads(line)
        for method, path, content_type, body in requests:
            headers = {"Content-Type": content_type, "Accept": "application/json"}
            async with session.request(method, server + path, data=json.dumps(body).encode(), headers=headers) as answer:
                content = await answer.read()
                if answer.status >= 300:
                    raise SystemExit(f"{method} {path}: {answer.status} {content.decode()[:300]}")


async def main(kubeconfig: Path, objects: Iterator[str], in_flight: int) -> None:
    """Send everything."""
    access = credentials.load(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=access.ssl_context(), limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(send(session, access.server, objects))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), iter(Path(sys.argv[2]).read_text().splitlines()), int(sys.argv[3])))
