"""Asking the agents of router pods which tables they act on."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Self, TypeVar
from urllib.parse import urlencode

import aiohttp

from slipway_operator.cluster.recent import Recent
from slipway_operator.render import router as router_objects
from slipway_operator.state.observed import Compared
from slipway_statistics import counts, latency
from slipway_statistics.counts import Counts
from slipway_statistics.latency import Edges

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

TIMEOUT_S: Final = 1.0
"""For one question: an agent that is well answers in a millisecond, and a pod whose agent is ill will soon not be ready."""

SHARED_S: Final = 0.05
"""An answer is about all tables of a router: passes over several of them that ask within so many seconds share one."""

COUNTED_S: Final = 0.5
"""Passes over a ModelDeployment and over its experiments that want the same counts within so many seconds share one reading: each wakes the other,
and looks at counts are seconds apart."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What all routers of a ModelDeployment counted in one epoch."""

    revisions: Mapping[str, Counts]
    edges: Edges | None
    """From where on a request was called slow: fixed before it was asked what is."""

    compared: Compared | None = None
    """What they say of the shadow, together; None when none of them has anything to say of it."""


NOTHING: Final = Counted(revisions={}, edges=None)


class Routers:
    """Questions to router pods. Use as ``async with Routers() as routers``.

    What a pod has once said that it follows is not asked again: a table is what it is, and a pod goes back to no earlier one.
    """

    def __init__(self, *, port: int = router_objects.AGENT_PORT) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None
        self._following: Recent[tuple[str, str, str], str] = Recent(limit=50_000)
        self._edges: Recent[tuple[str, str, int, float], Edges] = Recent(limit=1_000)
        self._told: _Shared[str, Mapping[str, str]] = _Shared(for_s=SHARED_S)
        self._counted: _Shared[_Question, Counted] = _Shared(for_s=COUNTED_S)

    async def __aenter__(self) -> Self:
        # Pods come and go at the same addresses: a connection kept from one would reach another.
        connector = aiohttp.TCPConnector(force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def digest(self, *, pod_uid: str, address: str, namespace: str, model: str, expected: str) -> str | None:
        """The digest of the table that a pod acts on for a model; None where it does not say, or has none."""
        key = (pod_uid, namespace, model)
        if self._following.get(key) == expected:
            return expected
        found = (await self._told.answer(address, lambda: self._ask(address))).get(model)
        if found is not None:
            self._following.put(key, found)
        return found

    async def counts(
        self,
        addresses: Sequence[str],
        *,
        namespace: str,
        model: str,
        epoch: int,
        sharing: Sequence[str] | None,
        margin: float | None,
        shadow: str | None,
    ) -> Counted:
        """The sums over the pods at ``addresses``; one that does not answer is left out.

        ``sharing``: the stable revision and those that it is compared with, where several share the units. With a ``margin`` (0.2: their 95th
        percentile may be 20 % higher) requests are called slow by the edges that the counts of the look before gave. What was counted may be
        ``COUNTED_S`` old: whoever asks the same within that time is given the same, but for what is said of a shadow, which is read twice a minute
        and by one reconciler.
        """
        question = _Question(
            addresses=tuple(sorted(addresses)),
            namespace=namespace,
            model=model,
            epoch=epoch,
            sharing=tuple(sharing) if sharing else None,
            margin=margin,
            shadow=shadow,
        )
        return await (self._count(question) if shadow else self._counted.answer(question, lambda: self._count(question)))

    async def _count(self, asked: "_Question") -> Counted:
        sharing, margin, epoch, shadow = asked.sharing, asked.margin, asked.epoch, asked.shadow
        key = (asked.namespace, asked.model, epoch, margin or 0.0)
        edges = self._edges.get(key) if sharing and margin is not None else None
        query = {"model": asked.model, "epoch": str(epoch)}
        if sharing and edges is not None:
            query |= {f"edge.{sharing[0]}": str(edges.stable)} | {f"edge.{name}": str(edges.candidate) for name in sharing[1:]}
        answers = await asyncio.gather(*(self._get(address, f"/v1/counts?{urlencode(query)}") for address in asked.addresses))
        parts = [parsed for answer in answers if (parsed := _counts(answer, epoch=epoch)) is not None] if sharing else []
        revisions = {name: counts.merge([part[name] for part in parts if name in part]) for name in sharing or ()}
        if sharing and margin is not None and (found := latency.edges(revisions[sharing[0]].latency, max_increase=margin)) is not None:
            self._edges.put(key, found)
        told = [pair for answer in answers if shadow and (pair := _compared(answer, epoch=epoch, shadow=shadow)) is not None]
        return Counted(revisions=revisions, edges=edges, compared=_merged(told))

    async def _ask(self, address: str) -> Mapping[str, str]:
        return _digests(await self._get(address, "/v1/live"))

    async def _get(self, address: str, path: str) -> Any:
        """The JSON of a good answer; None without one."""
        if self._session is None:
            raise RuntimeError("Routers is used outside its async with block")
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(f"http://{host}:{self._port}{path}") as response:
                return await response.json() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


@dataclass(frozen=True, kw_only=True)
class _Question:
    """What the routers of a ModelDeployment are asked about their counts."""

    addresses: tuple[str, ...]
    namespace: str
    model: str
    epoch: int
    sharing: tuple[str, ...] | None
    margin: float | None
    shadow: str | None


class _Shared(Generic[K, V]):
    """Answers that everybody shares who asks the same within some seconds of the first to ask."""

    def __init__(self, *, for_s: float) -> None:
        self._for_s = for_s
        self._asked: dict[K, tuple[float, asyncio.Task[V]]] = {}

    async def answer(self, key: K, ask: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The answer that is there or on its way, or that of ``ask``. Who is cancelled while it waits takes it from nobody else."""
        now = asyncio.get_running_loop().time()
        begun, task = self._asked.get(key, (-1.0, None))
        if task is None or now - begun > self._for_s:
            self._asked = {other: asked for other, asked in self._asked.items() if now - asked[0] <= self._for_s}
            task = asyncio.create_task(ask())
            self._asked[key] = (now, task)
        return await asyncio.shield(task)


def _digests(answer: Any) -> Mapping[str, str]:
    models = answer.get("models") if isinstance(answer, dict) else None
    return {name: str(of["digest"]) for name, of in (models or {}).items() if isinstance(of, dict) and "digest" in of}


def _counts(answer: Any, *, epoch: int) -> Mapping[str, Counts] | None:
    """What one router counted; None for an answer that cannot be read, or is about another epoch."""
    if not isinstance(answer, dict) or answer.get("epoch") != epoch:
        return None
    try:
        return counts.parse(answer)
    except ValueError:
        return None


def _compared(answer: Any, *, epoch: int, shadow: str) -> Compared | None:
    """What one router says of a shadow; None for an answer that cannot be read, or is about another one."""
    told = answer.get("shadow") if isinstance(answer, dict) and answer.get("epoch") == epoch else None
    if not isinstance(told, dict) or told.get("revision") != shadow:
        return None
    try:
        return Compared(
            revision=shadow,
            answers=int(told["answered"]),
            agreed=int(told["agreed"]),
            absolute_difference=float(told["meanAbsoluteDifference"] or 0.0),
            seconds_difference=float(told["secondsDifference"] or 0.0),
            failed=int(told["failed"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _merged(parts: Sequence[Compared]) -> Compared | None:
    """Sums, and means weighted by the pairs that they are over."""
    if not parts:
        return None
    answers = sum(part.answers for part in parts)
    return Compared(
        revision=parts[0].revision,
        answers=answers,
        agreed=sum(part.agreed for part in parts),
        absolute_difference=sum(part.absolute_difference * part.answers for part in parts) / max(answers, 1),
        seconds_difference=sum(part.seconds_difference * part.answers for part in parts) / max(answers, 1),
        failed=sum(part.failed for part in parts),
    )
