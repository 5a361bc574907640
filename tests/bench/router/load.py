"""What asks: wrk as fast as it is answered, h2load at a given rate; both on core 1, beside the pods."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.router.peers import OTHER_CORE, on_core

_SCRIPT = """
local body = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[0.25,0.5,0.75,1.0]}],"outputs":[{"name":"y"}]}'
local head = "POST /v2/models/ranker/infer HTTP/1.1\\r\\nHost: ranker\\r\\nContent-Type: application/json\\r\\n"
head = head .. "Content-Length: " .. #body .. "\\r\\nx-user-id: user-"
math.randomseed(os.time())
request = function()
    return head .. math.random(UNITS) .. "\\r\\n\\r\\n" .. body
end
"""
UNITS = 10_000
BODY = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[0.25,0.5,0.75,1.0]}],"outputs":[{"name":"y"}]}'


@dataclass(frozen=True)
class Run:
    """What one turn gave."""

    per_second: float
    failed: int
    """Answers that were not 2xx or 3xx, and connections that broke."""


def as_fast_as_possible(folder: Path, port: int, *, connections: int, seconds: int) -> Run:
    """wrk: each connection asks again as soon as it is answered, each time for another unit."""
    script = folder / "units.lua"
    script.write_text(_SCRIPT.replace("UNITS", str(UNITS)))
    command = [*on_core(OTHER_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec: +([\d.]+)", said)
    assert rate, said
    not_well = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    return Run(float(rate[1]), int(not_well[1] if not_well else 0) + sum(int(one) for one in (broken.groups() if broken else ())))


@dataclass(frozen=True)
class Answered:
    """One request at its time."""

    started_s: float
    status: int
    seconds: float


def answers_at_a_rate(folder: Path, host: str, port: int, *, per_second: float, seconds: int, clients: int = 20) -> list[Answered]:
    """h2load: requests at fixed times; its clients keep step, so that each time has as many requests as there are clients."""
    log, body = folder / "latencies.log", folder / "body.json"
    body.write_text(BODY)
    log.unlink(missing_ok=True)
    command = [
        "taskset",
        "-c",
        OTHER_CORE,
        "h2load",
        "--h1",
        f"-c{clients}",
        f"-D{seconds}",
        f"--rps={per_second / clients:.2f}",
        f"--log-file={log}",
    ]
    command += ["-H", "x-user-id: user-1", "-H", "content-type: application/json", "-d", str(body), f"http://{host}:{port}/v2/models/ranker/infer"]
    subprocess.run(command, capture_output=True, check=True)
    rows = [line.split() for line in log.read_text().splitlines()]
    return [Answered(int(started) / 1e6, int(status), int(took) / 1e6) for started, status, took in rows]


def at_a_rate(folder: Path, host: str, port: int, *, per_second: float, seconds: int) -> list[float]:
    """The seconds that each of such requests took; all of them are answered well."""
    answers = answers_at_a_rate(folder, host, port, per_second=per_second, seconds=seconds, clients=6)
    assert {one.status for one in answers} == {200}
    return [one.seconds for one in answers]
