"""Ray Serve, one replica: ``ray_echo.py PORT``."""

import signal
import sys
from typing import Any

import numpy as np
import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=100)  # by default 5, beyond which the proxy waits for ever longer between its tries
class Echo:
    """Takes Starlette's requests, as Ray's documentation does it without FastAPI."""

    async def __call__(self, request: Request) -> dict[str, Any]:
        """The first value of each row."""
        given = (await request.json())["inputs"][0]
        first = np.array(given["data"], dtype=np.float32).reshape(given["shape"])[:, :1]
        return {"model_name": "ranker", "outputs": [{"name": "y", "shape": list(first.shape), "datatype": "FP32", "data": first.ravel().tolist()}]}


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Echo.bind(), route_prefix="/")  # type: ignore[attr-defined]
    try:
        signal.pause()
    finally:
        ray.shutdown()
