"""One namespace in which the scenario is played once, with what is to go wrong in it."""

import asyncio
import contextlib
import dataclasses
import itertools
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self
from urllib.parse import urlsplit

import aiohttp
import yaml

from ledger.harness import Ledger
from slipway_box import ports
from slipway_box.layout import REPOSITORY
from slipway_faults import scenario, world
from slipway_faults.faults import Act, Fault, Moment, Script
from slipway_faults.gate import DELAY_S, Exchange, Gate
from slipway_faults.kubelet import Kubelet
from slipway_faults.routers import PlayedRouter
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

ROUTER_IMAGE: Final = "slipway/router:test"

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


class Operator(Protocol):
    """A running operator, behind its gate."""

    gate: Gate

    def kill(self) -> None:
        """As kill -9: nothing that it does from here on reaches the server."""

    async def ended(self) -> None:
        """Wait for what is left of it; whatever it says now is nobody's business."""


class Tasks:
    """An operator in this process. To its API server it is one of its own: when its gate is cut it is dead."""

    def __init__(self, gate: Gate, running: "asyncio.Task[None]") -> None:
        self.gate = gate
        self._running = running

    def kill(self) -> None:
        """See Operator."""
        self.gate.cut()
        self._running.cancel()

    async def ended(self) -> None:
        """See Operator."""
        await asyncio.wait({self._running}, timeout=20)


class Process:
    """An operator in a process of its own, which can be stopped in the middle of anything."""

    def __init__(self, gate: Gate, process: asyncio.subprocess.Process) -> None:
        self.gate = gate
        self._process = process

    @classmethod
    async def start(cls, gate: Gate, configured: settings.Settings) -> Self:
        """``python -m slipway_operator`` with these settings."""
        runtimes = ",".join(f"{family}={name}" for family, name in configured.runtimes.items())
        given = {field.name: getattr(configured, field.name) for field in dataclasses.fields(configured)} | {"runtimes": runtimes}
        variables = {f"SLIPWAY_{name.upper()}": str(value) for name, value in given.items() if value is not None}
        # An operator takes no variable of its prefix that it does not know, and the campaign has some of its own.
        others = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
        environment = others | variables | {"PYTHONPATH": str(REPOSITORY / "operator")}
        quiet = asyncio.subprocess.DEVNULL
        return cls(gate, await asyncio.create_subprocess_exec(sys.executable, "-m", "slipway_operator", env=environment, stdout=quiet, stderr=quiet))

    def pause(self) -> None:
        """Not a step further, until ``resume``."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """On from where it was."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """See Operator."""
        self.gate.cut()
        if self._process.returncode is None:
            self._process.kill()

    async def ended(self) -> None:
        """See Operator."""
        await self._process.wait()


@dataclass
class Lane:
    """Plays the scenario once."""

    stage: Stage
    namespace: str
    faults: tuple[Fault, ...] = ()
    replicas: int = 1
    processes: bool = False
    """Whether operators run in processes of their own."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the operator, other than usual."""

    routed: bool = False
    """Whether requests go through routers, and updates user by user."""

    ledger: Ledger | None = None
    """The ledger, where an experiment is played."""

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
        self._holder: Gate | None = None
        """Behind which gate the operator is that took the Lease last."""

        self._restarts: set[asyncio.Task[None]] = set()
        self.phases = scenario.EXPERIMENT_PHASES if self.ledger else scenario.PHASES

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
        # A watch that hangs from the start on is missed only when something happens.
        hung = any(fault.act is Act.HANG for fault in (*self.script.happened, self.script.faults.get(phase.name)) if fault is not None)
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
            playing = [asyncio.create_task(self.kubelet.run())]
            if self.routed:
                playing.append(asyncio.create_task(PlayedRouter(self.api, self.scene, self.namespace).run()))
            try:
                for phase in self.phases:
                    self.script.begin(phase.name)
                    if phase.name == "start":
                        for _ in range(self.replicas):
                            await self.start()
                    await phase.act(self)
                    await settled(phase)
                    log.info("%s: %s after %.1f s", self.namespace, phase.name, asyncio.get_running_loop().time() - began)
                    await self._keep_lists(phase.name)
                self.problems += world.touched(self._strangers, self.scene)
                self.problems += scenario.misremembered(self)
            finally:
                for task in playing:
                    task.cancel()
                await self._end()
                await asyncio.wait(playing)
                for task in playing:
                    if not task.cancelled():
                        task.result()

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
        await asyncio.gather(*self._restarts, return_exceptions=True)
        for operator in self.operators:
            if not operator.gate.dead:
                operator.kill()
        await asyncio.gather(*(operator.ended() for operator in self.operators))

    async def start(self, *, stale: Mapping[str, bytes] | None = None) -> Operator:
        """Another operator, behind a gate of its own."""
        gate = Gate(
            server=self.stage.server, session=self.stage.session, script=self.script, kill=self._killed, pause=self._paused, wrote=self._wrote
        )
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
        routed = {"router_image": ROUTER_IMAGE} if self.routed else {}
        if self.ledger:
            routed |= {"ledger_url": f"http://127.0.0.1:{self.ledger.port}", "ledger_token_file": str(self.ledger.folder / "operator-token")}
        configured = settings.Settings(**(given | routed | dict(self.changes)))
        operator: Operator
        if self.processes:
            operator = await Process.start(gate, dataclasses.replace(configured, metrics_port=ports.free(1)[0]))
        else:
            operator = Tasks(gate, asyncio.create_task(app.operate(configured, stop=asyncio.Event())))
        self.operators.append(operator)
        return operator

    def _killed(self, gate: Gate) -> None:
        """The script wants the operator behind ``gate`` dead, at this very moment; somebody starts another one."""
        next(operator for operator in self.operators if operator.gate is gate).kill()
        task = asyncio.create_task(self._start_again())
        self._restarts.add(task)

    def _paused(self, gate: Gate) -> None:
        """The script wants the operator behind ``gate`` stopped, and to go on when somebody else has long taken over."""
        operator = next(operator for operator in self.operators if operator.gate is gate)
        assert isinstance(operator, Process)
        operator.pause()
        self._restarts.add(asyncio.create_task(self._resume(operator)))

    async def _resume(self, operator: Process) -> None:
        if not await self.scene.until(lambda: self._holder is not operator.gate, within_s=20):
            self.problems.append("nobody took over from an operator that was stopped")
        operator.resume()

    def _wrote(self, gate: Gate, exchange: Exchange, status: int | None) -> None:
        """Keep account of who holds the Lease; nobody else may write anything but Events."""
        if exchange.plural == "leases":
            if status in (200, 201):
                self._holder = gate
        elif exchange.plural != "events" and status is None and self._holder not in (None, gate):
            self.problems.append(f"{exchange.what} came from an operator that did not lead any more")

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
        names = [phase.name for phase in self.phases]
        earlier = self._lists[names[names.index(fault.moment.phase) - 1]]
        kinds = fault.moment.what.split()[1:]
        stale = {path: body for path, body in earlier.items() if kinds == ["everything"] or urlsplit(path).path.rpartition("/")[2] in kinds}
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
        await self.api.apply(scenario.manifest(self.namespace, changes | (scenario.USER_BY_USER if self.routed else {})))

    def world(self) -> world.World:
        """How the world looks now."""
        return world.world(self.scene, namespace=self.namespace)

    def listed(self) -> bool:
        """Whether an operator has looked at everything."""
        watched = {moment.what for moment in self.script.log if moment.what.startswith("WATCH")}
        return len(watched) == 11

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
