"""Leadership by a Lease: of several operators one writes, the others keep their caches warm.

The lease is judged by each process's own monotonic clock, never by comparing wall clocks: a follower takes over when it has seen the same record
unchanged for the whole lease duration. The leader counts from *before* it sent the renewal that succeeded, and stops writing a third of the
duration early, so that the two can never write at the same time while clocks run at nearly the same speed.

    lease 15 s: renewed every 3 s · the leader stops writing 10 s after its last good renewal · a follower takes over 15 s after it
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from slipway_operator import errors, metrics
from slipway_operator.cluster import client, resources

log = logging.getLogger("slipway.election")

_RENEW_SHARE: Final = 1 / 5
_FENCE_SHARE: Final = 2 / 3


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Which Lease, who we are, how long a term is."""

    namespace: str
    name: str
    identity: str
    lease_s: float = 15.0
    """Seconds after which a leader that fell silent is replaced."""

    look_s: float = 1.0
    """Seconds between a follower's looks; a released lease is taken within them."""


class Elector:
    """Campaigns for one Lease until cancelled. ``client`` must not be fenced by this very elector."""

    def __init__(self, api: client.ApiClient, terms: Terms, *, meters: metrics.Metrics = metrics.DEFAULT) -> None:
        self._api = api
        meters.leading.labels(terms.name).set_function(lambda: float(self._loop.time() < self._deadline))
        self._loop = asyncio.get_running_loop()
        self._terms = terms
        self._deadline = 0.0
        self._seen: tuple[str, float] = ("", 0.0)
        self._changed = asyncio.Event()

    @property
    def leading(self) -> bool:
        """Whether we may write at this moment."""
        return self._loop.time() < self._deadline

    @property
    def left_s(self) -> float:
        """Seconds for which we may still write: what a fenced client asks before each write."""
        return max(0.0, self._deadline - self._loop.time())

    async def elected(self) -> None:
        """Wait until we lead."""
        while not self.leading:
            self._changed.clear()
            await self._changed.wait()

    async def deposed(self) -> None:
        """Wait until we do not lead any more."""
        while self.leading:  # noqa: ASYNC110 - what is waited for is time itself, and renewals move it
            await asyncio.sleep(self.left_s)

    async def run(self) -> None:
        """Campaign, then hold the lease, for ever. Trouble with the API server is waited out."""
        while True:
            led = self.leading
            try:
                async with asyncio.timeout(self._terms.lease_s * _FENCE_SHARE):
                    await self._round()
            except (errors.ApiError, TimeoutError) as error:
                log.warning("lease %s/%s: %s", self._terms.namespace, self._terms.name, error)
            if self.leading != led:
                log.info("leading" if self.leading else "following", extra={"lease": self._terms.name})
            every_s = self._terms.lease_s * _RENEW_SHARE if self.leading else self._terms.look_s
            await asyncio.sleep(every_s * random.uniform(0.8, 1.0))  # noqa: S311 - jitter

    async def release(self) -> None:
        """Give the lease away, if we have it, so that a follower need not wait for it to run out."""
        if not self.leading:
            return
        self._deadline = 0.0
        try:
            lease = await self._api.get(resources.LEASES, self._terms.name, namespace=self._terms.namespace)
            if lease["spec"].get("holderIdentity") == self._terms.identity:
                await self._api.replace(_with_spec(lease, {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}))
        except errors.ApiError as error:
            log.warning("lease %s/%s could not be released, it runs out by itself: %s", self._terms.namespace, self._terms.name, error)

    async def _round(self) -> None:
        sent_at = self._loop.time()
        try:
            lease = await self._api.get(resources.LEASES, self._terms.name, namespace=self._terms.namespace)
        except errors.NotFound:
            return await self._take(self._api.create(self._new()), since=sent_at)
        if not self._may_take(lease, now=sent_at):
            return None
        sent_at = self._loop.time()
        return await self._take(self._api.replace(_with_spec(lease, self._record(lease["spec"]))), since=sent_at)

    async def _take(self, writing: Awaitable[Any], *, since: float) -> None:
        """The lease is ours if this write wins."""
        try:
            await writing
        except (errors.Conflict, errors.AlreadyExists):
            return
        self._deadline = since + self._terms.lease_s * _FENCE_SHARE
        self._changed.set()

    def _may_take(self, lease: Mapping[str, Any], *, now: float) -> bool:
        holder = lease["spec"].get("holderIdentity") or ""
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, now)
        if holder in ("", self._terms.identity):
            return True
        # The holder's own duration counts: it may have been started with another setting.
        term_s = max(float(lease["spec"].get("leaseDurationSeconds") or 0), self._terms.lease_s)
        return now - self._seen[1] >= term_s

    def _record(self, before: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = before.get("holderIdentity", self._terms.identity) == self._terms.identity
        return {
            "holderIdentity": self._terms.identity,
            "leaseDurationSeconds": max(1, round(self._terms.lease_s)),
            "acquireTime": before.get("acquireTime", now) if ours else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if ours else 1),
        }

    def _new(self) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": self._terms.namespace, "name": self._terms.name},
            "spec": self._record({}),
        }


def _with_spec(lease: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    return {**lease, "spec": dict(spec)}
