"""Models of Triton's Python backend for these tests, as bytes of ``model.py``."""

_FAILING = """
import numpy
import triton_python_backend_utils as utils

class TritonPythonModel:
    def initialize(self, args):
        self.random = numpy.random.default_rng(1)

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        if self.random.random() < {share}:
            return utils.InferenceResponse(error=utils.TritonError("out of luck"))
        row = utils.get_input_tensor_by_name(request, "x").as_numpy()
        return utils.InferenceResponse([utils.Tensor("y", (2 * row).astype(numpy.float32))])
"""


def failing(share: float) -> bytes:
    """x [n, 2] -> y [n, 2] = x + x, but for a share of the requests, which are answered 500; 1.0: of all."""
    return _FAILING.format(share=share).encode()
