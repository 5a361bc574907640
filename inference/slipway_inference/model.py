"""What the transformer stands in front of, as seen from here."""

from collections.abc import Collection
from typing import Protocol

from slipway_inference.protocol.datatypes import Tensors


class Model(Protocol):
    """Triton, or whatever a test puts in its place."""

    async def infer(self, tensors: Tensors, outputs: Collection[str], trace: bytes) -> Tensors:
        """The named outputs. ``trace``: header lines that are passed on. Refused: it did not answer well."""
        ...

    async def ready(self) -> bool:
        """Whether it would answer now."""
        ...

    def close(self) -> None:
        """Be done with it: whoever still waits for an answer is Refused."""
        ...
