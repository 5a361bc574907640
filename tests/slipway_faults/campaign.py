"""Many lanes beside each other, and what came of them."""

import asyncio
import concurrent.futures
import contextlib
import gc
import itertools
import os
import random
import re
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp

from slipway_faults import scenario
from slipway_faults.faults import EVENT_ACTS, KILLS, REFUSALS, Act, Fault, Moment
from slipway_faults.lane import Lane, Recording, Stage
from slipway_faults.witness import Witness
from slipway_operator.cluster import client, credentials

T = TypeVar("T")

EVERYTHING: Final = os.environ.get("SLIPWAY_FAULTS") == "all"
"""All faults, which takes the better part of an hour; otherwise a sample, always the same one."""

ONLY: Final = os.environ.get("SLIPWAY_FAULTS_ONLY", "")
"""Faults whose text this pattern is found in, to look at one again."""

LANES: Final = int(os.environ.get("SLIPWAY_FAULT_LANES", "8"))
"""Played at the same time. Most of a lane's time is waiting."""

PROCESS_LANES: Final = 2
"""Of lanes whose operators are processes of their own, which take a second to start."""

SEED: Final = 20261125
_UNCOUNTED: Final = ("leases", "events")
_numbers = itertools.count(1)


@contextlib.asynccontextmanager
async def staged(kubeconfig: Path, folder: Path) -> AsyncIterator[Stage]:
    """A way past all gates, and a witness."""
    access = credentials.load(kubeconfig)
    patient = client.Options(field_manager="test", watch_server_timeout_s=3600, watch_silence_s=3600)
    connector = aiohttp.TCPConnector(ssl=access.ssl_context(), limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session,
        client.ApiClient(access, options=patient) as api,
        Witness(api).watching() as witness,
    ):
        yield Stage(server=access.server, session=session, api=api, witness=witness, folder=folder)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on a thread of its own: kopf takes the signals of the main thread."""
    done: list[T] = []
    failed: list[BaseException] = []

    async def roomy() -> T:
        asyncio.get_running_loop().set_default_executor(concurrent.futures.ThreadPoolExecutor(256))  # a thread for each kopf
        return await work

    def target() -> None:
        try:
            done.append(asyncio.run(roomy()))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=target, name="faults", daemon=True)
    with warnings.catch_warnings():
        # A killed operator closes nothing. What it left open is collected here, and is no other test's warning.
        warnings.simplefilter("ignore", ResourceWarning)
        thread.start()
        thread.join()
        gc.collect()
    if failed:
        raise failed[0]
    return done[0]


def namespace(kind: str) -> str:
    """A namespace nobody has used."""
    return f"{kind}-{next(_numbers)}"


@dataclass(frozen=True)
class Result:
    """What came of a campaign."""

    tried: int
    met: int
    problems: tuple[str, ...]

    def told(self, what: str) -> str:
        """One line for people."""
        return f"{what}: {self.met} of {self.tried} faults happened, {len(self.problems)} problems"


async def play(stage: Stage, clean: Recording, faults: Iterable[Fault], *, kind: str, **options: Any) -> Result:
    """Play all ``faults``, one a phase and lane: they cannot mask each other, for each phase ends in the world of a clean run."""
    lanes = [Lane(stage, namespace(kind), packed, **options) for packed in packs(fault for fault in faults if re.search(ONLY, str(fault)))]
    await together((lane.repeat(clean) for lane in lanes), at_once=PROCESS_LANES if options.get("processes") else LANES)
    return Result(
        tried=sum(len(lane.faults) for lane in lanes),
        met=sum(len(lane.script.happened) for lane in lanes),
        problems=tuple(problem for lane in lanes for problem in lane.verdict()),
    )


async def together(works: Iterable[Awaitable[None]], *, at_once: int) -> None:
    """All of them, a few at a time."""
    room = asyncio.Semaphore(at_once)

    async def one(work: Awaitable[None]) -> None:
        async with room:
            await work

    await asyncio.gather(*(one(work) for work in works))


def packs(faults: Iterable[Fault]) -> Iterator[tuple[Fault, ...]]:
    """Faults side by side, each lane with at most one of each phase."""
    by_phase: dict[str, list[Fault]] = {}
    for fault in faults:
        by_phase.setdefault(fault.moment.phase, []).append(fault)
    for row in itertools.zip_longest(*by_phase.values()):
        yield tuple(fault for fault in row if fault is not None)


def sample(faults: Iterable[Fault], *, lanes: int) -> list[Fault]:
    """As many as fit into ``lanes``, always the same ones; all of them when everything is asked for."""
    by_phase: dict[str, list[Fault]] = {}
    for fault in faults:
        by_phase.setdefault(fault.moment.phase, []).append(fault)
    if EVERYTHING:
        return [fault for some in by_phase.values() for fault in some]
    chance = random.Random(SEED)  # noqa: S311 - the same sample each time
    return [fault for some in by_phase.values() for fault in chance.sample(some, min(lanes, len(some)))]


def kills(clean: Recording) -> list[Fault]:
    """The operator dies around every write."""
    return [Fault(moment, act) for moment in writes(clean) for act in KILLS]


def pauses(clean: Recording) -> list[Fault]:
    """The operator stands still around a write."""
    return [Fault(moment, Act.PAUSE) for moment in writes(clean)]


def refusals(clean: Recording) -> list[Fault]:
    """Every request goes wrong in every way. Reads that hang are left for the long mode: they are given up after 30 s, watches after 100 s."""
    asked = [moment for moment in unique(clean) if moment.what.split()[0] in _VERBS]
    return [Fault(moment, act) for moment in asked for act in REFUSALS if EVERYTHING or act is not Act.HANG or moment.what.split()[0] in _CHANGING]


def lost_events(clean: Recording) -> list[Fault]:
    """Every watch event is lost, repeated, late or cut."""
    told = [moment for moment in unique(clean) if moment.what.split()[0] not in _VERBS]
    return [Fault(moment, act) for moment in told for act in EVENT_ACTS]


def stale_starts(phases: Iterable[scenario.Phase] = scenario.PHASES) -> list[Fault]:
    """An operator starts after each phase but the first and is told what was before it, about one kind or about all."""
    names = [phase.name for phase in phases][1:]
    return [Fault(Moment(name, f"LIST {kind}", 0), Act.STALE) for kind in _LISTED for name in names]


_LISTED: Final = (
    "everything",
    "experiments",
    "modeldeployments",
    "inferenceservices",
    "services",
    "controllerrevisions",
    "deployments",
    "configmaps",
    "endpointslices",
)


_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_VERBS: Final = frozenset({"GET", "LIST", "WATCH", "POST", "PUT", "PATCH", "DELETE"})


def unique(clean: Recording) -> list[Moment]:
    """What passed the gate, less what depends on the clock alone."""
    return [moment for moment in clean.moments if not moment.what.startswith("BOOKMARK") and (moment.nth == 1 or "leases" not in moment.what)]


def writes(clean: Recording) -> list[Moment]:
    """What changed the world, Events and the Lease aside."""
    asked = ((moment, moment.what.split()) for moment in clean.moments)
    return [moment for moment, words in asked if words[0] in _CHANGING and words[1] not in _UNCOUNTED]
