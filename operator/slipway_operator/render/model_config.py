"""Triton's model configuration (config.pbtxt) from a revision's tensors and settings."""

from collections.abc import Iterable, Iterator

from slipway_operator.api.v1alpha1.tensors import Tensor
from slipway_operator.state.revision import Revision

_BACKENDS = {"onnx": "onnxruntime", "python": "python"}


def config_pbtxt(revision: Revision, *, model_name: str) -> str:
    """The configuration as protobuf text, one field a line, the same bytes for the same revision."""
    return "\n".join(_lines(revision, model_name=model_name)) + "\n"


def _lines(revision: Revision, *, model_name: str) -> Iterator[str]:
    serving = revision.serving
    yield f'name: "{model_name}"'
    yield f'backend: "{_BACKENDS[revision.model.format]}"'
    yield f"max_batch_size: {serving.batching.max_batch_size if serving.batching else 0}"
    yield from _tensors("input", revision.model.inputs)
    yield from _tensors("output", revision.model.outputs)
    if serving.batching:
        yield f"dynamic_batching {{ max_queue_delay_microseconds: {serving.batching.max_queue_delay_microseconds} }}"
    yield f"instance_group [ {{ count: 1 kind: {'KIND_GPU' if serving.accelerator else 'KIND_CPU'} }} ]"
    if serving.response_cache:
        yield "response_cache { enable: true }"


def _tensors(field: str, tensors: Iterable[Tensor]) -> Iterator[str]:
    rendered = [f'  {{ name: "{tensor.name}" data_type: {_data_type(tensor)} {_dims(tensor)} }}' for tensor in tensors]
    yield f"{field} ["
    yield ",\n".join(rendered)
    yield "]"


def _data_type(tensor: Tensor) -> str:
    return "TYPE_STRING" if tensor.dtype == "BYTES" else f"TYPE_{tensor.dtype}"


def _dims(tensor: Tensor) -> str:
    """Triton has no empty dims: one value a row is a dimension of one, reshaped away before the model sees it."""
    if not tensor.shape:
        return "dims: [ 1 ] reshape: { shape: [ ] }"
    return f"dims: [ {', '.join(str(size) for size in tensor.shape)} ]"
