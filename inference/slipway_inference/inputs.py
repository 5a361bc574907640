"""The model's inputs, checked once more where features or a hook had a hand in them."""

import numpy as np

from slipway_inference.configuration import Configuration, Tensor
from slipway_inference.protocol.datatypes import Array, Tensors
from slipway_inference.refusals import Refused


def taken(configuration: Configuration, tensors: Tensors, *, rows: int) -> Tensors:
    """Those tensors that the model has inputs for, in its datatypes. Numbers change their size where they keep their value (floats: nearly).

    Refused (500): one is missing or does not fit. That is nothing that the client did.
    """
    return {tensor.name: _taken(tensor, tensors, rows, batched=configuration.batched) for tensor in configuration.inputs}


def _taken(tensor: Tensor, tensors: Tensors, rows: int, *, batched: bool) -> Array:
    array = tensors.get(tensor.name)
    if array is None:
        raise _unfit(tensor, "nothing gives it: neither the request, nor features, nor a hook")
    sizes = array.shape[1:] if batched else array.shape
    if (batched and array.shape[:1] != (rows,)) or len(sizes) != len(tensor.shape):
        raise _unfit(tensor, f"it has the shape {list(array.shape)} for {rows} rows, and should have {list(tensor.shape)} in each")
    if any(size != should and should != -1 for size, should in zip(sizes, tensor.shape, strict=True)):
        raise _unfit(tensor, f"it has the shape {list(array.shape)} for {rows} rows, and should have {list(tensor.shape)} in each")
    return array if array.dtype == tensor.datatype.numpy else _converted(tensor, array)


def _converted(tensor: Tensor, array: Array) -> Array:
    dtype = tensor.datatype.numpy
    kinds = (array.dtype.kind, dtype.kind)
    if "O" in kinds or (dtype.kind != "f" and array.dtype.kind == "f") or "b" in kinds:
        raise _unfit(tensor, f"it is {array.dtype}, and should be {tensor.dtype}")
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if dtype.kind in "iu" and not (converted == array).all():
        raise _unfit(tensor, f"it has values that no {tensor.dtype} can hold")
    return converted


def _unfit(tensor: Tensor, what: str) -> Refused:
    return Refused(f"the model's input {tensor.name} cannot be made: {what}", status=500, reason="inputs", input=tensor.name)
