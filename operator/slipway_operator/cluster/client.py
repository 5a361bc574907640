"""The API client: one keep-alive HTTP session, eight verbs, typed errors."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from slipway_operator import metrics
from slipway_operator.cluster import credentials as credentials_
from slipway_operator.cluster.resources import Object, Resource

EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


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
    watch_silence_s: float = 70.0
    """A watch without a byte for this long is dead: bookmarks come every minute."""
    throttled_tries: int = 4
    """How often a request is sent again when the server answers 429 or 503 with Retry-After."""
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
    """The objects of a list (all pages) and the resourceVersion to watch from."""

    items: tuple[Object, ...]
    resource_version: str


@dataclass(frozen=True)
class Applied:
    """The object as the server stored it, and whether this request created it."""

    object: Object
    created: bool


class ApiClient:
    """Talks to one API server. Use as ``async with ApiClient(credentials) as client``.

    Every method raises the ApiError subclass of ``slipway_operator.errors`` that fits; 429 and 503 with Retry-After are
    waited out a bounded number of times, nothing else is retried here.
    """

    def __init__(
        self, credentials: credentials_.Credentials, *, options: Options = Options(), meters: metrics.Metrics = metrics.DEFAULT
    ) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *_: object) -> None:
        raise NotImplementedError

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None, subresource: str | None = None) -> Object:
        """One object. NotFound where it is not there."""
        raise NotImplementedError

    async def list(
        self, resource: Resource, *, namespace: str | None = None, label_selector: str | None = None, field_selector: str | None = None
    ) -> Listing:
        """All objects, fetched in pages; each carries apiVersion and kind, also where the server leaves them out."""
        raise NotImplementedError

    def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> AsyncIterator[WatchEvent]:
        """Changes after ``resource_version``, bookmarks included, until the server ends the watch (a normal end, every few minutes).

        Gone: list again. Unavailable: the stream broke, fell silent or ended in half a line; watch again from the last version.
        """
        raise NotImplementedError

    async def apply(
        self, body: Mapping[str, Any], *, force: bool = True, subresource: str | None = None, field_manager: str | None = None
    ) -> Applied:
        """Server-side apply of an object with apiVersion, kind and metadata. Without ``force`` a foreign field raises Conflict."""
        raise NotImplementedError

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
        raise NotImplementedError

    async def create(self, body: Mapping[str, Any]) -> Object:
        """A new object. AlreadyExists where the name is in use."""
        raise NotImplementedError

    async def replace(self, body: Mapping[str, Any]) -> Object:
        """The whole object anew; with a resourceVersion in it, Conflict where somebody was faster. Leases want this."""
        raise NotImplementedError

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
        raise NotImplementedError
