"""What everybody is asked, and what is a right answer."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from inference.harness import Answer

MODEL = "ranker"
WIDTH = 200
INFER = f"/v2/models/{MODEL}/infer"
_ROW = np.random.default_rng(7).normal(size=WIDTH).astype(np.float32)
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, WIDTH], "datatype": "FP32", "data": [round(float(one), 6) for one in _ROW]}]})
SCRIPT = f"""
wrk.method = "POST"
wrk.path = "{INFER}"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{BODY}]]
"""


def transformer() -> dict[str, Any]:
    """The configuration of the transformer: types and shapes are checked, values are not."""
    return {
        "version": 1,
        "model": MODEL,
        "maxBatchSize": 64,
        "inputs": [{"name": "x", "dtype": "FP32", "shape": [WIDTH]}],
        "outputs": [{"name": "y", "dtype": "FP32", "shape": [1]}],
    }


def wrong(answer: Answer) -> str:
    """What is wrong with an answer; empty when it is the first value of the row, as the protocol has it."""
    if answer.status != 200:
        return f"status {answer.status}: {answer.body[:200].decode(errors='replace')}"
    outputs: Sequence[Any] = answer.said.get("outputs") or []
    if len(outputs) != 1:
        return f"{len(outputs)} outputs"
    [output] = outputs
    if output["name"] != "y" or output["datatype"] != "FP32" or output["shape"] != [1, 1]:
        return f"the output is {output}"
    return "" if np.float32(output["data"][0]) == np.float32(_first()) else f"the value is {output['data']} and not {_first()}"


def _first() -> float:
    first: float = json.loads(BODY)["inputs"][0]["data"][0]
    return first
