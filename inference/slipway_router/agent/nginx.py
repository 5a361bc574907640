"""nginx's control socket."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

_TIMEOUT_S = 5.0
_RECONNECT_S = (0.02, 1.0)


class Away(Exception):
    """Nginx does not answer, or not as it should; the message says what was asked and what happened."""

    def __init__(self, message: str, *, listening: bool = True) -> None:
        super().__init__(message)
        self.listening = listening
        """Whether there is somebody who listens: then what it had is likely to be still there."""


class Rejected(Exception):
    """Nginx found something wrong with tables, or had no room for them, and changed nothing; the message is its own."""


@dataclass(frozen=True)
class Live:
    """What nginx has: the digest of each model's table, the pods of each revision."""

    digests: Mapping[str, str]
    pods: Mapping[str, tuple[str, ...]]


class Nginx:
    """Use as ``async with Nginx(path) as nginx``. Each request has a connection of its own: nginx may be another one at any time."""

    def __init__(self, path: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(self._path, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def put(self, routes: Mapping[str, str], pods: Mapping[str, tuple[str, ...]]) -> None:
        """Make these the tables, all or none. Raises Rejected, or Away."""
        await self._ask("PUT", "/tables", {"routes": routes, "pods": pods}, expected=204)

    async def tables(self) -> Live:
        """What nginx has. Raises Away."""
        answer = await self._ask("GET", "/tables")
        try:
            # Lua writes an empty list as {}.
            pods = {revision: tuple(addresses or ()) for revision, addresses in answer["pods"].items()}
            return Live(dict(answer["digests"] or {}), pods)
        except (KeyError, TypeError, AttributeError) as cause:
            raise Away(f"GET /tables: not an answer: {cause!r}") from cause

    async def take(self, *, kept: int | None = None) -> Mapping[str, Any]:
        """What nginx counted since the last time, which it forgets with this; but exposures only with the next time, which says by ``kept`` which
        answer's are safe. Raises Away."""
        return await self._ask("POST", "/taken" if kept is None else f"/taken?kept={kept}")

    async def _ask(self, method: str, path: str, body: object = None, *, expected: int = 200) -> dict[str, Any]:
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        try:
            async with self._session.request(method, f"http://nginx{path}", data=data, headers=headers) as response:
                text = await response.read()
            answer = json.loads(text) if text else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as cause:
            listening = not isinstance(cause, aiohttp.ClientConnectorError)
            raise Away(f"{method} {path}: {str(cause) or type(cause).__name__}", listening=listening) from cause
        if response.status in (400, 507) and method == "PUT" and isinstance(answer, dict):
            raise Rejected(str(answer.get("error") or "without a reason"))
        if response.status != expected or not isinstance(answer, dict):
            raise Away(f"{method} {path}: status {response.status}")
        return answer


async def watch_over(path: str, on_return: Callable[[], None]) -> None:
    """Call ``on_return`` whenever nginx has come, or come back, which the end of a connection tells. Runs until cancelled.

    One request is made on the connection: nginx that is told to end closes such a one at once, and waits a minute for one that never asked.
    It also closes it now and then although it is well; then ``on_return`` is called for nothing.
    """
    wait_s = _RECONNECT_S[0]
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError:
            wait_s = min(2 * wait_s, _RECONNECT_S[1])
        else:
            wait_s = _RECONNECT_S[0]
            on_return()
            try:
                with contextlib.suppress(OSError):
                    writer.write(b"GET /healthz HTTP/1.1\r\nHost: nginx\r\n\r\n")
                    while await reader.read(1024):
                        pass
            finally:
                writer.close()
        await asyncio.sleep(wait_s)
