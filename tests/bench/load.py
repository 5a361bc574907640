"""What asks: wrk as fast as it is answered, h2load at a given rate; both on the core beside the measured one."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.cores import OTHER_CORE, on_core
from slipway_box import layout

_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Run:
    """What one turn gave."""

    per_second: float
    failed: int
    """Answers that were not 2xx or 3xx, and connections that broke."""
    p99_s: float


@dataclass(frozen=True)
class Answered:
    """One request at its time."""

    started_s: float
    status: int
    seconds: float


def as_fast_as_possible(folder: Path, port: int, *, script: str, connections: int, seconds: int) -> Run:
    """wrk with a Lua script: each connection asks again as soon as it is answered."""
    file = folder / "asks.lua"
    file.write_text(script)
    command = [*on_core(OTHER_CORE), "wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(file), f"http://127.0.0.1:{port}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec: +([\d.]+)", said)
    late = re.search(r"99% +([\d.]+)(us|ms|s|m)\b", said)
    assert rate, said
    assert late, said
    not_well = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    failed = int(not_well[1] if not_well else 0) + sum(int(one) for one in (broken.groups() if broken else ()))
    return Run(float(rate[1]), failed, float(late[1]) * _UNITS_S[late[2]])


def at_a_rate(
    folder: Path, url: str, *, body: str, headers: Mapping[str, str], per_second: float, seconds: int, clients: int, core: list[str]
) -> list[Answered]:
    """h2load: requests at fixed times; its clients keep step, so that each time has as many requests as there are clients."""
    log, file = folder / "latencies.log", folder / "body.json"
    file.write_text(body)
    log.unlink(missing_ok=True)
    command = [*core, "h2load", "--h1", f"-c{clients}", f"-D{seconds}", f"--rps={per_second / clients:.2f}", f"--log-file={log}"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    subprocess.run([*command, "-d", str(file), url], capture_output=True, check=True)
    rows = [line.split() for line in log.read_text().splitlines()]
    return [Answered(int(started) / 1e6, int(status), int(took) / 1e6) for started, status, took in rows]


def steadily(host: str, port: int, path: str, *, body: str, per_second: float, seconds: int) -> list[float]:
    """bench.steady: the seconds that each request took, each sent at a time of its own; all of them are answered with 200.

    It sends before whatever else is on its core. So should run what it asks: cores.at_once.
    """
    command = [*on_core(OTHER_CORE), sys.executable, "-m", "bench.steady", host, str(port), path, str(per_second), str(seconds)]
    done = subprocess.run(command, input=body.encode(), capture_output=True, check=False, cwd=layout.REPOSITORY / "tests")
    assert done.returncode == 0, done.stderr.decode()
    took: list[float] = json.loads(done.stdout)
    return took
