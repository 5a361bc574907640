"""kserve's ModelServer with a model of one's own: ``kserve_echo.py PORT``."""

import logging
import sys

import kserve
from kserve import InferOutput, InferRequest, InferResponse
from kserve.logging import configure_logging
from kserve.utils.utils import generate_uuid


class Echo(kserve.Model):
    """As kserve's documentation writes a custom model."""

    def __init__(self) -> None:
        super().__init__("ranker")
        self.ready = True

    async def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        """The first value of each row."""
        first = payload.inputs[0].as_numpy()[:, :1]
        output = InferOutput(name="y", shape=list(first.shape), datatype="FP32")
        output.set_data_from_numpy(first, binary_data=False)
        return InferResponse(response_id=payload.id or generate_uuid(), model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    configure_logging()
    for name in ("uvicorn.access", "kserve.trace"):  # lines for each request, which nobody else here writes
        logging.getLogger(name).setLevel(logging.WARNING)
    kserve.ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, workers=1, enable_latency_logging=False).start([Echo()])
