"""Triton for CPUs as the image has it, from the same pins, with a model that costs next to nothing: 200 numbers to a score."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from bench import cores
from bench.inference import environments
from bench.inference.asked import MODEL, WIDTH
from inference.harness import ask
from slipway_box import layout, packages
from slipway_testing.loopback import free_port

_CONFIG = f"""
name: "{MODEL}"
backend: "onnxruntime"
max_batch_size: 64
input [{{ name: "x" data_type: TYPE_FP32 dims: [{WIDTH}] }}]
output [{{ name: "y" data_type: TYPE_FP32 dims: [1] }}]
dynamic_batching {{ }}
instance_group [{{ kind: KIND_CPU count: 1 }}]
"""
READY_S = 60.0


@dataclass(frozen=True)
class Triton:
    """A running one."""

    http_port: int
    grpc_port: int
    pid: int


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Triton]:
    """On loopback, on the core beside the measured one, from when the model is ready. RuntimeError: it does not become so."""
    packages.need("libpython3.11")
    home = _laid_out(folder)
    repository = folder / "repository"
    (repository / MODEL / "1").mkdir(parents=True)
    (repository / MODEL / "config.pbtxt").write_text(_CONFIG)
    onnx.save(model(), repository / MODEL / "1" / "model.onnx")
    http_port, grpc_port = free_port(), free_port()
    venv = environments.triton()
    command = [str(home / "bin/tritonserver"), f"--model-repository={repository}", f"--backend-directory={home}/backends"]
    command += [f"--http-port={http_port}", f"--grpc-port={grpc_port}", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1"]
    command += ["--allow-metrics=false", "--exit-on-error=false", "--exit-timeout-secs=5"]
    environment = {**os.environ, "PATH": f"{venv}/bin:{os.environ['PATH']}", "LD_LIBRARY_PATH": f"{home}/lib"}
    environment["PYTHONPATH"] = str(environments.packages_of(venv))
    address, log = ("127.0.0.1", http_port), folder / "triton.log"
    with cores.running(command, core=cores.OTHER_CORE, address=address, environment=environment, ready_s=READY_S, log=log) as pid:
        end = time.monotonic() + READY_S
        while ask(http_port, f"/v2/models/{MODEL}/ready", method="GET").status != 200:
            if time.monotonic() > end:
                raise RuntimeError(f"Triton does not load the model: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield Triton(http_port, grpc_port, pid)


def _laid_out(folder: Path) -> Path:
    """bin, lib and backends beside each other, as the Dockerfile has them; links, but for the stub, which looks for its library where it lies."""
    packages_ = environments.packages_of(environments.triton())
    wheel, home = packages_ / "pytriton" / "tritonserver", folder / "tritonserver"
    (home / "backends").mkdir(parents=True)
    shutil.copytree(wheel / "backends" / "python", home / "backends" / "python")
    shutil.copy2(wheel / "python_backend_stubs" / "3.11" / "triton_python_backend_stub", home / "backends" / "python")
    shutil.copytree(layout.REPOSITORY / "inference" / "triton" / "backends" / "onnxruntime", home / "backends" / "onnxruntime")
    (home / "bin").symlink_to(wheel / "bin")
    (home / "lib").mkdir()
    for library in (packages_ / "nvidia_pytriton.libs").iterdir():
        if not library.name.startswith("libpython3-"):
            (home / "lib" / library.name).symlink_to(library)
    return home


def model() -> onnx.ModelProto:
    """The first value of each row, so that whoever is in front can be told from the answer to have changed nothing."""
    nodes = [helper.make_node("Slice", ["x", "from", "to", "axis"], ["y"])]
    whole = [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in (("from", 0), ("to", 1), ("axis", 1))]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTH])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])
    graph = helper.make_graph(nodes, MODEL, [x], [y], whole)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
