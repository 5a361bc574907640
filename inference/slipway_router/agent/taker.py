"""Takes what nginx counted and gives each part to who adds it up."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from slipway_router.agent.counts import Counts
from slipway_router.agent.exposures import Exposures
from slipway_router.agent.nginx import Away, Nginx
from slipway_router.agent.totals import Totals
from slipway_service import logs

FULL = 5000
"""Exposures of one answer of nginx at most."""
_ANSWERS = 5
"""Most that are taken in a row: nginx keeps four of them."""

_PATIENCE_S = 1.0
"""How long the disk may take before what is left in nginx is left for the next time."""

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
        self.restarts = 0
        """How often nginx was found to have begun anew. What it had told since the take before is lost."""
        self._answer: int | None = None
        """Number of nginx's last answer."""
        self._put = 0
        """What its exposures were put up to."""
        self._seldom = logs.Seldom(_log)

    async def take(self) -> None:
        """Take what there is, in several answers where one does not hold it all. Never raises for nginx's sake."""
        for _ in range(_ANSWERS):
            if not await self._more():
                return

    async def _more(self) -> bool:
        """Take one answer. Whether there is more."""
        try:
            taken = await self._nginx.take(kept=self._answer if self._exposures.settled(self._put) else None)
        except Away as away:
            self.failures += 1
            self._seldom.warning("what nginx counted cannot be taken: %s", away)
            return False
        try:
            self.add(taken)
        except Exception:  # what is lost of one second is less than what a restart loses
            self.failures += 1
            _log.exception("what nginx counted cannot be read")
            return False
        return len(_list(taken.get("exposures"))) >= FULL and await self._safe()

    async def _safe(self) -> bool:
        """Whether the exposures of the last answer are in files soon: only then there is another one to be had."""
        self._flushing = asyncio.ensure_future(self._exposures.flush())
        done, _ = await asyncio.wait((self._flushing,), timeout=_PATIENCE_S)
        return bool(done)

    def add(self, taken: Mapping[str, Any]) -> None:
        """Add up an answer of ``POST /taken``."""
        cells = _list(taken.get("cells"))
        pending = taken.get("pending")
        self.uncounted += self._counts.add(cells)
        self._totals.add_latency(cells)
        self.uncounted += self._totals.add(_list(taken.get("totals")), pending=pending if isinstance(pending, dict) else {})
        self._add_exposures(taken)
        self._counts.tidy()

    def _add_exposures(self, taken: Mapping[str, Any]) -> None:
        """Unless it is nginx's last answer once more: it gives one again until it has heard that the exposures are safe."""
        number = taken.get("answer")
        answer = number if isinstance(number, int) else None
        again = answer is not None and answer == self._answer
        if self._answer is not None and answer not in (self._answer, self._answer + 1):
            self.restarts += 1
        self._put = self._exposures.put([] if again else _list(taken.get("exposures")), lost=int(taken.get("lost") or 0))
        self._answer = answer


def _list(value: object) -> list[Any]:
    """Lua writes an empty list as {}."""
    return value if isinstance(value, list) else []
