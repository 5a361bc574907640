"""Making the cluster look like a plan: server-side apply of what differs, deletion of what is ours and not planned."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from slipway_operator import metrics
from slipway_operator.cluster import client as client_
from slipway_operator.cluster import informer as informer_
from slipway_operator.cluster.resources import Object, Reference, Resource


class Applier:
    """Applies plain dicts with one field manager, and sends nothing where nothing would change.

    ``informers`` are the caches it may trust, by resource; an object of a resource without one costs a GET each time.
    """

    def __init__(
        self,
        client: client_.ApiClient,
        *,
        informers: Mapping[Resource, informer_.Informer],
        meters: metrics.Metrics = metrics.DEFAULT,
    ) -> None:
        raise NotImplementedError

    async def apply(self, body: Mapping[str, Any]) -> Object | None:
        """Make the object be as ``body`` says, which needs a controller owner reference. None when nothing had to be sent.

        Raises NameTaken where an object of that name is not controlled by that owner, ApplyFight where the same body had to be
        restored more than five times within a minute, and ApiError. A terminating object is left to go: None.
        """
        raise NotImplementedError

    async def apply_status(self, body: Mapping[str, Any], *, live: Mapping[str, Any] | None = None) -> Object | None:
        """Apply ``{apiVersion, kind, metadata, status}`` to the status subresource; None when the status is like that already.

        ``live`` is the object the status was computed from, for resources without informer. With its uid known, a status
        never lands on another object of the same name (Conflict). NotFound when the object is gone.
        """
        raise NotImplementedError

    async def prune(self, live: Iterable[Mapping[str, Any]], *, keep: Collection[Reference], owner_uid: str) -> tuple[Reference, ...]:
        """Delete those of ``live`` whose controller is ``owner_uid`` and which are not in ``keep``; returns what was deleted.

        Everything else is left alone, whatever its labels. Each deletion holds for exactly the object that was looked at.
        """
        raise NotImplementedError

    async def fresh(self, resource: Resource, *, namespace: str, name: str) -> Object | None:
        """The object as of our own last write at least: from the cache, after a short wait for it, or by a GET."""
        raise NotImplementedError
