"""config.pbtxt, byte for byte."""

from slipway_operator.render import model_config
from slipway_testing import builders


def test_a_batched_onnx_model_with_a_label_a_row() -> None:
    revision = builders.revision(builders.spec(serving={"batching": {"maxBatchSize": 64, "maxQueueDelayMicroseconds": 500}}))

    rendered = model_config.config_pbtxt(revision, model_name="digits")

    assert rendered == (
        'name: "digits"\n'
        'backend: "onnxruntime"\n'
        "max_batch_size: 64\n"
        "input [\n"
        '  { name: "x" data_type: TYPE_FP32 dims: [ 64 ] }\n'
        "]\n"
        "output [\n"
        '  { name: "label" data_type: TYPE_INT64 dims: [ 1 ] reshape: { shape: [ ] } }\n'
        "]\n"
        "dynamic_batching { max_queue_delay_microseconds: 500 }\n"
        "instance_group [ { count: 1 kind: KIND_CPU } ]\n"
    )


def test_a_python_model_on_a_gpu_with_a_cache_and_no_batching() -> None:
    tensors = [{"name": "a", "dtype": "BYTES", "shape": [-1, 2]}, {"name": "b", "dtype": "BOOL", "shape": [1]}]
    serving = {"accelerator": {"type": "nvidia.com/gpu"}, "responseCache": {"sizeMebibytes": 16}}
    revision = builders.revision(builders.spec(format="python", inputs=tensors, serving=serving))

    rendered = model_config.config_pbtxt(revision, model_name="words")

    assert rendered == (
        'name: "words"\n'
        'backend: "python"\n'
        "max_batch_size: 0\n"
        "input [\n"
        '  { name: "a" data_type: TYPE_STRING dims: [ -1, 2 ] },\n'
        '  { name: "b" data_type: TYPE_BOOL dims: [ 1 ] }\n'
        "]\n"
        "output [\n"
        '  { name: "label" data_type: TYPE_INT64 dims: [ 1 ] reshape: { shape: [ ] } }\n'
        "]\n"
        "instance_group [ { count: 1 kind: KIND_GPU } ]\n"
        "response_cache { enable: true }\n"
    )
