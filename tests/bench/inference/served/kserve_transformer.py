"""kserve's transformer, which changes nothing, before a predictor: ``kserve_transformer.py PORT PROTOCOL HOST:PORT``."""

import logging
import sys

import kserve
from kserve import InferRequest, InferResponse
from kserve.logging import configure_logging
from kserve.predictor_config import PredictorConfig


class Transformer(kserve.Model):
    """As kserve's documentation writes one: the default ``predict`` asks the predictor."""

    def __init__(self) -> None:
        super().__init__("ranker")
        self.ready = True

    async def preprocess(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferRequest:
        """What the predictor is asked."""
        return payload

    async def postprocess(
        self, result: InferResponse, headers: dict[str, str] | None = None, response_headers: dict[str, str] | None = None
    ) -> InferResponse:
        """What the client is told."""
        return result


if __name__ == "__main__":
    configure_logging()
    for name in ("uvicorn.access", "kserve.trace", "httpx"):  # lines for each request, which nobody else here writes
        logging.getLogger(name).setLevel(logging.WARNING)
    predictor = PredictorConfig(predictor_host=sys.argv[3], predictor_protocol=sys.argv[2])
    server = kserve.ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, workers=1, enable_latency_logging=False, predictor_config=predictor)
    server.start([Transformer()])
