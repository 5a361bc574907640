"""Small ONNX models for these tests, as bytes."""

from typing import Any

import pytest

np = pytest.importorskip("numpy")
onnx = pytest.importorskip("onnx", reason="the models of these tests are built with onnx")
helper, TensorProto = onnx.helper, onnx.TensorProto

OPSET = 21
"""The newest that the onnxruntime in Triton 24.10 reads."""


def doubled(*, first: int | str = "n") -> bytes:
    """x [n, 2] -> y [n, 2] = x + x, and total [n, 1] = the sum of a row of x."""
    row = [first, 2]
    nodes = [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=1)]
    outputs = [_tensor("y", TensorProto.FLOAT, row), _tensor("total", TensorProto.FLOAT, [first, 1])]
    return _model(nodes, [_tensor("x", TensorProto.FLOAT, row)], outputs, constants={"axes": np.array([1])})


def looked_up() -> bytes:
    """x [n, 1] of numbers 0 to 3 -> y [n, 1]; any other number fails the whole run."""
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    inputs, outputs = [_tensor("x", TensorProto.INT64, ["n", 1])], [_tensor("y", TensorProto.FLOAT, ["n", 1])]
    return _model([node], inputs, outputs, constants={"table": np.array([0, 10, 20, 30], dtype=np.float32)})


def first_row() -> bytes:
    """x [n, 2] -> y [1, 2], the first row: an output that has not one row for each row, though its shape does not say so."""
    node = helper.make_node("Compress", ["x", "chosen"], ["y"], axis=0)
    inputs, outputs = [_tensor("x", TensorProto.FLOAT, ["n", 2])], [_tensor("y", TensorProto.FLOAT, ["m", 2])]
    return _model([node], inputs, outputs, constants={"chosen": np.array([True])})


def passed_through(kind: int) -> bytes:
    """x [n, 2] -> y [n, 2], the same, of the ONNX element type ``kind``."""
    return _model([helper.make_node("Identity", ["x"], ["y"])], [_tensor("x", kind, ["n", 2])], [_tensor("y", kind, ["n", 2])])


def labelled() -> bytes:
    """x [n, 2] -> y [n], the first column: an output of one dimension, as scikit-learn's labels are."""
    node = helper.make_node("Gather", ["x", "column"], ["y"], axis=1)
    inputs, outputs = [_tensor("x", TensorProto.FLOAT, ["n", 2])], [_tensor("y", TensorProto.FLOAT, ["n"])]
    return _model([node], inputs, outputs, constants={"column": np.array(0)})


def _tensor(name: str, kind: int, shape: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any] | None = None) -> bytes:
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
