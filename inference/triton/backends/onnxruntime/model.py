"""Triton's ``onnxruntime`` backend for CPUs, written in Python, for images that do not carry NVIDIA's C++ one.

It reads the same model repository (``<model>/<version>/model.onnx``, ``config.pbtxt`` with ``backend: "onnxruntime"``) and the same
parameters, so that a repository tried here is served by the C++ backend on a GPU cluster as it is.

A request that fails is answered with its own error; the others that Triton handed over with it are answered as if it had not been there.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}
"""ONNX types by their onnxruntime names, and what config.pbtxt calls them. bfloat16 is missing because numpy has no such type."""

OPTIMIZATION_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
"""``optimization { graph { level } }``, numbered as the C++ backend does; any other level means all optimizations."""

EXECUTION_MODES = {"0": ort.ExecutionMode.ORT_SEQUENTIAL, "1": ort.ExecutionMode.ORT_PARALLEL}


class TritonPythonModel:
    """What Triton's python backend calls: one object, in a process of its own, per instance of the model."""

    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Add the inputs and outputs that the configuration leaves out, as the model has them."""
        stated = config.as_dict()
        if stated["input"] and stated["output"]:
            return config
        path = Path(pb_utils.get_model_dir()) / (stated["default_model_filename"] or "model.onnx")
        # What is wrong with the file is said once, by initialize.
        if path.is_file():
            session = ort.InferenceSession(str(path), _single_threaded(), providers=["CPUExecutionProvider"])
            complete(config, inputs=session.get_inputs(), outputs=session.get_outputs())
        return config

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the model and hold its configuration against it. Raises TritonModelException with a sentence for the user."""
        name, config = args["model_name"], json.loads(args["model_config"])
        path = model_path(config, folder=Path(args["model_repository"]) / args["model_version"], model=name)
        try:
            self._session = ort.InferenceSession(str(path), session_options(config, cpus=cpu_limit()), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise pb_utils.TritonModelException(f"unable to load model '{name}' from {path.name}: {error}") from None
        problem = disagreement(
            config,
            inputs=self._session.get_inputs(),
            optional=self._session.get_overridable_initializers(),
            outputs=self._session.get_outputs(),
        )
        if problem:
            raise pb_utils.TritonModelException(problem)
        self._batched = config["max_batch_size"] > 0
        self._outputs = [output["name"] for output in config["output"]]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer ``requests``, in their order."""
        answers: list[Any] = [None] * len(requests)
        waiting: dict[object, list[tuple[int, Ask]]] = {}
        for index, request in enumerate(requests):
            try:
                ask = read(request, self._outputs)
            except ValueError as error:
                answers[index] = refusal(error, pb_utils.TritonError.INVALID_ARG)
                continue
            waiting.setdefault(ask.shape if self._batched else index, []).append((index, ask))
        for group in waiting.values():
            for (index, _), answer in zip(group, self._answer([ask for _, ask in group]), strict=True):
                answers[index] = answer
        return answers

    def _answer(self, asks: Sequence["Ask"]) -> list[Any]:
        if len(asks) > 1:
            try:
                return [response(values) for values in run_together(self._session, asks)]
            except Exception:  # One of them is to blame: alone, each gets what it deserves.
                return [self._answer([ask])[0] for ask in asks]
        try:
            return [response(run(self._session, asks[0].outputs, asks[0].inputs))]
        except Exception as error:
            return [refusal(error, pb_utils.TritonError.INTERNAL)]


@dataclass(frozen=True)
class Ask:
    """One request: its inputs by name, and the names of the outputs that it wants."""

    inputs: Mapping[str, Any]
    outputs: Sequence[str]

    @property
    def rows(self) -> int:
        """The size of the batch dimension, which every input of a batched model begins with."""
        return int(next(iter(self.inputs.values())).shape[0])

    @property
    def shape(self) -> object:
        """Equal for requests that can be run together: the same inputs, equal types, and equal dimensions after the first."""
        return tuple(sorted((name, value.dtype.str, value.shape[1:]) for name, value in self.inputs.items()))


def read(request: Any, configured: Sequence[str]) -> Ask:
    """Take a request apart. Raises ValueError when it cannot be handed to onnxruntime."""
    wanted = set(request.requested_output_names())
    return Ask(
        inputs={tensor.name(): _for_onnxruntime(tensor.name(), tensor.as_numpy()) for tensor in request.inputs()},
        outputs=[name for name in configured if name in wanted] if wanted else list(configured),
    )


def run_together(session: Any, asks: Sequence[Ask]) -> list[dict[str, Any]]:
    """One run for several requests: their rows one below the other, and the answers cut at the same places.

    Raises ValueError when an output does not have one row for each row of the inputs.
    """
    inputs = {name: np.concatenate([ask.inputs[name] for ask in asks]) for name in asks[0].inputs}
    wanted = list(dict.fromkeys(name for ask in asks for name in ask.outputs))
    values = run(session, wanted, inputs)
    ends = np.cumsum([ask.rows for ask in asks])
    for name, value in values.items():
        if value.ndim == 0 or value.shape[0] != ends[-1]:
            raise ValueError(f"output '{name}' has shape {list(value.shape)} for {ends[-1]} rows")
    parts = {name: np.split(value, ends[:-1]) for name, value in values.items()}
    return [{name: parts[name][index] for name in ask.outputs} for index, ask in enumerate(asks)]


def run(session: Any, outputs: Sequence[str], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The values of ``outputs``, by name."""
    return dict(zip(outputs, session.run(list(outputs), dict(inputs)), strict=True))


def response(values: Mapping[str, Any]) -> Any:
    """An answer, with its outputs in the order asked for."""
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, _for_triton(value)) for name, value in values.items()])


def refusal(error: Exception, code: Any) -> Any:
    """The answer to a request that failed: code INVALID_ARG is HTTP 400, INTERNAL is 500."""
    return pb_utils.InferenceResponse([], pb_utils.TritonError(str(error), code))


def model_path(config: Mapping[str, Any], *, folder: Path, model: str) -> Path:
    """The file to load. Raises TritonModelException, naming what lies there instead, when it is missing."""
    path = folder / (config["default_model_filename"] or "model.onnx")
    if not path.is_file():
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise pb_utils.TritonModelException(f"unable to load model '{model}': {folder.resolve()} has no {path.name}; it holds {there}")
    return path


def disagreement(config: Mapping[str, Any], *, inputs: Sequence[Any], optional: Sequence[Any], outputs: Sequence[Any]) -> str:
    """What the configuration says that the model does not, as one sentence; empty when they agree.

    ``optional`` are inputs that have a value in the model and need not be configured.
    """
    model, batched = config["name"], config["max_batch_size"] > 0
    return (
        _unexpected("input", config["input"], allowed=[*inputs, *optional], model=model)
        or _unexpected("output", config["output"], allowed=outputs, model=model)
        or _left_out(config["input"], needed=inputs, model=model)
        or _mismatch("input", config["input"], given=[*inputs, *optional], model=model, batched=batched)
        or _mismatch("output", config["output"], given=outputs, model=model, batched=batched)
    )


def complete(config: Any, *, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Fill a ModelConfig in from the model. What it states stays: Triton refuses additions that contradict it.

    Batching is turned on where every input and output has a first dimension of any size and another one after it.
    """
    tensors = [node for node in [*inputs, *outputs] if node.type in TYPES]
    batched = all(len(node.shape) > 1 and not isinstance(node.shape[0], int) for node in tensors)
    if batched and not config.as_dict()["max_batch_size"]:
        config.set_max_batch_size(DEFAULT_BATCH)
        config.set_dynamic_batching()
    leading = 1 if config.as_dict()["max_batch_size"] else 0
    for add, nodes in ((config.add_input, inputs), (config.add_output, outputs)):
        for node in nodes:
            if node.type in TYPES:
                dims = [size if isinstance(size, int) else -1 for size in node.shape[leading:]]
                add({"name": node.name, "data_type": TYPES[node.type], "dims": dims})


DEFAULT_BATCH = 4
"""``max_batch_size`` where neither the configuration nor Triton's command line gives one; Triton's own default."""


def session_options(config: Mapping[str, Any], *, cpus: int) -> Any:
    """onnxruntime's settings from the model's configuration, under the C++ backend's names.

    Threads default to ``cpus`` shared among the instances of the model: 4 CPUs and ``count: 2`` give each instance 2.
    """
    parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
    instances = sum(group["count"] for group in config["instance_group"]) or 1
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(parameters.pop("intra_op_thread_count", 0)) or max(1, cpus // instances)
    options.inter_op_num_threads = int(parameters.pop("inter_op_thread_count", 0)) or 1
    options.execution_mode = EXECUTION_MODES[parameters.pop("execution_mode", "0")]
    options.enable_cpu_mem_arena = parameters.pop("enable_mem_arena", "1") != "0"
    options.enable_mem_pattern = parameters.pop("enable_mem_pattern", "1") != "0"
    level = config["optimization"].get("graph", {}).get("level", 0)
    options.graph_optimization_level = OPTIMIZATION_LEVELS.get(level, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    for key, value in parameters.items():
        if key.startswith(("session.", "optimization.")):
            options.add_session_config_entry(key, value)
    return options


def cpu_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs that this container may use, at least 1: its cgroup's quota (version 2, then 1), else what the scheduler gives the process.

    A quota of 1.5 CPUs gives 2 threads.
    """
    available = len(os.sched_getaffinity(0))
    for quota_file, period_file in (("cpu.max", "cpu.max"), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = (cgroup / quota_file).read_text().split()[0], (cgroup / period_file).read_text().split()[-1]
        except OSError:
            continue
        if quota not in {"max", "-1"}:
            return max(1, min(available, -(-int(quota) // int(period))))
    return available


def _single_threaded() -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def _unexpected(kind: str, configured: Sequence[Mapping[str, Any]], *, allowed: Sequence[Any], model: str) -> str:
    names = [node.name for node in allowed]
    for tensor in configured:
        if tensor["name"] not in names:
            return f"unexpected inference {kind} '{tensor['name']}' for model '{model}': allowed {kind}s are {_quoted(names)}"
    return ""


def _left_out(configured: Sequence[Mapping[str, Any]], *, needed: Sequence[Any], model: str) -> str:
    missing = [node.name for node in needed if node.name not in {tensor["name"] for tensor in configured}]
    return f"the configuration of model '{model}' leaves out inputs that the model needs: {_quoted(missing)}" if missing else ""


def _mismatch(kind: str, configured: Sequence[Mapping[str, Any]], *, given: Sequence[Any], model: str, batched: bool) -> str:
    nodes = {node.name: node for node in given}
    for tensor in configured:
        problem = _wrong_type(tensor, nodes[tensor["name"]]) or _wrong_shape(tensor, nodes[tensor["name"]], batched=batched)
        if problem:
            return f"{kind} '{tensor['name']}' of model '{model}' {problem}"
    return ""


def _wrong_type(tensor: Mapping[str, Any], node: Any) -> str:
    if node.type not in TYPES:
        return f"has the ONNX type {node.type}, which this backend cannot carry"
    if tensor["data_type"] != TYPES[node.type]:
        return f"is {tensor['data_type']} in the configuration and {TYPES[node.type]} in the model"
    return ""


def _wrong_shape(tensor: Mapping[str, Any], node: Any, *, batched: bool) -> str:
    """Compare the dims, after any reshape, with the model's; a dimension of any size (-1) on either side fits.

    onnxruntime gives no shape for a scalar and for a tensor that may have any number of dimensions: there is nothing to compare then.
    """
    there = [size if isinstance(size, int) else -1 for size in node.shape or []]
    if not there:
        return ""
    reshaped = tensor.get("reshape")
    stated = [-1] * batched + [int(size) for size in (reshaped.get("shape", []) if reshaped is not None else tensor["dims"])]
    if batched and there[0] != -1:
        return f"has the fixed shape {there} in the model: max_batch_size must be 0, or the model be exported with a variable first dimension"
    if len(stated) != len(there) or any(-1 not in pair and pair[0] != pair[1] for pair in zip(stated, there, strict=True)):
        meaning = " (the first dimension is the batch)" if batched else ""
        return f"has the shape {stated}{meaning} in the configuration and {there} in the model"
    return ""


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _for_onnxruntime(name: str, value: Any) -> Any:
    """Triton hands strings over as bytes; onnxruntime wants str, and would take the bytes' representation (b'...') for the text."""
    if value.dtype != np.object_:
        return value
    try:
        texts = [item.decode() for item in value.ravel()]
    except UnicodeDecodeError as error:
        raise ValueError(f"input '{name}' holds a string that is not UTF-8: {error}") from error
    return np.array(texts, dtype=np.object_).reshape(value.shape)


def _for_triton(value: Any) -> Any:
    if value.dtype != np.object_:
        return np.ascontiguousarray(value)
    return np.array([item.encode() for item in value.ravel()], dtype=np.object_).reshape(value.shape)
