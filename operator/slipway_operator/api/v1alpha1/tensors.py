"""Tensors, as a ModelDeployment describes them."""

from typing import Annotated, Literal

from pydantic import Field

from slipway_operator.api.fields import ATOMIC_LIST, FromList, Model

DataType = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BF16", "BYTES"
]  # fmt: skip

Dimension = Annotated[int, Field(ge=-1, le=2**31 - 1)]


class Tensor(Model):
    """One named input or output of a model."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:/-]+$")] = Field(
        description="Name of the tensor, as the model file has it."
    )
    dtype: DataType = Field(description="Element type, in the words of the Open Inference Protocol.")
    shape: Annotated[tuple[Dimension, ...], FromList] = Field(
        max_length=8,
        description="Size of each dimension; -1 for one that varies. With serving.batching the batch dimension is left out, as in Triton's own"
        " configuration, so that [] is one value a row; without it the whole shape is given.",
        json_schema_extra=ATOMIC_LIST,
    )
