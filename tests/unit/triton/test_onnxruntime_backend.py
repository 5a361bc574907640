"""What the onnxruntime backend answers, and what it says about a model that it cannot serve."""

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway_testing import onnx_models
from slipway_testing.triton_backend import ModelConfig, Request, TritonError, TritonModelException, configuration

np = pytest.importorskip("numpy")

Load = Callable[..., Any]


def floats(*rows: list[float]) -> Any:
    return np.array(rows, dtype=np.float32)


def test_one_request_is_answered_with_all_configured_outputs(load: Load) -> None:
    config = configuration(output=[_tensor("y", dims=[2]), _tensor("total", dims=[1])])
    [answer] = load(onnx_models.doubled(), config).execute([Request({"x": floats([1, 2], [3, 4])})])
    assert answer.values == {"y": [[2, 4], [6, 8]], "total": [[3], [7]]}


def test_requests_of_one_moment_run_once_and_get_their_own_rows(load: Load) -> None:
    model = load(onnx_models.doubled(), configuration())
    runs = _count_runs(model)
    answers = model.execute([Request({"x": floats([1, 2])}), Request({"x": floats([3, 4], [5, 6])}), Request({"x": floats([7, 8])})])
    assert [answer.values for answer in answers] == [{"y": [[2, 4]]}, {"y": [[6, 8], [10, 12]]}, {"y": [[14, 16]]}]
    assert runs == [["y"]]


def test_each_request_gets_the_outputs_it_asked_for(load: Load) -> None:
    model = load(onnx_models.doubled(), configuration(output=[_tensor("y", dims=[2]), _tensor("total", dims=[1])]))
    runs = _count_runs(model)
    answers = model.execute([Request({"x": floats([1, 2])}, ["total"]), Request({"x": floats([3, 4])}, ["y"])])
    assert [answer.values for answer in answers] == [{"total": [[3]]}, {"y": [[6, 8]]}]
    assert runs == [["total", "y"]]


def test_a_request_that_fails_leaves_the_others_alone(load: Load) -> None:
    model = load(onnx_models.looked_up(), configuration(input=[_tensor("x", "TYPE_INT64", [1])], output=[_tensor("y", dims=[1])]))
    good, bad, last = model.execute([Request({"x": np.array([[row]])}) for row in (1, 99, 3)])
    assert (good.values, last.values) == ({"y": [[10]]}, {"y": [[30]]})
    assert bad.error.code == TritonError.INTERNAL
    assert "Gather" in bad.error.message


def test_different_shapes_are_not_put_together(load: Load) -> None:
    model = load(onnx_models.doubled(), configuration())
    good, bad = model.execute([Request({"x": floats([1, 2])}), Request({"x": floats([1, 2, 3])})])
    assert good.values == {"y": [[2, 4]]}
    assert "Got: 3 Expected: 2" in bad.error.message


def test_an_output_without_one_row_per_row_is_computed_request_by_request(load: Load) -> None:
    model = load(onnx_models.first_row(), configuration())
    answers = model.execute([Request({"x": floats([1, 2], [3, 4])}), Request({"x": floats([5, 6], [7, 8])})])
    assert [answer.values for answer in answers] == [{"y": [[1, 2]]}, {"y": [[5, 6]]}]


def test_a_model_that_does_not_batch_runs_each_request_alone(load: Load) -> None:
    model = load(onnx_models.doubled(), configuration(max_batch_size=0, input=[_tensor("x", dims=[-1, 2])], output=[_tensor("y", dims=[-1, 2])]))
    runs = _count_runs(model)
    answers = model.execute([Request({"x": floats([1, 2])}), Request({"x": floats([3, 4])})])
    assert [answer.values for answer in answers] == [{"y": [[2, 4]]}, {"y": [[6, 8]]}]
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("kind", "configured", "dtype"),
    [
        ("BOOL", "TYPE_BOOL", "bool"),
        ("UINT8", "TYPE_UINT8", "uint8"),
        ("UINT16", "TYPE_UINT16", "uint16"),
        ("UINT32", "TYPE_UINT32", "uint32"),
        ("UINT64", "TYPE_UINT64", "uint64"),
        ("INT8", "TYPE_INT8", "int8"),
        ("INT16", "TYPE_INT16", "int16"),
        ("INT32", "TYPE_INT32", "int32"),
        ("INT64", "TYPE_INT64", "int64"),
        ("FLOAT16", "TYPE_FP16", "float16"),
        ("FLOAT", "TYPE_FP32", "float32"),
        ("DOUBLE", "TYPE_FP64", "float64"),
    ],
)
def test_every_type_of_number_passes(load: Load, kind: str, configured: str, dtype: str) -> None:
    config = configuration(input=[_tensor("x", configured)], output=[_tensor("y", configured)])
    model = load(onnx_models.passed_through(getattr(onnx_models.TensorProto, kind)), config)
    sent = np.array([[1, 0]], dtype=dtype)
    [answer] = model.execute([Request({"x": sent})])
    [tensor] = answer.tensors
    assert (tensor.value.dtype, tensor.value.tolist()) == (sent.dtype, sent.tolist())


def test_strings_come_and_go_as_utf_8(load: Load) -> None:
    model = _strings(load)
    [answer] = model.execute([Request({"x": np.array([["größer".encode(), b""]], dtype=object)})])
    assert answer.values == {"y": [["größer".encode(), b""]]}


def test_a_string_that_is_not_utf_8_is_the_callers_mistake(load: Load) -> None:
    bad, good = _strings(load).execute([Request({"x": np.array([[text, b"a"]], dtype=object)}) for text in (b"\xff", b"b")])
    assert bad.error.code == TritonError.INVALID_ARG
    assert bad.error.message.startswith("input 'x' holds a string that is not UTF-8")
    assert good.values == {"y": [[b"b", b"a"]]}


@pytest.mark.parametrize(
    ("model", "different", "sentence"),
    [
        (
            onnx_models.doubled(),
            {"input": [{"name": "z", "data_type": "TYPE_FP32", "dims": [2]}]},
            "unexpected inference input 'z' for model 'digits': allowed inputs are 'x'",
        ),
        (
            onnx_models.doubled(),
            {"output": [{"name": "z", "data_type": "TYPE_FP32", "dims": [2]}]},
            "unexpected inference output 'z' for model 'digits': allowed outputs are 'y', 'total'",
        ),
        (
            onnx_models.doubled(),
            {"input": []},
            "the configuration of model 'digits' leaves out inputs that the model needs: 'x'",
        ),
        (
            onnx_models.doubled(),
            {"input": [{"name": "x", "data_type": "TYPE_INT64", "dims": [2]}]},
            "input 'x' of model 'digits' is TYPE_INT64 in the configuration and TYPE_FP32 in the model",
        ),
        (
            onnx_models.doubled(),
            {"output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [3]}]},
            "output 'y' of model 'digits' has the shape [-1, 3] (the first dimension is the batch) in the configuration and [-1, 2] in the model",
        ),
        (
            onnx_models.doubled(),
            {"max_batch_size": 0},
            "input 'x' of model 'digits' has the shape [2] in the configuration and [-1, 2] in the model",
        ),
        (
            onnx_models.doubled(first=1),
            {},
            "input 'x' of model 'digits' has the fixed shape [1, 2] in the model: "
            "max_batch_size must be 0, or the model be exported with a variable first dimension",
        ),
        (
            onnx_models.passed_through(onnx_models.TensorProto.BFLOAT16),
            {},
            "input 'x' of model 'digits' has the ONNX type tensor(bfloat16), which this backend cannot carry",
        ),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_a_configuration_that_the_model_contradicts_is_refused(load: Load, model: bytes, different: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TritonModelException) as refused:
        load(model, configuration(**different))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "tensor",
    [
        {"name": "y", "data_type": "TYPE_FP32", "dims": [1], "reshape": {"shape": []}},
        {"name": "y", "data_type": "TYPE_FP32", "dims": [1], "reshape": {}},
    ],
    ids=["reshape to no dimension", "reshape without a shape"],
)
def test_a_reshaped_output_is_compared_after_the_reshape(load: Load, tensor: dict[str, Any]) -> None:
    [answer] = load(onnx_models.labelled(), configuration(output=[tensor])).execute([Request({"x": floats([5, 1], [6, 1])})])
    assert answer.values == {"y": [5, 6]}


def test_a_missing_file_is_told_with_what_is_there_instead(load: Load, tmp_path: Path) -> None:
    with pytest.raises(TritonModelException) as refused:
        load(b"", configuration(), filename="digits.onnx")
    assert str(refused.value) == f"unable to load model 'digits': {tmp_path}/digits/1 has no model.onnx; it holds digits.onnx"


def test_a_corrupt_file_is_told(load: Load) -> None:
    with pytest.raises(TritonModelException, match=r"^unable to load model 'digits' from model.onnx: .*Protobuf parsing failed"):
        load(onnx_models.doubled()[:-9], configuration())


def test_the_configured_file_name_is_used(load: Load) -> None:
    model = load(onnx_models.doubled(), configuration(default_model_filename="digits.onnx"), filename="digits.onnx")
    [answer] = model.execute([Request({"x": floats([1, 2])})])
    assert answer.values == {"y": [[2, 4]]}


def test_a_repository_without_tensors_in_its_configuration_gets_the_models(
    backend: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx_models.doubled())
    monkeypatch.setattr(backend.pb_utils, "get_model_dir", lambda: str(tmp_path), raising=False)
    config = backend.TritonPythonModel.auto_complete_config(ModelConfig(configuration(max_batch_size=0, input=[], output=[])))
    tensors = [_tensor("x", dims=[2])], [_tensor("y", dims=[2]), _tensor("total", dims=[1])]
    assert (config.stated["input"], config.stated["output"]) == tensors
    assert (config.stated["max_batch_size"], config.batches) == (4, True)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ({"cpu.max": "99900000 100000\n"}, 64),
        ({}, 64),
    ],
    ids=["1.5 CPUs", "half a CPU", "version 2 without a limit", "version 1", "version 1 without a limit", "more than there are", "no cgroup"],
)
def test_threads_follow_the_cpu_limit(
    backend: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr(backend.os, "sched_getaffinity", lambda _: set(range(64)))
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert backend.cpu_limit(tmp_path) == expected


def test_instances_share_the_cpus(backend: types.ModuleType) -> None:
    options = backend.session_options(configuration(instance_group=[{"count": 2}, {"count": 1}]), cpus=7)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)


def test_parameters_have_the_names_of_the_c_plus_plus_backend(backend: types.ModuleType) -> None:
    values = {
        "intra_op_thread_count": "3",
        "inter_op_thread_count": "2",
        "execution_mode": "1",
        "enable_mem_arena": "0",
        "enable_mem_pattern": "0",
        "session.intra_op.allow_spinning": "0",
    }
    parameters = {name: {"string_value": value} for name, value in values.items()}
    options = backend.session_options(configuration(parameters=parameters, optimization={"graph": {"level": -1}}), cpus=8)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 2)
    assert options.execution_mode == backend.ort.ExecutionMode.ORT_PARALLEL
    assert (options.enable_cpu_mem_arena, options.enable_mem_pattern) == (False, False)
    assert options.graph_optimization_level == backend.ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def _tensor(name: str, data_type: str = "TYPE_FP32", dims: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "data_type": data_type, "dims": [2] if dims is None else dims}


def _strings(load: Load) -> Any:
    config = configuration(input=[_tensor("x", "TYPE_STRING")], output=[_tensor("y", "TYPE_STRING")])
    return load(onnx_models.passed_through(onnx_models.TensorProto.STRING), config)


def _count_runs(model: Any) -> list[list[str]]:
    """A list that gets the outputs of each run of the model's session from now on."""
    runs: list[list[str]] = []
    session = model._session

    class Counted:
        def run(self, outputs: list[str], inputs: dict[str, Any]) -> Any:
            runs.append(outputs)
            return session.run(outputs, inputs)

    model._session = Counted()
    return runs
