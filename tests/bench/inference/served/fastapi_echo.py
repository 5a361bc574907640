"""FastAPI under uvicorn, bodies as pydantic models: ``fastapi_echo.py PORT``."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Tensor(BaseModel):
    """One tensor of the protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Request(BaseModel):
    """A body."""

    id: str | None = None
    inputs: list[Tensor]


class Answer(BaseModel):
    """What comes back."""

    model_name: str
    outputs: list[Tensor]


app = FastAPI()


@app.post("/v2/models/ranker/infer")
async def infer(request: Request) -> Answer:
    """The first value of each row."""
    given = request.inputs[0]
    rows, width = given.shape
    return Answer(model_name="ranker", outputs=[Tensor(name="y", shape=[rows, 1], datatype="FP32", data=given.data[::width])])


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False)
