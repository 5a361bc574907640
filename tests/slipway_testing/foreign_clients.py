"""Asks a model by clients that others wrote, as their documentation says; prints what came back as JSON. Runs in build/venvs/clients.

Usage: foreign_clients.py HOST MODEL USER PRICE
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
import tritonclient.http
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


def by_tritonclient(host: str, model: str, user: int, price: float, *, binary: bool) -> list[float]:
    """NVIDIA's client, with tensors as bytes or as JSON."""
    client = tritonclient.http.InferenceServerClient(host)
    assert client.is_server_ready()
    assert client.is_model_ready(model)
    named = {each["name"]: each for each in client.get_model_metadata(model)["inputs"]}
    assert list(named) == ["user", "price"]
    inputs = []
    for name, value in (("user", np.array([[user]], np.int64)), ("price", np.array([[price]], np.float32))):
        inputs.append(tritonclient.http.InferInput(name, list(value.shape), named[name]["datatype"]))
        inputs[-1].set_data_from_numpy(value, binary_data=binary)
    outputs = [tritonclient.http.InferRequestedOutput("y", binary_data=binary)]
    found: list[float] = client.infer(model, inputs, outputs=outputs).as_numpy("y").ravel().tolist()
    client.close()
    return found


async def by_kserve(host: str, model: str, user: int, price: float) -> list[float]:
    """KServe's client."""
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=0)) as client:
        assert await client.is_server_ready(f"http://{host}")
        inputs = [InferInput("user", [1, 1], "INT64", data=[user]), InferInput("price", [1, 1], "FP32", data=[price])]
        answer: Any = await client.infer(f"http://{host}", InferRequest(model, infer_inputs=inputs), model_name=model)
    return [float(value) for value in answer.outputs[0].data]


def main(host: str, model: str, user: int, price: float) -> int:
    """Ask three times."""
    told = {
        "tritonclient, binary": by_tritonclient(host, model, user, price, binary=True),
        "tritonclient, JSON": by_tritonclient(host, model, user, price, binary=False),
        "kserve": asyncio.run(by_kserve(host, model, user, price)),
    }
    print(json.dumps(told))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
