"""Stand-ins for the classes that Triton's python backend gives to a model written in Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


def configuration(**different: Any) -> dict[str, Any]:
    """A configuration as Triton hands it over, for the model ``doubled``; a test says only what differs."""
    stated = {
        "name": "digits",
        "max_batch_size": 8,
        "default_model_filename": "",
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [2]}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [2]}],
        "instance_group": [{"count": 1}],
        "optimization": {},
        "parameters": {},
    }
    return stated | different


@dataclass
class Tensor:
    """Like pb_utils.Tensor: a named array."""

    label: str
    value: Any

    def name(self) -> str:
        return self.label

    def as_numpy(self) -> Any:
        return self.value


class TritonError:
    """Like pb_utils.TritonError: a message, and a code that decides about the HTTP status."""

    INVALID_ARG = "INVALID_ARG"
    INTERNAL = "INTERNAL"

    def __init__(self, message: str, code: str) -> None:
        self.message, self.code = message, code


@dataclass
class InferenceResponse:
    """Like pb_utils.InferenceResponse: outputs, or an error."""

    tensors: list[Tensor]
    error: TritonError | None = None

    @property
    def values(self) -> dict[str, Any]:
        assert self.error is None, self.error.message
        return {tensor.label: tensor.value.tolist() for tensor in self.tensors}


@dataclass
class Request:
    """Like pb_utils.InferenceRequest: inputs, and the names of the outputs wanted (none: all)."""

    arrays: dict[str, Any]
    wanted: Sequence[str] = ()

    def inputs(self) -> list[Tensor]:
        return [Tensor(name, value) for name, value in self.arrays.items()]

    def requested_output_names(self) -> list[str]:
        return list(self.wanted)


class TritonModelException(Exception):
    """Like pb_utils.TritonModelException: the model does not load, for this reason."""


@dataclass
class ModelConfig:
    """Like pb_utils.ModelConfig: a configuration that takes additions."""

    stated: dict[str, Any]
    batches: bool = False

    def as_dict(self) -> dict[str, Any]:
        return self.stated

    def add_input(self, tensor: dict[str, Any]) -> None:
        self.stated["input"].append(tensor)

    def add_output(self, tensor: dict[str, Any]) -> None:
        self.stated["output"].append(tensor)

    def set_max_batch_size(self, size: int) -> None:
        self.stated["max_batch_size"] = size

    def set_dynamic_batching(self) -> None:
        self.batches = True
