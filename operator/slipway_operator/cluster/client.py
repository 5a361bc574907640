"""The API client: one keep-alive HTTP session, a handful of verbs, typed errors."""

import asyncio
import builtins
import contextlib
import json
import random
import socket
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import aiohttp
import yarl

from slipway_operator import errors, metrics
from slipway_operator.cluster import credentials as credentials_
from slipway_operator.cluster import encoding, lines, resources, throttle
from slipway_operator.cluster.resources import Object, Resource

EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]

_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_KEEP_ALIVE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the client behaves; the defaults suit an operator."""

    field_manager: str = "slipway"
    user_agent: str = "slipway-operator"
    connect_timeout_s: float = 5.0
    request_timeout_s: float = 30.0
    """For one request, from sending to the whole answer; watches have their own."""
    watch_server_timeout_s: float = 300.0
    """The server ends a watch after this long, so that a dead one cannot live for ever."""
    watch_silence_s: float = 100.0
    """A watch without a byte for this long is dead: bookmarks come about every minute, and 75 s have been seen between two."""
    throttled_tries: int = 4
    """How often a request is sent at most when the server answers 429 or 503 with Retry-After."""
    throttled_wait_s: float = 10.0
    """The longest single wait that Retry-After can ask for; a longer one is raised to the caller at once."""
    page_size: int = 500
    requests_per_s: float | None = None
    """Client-side limit; None: the server's priority and fairness rules are enough."""
    burst: int = 100


@dataclass(frozen=True)
class WatchEvent:
    """One line of a watch. A bookmark's object holds a resourceVersion and nothing else of use."""

    type: EventType
    object: Object


@dataclass(frozen=True)
class Listing:
    """Objects of a list (all of them, or one page) and the resourceVersion to watch from."""

    items: tuple[Object, ...]
    resource_version: str


@dataclass(frozen=True)
class Applied:
    """The object as the server stored it, and whether this request created it."""

    object: Object
    created: bool


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One request: ``what`` for people (``apply Service shop/ranker``), the rest for HTTP."""

    what: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    content_type: str = _JSON


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    body: Object | str
    retry_after_s: float | None


class ApiClient:
    """Talks to one API server. Use as ``async with ApiClient(credentials) as client``.

    ``fence`` tells for how many seconds this process may still write; with 0 a write raises NotLeading instead of being sent, and no write is
    waited for longer. Every method raises the ApiError subclass of ``slipway_operator.errors`` that fits; 429 and 503 with Retry-After are
    waited out a bounded number of times, nothing else is retried here.
    """

    def __init__(
        self,
        credentials: credentials_.Credentials,
        *,
        options: Options = Options(),
        fence: Callable[[], float] | None = None,
        meters: metrics.Metrics = metrics.DEFAULT,
    ) -> None:
        self._credentials = credentials
        self._fence = fence
        self._bearer = credentials_.Bearer(credentials)
        self._options = options
        self._meters = meters
        self._openings: set[asyncio.Task[aiohttp.ClientResponse]] = set()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._bucket = (
            throttle.TokenBucket(rate_per_s=options.requests_per_s, burst=options.burst, clock=time.monotonic) if options.requests_per_s else None
        )

    async def __aenter__(self) -> Self:
        secure = self._credentials.server.startswith("https:")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self._credentials.ssl_context() if secure else True,
                limit=0,  # workers and informers bound it
                keepalive_timeout=_KEEP_ALIVE_S,
                socket_factory=self._socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._options.user_agent, "Accept": _JSON, "Accept-Encoding": "identity"},
            proxy=self._credentials.proxy_url,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for opening in self._openings:
            opening.cancel()
        await asyncio.gather(*self._openings, return_exceptions=True)
        await self._session.close()
        await self._disconnected()

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        self._sockets.add(made)
        return made

    async def _disconnected(self) -> None:
        """Wait until no connection is left. The session forgets those whose TLS goodbye is not answered yet, and the loop may end right after us."""
        for wait_s in (0.0, 0.0, 0.0, 0.001, 0.01, 0.1, 0.5):
            left = [one for one in self._sockets if one.fileno() != -1]
            if not left:
                return
            for one in left:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(wait_s)

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None, subresource: str | None = None) -> Object:
        """One object. NotFound where it is not there."""
        path = resource.path(namespace=namespace, name=name, subresource=subresource)
        return (await self._object(_Call(what=_what("get", resource, namespace, name), method="GET", path=path))).object

    async def list(
        self, resource: Resource, *, namespace: str | None = None, label_selector: str | None = None, field_selector: str | None = None
    ) -> Listing:
        """All objects, fetched in pages; each carries apiVersion and kind, also where the server leaves them out."""
        items: builtins.list[Object] = []
        version = ""
        pages = self.pages(resource, namespace=namespace, label_selector=label_selector, field_selector=field_selector)
        async for page in pages:
            items.extend(page.items)
            version = page.resource_version
        return Listing(tuple(items), version)

    async def pages(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        paged: bool = True,
    ) -> AsyncGenerator[Listing, None]:
        """The same page by page, for who keeps only part of each object. Gone when the pages took too long: start again.

        Not ``paged``: everything in one answer, which cannot be too old.
        """
        query = _selectors(label_selector, field_selector) | ({"limit": str(self._options.page_size)} if paged else {})
        while True:
            path = resource.path(namespace=namespace, query=query)
            answer = (await self._object(_Call(what=_what("list", resource, namespace), method="GET", path=path))).object
            kind = {"apiVersion": resource.api_version, "kind": resource.kind}
            items = tuple(kind | item for item in answer.get("items") or ())
            metadata = answer["metadata"]
            yield Listing(items, metadata["resourceVersion"])
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Changes after ``resource_version``, bookmarks included, until the server ends the watch (a normal end, every few minutes).

        Gone: list again. Unavailable: the stream broke, fell silent or ended in half a line; watch again from the last version.
        """
        query = _selectors(label_selector, field_selector) | {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(self._options.watch_server_timeout_s * random.uniform(0.9, 1.1))),  # noqa: S311
        }
        call = _Call(what=_what("watch", resource, namespace), method="GET", path=resource.path(namespace=namespace, query=query))
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self._options.connect_timeout_s, sock_read=self._options.watch_silence_s)
        try:
            # The server says at once that it will watch; what it has to tell may take long.
            async with asyncio.timeout(self._options.request_timeout_s):
                response = await self._opened(call, limits=limits)
            try:
                self._count(call, response.status)
                if response.status != 200:
                    raise self._error(call, await _answer(response))
                async for line in lines.split(response.content.iter_any()):
                    yield _watch_event(call, line)
            finally:
                _abort(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as cause:  # ValueError: half a line, or no JSON
            raise errors.without_answer(request=call.what, cause=cause) from cause

    async def apply(
        self, body: Mapping[str, Any], *, force: bool = True, subresource: str | None = None, field_manager: str | None = None
    ) -> Applied:
        """Server-side apply of an object with apiVersion, kind and metadata. Without ``force`` a foreign field raises Conflict."""
        query = {"fieldManager": field_manager or self._options.field_manager, "force": "true" if force else "false"}
        return await self._write("apply", "PATCH", body, subresource=subresource, query=query, content_type=_APPLY)

    async def merge_patch(
        self,
        resource: Resource,
        name: str,
        patch: Mapping[str, Any],
        *,
        namespace: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        """A JSON merge patch, as for ``deployments/scale``."""
        path = resource.path(namespace=namespace, name=name, subresource=subresource, query=self._as_manager())
        what = _what("patch", resource, namespace, name, subresource)
        return (await self._object(_Call(what=what, method="PATCH", path=path, body=patch, content_type=_MERGE))).object

    async def create(self, body: Mapping[str, Any], *, field_manager: str | None = None) -> Object:
        """A new object. AlreadyExists where the name is in use."""
        resource, namespace, name = _address(body)
        path = resource.path(namespace=namespace, query={"fieldManager": field_manager or self._options.field_manager})
        return (await self._object(_Call(what=_what("create", resource, namespace, name), method="POST", path=path, body=body))).object

    async def replace(self, body: Mapping[str, Any]) -> Object:
        """The whole object anew; with a resourceVersion in it, Conflict where somebody was faster. Leases want this."""
        return (await self._write("replace", "PUT", body, subresource=None, query=self._as_manager(), content_type=_JSON)).object

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete in the background. With ``uid`` (and ``resource_version``) only that very object: Conflict otherwise."""
        preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": preconditions}
        path = resource.path(namespace=namespace, name=name)
        await self._object(_Call(what=_what("delete", resource, namespace, name), method="DELETE", path=path, body=body))

    async def _write(
        self, verb: str, method: str, body: Mapping[str, Any], *, subresource: str | None, query: Mapping[str, str], content_type: str
    ) -> Applied:
        resource, namespace, name = _address(body)
        path = resource.path(namespace=namespace, name=name, subresource=subresource, query=query)
        what = _what(verb, resource, namespace, name, subresource)
        return await self._object(_Call(what=what, method=method, path=path, body=body, content_type=content_type))

    def _as_manager(self) -> dict[str, str]:
        return {"fieldManager": self._options.field_manager}

    async def _object(self, call: _Call) -> Applied:
        """Send, wait while the server asks for it, and give the object of a good answer."""
        tries = 0
        while True:
            tries += 1
            answer = await self._once(call)
            if answer.status < 300 and isinstance(answer.body, dict):
                return Applied(answer.body, created=answer.status == 201)
            wait_s = answer.retry_after_s if answer.status in (429, 503) else None
            if wait_s is None or wait_s > self._options.throttled_wait_s or tries >= self._options.throttled_tries:
                raise self._error(call, answer)
            await asyncio.sleep(wait_s * random.uniform(1.0, 1.1))  # noqa: S311

    async def _once(self, call: _Call) -> _Answer:
        if self._bucket and (wait_s := self._bucket.reserve()):
            await asyncio.sleep(wait_s)
        limits = aiohttp.ClientTimeout(total=self._may_take_s(call), sock_connect=self._options.connect_timeout_s)
        started = time.perf_counter()
        try:
            async with self._request(call, limits=limits) as response:
                answer = await _answer(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as cause:
            self._count(call, "<error>")
            raise errors.without_answer(request=call.what, cause=cause) from cause
        self._count(call, answer.status)
        self._meters.rest_client_request_duration.labels(call.method).observe(time.perf_counter() - started)
        return answer

    def _may_take_s(self, call: _Call) -> float:
        if self._fence is None or call.method == "GET":
            return self._options.request_timeout_s
        left_s = self._fence()
        if left_s <= 0:
            raise errors.NotLeading(f"{call.what}: not sent, another operator leads")
        return min(left_s, self._options.request_timeout_s)

    async def _opened(self, call: _Call, *, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """An answer whose body is still to come. One that comes after we were cancelled is dropped."""
        opening = asyncio.ensure_future(self._request(call, limits=limits))
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_drop)
            raise

    def _request(self, call: _Call, *, limits: aiohttp.ClientTimeout) -> "aiohttp.client._RequestContextManager":
        headers = self._bearer.headers()
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        return self._session.request(
            call.method,
            yarl.URL(self._credentials.server + call.path, encoded=True),
            data=None if call.body is None else encoding.encoded(call.body),
            headers=headers,
            timeout=limits,
            allow_redirects=False,
        )

    def _error(self, call: _Call, answer: _Answer) -> errors.ApiError:
        if answer.status == 401:
            self._bearer.expire()
        return errors.from_answer(request=call.what, status=answer.status, body=answer.body, retry_after_s=answer.retry_after_s)

    def _count(self, call: _Call, code: int | str) -> None:
        self._meters.rest_client_requests.labels(str(code), call.method).inc()


async def _answer(response: aiohttp.ClientResponse) -> _Answer:
    text = await response.read()
    body: Object | str
    try:
        body = json.loads(text)
    except ValueError:
        body = text.decode(errors="replace")
    asked = response.headers.get("Retry-After", "")
    return _Answer(
        status=response.status, body=body if isinstance(body, dict) else str(body), retry_after_s=float(asked) if asked.isdigit() else None
    )


def _drop(opening: "asyncio.Task[aiohttp.ClientResponse]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        _abort(opening.result())


def _abort(response: aiohttp.ClientResponse) -> None:
    """Drop the connection of an unfinished answer at once: a polite TLS goodbye waits half a minute for one that streams."""
    if response.connection and response.connection.transport:
        response.connection.transport.abort()
    response.close()


def _watch_event(call: _Call, line: bytes) -> WatchEvent:
    event = json.loads(line)
    if event["type"] == "ERROR":
        status = event["object"]
        raise errors.from_answer(request=call.what, status=int(status.get("code") or 500), body=status)
    return WatchEvent(event["type"], event["object"])


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    return {key: value for key, value in (("labelSelector", label_selector), ("fieldSelector", field_selector)) if value}


def _address(body: Mapping[str, Any]) -> tuple[Resource, str | None, str]:
    metadata = body["metadata"]
    return resources.of(body), metadata.get("namespace"), metadata["name"]


def _what(verb: str, resource: Resource, namespace: str | None, name: str = "", subresource: str | None = None) -> str:
    """``apply ModelDeployment/status shop/ranker``, ``list Service`` for all namespaces."""
    kind = f"{resource.kind}/{subresource}" if subresource else resource.kind
    place = "/".join(part for part in (namespace, name) if part)
    return f"{verb} {kind} {place}" if place else f"{verb} {kind}"
