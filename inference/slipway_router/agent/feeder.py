"""Keeps nginx's tables what they should be."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from slipway_router.agent.nginx import Away, Live, Nginx, Rejected
from slipway_router.agent.routes import Wanted
from slipway_router.agent.table import Table
from slipway_service import logs

REFUSED_AGAIN_S = 60.0
"""How long a table that nginx refused is not tried again: it may have been nginx's memory that was too small."""

_log = logging.getLogger(__name__)


class Feeder:
    """Tells nginx at once of what changed, several changes in a row together; looks every now and then whether it still has what it was told."""

    def __init__(
        self,
        nginx: Nginx,
        *,
        wanted: Callable[[], Wanted],
        on_refusal: Callable[[Table, str], None],
        look_s: float = 1.0,
        pause_s: float = 0.02,
    ) -> None:
        self.live: Mapping[str, Table] = {}
        """The tables that nginx has confirmed; empty while it does not listen."""
        self.fed = False
        """Whether nginx has everything that it should, as far as it is known to be good."""
        self.pushes = 0
        """How often nginx took tables."""
        self.taken = Wanted()
        """What nginx took last."""
        self._nginx = nginx
        self._wanted = wanted
        self._on_refusal = on_refusal
        self._look_s = look_s
        self._pause_s = pause_s
        self._wake = asyncio.Event()
        self._look = True
        self._refused: dict[str, float] = {}
        """Digests of tables that nginx refused, and when they may be tried again."""
        self._seldom = logs.Seldom(_log)

    def changed(self) -> None:
        """What is wanted has changed."""
        self._wake.set()

    def look(self) -> None:
        """Nginx may have changed."""
        self._look = True
        self._wake.set()

    async def run(self) -> None:
        """Feed until cancelled. Never raises for nginx's sake."""
        loop = asyncio.get_running_loop()
        next_look = loop.time() + self._look_s
        while True:
            try:
                await self._round()
            except Away as away:
                self._look = True
                if not away.listening:  # one that is only slow has what it had, and must not look as if it were not ready for being busy
                    self.live, self.fed = {}, False
                self._seldom.warning("nginx does not take its tables, which are tried again all the time: %s", away)
            except Rejected as rejected:
                self.fed, self._look = False, True
                self._seldom.warning("nginx refuses what it had taken before: %s", rejected)
            await asyncio.sleep(self._pause_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_look):
                    await self._wake.wait()
            if loop.time() >= next_look:
                self._look = True
                next_look = loop.time() + self._look_s

    async def _round(self) -> None:
        look, self._look = self._look, False
        self._wake.clear()
        wanted = self._without_refused(self._wanted())
        if look:
            live = await self._nginx.tables()
            if live == _as_live(wanted):
                self._took(wanted)
                return
        elif wanted == self.taken:
            return
        try:
            await self._nginx.put({model: table.text for model, table in wanted.tables.items()}, wanted.pods)
        except Rejected as rejected:
            _log.warning("nginx refuses the tables (%s); trying them one by one", rejected)
            await self._one_by_one(wanted)
        else:
            self.pushes += 1
            self._took(wanted)

    def _without_refused(self, wanted: Wanted) -> Wanted:
        """With the table that nginx took before in place of one that it refused."""
        now = asyncio.get_running_loop().time()
        self._refused = {digest: until for digest, until in self._refused.items() if until > now}
        if not any(table.digest in self._refused for table in wanted.tables.values()):
            return wanted
        tables = {model: self.taken.tables.get(model) if table.digest in self._refused else table for model, table in wanted.tables.items()}
        return Wanted({model: table for model, table in tables.items() if table}, wanted.pods)

    async def _one_by_one(self, wanted: Wanted) -> None:
        """Find out which tables nginx does not take. Raises Rejected when it is not for a table."""
        good = {model: self.taken.tables[model] for model in wanted.tables if model in self.taken.tables}
        await self._nginx.put({model: table.text for model, table in good.items()}, wanted.pods)
        for model, table in wanted.tables.items():
            if good.get(model) == table:
                continue
            tried = good | {model: table}
            try:
                await self._nginx.put({name: each.text for name, each in tried.items()}, wanted.pods)
                good = tried
            except Rejected as rejected:
                self._refused[table.digest] = asyncio.get_running_loop().time() + REFUSED_AGAIN_S
                self._on_refusal(table, str(rejected))
        self.pushes += 1
        self._took(Wanted(good, wanted.pods))

    def _took(self, wanted: Wanted) -> None:
        self.taken = wanted
        self.live, self.fed = wanted.tables, True


def _as_live(wanted: Wanted) -> Live:
    return Live({model: table.digest for model, table in wanted.tables.items()}, wanted.pods)
