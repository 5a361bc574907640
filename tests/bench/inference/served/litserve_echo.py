"""LitServe, one server process and one worker: ``litserve_echo.py PORT``."""

import sys
from typing import Any

import litserve
import numpy as np


class Echo(litserve.LitAPI):
    """Decoded, served and encoded as LitServe's documentation does it."""

    def setup(self, device: str) -> None:
        """There is nothing to load."""

    def decode_request(self, request: dict[str, Any]) -> Any:
        """The first input."""
        given = request["inputs"][0]
        return np.array(given["data"], dtype=np.float32).reshape(given["shape"])

    def predict(self, x: Any) -> Any:
        """The first value of each row."""
        return x[:, :1]

    def encode_response(self, output: Any) -> dict[str, Any]:
        """As the protocol has it."""
        described = {"name": "y", "shape": list(output.shape), "datatype": "FP32", "data": output.ravel().tolist()}
        return {"model_name": "ranker", "outputs": [described]}


if __name__ == "__main__":
    server = litserve.LitServer(Echo(api_path="/v2/models/ranker/infer"), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, access_log=False)
