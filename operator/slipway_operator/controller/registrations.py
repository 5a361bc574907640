"""Ends at the ledger what no Experiment stands for any more: its object was deleted while no operator saw it."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from slipway_operator import errors
from slipway_operator.cluster import client, ledger, resources
from slipway_operator.cluster.resources import Object
from slipway_operator.reconcile.experiment import registering
from slipway_operator.state.experiment import Registration

EVERY_S: Final = 600.0
"""Seconds between two rounds: one GET where nothing is left over. Who is left over harms nobody; only the ledger's thousand places make it matter."""

ABSENT_S: Final = 3600.0
"""Seconds for which there was no object, and no router told of a unit, before a registration is ended: it cannot be taken back. A backup that is put
back takes minutes, and an experiment whose routers still tell of it is somebody's."""

log = logging.getLogger("slipway.controller")


class Registrations:
    """What the ledger has, held against the Experiments that there are."""

    def __init__(
        self,
        *,
        book: ledger.Ledger,
        api: client.ApiClient,
        known: Callable[[], Iterable[Object]],
        namespace: str | None,
        every_s: float,
        absent_s: float,
    ) -> None:
        """``known``: the Experiments of the caches, which may lag; ``namespace``: the only one that this operator looks after, None for all."""
        self._book = book
        self._api = api
        self._known = known
        self._namespace = namespace
        self._every_s = every_s
        self._absent_s = absent_s
        self._absent: dict[Registration, float] = {}
        """Since when, on the loop's clock, each has been found without its object at every round."""

    async def run(self) -> None:
        """Rounds without end, from when this operator leads: what an earlier term of its own saw counts for nothing."""
        self._absent.clear()
        while True:
            try:
                await self.round()
            except errors.SlipwayError as error:
                log.info("what the ledger has could not be held against the experiments that there are: %s", error)
            except Exception:
                log.exception("holding the ledger against experiments failed: this is a bug in Slipway, please report it")
            await asyncio.sleep(self._every_s)

    async def round(self) -> None:
        """End what has been without an object for long enough. Raises SlipwayError where either side does not answer: nothing is concluded from that.

        The ledger is asked first. An experiment is registered after its object was made, so of whatever the ledger names the API server, asked after
        it, has seen the object come; where it has none, the object was deleted. Caches only spare the question: they may be behind.
        """
        registered = await self._book.registrations()
        suspects = registering.without_object(registered, self._known(), namespace=self._namespace)
        # All of them or an error: a list whose pages expired is none.
        listed = (await self._api.list(resources.EXPERIMENTS, namespace=self._namespace)).items if suspects else ()
        now = asyncio.get_running_loop().time()
        self._absent = {each: self._absent.get(each, now) for each in registering.without_object(suspects, listed, namespace=self._namespace)}
        for each in [each for each, since in self._absent.items() if now - since >= self._absent_s]:
            await self._end(each)

    async def _end(self, left: Registration) -> None:
        quiet_s = await self._book.quiet_s(left.namespace, left.name)
        if quiet_s < self._absent_s:
            log.warning(
                "experiment %s/%s of the ledger has no Experiment in this cluster, and a router told of a unit %.0f s ago: it is left alone",
                left.namespace,
                left.name,
                quiet_s,
            )
            return
        await self._book.end(left.namespace, left.name)
        log.info("experiment %s/%s was ended at the ledger: its Experiment is gone", left.namespace, left.name)
