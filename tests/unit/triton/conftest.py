"""The onnxruntime backend, loaded as Triton's python backend loads it."""

import importlib.util
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway_testing import triton_backend
from slipway_testing.golden import REPOSITORY


@pytest.fixture(scope="session")
def backend() -> Iterator[types.ModuleType]:
    pytest.importorskip("onnxruntime", reason="the CPU backend runs on onnxruntime")
    sys.modules["triton_python_backend_utils"] = triton_backend
    path = REPOSITORY / "inference/triton/backends/onnxruntime/model.py"
    spec = importlib.util.spec_from_file_location("onnxruntime_backend", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["triton_python_backend_utils"], sys.modules[spec.name]


@pytest.fixture
def load(backend: types.ModuleType, tmp_path: Path) -> Callable[..., Any]:
    """Put a model into a repository and initialise the backend on it."""

    def loaded(model: bytes | None, config: dict[str, Any], *, filename: str = "model.onnx") -> Any:
        version = tmp_path / "digits" / "1"
        version.mkdir(parents=True)
        if model is not None:
            (version / filename).write_bytes(model)
        served = backend.TritonPythonModel()
        served.initialize(
            {
                "model_name": "digits",
                "model_config": json.dumps(config),
                "model_repository": str(tmp_path / "digits"),
                "model_version": "1",
            }
        )
        return served

    return loaded
