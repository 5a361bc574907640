"""Whether a transformer fits a model: what both of them say, and how much of that CEL can say too.

slipway_inference.configuration_file refuses the same when a transformer starts; here it is refused before there are pods. SPEC_RULES judge
spec.model. Sums of sizes and ranges of numbers, and the models of spec.traffic, are beyond them: ``misfits`` alone judges those.
"""

import decimal
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from slipway_operator.api.fields import rules
from slipway_operator.api.v1alpha1.tensors import Tensor
from slipway_operator.api.v1alpha1.transformer import Answer, FeatureColumn, Features, Transformer, ValidationRule

TRITON_HAS_NO_TRANSFORMER: Final = "transformer is refused with format triton: what such a model takes and gives is not known here"
_TENSORS_ARE_KNOWN: Final = "a transformer's and its model's tensors have neither dtype BF16 nor a dimension of 0"
_RULES_OF_INPUTS: Final = "validation.rules name inputs that clients send: those of transformer.request, or of the model where it is empty"
_BOUNDS_OF_NUMBERS: Final = "minimum and maximum are for numbers: inputs of BOOL and BYTES have allowed"
_BATCHING_NEEDED: Final = "features and answer need serving.batching: they are about rows"
_INTO_IS_AN_INPUT: Final = "features.into is an input of the model, of dtype FP16, FP32 or FP64"
_INTO_IS_NOT_SENT: Final = "features.into is no input that clients send: transformer.request says what they send in its place"
_FEATURES_OF_INPUTS: Final = "features.columns and features.entities name inputs that clients send: those of transformer.request"
_ANSWER_OF_AN_OUTPUT: Final = "answer.output is an output of the model, unless there are hooks, and its dtype is not BYTES"
_INPUTS_COME_FROM_SOMEWHERE: Final = "every input of the model is in transformer.request or is features.into, unless there are hooks"

_BITS: Final = {f"{sign}INT{bits}": (bits, sign == "") for bits in (8, 16, 32, 64) for sign in ("", "U")}
_GREATEST: Final = {
    "FP16": decimal.Decimal(65504),
    "FP32": decimal.Decimal((2 - 2**-23) * 2.0**127),
    "FP64": decimal.Decimal(sys.float_info.max),
}


def misfits(transformer: Transformer, *, inputs: Sequence[Tensor], outputs: Sequence[Tensor], batched: bool) -> Iterator[str]:
    """A sentence for each thing that does not fit, those that CEL says too before the others."""
    sent = transformer.request or inputs
    if any(tensor.dtype == "BF16" or 0 in tensor.shape for tensor in (*sent, *inputs, *outputs)):
        yield _TENSORS_ARE_KNOWN
        return
    yield from _rules(transformer, sent)
    if (transformer.features or transformer.answer) and not batched:
        yield _BATCHING_NEEDED
    given = {tensor.name for tensor in sent}
    if transformer.features is not None:
        given.add(transformer.features.into)
        yield from _features(transformer.features, sent, inputs)
    if transformer.answer is not None:
        yield from _answer(transformer.answer, outputs, hooked=transformer.hooks is not None)
    if transformer.hooks is None and not {tensor.name for tensor in inputs} <= given:
        yield _INPUTS_COME_FROM_SOMEWHERE


def _named(tensors: Sequence[Tensor], name: str | None) -> Tensor | None:
    return next((tensor for tensor in tensors if tensor.name == name), None)


def _width(tensor: Tensor) -> int:
    """Values of a row; -1 where that is not known before."""
    return -1 if -1 in tensor.shape else math.prod(tensor.shape)


def _rules(transformer: Transformer, sent: Sequence[Tensor]) -> Iterator[str]:
    ruled = [(place, rule, _named(sent, rule.input)) for place, rule in enumerate(transformer.validation.rules if transformer.validation else ())]
    if any(tensor is None for _, _, tensor in ruled):
        yield _RULES_OF_INPUTS
    known = [(place, rule, tensor) for place, rule, tensor in ruled if tensor is not None]
    if any(tensor.dtype in ("BOOL", "BYTES") and (rule.minimum is not None or rule.maximum is not None) for _, rule, tensor in known):
        yield _BOUNDS_OF_NUMBERS
    for place, rule, tensor in known:
        yield from (f"transformer.validation.rules[{place}]: {what}" for what in _rule(rule, tensor))


def _rule(rule: ValidationRule, tensor: Tensor) -> Iterator[str]:
    width = _width(tensor)
    if rule.column is not None and 0 <= width <= rule.column:
        yield f"{tensor.name} has {width} values a row, so there is no column {rule.column}"
    for field, text in (("impute", rule.impute), *(("allowed", value) for value in rule.allowed or ())):
        if text is not None and not _can_be(text, tensor.dtype):
            yield f"{field} holds {text!r}, which is no {tensor.dtype}"


def _can_be(text: str, dtype: str) -> bool:
    """Whether a value of the data type can be written like this."""
    if dtype == "BYTES":
        return True
    if dtype == "BOOL":
        return text in ("true", "false")
    try:
        value = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return False
    if not value.is_finite():
        return False
    if dtype in _GREATEST:
        return abs(value) <= _GREATEST[dtype]
    bits, signed = _BITS[dtype]
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return least <= value <= most and value == value.to_integral_value()


def _features(features: Features, sent: Sequence[Tensor], inputs: Sequence[Tensor]) -> Iterator[str]:
    into = _named(inputs, features.into)
    if into is None or into.dtype not in _GREATEST:
        yield _INTO_IS_AN_INPUT
        return
    if _named(sent, features.into) is not None:
        yield _INTO_IS_NOT_SENT
    named = [column.input for column in features.columns if column.input is not None]
    if any(_named(sent, name) is None for name in (*named, *(key.input for entity in features.entities for key in entity.keys))):
        yield _FEATURES_OF_INPUTS
        return
    for entity in features.entities:
        for key in entity.keys:
            tensor = _named(sent, key.input)
            if tensor is not None and _width(tensor) != 1:
                yield f"transformer.features.entities: {entity.view} takes {key.name} from {key.input}, which has not one value a row"
    widths = [_column_width(column, sent) for column in features.columns]
    if None in widths:
        yield f"transformer.features.columns[{widths.index(None)}]: the input has no numbers of a fixed size"
    elif _width(into) not in (-1, sum(width for width in widths if width is not None)):
        yield f"transformer.features.columns give {sum(filter(None, widths))} values, and {into.name} takes {_width(into)}"


def _column_width(column: FeatureColumn, sent: Sequence[Tensor]) -> int | None:
    """None: it cannot be a column."""
    if column.input is None:
        return 1
    tensor = _named(sent, column.input)
    return None if tensor is None or _width(tensor) < 0 or tensor.dtype == "BYTES" else _width(tensor)


def _answer(answer: Answer, outputs: Sequence[Tensor], *, hooked: bool) -> Iterator[str]:
    output = _named(outputs, answer.output)
    if (output is None and not hooked) or (output is not None and output.dtype == "BYTES"):
        yield _ANSWER_OF_AN_OUTPUT
        return
    width = -1 if output is None else _width(output)
    takes = 2 if width == 1 else width
    if answer.labels and takes > 0 and len(answer.labels) != takes:
        yield f"transformer.answer has {len(answer.labels)} labels, and {answer.output} takes {takes}"


def _fits(rule: str) -> str:
    """CEL: the rule, for those whose transformer and model can be compared at all."""
    return f"!has(self.transformer) || self.model.format == 'triton' || ({rule})"


def _sent(test: str) -> str:
    """CEL: whether one of the inputs that clients send, ``t``, passes a test."""
    request, inputs = "self.transformer.request", "self.model.inputs"
    return f"(has({request}) && {request}.size() > 0 ? {request}.exists(t, {test}) : has({inputs}) && {inputs}.exists(t, {test}))"


def _all_of(where: str, test: str) -> str:
    """CEL: whether every one of a list that may be absent, ``one``, passes a test."""
    return f"(!has({where}) || {where}.all(one, {test}))"


def _given(part: str, rule: str) -> str:
    """CEL: the rule, where spec.transformer has that part."""
    return _fits(f"!has(self.transformer.{part}) || ({rule})")


_KNOWN: Final = "one.dtype != 'BF16' && !(0 in one.shape)"
_UNBOUNDED: Final = "(!has(one.minimum) && !has(one.maximum))"
_FLOATS: Final = "t.dtype in ['FP16', 'FP32', 'FP64']"

SPEC_RULES: Final = (
    rules(
        (
            "!has(self.transformer) || (self.model.format != 'triton'"
            " && (!has(self.traffic.shadow) || self.traffic.shadow.model.format != 'triton')"
            " && (!has(self.traffic.fallback) || !has(self.traffic.fallback.model) || self.traffic.fallback.model.format != 'triton'))",
            TRITON_HAS_NO_TRANSFORMER,
        ),
        (
            _fits(" && ".join(_all_of(where, _KNOWN) for where in ("self.transformer.request", "self.model.inputs", "self.model.outputs"))),
            _TENSORS_ARE_KNOWN,
        ),
        (_fits("(!has(self.transformer.features) && !has(self.transformer.answer)) || has(self.serving.batching)"), _BATCHING_NEEDED),
        (
            _fits(
                "has(self.transformer.hooks) || "
                + _all_of(
                    "self.model.inputs",
                    "(has(self.transformer.features) && self.transformer.features.into == one.name)"
                    " || !has(self.transformer.request) || self.transformer.request.size() == 0"
                    " || self.transformer.request.exists(t, t.name == one.name)",
                )
            ),
            _INPUTS_COME_FROM_SOMEWHERE,
        ),
        field=".transformer",
    ),
    rules(
        (_given("validation", _all_of("self.transformer.validation.rules", _sent("t.name == one.input"))), _RULES_OF_INPUTS),
        (
            _given(
                "validation",
                _all_of(
                    "self.transformer.validation.rules",
                    f"{_UNBOUNDED} || !" + _sent("t.name == one.input && t.dtype in ['BOOL', 'BYTES']"),
                ),
            ),
            _BOUNDS_OF_NUMBERS,
        ),
        field=".transformer.validation",
    ),
    rules(
        (
            _given("features", f"has(self.model.inputs) && self.model.inputs.exists(t, t.name == self.transformer.features.into && {_FLOATS})"),
            _INTO_IS_AN_INPUT,
        ),
        (_given("features", "!" + _sent("t.name == self.transformer.features.into")), _INTO_IS_NOT_SENT),
        (
            _given(
                "features",
                _all_of("self.transformer.features.columns", "!has(one.input) || " + _sent("t.name == one.input"))
                + " && "
                + _all_of("self.transformer.features.entities", "one.keys.all(key, " + _sent("t.name == key.input") + ")"),
            ),
            _FEATURES_OF_INPUTS,
        ),
        field=".transformer.features",
    ),
    rules(
        (
            _given(
                "answer",
                "!(has(self.model.outputs) && self.model.outputs.exists(t, t.name == self.transformer.answer.output && t.dtype == 'BYTES'))"
                " && (has(self.transformer.hooks)"
                " || (has(self.model.outputs) && self.model.outputs.exists(t, t.name == self.transformer.answer.output)))",
            ),
            _ANSWER_OF_AN_OUTPUT,
        ),
        field=".transformer.answer",
    ),
)
"""Of the whole spec."""
