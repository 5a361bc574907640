"""The steps of a request, from bytes to bytes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from slipway_inference import answer, inputs, validation
from slipway_inference.configuration import Configuration
from slipway_inference.features import Features
from slipway_inference.hooks import Hooks
from slipway_inference.merging import Merger
from slipway_inference.meters import Meters
from slipway_inference.predictions import Prediction, Predictions
from slipway_inference.protocol import answers
from slipway_inference.protocol.answers import Answer
from slipway_inference.protocol.datatypes import Tensors
from slipway_inference.protocol.requests import Reader, Request
from slipway_inference.refusals import Refused


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and what its header says about values that broke a rule."""

    answer: Answer
    flags: str = ""
    """``user_id:minimum=3, price:null=1``, names escaped as in addresses; empty where nothing was flagged."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What steps there are."""

    configuration: Configuration
    merger: Merger
    meters: Meters
    max_rows: int
    features: Features | None = None
    hooks: Hooks | None = None
    predictions: Predictions | None = None
    clock: Callable[[], float] = field(default=time.perf_counter)


class Inference:
    """Made once; ``answer`` for each request."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._configuration = parts.configuration
        self._reader = Reader(parts.configuration, max_rows=parts.max_rows)
        self._validation = validation.Validation(parts.configuration)
        self._answer = answer.Answer(parts.configuration.answer) if parts.configuration.answer else None
        self._model_outputs = [tensor.name for tensor in parts.configuration.outputs]
        made = self._answer.outputs(self._model_outputs) if self._answer else self._model_outputs
        self._default = made
        self._known = {*made, *self._model_outputs}
        self._free = parts.hooks is not None and parts.hooks.changes_answers
        """Whether outputs are whatever a hook says."""
        self._changed = parts.features is not None or parts.hooks is not None or parts.configuration.accepted != parts.configuration.inputs
        """Whether the model's inputs can be anything but what clients send."""

    async def answer(self, body: bytes, *, header_length: int | None, trace: bytes) -> Answered:
        """The answer. Refused: there is none, for the reason that it says."""
        parts = self._parts
        began = parts.clock()
        request = self._reader.read(body, header_length=header_length)
        outputs = self._outputs(request)
        checked = self._validation.check(request)
        tensors, rows = checked.tensors, request.rows
        if self._changed:
            tensors = await self._made(tensors, rows)
        asked = parts.clock()
        found = await parts.merger.infer(tensors, rows=rows, outputs=outputs, trace=trace)
        parts.meters.model_seconds.add(parts.clock() - asked)
        if parts.hooks:
            found = parts.hooks.post(found, tensors, rows=rows)
        said = self._answer.added(found, rows=rows) if self._answer else found
        answered = Answered(self._written(said, request), self._flags(checked))
        if parts.predictions and parts.predictions.chosen():
            seconds = parts.clock() - began
            sample = Prediction(id=request.id, rows=rows, request=checked.tensors, inputs=tensors, outputs=found, seconds=seconds)
            parts.predictions.offer(sample)
        return answered

    def _outputs(self, request: Request) -> list[str]:
        """What the model is asked for. Refused: the client asks for something that nobody has."""
        if not request.wanted or self._free or self._answer:
            if not self._free:
                for wanted in request.wanted:
                    if wanted.name not in self._known:
                        raise answers.unknown(wanted.name, self._default)
            return self._model_outputs
        for wanted in request.wanted:
            if wanted.name not in self._known:
                raise answers.unknown(wanted.name, self._default)
        return [wanted.name for wanted in request.wanted]

    async def _made(self, tensors: Tensors, rows: int) -> Tensors:
        parts = self._parts
        if parts.features:
            asked = parts.clock()
            tensors = await parts.features.added(tensors, rows=rows)
            parts.meters.store_seconds.add(parts.clock() - asked)
        if parts.hooks:
            tensors = parts.hooks.pre(tensors, rows=rows)
        return inputs.taken(self._configuration, tensors, rows=rows)

    def _written(self, tensors: Tensors, request: Request) -> Answer:
        default = self._default
        if self._free:
            default = self._answer.outputs(self._plain(tensors)) if self._answer else list(tensors)
        try:
            return answers.write(self._configuration.model, tensors, request, default=default)
        except answers.NoDatatype as error:
            raise Refused(f"the answer cannot be sent: {error}", status=500, reason="answer") from None

    def _plain(self, tensors: Tensors) -> list[str]:
        """Outputs without those that labels were added as."""
        assert self._answer is not None  # noqa: S101
        added = set(self._default) - set(self._model_outputs)
        return [name for name in tensors if name not in added]

    def _flags(self, checked: validation.Checked) -> str:
        if not checked.flagged and not checked.imputed:
            return ""
        self._parts.meters.flagged.update(checked.flagged)
        self._parts.meters.imputed.update(checked.imputed)
        return ", ".join(f"{quote(name)}:{reason}={count}" for (name, reason), count in sorted(checked.flagged.items()))
