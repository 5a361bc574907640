"""transformer.json: what the operator wrote, checked before anything starts."""

from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec
import numpy as np

from slipway_inference.configuration import Column, Configuration, ConfigurationError, Features, Rule, Tensor
from slipway_inference.protocol.datatypes import DATATYPES

VERSION = 1


def read(path: Path) -> Configuration:
    """The configuration in a file. ConfigurationError: there is none that can be used."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def parse(text: bytes) -> Configuration:
    """The configuration that ``text`` is. ConfigurationError: it is none."""
    try:
        found = msgspec.json.decode(text, type=Configuration)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"it is no configuration of the transformer: {error}.") from None
    if found.version != VERSION:
        raise ConfigurationError(f"its version is {found.version}, and this transformer knows version {VERSION}: use images of one release.")
    for check in (_tensors, _sources, _rules, _features, _answer, _log):
        check(found)
    return found


def _tensors(found: Configuration) -> None:
    for kind, tensors in (("inputs", found.inputs), ("outputs", found.outputs), ("request", found.request)):
        names = [tensor.name for tensor in tensors]
        for name in names:
            if names.count(name) > 1:
                raise ConfigurationError(f"{kind} has {name} twice.")
        for tensor in tensors:
            if tensor.dtype not in DATATYPES:
                raise ConfigurationError(f"{kind}: {tensor.name} has the datatype {tensor.dtype!r}: it should be one of {', '.join(DATATYPES)}.")
            if any(size < 1 and size != -1 for size in tensor.shape):
                raise ConfigurationError(f"{kind}: {tensor.name} has the shape {list(tensor.shape)}: sizes are at least 1, or -1 for any.")


def _sources(found: Configuration) -> None:
    """Every input of the model comes from somewhere. A hook may give any."""
    given = {tensor.name for tensor in found.accepted} | ({found.features.into} if found.features else set())
    for tensor in found.inputs:
        if found.hooks is None and tensor.name not in given:
            raise ConfigurationError(f"inputs: nothing gives {tensor.name}: it is neither in request nor features.into, and there are no hooks.")


def _rules(found: Configuration) -> None:
    known = {tensor.name: tensor for tensor in found.accepted}
    for place, rule in enumerate(found.validation.rules if found.validation else ()):
        where = f"validation.rules[{place}]"
        tensor = known.get(rule.input)
        if tensor is None:
            raise ConfigurationError(f"{where}: clients send no input {rule.input!r}; they send {', '.join(known)}.")
        if rule.column is not None and tensor.width >= 0 and rule.column >= tensor.width:
            raise ConfigurationError(f"{where}: {rule.input} has {tensor.width} columns, so there is no column {rule.column}.")
        if found.validation and (rule.on_invalid or found.validation.on_invalid) == "Impute" and rule.impute is None:
            raise ConfigurationError(f"{where}: onInvalid is Impute, and impute does not say the value.")
        _bounds(where, rule, tensor)


def _bounds(where: str, rule: Rule, tensor: Tensor) -> None:
    family = tensor.datatype.family
    if family in ("bool", "str") and (rule.minimum is not None or rule.maximum is not None):
        raise ConfigurationError(f"{where}: {tensor.dtype} has no minimum and no maximum; use allowed.")
    values = [("minimum", rule.minimum), ("maximum", rule.maximum), ("impute", rule.impute), *(("allowed", one) for one in rule.allowed or ())]
    for field, text in values:
        if text is None or family == "str":
            continue
        if family == "bool":
            if text not in ("true", "false"):
                raise ConfigurationError(f"{where}: {field} is {text!r}: it should be true or false.")
            continue
        value = _number(text, of=f"{where}: {field}")
        if field in ("impute", "allowed") and not _holds(tensor, value):
            raise ConfigurationError(f"{where}: {field} is {text!r}, which is no {tensor.dtype}.")


def _holds(tensor: Tensor, value: Decimal) -> bool:
    """Whether a number can be an element of a tensor of numbers; for floats, nearly."""
    datatype = tensor.datatype
    if datatype.family == "float":
        return abs(value) <= Decimal(float(np.finfo(datatype.numpy).max))
    signed = not datatype.name.startswith("U")
    bits = datatype.size * 8
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return value == value.to_integral_value() and least <= value <= most


def _features(found: Configuration) -> None:
    features = found.features
    if features is None:
        return
    if not features.redis.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigurationError(f"features.redis is {features.redis!r}: it should begin with redis://, rediss:// or unix://.")
    if not found.batched:
        raise ConfigurationError("features need a batch dimension: maxBatchSize is 0.")
    _number(features.default, of="features.default")
    into = next((tensor for tensor in found.inputs if tensor.name == features.into), None)
    if into is None or into.datatype.family != "float":
        raise ConfigurationError(f"features.into is {features.into!r}: it should be an input of the model with floats.")
    _entities(features, found)
    width = sum(_column_width(place, column, found) for place, column in enumerate(features.columns))
    if into.width not in (-1, width):
        raise ConfigurationError(f"features.columns give {width} values, and {into.name} takes {into.width}.")


def _entities(features: Features, found: Configuration) -> None:
    accepted = {tensor.name: tensor for tensor in found.accepted}
    if len(set(features.views)) < len(features.views):
        raise ConfigurationError("features.entities has a view twice.")
    for entity in features.entities:
        for key in entity.keys:
            tensor = accepted.get(key.input)
            if tensor is None or tensor.width != 1:
                raise ConfigurationError(
                    f"features.entities: {entity.view} takes {key.name} from {key.input!r}: clients send no such input of one value."
                )


def _column_width(place: int, column: Column, found: Configuration) -> int:
    where = f"features.columns[{place}]"
    if column.input is not None and column.view is None and column.feature is None:
        tensor = next((tensor for tensor in found.accepted if tensor.name == column.input), None)
        if tensor is None or tensor.width < 0 or tensor.datatype.family == "str":
            raise ConfigurationError(f"{where}: clients send no numbers of a fixed size in {column.input!r}.")
        return tensor.width
    if column.view is None or column.feature is None or column.input is not None:
        raise ConfigurationError(f"{where}: it should have a view and a feature, or an input.")
    if found.features and column.view not in found.features.views:
        raise ConfigurationError(f"{where}: features.entities does not say how rows of {column.view} are found.")
    return 1


def _answer(found: Configuration) -> None:
    answer = found.answer
    if answer is None:
        return
    tensor = next((tensor for tensor in found.outputs if tensor.name == answer.output), None)
    if tensor is None and found.hooks is None:
        raise ConfigurationError(f"answer.output is {answer.output!r}: the model has {', '.join(one.name for one in found.outputs)}.")
    if not found.batched:
        raise ConfigurationError("answer needs a batch dimension: maxBatchSize is 0.")
    if tensor is not None and tensor.datatype.family == "str":
        raise ConfigurationError(f"answer.output is {answer.output}, which has no numbers.")
    if answer.threshold is not None:
        _number(answer.threshold, of="answer.threshold")
    width = tensor.width if tensor else -1
    labels = len(answer.labels)
    if labels and width > 0 and labels != (2 if width == 1 else width):
        raise ConfigurationError(f"answer.labels has {labels} labels, and {answer.output} takes {2 if width == 1 else width}.")


def _log(found: Configuration) -> None:
    if found.log and not 0 <= _number(found.log.sample_percent, of="log.samplePercent") <= 100:
        raise ConfigurationError(f"log.samplePercent is {found.log.sample_percent!r}: it should be from 0 to 100.")


def _number(text: str, *, of: str) -> Decimal:
    """A number of the configuration. ConfigurationError: it is none."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise ConfigurationError(f"{of} is {text!r}: it should be a number, as 0.5.")
    return found
