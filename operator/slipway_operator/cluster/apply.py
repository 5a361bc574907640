"""Making the cluster look like a plan: server-side apply of what differs, deletion of what is ours and not planned."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from slipway_operator import errors, metrics
from slipway_operator.cluster import client as client_
from slipway_operator.cluster import comparison, own_writes, resources
from slipway_operator.cluster import informer as informer_
from slipway_operator.cluster.recent import Recent
from slipway_operator.cluster.resources import Object, Reference, Resource

RESTORES = 5
RESTORES_WINDOW_S = 60.0
_PRUNE_TRIES = 3
_NEVER = "1"
"""A resourceVersion that no object ever has: etcd's first write is its second revision. An apply that asks for it creates, or is a Conflict."""
_LASTING = frozenset({"ControllerRevision", "PodDisruptionBudget"})


@dataclass(frozen=True, kw_only=True)
class _Sent:
    """What is known of an object we applied: the body's digest, and what the server made of it at which version."""

    body: bytes
    answer: bytes
    resource_version: str
    restored_at: tuple[float, ...] = ()
    """When the same body had to be applied again because the object had drifted, within the last minute."""


class Applier:
    """Applies plain dicts with one field manager, and sends nothing where nothing would change.

    ``informers`` are the caches it may trust, by resource; an object of a resource without one costs a GET each time.
    ``stale_wait_s``: how long to wait for a cache to show our own last write.
    """

    def __init__(
        self,
        client: client_.ApiClient,
        *,
        informers: Mapping[Resource, informer_.Informer],
        field_manager: str = "slipway",
        stale_wait_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        meters: metrics.Metrics = metrics.DEFAULT,
    ) -> None:
        self._client = client
        self._writes = own_writes.OwnWrites(client, informers=informers, wait_s=stale_wait_s)
        self._manager = field_manager
        self._clock = clock
        self._meters = meters
        self._sent: Recent[tuple[Reference, str], _Sent] = Recent(limit=50_000)

    async def apply(self, body: Mapping[str, Any], *, known: Mapping[str, Any] | None = None) -> Object | None:
        """Make the object be as ``body`` says, which needs a controller owner reference. None when nothing had to be sent.

        Raises NameTaken where an object of that name is not controlled by that owner, ApplyFight where the same body had to be
        restored more than five times within a minute, and ApiError: Conflict where the object is not as the cache has it, or not as it was
        ``known`` when ``body`` was decided on, for then that was decided in another world. An object that was known and went is not made again
        either: whoever took it may have taken its owner first. A terminating object is left to go: None.
        """
        owner = resources.controller(body)
        if owner is None:
            raise ValueError(f"{resources.reference(body)} has no controller owner reference")
        reference = resources.reference(body)
        live = await self._writes.cached(reference)
        if live is None and known is not None:
            raise errors.Conflict(f"apply {reference}: it went while it was decided what it should be", status=409, reason="Conflict")
        if live is None:
            created, live = await self._create(body, owner)
            if created:
                return live
        self._refuse_strangers(body, live, owner)
        if self._writes.overlooked(live):
            raise errors.Conflict(f"apply {reference}: the cache does not show it yet", status=409, reason="Conflict")
        if live["metadata"].get("deletionTimestamp"):
            self._count(body, "terminating")
            return None
        return await self._update(body, live, owner, known=known)

    async def apply_status(self, body: Mapping[str, Any], *, live: Mapping[str, Any] | None = None) -> Object | None:
        """Apply ``{apiVersion, kind, metadata, status}`` to the status subresource; None when the status is like that already.

        ``live`` is the object the status was computed from; by default the one in the cache. A status lands on exactly that version
        of it: Conflict where it was edited, or made anew, since. NotFound when the object is gone.
        """
        reference = resources.reference(body)
        live = live or await self._writes.anywhere(reference)
        if live is None:
            raise errors.NotFound(f"apply status {reference}: the object is gone", status=404, reason="NotFound")
        if live.get("status") == body["status"] or self._unchanged(body, live, subresource="status"):
            self._count(body, "unchanged")
            return None
        wanted = _at(body, version=live["metadata"]["resourceVersion"])
        answer = (await self._client.apply(wanted, subresource="status", field_manager=self._manager)).object
        self._remember(body, answer, owner_uid=live["metadata"]["uid"], subresource="status")
        self._count(body, "updated")
        return answer

    async def prune(self, live: Iterable[Mapping[str, Any]], *, keep: Collection[Reference], owner_uid: str) -> tuple[Reference, ...]:
        """Delete those of ``live`` whose controller is ``owner_uid`` and which are not in ``keep``; returns what was deleted.

        Everything else is left alone, whatever its labels. Each deletion holds for exactly the version that was looked at.
        """
        deleted = []
        for one in live:
            if resources.reference(one) not in keep and await self._delete(one, owner_uid=owner_uid):
                self._count(one, "deleted")
                deleted.append(resources.reference(one))
        return tuple(deleted)

    async def settled(self, owner_uid: str) -> bool:
        """Wait until the caches show every write we made for this owner (its own status included). False when one does not in time.

        Ask before observing: what is decided from a cache older than our own writes is decided twice.
        """
        return await self._writes.settled(owner_uid)

    async def fresh(self, resource: Resource, *, namespace: str, name: str) -> Object | None:
        """The object as of our own last write at least: from the cache, after a short wait for it, or by a GET.

        What the resource's cache does not hold is None; a resource without informer always costs a GET.
        """
        return await self._writes.cached(resource.reference(namespace, name))

    def wrote(self, obj: Mapping[str, Any], *, subresource: str = "") -> bool:
        """Whether ``obj`` is the very version that our last apply of it (or of its ``subresource``) made."""
        sent = self._sent.get((resources.reference(obj), subresource))
        return sent is not None and sent.resource_version == obj["metadata"]["resourceVersion"]

    def forget(self, obj: Mapping[str, Any]) -> None:
        """``obj`` is gone: there will be no more questions about it."""
        reference = resources.reference(obj)
        for subresource in ("", "status"):
            self._sent.forget((reference, subresource))
        self._writes.forget(reference, uid=obj["metadata"]["uid"])

    async def _create(self, body: Mapping[str, Any], owner: Mapping[str, Any]) -> tuple[bool, Object]:
        """Create in one request that touches nothing that exists: True and the new object, or False and the one that has the name.

        An object that the cache does not hold may be there all the same: it lacks the label that the cache selects by.
        """
        try:
            answer = await self._made(body)
        except (errors.Conflict, errors.AlreadyExists):
            live = await self._writes.on_server(resources.reference(body))
            if live is None:  # it went in between
                raise
            return False, live
        except errors.Invalid as error:
            await self._explain(body, owner, error)
            raise
        self._remember(body, answer, owner_uid=owner["uid"])
        self._count(body, "created")
        return True, answer

    async def _made(self, body: Mapping[str, Any]) -> Object:
        """A plain create costs the API server a tenth less than an apply, but leaves fields that the next apply has to be told are ours."""
        if _lasting(body):
            return await self._client.create(body, field_manager=self._manager)
        return (await self._client.apply(_at(body, version=_NEVER), force=False, field_manager=self._manager)).object

    async def _update(self, body: Mapping[str, Any], live: Object, owner: Mapping[str, Any], *, known: Mapping[str, Any] | None) -> Object | None:
        if self._unchanged(body, live) or self._found(body, live):
            self._count(body, "unchanged")
            return None
        if known is not None and _edition(known) != _edition(live):
            raise errors.Conflict(
                f"apply {resources.reference(body)}: it changed while it was decided what it should be", status=409, reason="Conflict"
            )
        restored_at = self._restores(body)
        if len(restored_at) > RESTORES:
            raise await self._fight(body, times=len(restored_at) - 1)
        try:
            live = await self._claimed(live)
            applied = await self._client.apply(_exactly(body, live), field_manager=self._manager)
        except errors.Invalid as error:
            await self._explain(body, owner, error)
            raise
        changed = applied.object["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]
        self._remember(body, applied.object, owner_uid=owner["uid"], restored_at=restored_at if changed else ())
        self._count(body, "updated" if changed else "unchanged")
        return applied.object

    async def _claimed(self, live: Object) -> Object:
        """``live`` with what a plain create of ours left under our name turned into what an apply of ours can take back."""
        if not _lasting(live):
            return live
        reference = resources.reference(live)
        current = await self._writes.on_server(reference)
        if current is None or current["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
            raise errors.Conflict(f"apply {reference}: the cache does not show its newest version", status=409, reason="Conflict")
        entries = comparison.claimed(current, manager=self._manager)
        if entries is None:
            return live
        meta = {"resourceVersion": live["metadata"]["resourceVersion"], "managedFields": entries}
        return await self._client.merge_patch(resources.of(live), reference.name, {"metadata": meta}, namespace=reference.namespace or None)

    def _unchanged(self, body: Mapping[str, Any], live: Mapping[str, Any], *, subresource: str = "") -> bool:
        """Whether ``body`` is what we sent last and the object still carries the server's answer to it."""
        key = (resources.reference(body), subresource)
        sent = self._sent.get(key)
        if sent is None or sent.body != comparison.digest(body):
            return False
        return sent.resource_version == live["metadata"]["resourceVersion"] or sent.answer == _carried(live, body)

    def _found(self, body: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
        """Whether the object carries ``body`` already, applied by an operator before us; then it is as if we had sent it."""
        key = (resources.reference(body), "")
        if self._sent.get(key) is not None or not comparison.applied(live, body, manager=self._manager):
            return False
        self._sent.put(key, _sent(body, live))
        return True

    def _restores(self, body: Mapping[str, Any]) -> tuple[float, ...]:
        """When this body was restored lately, now included; nothing when it is another body than last time."""
        sent = self._sent.get((resources.reference(body), ""))
        if sent is None or sent.body != comparison.digest(body):
            return ()
        now = self._clock()
        return (*(at for at in sent.restored_at if now - at < RESTORES_WINDOW_S), now)

    def _remember(
        self, body: Mapping[str, Any], answer: Object, *, owner_uid: str, subresource: str = "", restored_at: tuple[float, ...] = ()
    ) -> None:
        reference = resources.reference(body)
        self._sent.put(
            (reference, subresource),
            _sent(body, answer, restored_at=restored_at),
        )
        self._writes.wrote(reference, version=answer["metadata"]["resourceVersion"], owner_uid=owner_uid)

    async def _delete(self, one: Mapping[str, Any], *, owner_uid: str) -> bool:
        """Delete ``one`` if it is ours and not going already, looking again when it has changed meanwhile."""
        reference, looked_at = resources.reference(one), dict(one)
        for _ in range(_PRUNE_TRIES):
            metadata = looked_at["metadata"]
            if resources.controller_uid(looked_at) != owner_uid or metadata.get("deletionTimestamp"):
                return False
            try:
                await self._client.delete(
                    resources.of(one),
                    reference.name,
                    namespace=reference.namespace or None,
                    uid=metadata["uid"],
                    resource_version=metadata["resourceVersion"],
                )
            except errors.NotFound:
                return False
            except errors.Conflict:
                again = await self._writes.on_server(reference)
                if again is None:
                    return False
                looked_at = again
            else:
                self._sent.forget((reference, ""))
                self._writes.deleted(reference, uid=metadata["uid"], owner_uid=owner_uid)
                return True
        raise errors.Conflict(f"delete {reference}: it changes faster than it can be looked at", status=409, reason="Conflict")

    def _refuse_strangers(self, body: Mapping[str, Any], live: Mapping[str, Any], owner: Mapping[str, Any]) -> None:
        if resources.controller_uid(live) != owner["uid"]:
            raise self._taken(body, owner, controller=resources.controller(live))

    def _taken(self, body: Mapping[str, Any], owner: Mapping[str, Any], *, controller: Mapping[str, Any] | None) -> errors.NameTaken:
        self._count(body, "taken")
        reference = resources.reference(body)
        return errors.NameTaken(
            kind=reference.kind,
            namespace=reference.namespace,
            name=reference.name,
            controller=f"{controller['kind']} {controller['name']}" if controller else None,
            passing=controller is not None and all(controller[key] == owner[key] for key in ("apiVersion", "kind", "name")),
        )

    async def _explain(self, body: Mapping[str, Any], owner: Mapping[str, Any], error: errors.ApiError) -> None:
        """Raise NameTaken if that is what is behind a refusal."""
        if isinstance(error, errors.Invalid) and "metadata.ownerReferences" not in error.fields:
            return
        live = await self._writes.on_server(resources.reference(body))
        if live is not None:
            self._refuse_strangers(body, live, owner)

    async def _fight(self, body: Mapping[str, Any], *, times: int) -> errors.ApplyFight:
        self._count(body, "fight")
        reference = resources.reference(body)
        live = await self._writes.on_server(reference)
        managers = comparison.other_managers(live, body=body, manager=self._manager) if live else ()
        return errors.ApplyFight(
            kind=reference.kind,
            namespace=reference.namespace,
            name=reference.name,
            managers=managers,
            times=times,
            window_s=RESTORES_WINDOW_S,
        )

    def _count(self, body: Mapping[str, Any], result: str) -> None:
        self._meters.applies.labels(body["kind"], result).inc()


def _sent(body: Mapping[str, Any], answer: Mapping[str, Any], *, restored_at: tuple[float, ...] = ()) -> _Sent:
    """What is to be remembered of ``body`` and the object that the server made of it, which mostly says the same."""
    digest = comparison.digest(body)
    carried = comparison.project(answer, body)
    return _Sent(
        body=digest,
        answer=digest if carried == body else comparison.digest(carried),
        resource_version=answer["metadata"]["resourceVersion"],
        restored_at=restored_at,
    )


def _lasting(obj: Mapping[str, Any]) -> bool:
    """Whether an object is as a rule never changed again, and no default or webhook adds anything to it."""
    return obj["kind"] in _LASTING or bool(obj.get("immutable"))


def _edition(obj: Mapping[str, Any]) -> Any:
    """What changes with an object, its status aside where the server counts without it."""
    return obj["metadata"].get("generation") or obj["metadata"]["resourceVersion"]


def _carried(live: Mapping[str, Any], body: Mapping[str, Any]) -> bytes:
    """The digest of what ``live`` says about everything that ``body`` speaks about."""
    return comparison.digest(comparison.project(live, body))


def _with_uid(body: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` for exactly that object: the server refuses another one of the same name, and creates none."""
    return {**body, "metadata": {**body["metadata"], "uid": live["metadata"]["uid"]}}


def _exactly(body: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` for exactly that version of that object: what was decided from an older one is not written over a newer one."""
    return _at(_with_uid(body, live), version=live["metadata"]["resourceVersion"])


def _at(body: Mapping[str, Any], *, version: str) -> dict[str, Any]:
    """``body`` for exactly that version of the object; on a status the server looks at no uid."""
    return {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
