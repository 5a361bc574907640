"""Asks shadows what another revision answered, with what is left over: a bounded queue, few at a time, never in anybody's way."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence, Set
from typing import Self

import aiohttp
import yarl

from slipway_router.agent.counts import Counts
from slipway_router.agent.shadow import agreement
from slipway_router.agent.shadow.samples import About, Message, Sample
from slipway_router.agent.shadow.sums import ShadowSums
from slipway_service import logs

ANSWER_BYTES = 2 * 1024 * 1024
"""Longest answer of a shadow that is compared: nginx samples only answers of less than half of that."""
_HEADER_LENGTH = "Inference-Header-Content-Length"
_log = logging.getLogger(__name__)


class _Failed(Exception):
    """The shadow gave no answer that can be compared; the message says why."""


class Player:
    """Use as ``async with Player(…) as player``; ``run`` plays, ``take`` and ``drop`` say what became of a sample that came in."""

    def __init__(
        self, *, counts: Counts, pods: Callable[[str], Sequence[str]], queue_bytes: int, concurrency: int, timeout_s: float, port: int
    ) -> None:
        self.sums: dict[tuple[str, str], ShadowSums] = {}
        """Since the start, by model and shadow revision."""
        self.waiting_bytes = 0
        self._counts = counts
        self._pods = pods
        self._queue_bytes = queue_bytes
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self._port = port
        self._queue: deque[Sample] = deque()
        self._wake = asyncio.Semaphore(0)
        self._comparing = asyncio.Lock()
        self._seldom = logs.Seldom(_log)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._concurrency),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            headers={"User-Agent": "slipway-shadow", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def room(self, size: int) -> bool:
        """Whether a sample of so many bytes fits in the queue now."""
        return self.waiting_bytes + size <= self._queue_bytes

    def known(self, named: Set[tuple[str, str]]) -> None:
        """Which (model, revision) there are: the sums of others are dropped."""
        for key in [key for key in self.sums if key not in named]:
            del self.sums[key]

    def take(self, sample: Sample) -> None:
        """Play a sample when its turn comes. One without a good answer of the assigned revision is dropped: there is nothing to compare with."""
        if not self.room(sample.size) or not 200 <= sample.status < 300:
            self.drop(sample.about)
            return
        for sums in self._sums(sample.about):
            sums.sampled += 1
        self.waiting_bytes += sample.size
        self._queue.append(sample)
        self._wake.release()

    def drop(self, about: About) -> None:
        """Count a sample that is not played."""
        for sums in self._sums(about):
            sums.sampled += 1
            sums.dropped += 1

    async def run(self) -> None:
        """Play until cancelled. Never raises for a shadow's sake."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._wake.acquire()
            sample = self._queue.popleft()
            try:
                await self._play(sample)
            except Exception:  # an answer that nobody thought of must not end the agent, which counts for everybody
                _log.exception("a sample of %s could not be played", sample.about.model)
            finally:
                self.waiting_bytes -= sample.size

    async def _play(self, sample: Sample) -> None:
        addresses = self._pods(sample.about.shadow)
        try:
            if not addresses:
                raise _Failed("it has no ready pod")
            answer, seconds = await self._ask(random.choice(addresses), sample)  # noqa: S311
            async with self._comparing:  # one at a time: a large answer takes ten times its size while it is read
                found = await asyncio.to_thread(_compared, sample.answer, answer)
        except _Failed as failed:
            self._seldom.warning("shadow %s of %s: %s", sample.about.shadow, sample.about.model, failed)
            for sums in self._sums(sample.about):
                sums.failed += 1
            return
        for sums in self._sums(sample.about):
            sums.answered += 1
            sums.agreed += found.agreed
            sums.absolute_difference += found.mean_absolute_difference
            sums.seconds_difference += seconds - sample.seconds

    async def _ask(self, address: str, sample: Sample) -> tuple[Message, float]:
        """The shadow's answer, and the seconds to its first byte."""
        headers = {"Content-Type": sample.request.content_type, "x-request-id": sample.request_id}
        if sample.request.header_length is not None:
            headers[_HEADER_LENGTH] = str(sample.request.header_length)
        host = f"[{address}]" if ":" in address else address
        began = time.perf_counter()
        try:
            url = yarl.URL(f"http://{host}:{self._port}{sample.path}", encoded=True)
            async with self._session.post(url, data=sample.request.body, headers=headers, allow_redirects=False) as response:
                seconds = time.perf_counter() - began
                if response.status != 200:
                    raise _Failed(f"it answered {response.status}")
                body = await _body(response)
                length = response.headers.get(_HEADER_LENGTH)
                return Message(body, response.content_type, int(length) if length else None), seconds
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as cause:
            raise _Failed(str(cause) or type(cause).__name__) from cause

    def _sums(self, about: About) -> list[ShadowSums]:
        """Those of the epoch, where it is known, and those since the start."""
        key = (about.model, about.shadow)
        if key not in self.sums:
            self.sums[key] = ShadowSums()
        epoch = self._counts.epoch(about.model, about.epoch)
        if epoch is None:
            return [self.sums[key]]
        if about.shadow not in epoch.shadows:
            epoch.shadows[about.shadow] = ShadowSums()
        return [self.sums[key], epoch.shadows[about.shadow]]


def _compared(given: Message, other: Message) -> agreement.Agreement:
    try:
        return agreement.compare(given, other)
    except (ValueError, TypeError, OverflowError, RecursionError) as cause:
        raise _Failed(f"its answer cannot be compared: {cause}") from cause


async def _body(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES:
            raise _Failed(f"its answer is longer than {ANSWER_BYTES} bytes")
    return b"".join(parts)
