"""Who is measured: the transformer and what others would put in its place, each with everything that it starts on one core."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench import cores
from bench.inference import asked, environments
from bench.inference.environments import NotInstalled
from bench.inference.triton import Triton
from inference.harness import ask
from slipway_box import layout
from slipway_testing.loopback import free_port

READY_S = 90.0
"""Ray starts a cluster."""
ROUTED_S = 20.0
_SERVED = Path(__file__).parent / "served"
_OWN_PATH = os.pathsep.join(str(layout.REPOSITORY / part) for part in ("inference", "components"))


@dataclass(frozen=True)
class Peer:
    """A server that answers well, and its first process."""

    name: str
    port: int
    pid: int


class NotMeasured(Exception):
    """It cannot be; the message says why."""


Running: TypeAlias = contextlib.AbstractContextManager[Peer]


@contextlib.contextmanager
def slipway_echo(folder: Path) -> Iterator[Peer]:
    """The transformer with a model in its own process."""
    port = free_port()
    command = [sys.executable, str(_SERVED / "slipway_echo.py"), str(_configuration(folder)), str(port), str(free_port())]
    with _running("slipway", command, port, folder, {"PYTHONPATH": _OWN_PATH}) as peer:
        yield peer


@contextlib.contextmanager
def slipway(folder: Path, triton: Triton, **changed: object) -> Iterator[Peer]:
    """The transformer before Triton, as its image runs it."""
    port = free_port()
    given = {"transformer_config": _configuration(folder), "host": "127.0.0.1", "port": port, "metrics_port": free_port()}
    settings = {**given, "triton_port": triton.http_port, "drain_seconds": 0, **changed}
    variables = {f"SLIPWAY_{name.upper()}": str(value) for name, value in settings.items()}
    with _running("slipway", [sys.executable, "-m", "slipway_inference"], port, folder, {"PYTHONPATH": _OWN_PATH, **variables}) as peer:
        yield peer


def fastapi_echo(folder: Path) -> Running:
    """FastAPI under uvicorn with uvloop and httptools, bodies as pydantic models."""
    return _script("fastapi", "fastapi_echo.py", folder)


def kserve_echo(folder: Path) -> Running:
    """kserve's ModelServer with a model of one's own."""
    return _script("kserve", "kserve_echo.py", folder)


def litserve_echo(folder: Path) -> Running:
    """LitServe, one server process and one worker."""
    return _script("litserve", "litserve_echo.py", folder)


def ray_echo(folder: Path) -> Running:
    """Ray Serve, one proxy and one replica, set as its documentation says for throughput."""
    return _script("ray", "ray_echo.py", folder, RAY_SERVE_THROUGHPUT_OPTIMIZED="1", RAY_worker_niceness="0")


@contextlib.contextmanager
def bentoml_echo(folder: Path) -> Iterator[Peer]:
    """A BentoML service of one worker."""
    port = free_port()
    command = [str(_venv("bentoml") / "bin" / "bentoml"), "serve", "bentoml_echo:Echo", f"--port={port}", "--host=127.0.0.1"]
    command.append(f"--working-dir={_SERVED}")
    with _running("bentoml", command, port, folder, {"BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(folder)}) as peer:
        yield peer


@contextlib.contextmanager
def mlserver_echo(folder: Path) -> Iterator[Peer]:
    """MLServer without workers of its own for inferences: all in one process."""
    port = free_port()
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port(), "parallel_workers": 0, "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps({"name": asked.MODEL, "implementation": "mlserver_echo.Echo"}))
    command = [str(_venv("mlserver") / "bin" / "mlserver"), "start", str(folder)]
    with _running("mlserver", command, port, folder, {"PYTHONPATH": str(_SERVED)}) as peer:
        yield peer


def kserve_rest(folder: Path, triton: Triton) -> Running:
    """kserve's transformer, which asks Triton by the protocol's JSON."""
    return _script("kserve", "kserve_transformer.py", folder, "v2", f"127.0.0.1:{triton.http_port}", name="kserve by HTTP")


def kserve_grpc(folder: Path, triton: Triton) -> Running:
    """kserve's transformer, which asks Triton by gRPC."""
    return _script("kserve", "kserve_transformer.py", folder, "grpc-v2", f"127.0.0.1:{triton.grpc_port}", name="kserve by gRPC")


ECHOES: dict[str, Callable[[Path], Running]] = {
    "kserve": kserve_echo,
    "fastapi": fastapi_echo,
    "mlserver": mlserver_echo,
    "bentoml": bentoml_echo,
    "litserve": litserve_echo,
    "ray": ray_echo,
}


@contextlib.contextmanager
def _script(peer: str, script: str, folder: Path, *arguments: str, name: str = "", **variables: str) -> Iterator[Peer]:
    port = free_port()
    command = [str(_venv(peer) / "bin" / "python"), str(_SERVED / script), str(port), *arguments]
    with _running(name or peer, command, port, folder, variables) as running:
        yield running


@contextlib.contextmanager
def _running(name: str, command: list[str], port: int, folder: Path, variables: Mapping[str, str]) -> Iterator[Peer]:
    """NotMeasured: it does not come up, or does not answer as it should."""
    log = folder / f"{name}.log"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | dict(variables)
    with contextlib.ExitStack() as running:
        try:
            given = cores.running(
                command, core=cores.MEASURED_CORE, address=("127.0.0.1", port), ready_s=READY_S, environment=environment, folder=folder, log=log
            )
            peer = Peer(name, port, running.enter_context(given))
        except RuntimeError:
            raise NotMeasured(f"it does not start: {_last_line(log)}") from None
        check(peer)
        yield peer


def check(peer: Peer) -> None:
    """NotMeasured: its answer is wrong, and stays so: some listen before they have a model."""
    end = time.monotonic() + ROUTED_S
    while said := asked.wrong(ask(peer.port, asked.INFER, asked.BODY.encode(), content_type="application/json")):
        if time.monotonic() > end:
            raise NotMeasured(f"its answer is wrong: {said}")
        time.sleep(0.1)


def _venv(name: str) -> Path:
    try:
        return environments.peer(name)
    except NotInstalled as error:
        raise NotMeasured(f"it cannot be installed: {error}") from None


def _configuration(folder: Path) -> Path:
    file = folder / "transformer.json"
    file.write_text(json.dumps(asked.transformer()))
    return file


def _last_line(log: Path) -> str:
    return (log.read_text(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
