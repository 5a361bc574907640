"""Takes what nginx counted and gives each part to who adds it up."""

import logging
from collections.abc import Mapping
from typing import Any

from slipway_router.agent import logs
from slipway_router.agent.counts import Counts
from slipway_router.agent.exposures import Exposures
from slipway_router.agent.nginx import Away, Nginx
from slipway_router.agent.totals import Totals

FULL = 5000
"""Exposures of one answer of nginx at most."""
_ANSWERS = 5
"""Most that are taken in a row: nginx keeps four of them."""

_log = logging.getLogger(__name__)


class Taker:
    """What was taken and could not be added up is counted in ``uncounted``: it was of a model or an epoch that is long gone."""

    def __init__(self, nginx: Nginx, *, counts: Counts, totals: Totals, exposures: Exposures) -> None:
        self.uncounted = 0
        self.failures = 0
        """Takes without an answer; when nginx ended in the middle of one, what it had counted is lost."""
        self._nginx = nginx
        self._counts = counts
        self._totals = totals
        self._exposures = exposures
        self._seldom = logs.Seldom(_log)

    async def take(self) -> None:
        """Take what there is, in several answers where one does not hold it all. Never raises for nginx's sake."""
        for _ in range(_ANSWERS):
            if not await self._more():
                return

    async def _more(self) -> bool:
        """Take one answer. Whether there is more."""
        try:
            taken = await self._nginx.take()
        except Away as away:
            self.failures += 1
            self._seldom.warning("what nginx counted cannot be taken: %s", away)
            return False
        try:
            self.add(taken)
            return len(_list(taken.get("exposures"))) >= FULL
        except Exception:  # what is lost of one second is less than what a restart loses
            self.failures += 1
            _log.exception("what nginx counted cannot be read")
            return False

    def add(self, taken: Mapping[str, Any]) -> None:
        """Add up an answer of ``POST /taken``."""
        cells = _list(taken.get("cells"))
        pending = taken.get("pending")
        self.uncounted += self._counts.add(cells)
        self._totals.add_latency(cells)
        self.uncounted += self._totals.add(_list(taken.get("totals")), pending=pending if isinstance(pending, dict) else {})
        self._exposures.put(_list(taken.get("exposures")), lost=int(taken.get("lost") or 0))
        self._counts.tidy()


def _list(value: object) -> list[Any]:
    """Lua writes an empty list as {}."""
    return value if isinstance(value, list) else []
