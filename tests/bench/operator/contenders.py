"""The programs that are measured, each a process of its own that this benchmark starts and ends."""

import asyncio
import contextlib
import ctypes
import os
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.operator import world
from bench.operator.world import IN_FLIGHT, RUNTIME
from slipway_box import ports

REPOSITORY = Path(__file__).parents[3]
END_S = 40.0
"""For a program to end after SIGTERM, before it is killed."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Running:
    """One program, under way since ``began`` (the loop's time)."""

    process: Process
    began: float
    log: Path

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    @property
    def resident_mib(self) -> float:
        """Memory it has now."""
        return self._memory("VmRSS")

    @property
    def peak_mib(self) -> float:
        """The most memory it ever had."""
        return self._memory("VmHWM")

    @property
    def cpu_s(self) -> float:
        """Processor time it has used."""
        return cpu_s(self.process.pid)

    def _memory(self, name: str) -> float:
        found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{self.process.pid}/status").read_text(), re.MULTILINE)
        assert found, f"process {self.process.pid} has ended; see {self.log}"
        return int(found[1]) / 1024


@dataclass(frozen=True, kw_only=True)
class Operator(Running):
    """Slipway's operator."""

    metrics_port: int

    async def total(self, metric: str, **labels: str) -> float:
        """The sum of one of its metrics over the samples that carry ``labels``; 0 while it does not answer yet."""
        try:
            found = await asyncio.to_thread(world.samples, self.metrics_port, metric)
        except OSError:
            return 0.0
        return sum(value for given, value in found.items() if labels.items() <= dict(given).items())

    async def writes(self) -> float:
        """Requests that write, as it counts them; only the Lease is written by PUT."""
        return sum([await self.total("rest_client_requests_total", method=method) for method in ("PATCH", "POST", "DELETE")])

    async def passes(self) -> float:
        """Reconciles so far."""
        return await self.total("controller_runtime_reconcile_total")

    async def at_rest(self, *, quiet_s: float = 2.0) -> None:
        """Wait until it has worked, has nothing more to do and has written nothing for a while; a look now and then is no unrest."""
        deadline = world.now() + world.PATIENCE_S
        seen = -1.0
        while (written := await self.writes()) != seen or await self.total("workqueue_depth") or not await self.passes():
            assert world.now() < deadline, "the operator does not come to rest"
            seen = written
            await asyncio.sleep(quiet_s)

    async def warm(self, objects: int) -> None:
        """Wait until its caches hold the children of so many objects."""
        deadline = world.now() + world.PATIENCE_S
        while await self.total("slipway_informer_objects", resource="poddisruptionbudgets") < objects:
            assert world.now() < deadline, "the caches do not fill"
            await asyncio.sleep(0.2)


def cpu_s(process: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_cpu_s() -> float:
    """Processor time of the programs that we started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def serving(kubeconfig: Path) -> tuple[int, ...]:
    """The processes of the API server and the etcd behind a control plane's kubeconfig: they have its directory in their arguments."""
    state = str(kubeconfig.parent.parent).encode()
    return tuple(int(entry.parent.name) for entry in Path("/proc").glob("[0-9]*/cmdline") if _serves(_arguments(entry), state))


def _arguments(cmdline: Path) -> list[bytes]:
    try:
        return cmdline.read_bytes().split(b"\0")
    except OSError:  # it has ended meanwhile
        return [b""]


def _serves(arguments: list[bytes], state: bytes) -> bool:
    return arguments[0].rpartition(b"/")[2] in (b"etcd", b"kube-apiserver") and any(state in argument for argument in arguments)


@contextlib.asynccontextmanager
async def operator(kubeconfig: Path, *, lease_s: float = 15.0) -> AsyncIterator[Operator]:
    """``python -m slipway_operator``, as in production, in all namespaces."""
    probe, metrics = ports.free(2)
    environment = {
        "SLIPWAY_RUNTIMES": f"slipway-triton={RUNTIME}",
        "SLIPWAY_KUBECONFIG": str(kubeconfig),
        "SLIPWAY_PROBE_HOST": "127.0.0.1",
        "SLIPWAY_PROBE_PORT": str(probe),
        "SLIPWAY_METRICS_PORT": str(metrics),
        "SLIPWAY_LEASE_SECONDS": str(lease_s),
    }
    log = kubeconfig.parent / f"operator-{metrics}.log"
    async with _started(sys.executable, "-m", "slipway_operator", environment=environment, log=log) as process:
        yield Operator(process=process, began=world.now(), log=log, metrics_port=metrics)


@contextlib.asynccontextmanager
async def plain_kopf(kubeconfig: Path) -> AsyncIterator[Running]:
    """The plain kopf operator."""
    log = kubeconfig.parent / "plain-kopf.log"
    environment = {"KUBECONFIG": str(kubeconfig), "BENCH_RUNTIME": RUNTIME}
    async with _started(sys.executable, "-m", "bench.operator.plain_kopf", environment=environment, log=log) as process:
        yield Running(process=process, began=world.now(), log=log)


async def bare(kubeconfig: Path, writes: Path) -> float:
    """Send the requests in ``writes`` with the bare script; returns the seconds it took."""
    log = kubeconfig.parent / "bare.log"
    began = world.now()
    argv = (sys.executable, "-m", "bench.operator.bare", str(kubeconfig), str(writes), str(IN_FLIGHT))
    async with _started(*argv, environment={}, log=log) as process:
        status = await asyncio.wait_for(process.wait(), world.PATIENCE_S)
        took = world.now() - began
    assert status == 0, log.read_text()
    return took


@contextlib.asynccontextmanager
async def _started(*argv: str, environment: Mapping[str, str], log: Path) -> AsyncIterator[Process]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    given = kept | {"PYTHONPATH": os.pathsep.join(str(REPOSITORY / part) for part in ("operator", "box", "tests"))} | dict(environment)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *argv, env=given, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=_end_with_us
        )
    try:
        yield process
    finally:
        await _ended(process)


def _end_with_us() -> None:
    """In the child: have the kernel end it when the benchmark is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _ended(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_S)
        except TimeoutError:
            process.kill()
            await process.wait()
