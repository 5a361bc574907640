"""What a transformer is to do, as transformer.json says it."""

import math
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from slipway_inference.protocol.datatypes import DATATYPES, Datatype

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]
OnInvalid: TypeAlias = Literal["Reject", "Impute", "Flag"]


class ConfigurationError(Exception):
    """The configuration cannot be used; the message says what is wrong in it."""


class _Part(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What all parts have in common: a misspelt field is an error, not a default."""


class Tensor(_Part, frozen=True):
    """A tensor's name, datatype and shape, the batch dimension left out."""

    name: Name
    dtype: str
    shape: tuple[int, ...]
    """-1 is any size."""

    @property
    def datatype(self) -> Datatype:
        """The datatype that ``dtype`` names."""
        return DATATYPES[self.dtype]

    @property
    def width(self) -> int:
        """Elements of a row; -1 where that is not known before."""
        return -1 if -1 in self.shape else math.prod(self.shape)


class Rule(_Part, frozen=True):
    """What an input's values have to be. Numbers are decimal text, so that nothing is lost on the way."""

    input: Name
    column: Annotated[int, Meta(ge=0)] | None = None
    """Place in the flattened row; absent: all of them."""
    minimum: str | None = None
    maximum: str | None = None
    allowed: tuple[str, ...] | None = None
    nullable: bool = True
    on_invalid: OnInvalid | None = None
    """Absent: that of the validation."""
    impute: str | None = None
    """What takes the place of a wrong value where ``on_invalid`` is Impute."""


class Validation(_Part, frozen=True):
    """Rules, in their order."""

    on_invalid: OnInvalid = "Reject"
    rules: tuple[Rule, ...] = ()


class Column(_Part, frozen=True):
    """One place of the features' vector: a feature of a view, or all of what the client sent in an input."""

    view: Name | None = None
    feature: Name | None = None
    input: Name | None = None


class Key(_Part, frozen=True):
    """A join key of a view, and the input that has its value."""

    name: Name
    input: Name


class Entity(_Part, frozen=True):
    """Where the keys of a view's rows come from."""

    view: Name
    keys: Annotated[tuple[Key, ...], Meta(min_length=1)]


class Features(_Part, frozen=True):
    """Which rows of the online store become which columns of an input."""

    redis: str
    project: Name
    into: Name
    columns: Annotated[tuple[Column, ...], Meta(min_length=1)]
    entities: tuple[Entity, ...] = ()
    on_missing: Literal["Default", "Null", "Reject"] = "Default"
    default: str = "0"
    on_unavailable: Literal["Fail", "Default"] = "Fail"
    timeout_milliseconds: Annotated[int, Meta(ge=1)] = 50

    @property
    def views(self) -> tuple[str, ...]:
        """The views that are read, in the order of ``entities``."""
        return tuple(entity.view for entity in self.entities)


class Hooks(_Part, frozen=True):
    """A class of the user's image."""

    cls: Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] = msgspec.field(name="class")
    on_error: Literal["Fail", "Skip"] = "Fail"
    parameters: dict[str, str] = {}


class AnswerStep(_Part, frozen=True):
    """Scores to labels."""

    output: Name
    labels: tuple[str, ...] = ()
    top_k: Annotated[int, Meta(ge=1)] | None = None
    threshold: str | None = None


class Log(_Part, frozen=True):
    """Which predictions are written down, and where."""

    sample_percent: str
    file: Annotated[str, Meta(min_length=1)]


class Configuration(_Part, frozen=True):
    """All of it."""

    version: int
    model: Name
    max_batch_size: Annotated[int, Meta(ge=0)]
    inputs: Annotated[tuple[Tensor, ...], Meta(min_length=1)]
    outputs: Annotated[tuple[Tensor, ...], Meta(min_length=1)]
    request: tuple[Tensor, ...] = ()
    """What a client sends; empty: the same as ``inputs``."""
    validation: Validation | None = None
    features: Features | None = None
    hooks: Hooks | None = None
    answer: AnswerStep | None = None
    log: Log | None = None

    @property
    def accepted(self) -> tuple[Tensor, ...]:
        """The tensors that a client sends."""
        return self.request or self.inputs

    @property
    def batched(self) -> bool:
        """Whether tensors have a batch dimension."""
        return self.max_batch_size > 0
