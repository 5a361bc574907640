"""One namespace in which the scenario is played once, with what is to go wrong in it."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from slipway_box import ports
from slipway_faults import scenario, world
from slipway_faults.faults import Act, Fault, Moment, Script
from slipway_faults.gate import DELAY_S, Gate
from slipway_faults.kubelet import Kubelet
from slipway_faults.scenario import Phase
from slipway_faults.witness import Scene, Witness
from slipway_operator import settings
from slipway_operator.cluster import client, resources
from slipway_operator.cluster.resources import Object
from slipway_operator.handlers import app

log = logging.getLogger("slipway.faults")

QUIET_S: Final = 2.0
"""A clean run counts as settled after so long without an event; longer than anything of ours waits for in it."""

SETTLED_S: Final = 45.0
"""The longest that a lane may take to be as a clean run after something went wrong."""

HUNG_S: Final = 150.0
"""The same after a request that was never answered: watches are given up after 100 s, everything else after 30 s."""

MET_S: Final = 4.0
"""How long a world that is as it should be is waited with for its fault to happen."""


@dataclass(frozen=True)
class Stage:
    """What all lanes share."""

    server: str
    session: aiohttp.ClientSession
    """Speaks to the real API server, as an administrator."""
    api: client.ApiClient
    witness: Witness
    folder: Path


@dataclass(frozen=True)
class Recording:
    """A clean run: how the world looks after each phase, and everything that passed the gate on the way."""

    worlds: Mapping[str, world.World]
    moments: tuple[Moment, ...]

    made: Mapping[str, int]
    """How often each child was made."""


class Operator:
    """One process as far as its API server can tell: a gate, and the operator's tasks behind it."""

    def __init__(self, gate: Gate, running: "asyncio.Task[None]", stop: asyncio.Event) -> None:
        self.gate = gate
        self._running = running
        self._stop = stop

    def kill(self) -> None:
        """As kill -9: nothing that it does from here on reaches the server."""
        self.gate.cut()
        self._running.cancel()

    async def ended(self) -> None:
        """Wait for what is left of it; whatever it says now is nobody's business."""
        await asyncio.wait({self._running}, timeout=20)

    async def terminate(self) -> None:
        """As SIGTERM."""
        self._stop.set()
        await self.ended()


@dataclass
class Lane:
    """Plays the scenario once."""

    stage: Stage
    namespace: str
    faults: tuple[Fault, ...] = ()
    replicas: int = 1
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the operator, other than usual."""

    def __post_init__(self) -> None:
        self.api = self.stage.api
        self.script = Script(faults={fault.moment.phase: fault for fault in self.faults})
        self.scene: Scene = self.stage.witness.scene(self.namespace)
        self.script.on_passing = self.scene.nudge
        self.kubelet = Kubelet(self.api, self.scene, self.namespace)
        self.operators: list[Operator] = []
        self.problems: list[str] = []
        self._strangers: list[Object] = []
        self._lists: dict[str, dict[str, bytes]] = {}
        self._numbers = itertools.count(1)
        self._stack = contextlib.AsyncExitStack()
        self._restarts: set[asyncio.Task[None]] = set()

    def __str__(self) -> str:
        return "; ".join(str(fault) for fault in self.faults) or "a clean run"

    async def record(self) -> Recording:
        """Play without faults and say what was seen."""
        worlds: dict[str, world.World] = {}

        async def settled(phase: Phase) -> None:
            assert await self.scene.until(lambda: phase.done(self), within_s=SETTLED_S), f"a clean run does not get past {phase.name!r}"
            await self.scene.quiet(for_s=QUIET_S)
            assert phase.done(self), f"a clean run did not stay at {phase.name!r}"
            worlds[phase.name] = self.world()

        await self._play(settled)
        made = world.made(self.scene)
        self.problems += world.violations(self.scene, clean=made)
        return Recording(worlds, tuple(self.script.log), made)

    async def repeat(self, clean: Recording) -> None:
        """Play with the faults; ``problems`` then says what was not as in a clean run."""

        async def settled(phase: Phase) -> None:
            wanted = clean.worlds[phase.name]

            def same() -> bool:
                return phase.name == "start" or self.world() == wanted

            await self._same(phase, same, wanted)
            if self.script.pending() is not None:
                # Some moments come after the world looks as it should.
                await self._met(phase)
                await self._same(phase, same, wanted)

        try:
            await self._play(settled)
        except AssertionError as problem:
            self.problems.append(str(problem))
        self.problems += world.violations(self.scene, clean=clean.made)
        if self.problems:
            (self.stage.folder / f"{self.namespace}.txt").write_text("\n".join(world.story(self.scene)))
            log.error("%s [%s]: what happened is in %s", self.namespace, self, self.stage.folder / f"{self.namespace}.txt")

    async def _same(self, phase: Phase, same: Any, wanted: world.World) -> None:
        fault = self.script.faults.get(phase.name)
        hung = fault is not None and fault.act is Act.HANG
        if not await self.scene.until(same, within_s=HUNG_S if hung else SETTLED_S):
            raise AssertionError(f"after {phase.name!r} the world is another one:\n{world.differences(wanted, self.world())}")

    async def _met(self, phase: Phase) -> None:
        fault = self.script.pending()
        if fault is not None and fault.act is Act.STALE:
            self.script.happened.append(fault)
            await self._start_stale(fault)
            return
        await self.scene.until(lambda: self.script.pending() is None, within_s=MET_S)

    async def _play(self, settled: Any) -> None:
        async with self._stack:
            began = asyncio.get_running_loop().time()
            await self._prepare()
            kubelet = asyncio.create_task(self.kubelet.run())
            try:
                for phase in scenario.PHASES:
                    self.script.begin(phase.name)
                    if phase.name == "start":
                        for _ in range(self.replicas):
                            await self.start()
                    await phase.act(self)
                    await settled(phase)
                    log.info("%s: %s after %.1f s", self.namespace, phase.name, asyncio.get_running_loop().time() - began)
                    await self._keep_lists(phase.name)
                self.problems += world.touched(self._strangers, self.scene)
            finally:
                kubelet.cancel()
                await self._end()
                await asyncio.wait({kubelet})
                if not kubelet.cancelled():
                    kubelet.result()

    async def _prepare(self) -> None:
        await self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        for stranger in scenario.strangers(self.namespace):
            await self.api.create(stranger)
        await self.scene.until(lambda: len(self.scene.all(resources.INFERENCE_SERVICES)) == 1, within_s=10)
        await self.scene.quiet(for_s=0.5)  # KServe has its say about its own
        self._strangers = [
            obj
            for kind in (resources.CONFIG_MAPS, resources.SERVICES, resources.CONTROLLER_REVISIONS, resources.INFERENCE_SERVICES)
            if (obj := self.scene.live(kind, world.STRANGERS))
        ]
        assert len(self._strangers) == 4

    async def _end(self) -> None:
        for task in self._restarts:
            task.cancel()
        for operator in self.operators:
            if not operator.gate.dead:
                operator.kill()
        await asyncio.gather(*(operator.ended() for operator in self.operators))

    async def start(self, *, stale: Mapping[str, bytes] | None = None) -> Operator:
        """Another operator, behind a gate of its own."""
        gate = Gate(server=self.stage.server, session=self.stage.session, script=self.script, kill=self._killed)
        gate.stale.update(stale or {})
        await self._stack.enter_async_context(gate.opened())
        number = next(self._numbers)
        kubeconfig = self.stage.folder / f"{self.namespace}-{number}.yaml"
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(gate.url, self.namespace)))
        given: dict[str, Any] = {
            "runtimes": {"slipway-triton": "slipway-triton-test"},
            "kubeconfig": str(kubeconfig),
            "namespace": self.namespace,
            "lease_namespace": self.namespace,
            "lease_seconds": 3.0,
            "probe_host": "127.0.0.1",
            "probe_port": ports.free(1)[0],
            "workers": 2,
            "drain_seconds": 1.0,
            "route_seconds": 0.0,
            "poll_seconds": 0.5,
        }
        stop = asyncio.Event()
        running = asyncio.create_task(app.operate(settings.Settings(**(given | dict(self.changes))), stop=stop))
        operator = Operator(gate, running, stop)
        self.operators.append(operator)
        return operator

    def _killed(self, gate: Gate) -> None:
        """The script wants the operator behind ``gate`` dead, at this very moment; somebody starts another one."""
        next(operator for operator in self.operators if operator.gate is gate).kill()
        task = asyncio.create_task(self._start_again())
        self._restarts.add(task)

    async def _start_again(self, stale: Mapping[str, bytes] | None = None) -> None:
        if self.replicas == 1:
            await self._lease_runs_out()
        await self.start(stale=stale)

    async def _lease_runs_out(self) -> None:
        """Waiting for it is tested elsewhere."""
        with contextlib.suppress(Exception):
            lease = await self.api.get(resources.LEASES, "slipway-operator", namespace=self.namespace)
            await self.api.replace(lease | {"spec": lease["spec"] | {"holderIdentity": ""}})

    async def _start_stale(self, fault: Fault) -> None:
        """Kill the operator, and let a new one begin with what was true a phase ago, its watches silent for a while."""
        names = [phase.name for phase in scenario.PHASES]
        earlier = self._lists[names[names.index(fault.moment.phase) - 1]]
        kinds = fault.moment.what.split()[1:]
        stale = {path: body for path, body in earlier.items() if kinds == ["everything"] or any(f"/{kind}?" in path for kind in kinds)}
        for operator in self.operators:
            operator.kill()
        await self._start_again(stale)
        gate = self.operators[-1].gate
        gate.silent_until = asyncio.get_running_loop().time() + 3 * DELAY_S
        await asyncio.sleep(3 * DELAY_S)

    async def _keep_lists(self, phase: str) -> None:
        """What the operator would be told if it listed now."""
        if not any(fault.act is Act.STALE for fault in self.faults):
            return
        self._lists[phase] = {}
        for path in sorted(set(self.operators[0].gate.lists)):
            async with self.stage.session.get(self.stage.server + path) as answer:
                self._lists[phase][path] = await answer.read()

    async def apply(self, changes: dict[str, Any]) -> None:
        """Apply the ModelDeployment as a user does."""
        await self.api.apply(scenario.manifest(self.namespace, changes))

    def world(self) -> world.World:
        """How the world looks now."""
        return world.world(self.scene, namespace=self.namespace)

    def listed(self) -> bool:
        """Whether an operator has looked at everything."""
        watched = {moment.what for moment in self.script.log if moment.what.startswith("WATCH")}
        return len(watched) == 10

    def observed(self, generation: int) -> bool:
        """Whether the status speaks of that generation."""
        live = self.scene.live(resources.MODEL_DEPLOYMENTS, world.NAME) or {}
        return bool((live.get("status") or {}).get("observedGeneration") == generation)

    def verdict(self) -> Iterator[str]:
        """What was wrong, with what had gone wrong before."""
        for problem in self.problems:
            yield f"{self.namespace} [{self}]: {problem}"


def _kubeconfig(server: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "gate",
        "contexts": [{"name": "gate", "context": {"cluster": "gate", "user": "gate", "namespace": namespace}}],
        "clusters": [{"name": "gate", "cluster": {"server": server}}],
        "users": [{"name": "gate", "user": {}}],
    }
