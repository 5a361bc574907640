"""The API server: list and watch one kind in one namespace, nothing else."""

import json
import random
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import aiohttp
import yarl

from slipway_router.agent import credentials as credentials_
from slipway_router.agent import lines

Object: TypeAlias = dict[str, Any]


class Unavailable(Exception):
    """The API server did not answer, or not with what was asked for; the message says to what and why."""


class Gone(Unavailable):
    """What happened since the version asked for is no longer known: list again."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is listed and watched: the objects of a namespace that a selector picks."""

    what: str
    """For people: ``ConfigMaps``."""
    path: str
    """``/api/v1/namespaces/shop/configmaps``."""
    selector: str
    """Label selector."""


@dataclass(frozen=True)
class Event:
    """One line of a watch. The object of a bookmark has a resourceVersion and nothing else of use."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    name: str
    version: str
    object: Object


@dataclass(frozen=True)
class Page:
    """Some of the objects, and the version of the whole list."""

    objects: dict[str, Object]
    """By name."""
    version: str


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long what may take, in seconds."""

    connect_s: float = 5.0
    list_s: float = 30.0
    watch_s: float = 300.0
    """The server ends a watch after this long, so that a dead one cannot live for ever."""
    silence_s: float = 100.0
    """A watch without a byte for this long is dead: bookmarks come about every minute, sometimes later."""


class Api:
    """Use as ``async with Api(credentials) as api``. What goes wrong is raised as Unavailable or Gone."""

    page_size = 100
    """Objects of one answer: while one is parsed it takes ten times its size, and memory is what a sidecar is short of."""

    def __init__(self, credentials: credentials_.Credentials, *, patience: Patience = Patience()) -> None:
        self._credentials = credentials
        self._bearer = credentials_.Bearer(credentials)
        self._patience = patience

    async def __aenter__(self) -> Self:
        secure = self._credentials.server.startswith("https:")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._credentials.ssl_context() if secure else True, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "slipway-router", "Accept": "application/json", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def pages(self, kind: Kind) -> AsyncGenerator[Page, None]:
        """Everything there is, page by page. Gone when that took too long: start again."""
        query = {"labelSelector": kind.selector, "limit": str(self.page_size)}
        what = f"list {kind.what}"
        while True:
            try:
                limits = aiohttp.ClientTimeout(total=self._patience.list_s, sock_connect=self._patience.connect_s)
                async with self._get(kind, query, limits) as response:
                    body = await self._body(what, response)
                metadata, objects = body["metadata"], body.get("items") or []
                yield Page({obj["metadata"]["name"]: obj for obj in objects}, metadata["resourceVersion"])
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
                raise _unavailable(what, cause) from cause
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def watch(self, kind: Kind, *, version: str) -> AsyncGenerator[Event, None]:
        """Changes after ``version``, bookmarks included, until the server ends the watch (a normal end, every few minutes).

        Unavailable: the stream broke, fell silent or ended in half a line; watch again from the last version.
        """
        lasts_s = int(self._patience.watch_s * random.uniform(0.9, 1.1))  # noqa: S311
        query = {"labelSelector": kind.selector, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
        query["timeoutSeconds"] = str(max(lasts_s, 1))
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self._patience.connect_s, sock_read=self._patience.silence_s)
        what = f"watch {kind.what}"
        try:
            async with self._get(kind, query, limits) as response:
                try:
                    if response.status != 200:
                        await self._body(what, response)
                    async for line in lines.split(response.content.iter_any()):
                        yield self._event(what, line)
                finally:
                    _abort(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
            raise _unavailable(what, cause) from cause

    def _get(self, kind: Kind, query: Mapping[str, str], limits: aiohttp.ClientTimeout) -> "aiohttp.client._RequestContextManager":
        url = yarl.URL(self._credentials.server + kind.path).with_query(query)
        return self._session.get(url, headers=self._bearer.headers(), timeout=limits, allow_redirects=False)

    async def _body(self, what: str, response: aiohttp.ClientResponse) -> Object:
        text = await response.read()
        try:
            body = json.loads(text)
        except ValueError:
            body = {}
        if response.status != 200 or not isinstance(body, dict):
            raise self._refusal(what, response.status, body if isinstance(body, dict) else {})
        return body

    def _event(self, what: str, line: bytes) -> Event:
        event = json.loads(line)
        if event["type"] == "ERROR":
            raise self._refusal(what, int(event["object"].get("code") or 500), event["object"])
        metadata = event["object"]["metadata"]
        return Event(event["type"], metadata.get("name", ""), metadata["resourceVersion"], event["object"])

    def _refusal(self, what: str, code: int, status: Object) -> Unavailable:
        if code == 401:
            self._bearer.expire()
        message = f"{what}: {code} {status.get('message') or 'without a reason'}"
        return Gone(message) if code == 410 else Unavailable(message)


def _unavailable(what: str, cause: Exception) -> Unavailable:
    return Unavailable(f"{what}: {str(cause) or type(cause).__name__}")


def _abort(response: aiohttp.ClientResponse) -> None:
    """Drop the connection of an unfinished answer at once: a polite TLS goodbye waits half a minute for one that streams."""
    if response.connection and response.connection.transport:
        response.connection.transport.abort()
    response.close()
