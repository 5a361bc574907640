"""``python -m bench.path``: what the whole path carries on the box, and what a request costs; writes build/bench/path.json.

A request names a user. It goes through the router to a pod, where the transformer reads 200 features of that user from Redis and asks Triton, whose
model costs next to nothing. Who asks has the same cores. BENCH=short asks for shorter.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import redis

from bench import processor
from bench.inference import figures, triton
from bench.inference.asked import MODEL, WIDTH
from bench.inference.figures import Figure
from bench.router import peers
from slipway_box import clusters, layout
from slipway_box import redis as box_redis
from slipway_box.box import Box
from slipway_features import keys
from slipway_features.blob import Writer
from slipway_features.schema import Schema
from slipway_testing.kube import Kube
from slipway_testing.stage import Stage

RESULT: Final = layout.REPOSITORY / "build" / "bench" / "path.json"
USERS: Final = 500
NAMES: Final = [f"f{number:03}" for number in range(WIDTH)]
CONNECTIONS: Final = (16, 32, 64, 96, 128, 192)
P95_S: Final = 0.05
WANTED: Final = 50_000
"""Requests a second whose cores are asked for."""

_PARTS: Final = {
    "nginx": r"\bnginx:",
    "router's agent": r"slipway_router",
    "transformer": r"slipway_inference",
    "Triton": r"\btriton",
    "Redis": r"redis-server",
}
"""By what their processes are known."""

_SCRIPT: Final = f"""
wrk.method = "POST"
wrk.path = "/v2/models/{MODEL}/infer"
wrk.headers["Content-Type"] = "application/json"
local asked = '{{"inputs":[{{"name":"user","datatype":"INT64","shape":[1,1],"data":[%d]}}]}}'
request = function() return wrk.format(nil, nil, nil, asked:format(math.random(0, {USERS - 1}))) end
done = function(summary, latency, requests)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout + summary.errors.status
  io.write(string.format("FOUND %d %d %d %d\\n", summary.requests, summary.duration, failed, latency:percentile(95)))
end
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What so many connections gave."""

    connections: int
    per_second: float
    p95_s: float
    used_s: Mapping[str, float]
    """Seconds of processor time of a request, by part."""


def main() -> int:
    """Measure, print a table."""
    peers.need_programs()
    seconds = 4 if os.environ.get("BENCH") == "short" else 15
    values = np.random.default_rng(5).normal(size=(USERS, WIDTH)).astype(np.float32)
    _fill(values)
    with _serving(values) as address, tempfile.TemporaryDirectory(prefix="slipway-bench-") as directory:
        script = Path(directory) / "asks.lua"
        script.write_text(_SCRIPT)
        _asked(address, script, connections=32, seconds=seconds)  # warms up
        runs = [_asked(address, script, connections=count, seconds=seconds) for count in CONNECTIONS]
    found = list(_rows(runs))
    print(figures.table(found))  # noqa: T201
    figures.write(RESULT, found)
    return 0 if all(figure.ok for figure in found) else 1


def _fill(values: np.ndarray) -> None:
    """The Redis of the box, with a row for each user."""
    box = Box()
    box.start(box_redis.NAME)
    schema = Schema.of([(name, "float32") for name in NAMES])
    writer, now_us = Writer(schema), time.time_ns() // 1000
    with redis.Redis.from_url(box_redis.url(box.site)) as client:
        client.set(keys.schema_key("bench", "users"), schema.json())
        for user, row in enumerate(values):
            client.set(keys.row_key("bench", "users", {"user": user}), writer.row(dict(zip(NAMES, row.tolist(), strict=True)), now_us))


@contextlib.contextmanager
def _serving(values: np.ndarray) -> Iterator[str]:
    """The model in a namespace of its own; its address, once one user gets a right answer."""
    cluster = clusters.chosen()
    stage = Stage(Kube(cluster.kubeconfig()), tuple(cluster.kubectl()), "bench-path")
    stage.set_up()
    try:
        features = {
            "redis": box_redis.url(Box().site),
            "project": "bench",
            "into": "x",
            "columns": [{"view": "users", "feature": name} for name in NAMES],
            "entities": [{"view": "users", "keys": [{"name": "user", "input": "user"}]}],
        }
        stage.apply(
            MODEL,
            uri=stage.store(f"{MODEL}/1/model.onnx", triton.model().SerializeToString()),
            inputs=[{"name": "x", "dtype": "FP32", "shape": [WIDTH]}],
            outputs=[{"name": "y", "dtype": "FP32", "shape": [1]}],
            serving={"batching": {"maxBatchSize": 64}},
            transformer={"request": [{"name": "user", "dtype": "INT64", "shape": [1]}], "features": features},
        )
        stage.ready(MODEL)
        asked = {"inputs": [{"name": "user", "datatype": "INT64", "shape": [1, 1], "data": [7]}]}
        status, said = stage.ask(MODEL, f"/v2/models/{MODEL}/infer", asked)
        if status != 200 or np.float32(said["outputs"][0]["data"][0]) != values[7, 0]:
            raise RuntimeError(f"user 7 is answered {status} {json.dumps(said)}, not {values[7, 0]}")
        yield stage.address(MODEL)
    finally:
        stage.tear_down()


def _asked(address: str, script: Path, *, connections: int, seconds: int) -> Run:
    """As fast as it is answered; RuntimeError where a request failed."""
    before = _used_s()
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"http://{address}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = _used_s()
    found = re.search(r"FOUND (\d+) (\d+) (\d+) (\d+)", said)
    if found is None or int(found[3]):
        raise RuntimeError(f"not all requests were answered well: {said}")
    requests, took_us, _, p95_us = (int(number) for number in found.groups())
    used = {part: (after[part] - before[part]) / requests for part in _PARTS}
    run = Run(connections=connections, per_second=requests / took_us * 1e6, p95_s=p95_us / 1e6, used_s=used)
    print(f"{connections} connections: {run.per_second:.0f}/s, p95 {run.p95_s * 1000:.1f} ms", file=sys.stderr, flush=True)  # noqa: T201
    return run


def _used_s() -> dict[str, float]:
    """Seconds of processor time so far, by part."""
    found = dict.fromkeys(_PARTS, 0.0)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            for part, pattern in _PARTS.items():
                if re.search(pattern, command):
                    found[part] += processor.process_s(int(process.name))
    return found


def _rows(runs: list[Run]) -> Iterator[Figure]:
    quick = [run for run in runs if run.p95_s < P95_S]
    if not quick:
        yield figures.missing("highest rate with a 95th percentile below 50 ms", f"it is {min(run.p95_s for run in runs) * 1000:.0f} ms at least")
        return
    best = max(quick, key=lambda run: run.per_second)
    yield figures.stated("highest rate with a 95th percentile below 50 ms", best.per_second, "/s")
    yield figures.stated("there: connections", best.connections, "")
    yield figures.stated("there: 95th percentile", best.p95_s * 1000, "ms")
    for part, used_s in best.used_s.items():
        yield figures.stated(f"there: processor time of a request, {part}", used_s * 1e6, "µs")
    whole_s = sum(best.used_s.values())
    yield figures.stated("there: processor time of a request", whole_s * 1e6, "µs")
    yield figures.stated(f"cores for {WANTED:,} a second", whole_s * WANTED, "")


if __name__ == "__main__":
    sys.exit(main())
