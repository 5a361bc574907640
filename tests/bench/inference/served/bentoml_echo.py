"""A BentoML service of one worker, served by ``bentoml serve bentoml_echo:Echo``."""

import bentoml
import numpy as np
from pydantic import BaseModel


class Tensor(BaseModel):
    """One tensor of the protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Answer(BaseModel):
    """What comes back."""

    model_name: str
    outputs: list[Tensor]


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Echo:
    """The protocol's fields are the function's arguments."""

    @bentoml.api(route="/v2/models/ranker/infer")
    async def infer(self, inputs: list[Tensor]) -> Answer:
        """The first value of each row."""
        given = inputs[0]
        first = np.array(given.data, dtype=np.float32).reshape(given.shape)[:, :1]
        described = Tensor(name="y", shape=list(first.shape), datatype="FP32", data=first.ravel().tolist())
        return Answer(model_name="ranker", outputs=[described])
