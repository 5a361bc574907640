"""A class of the user's image, called before and after the model."""

import importlib
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from slipway_inference import configuration
from slipway_inference.configuration import ConfigurationError
from slipway_inference.protocol import datatypes
from slipway_inference.protocol.datatypes import Array, Tensors
from slipway_inference.refusals import Refused
from slipway_service import logs

_log = logging.getLogger(__name__)


class Hooks:
    """The class of a configuration, made once. ConfigurationError: it cannot be."""

    def __init__(self, chosen: configuration.Hooks, *, batched: bool, failed: Callable[[str], None]) -> None:
        self._name = chosen.cls
        self._skips = chosen.on_error == "Skip"
        self._batched = batched
        self._failed = failed
        self._seldom = {which: logs.Seldom(_log) for which in ("pre", "post")}
        made = _made(chosen)
        self._pre, self._post = getattr(made, "pre", None), getattr(made, "post", None)
        if self._pre is None and self._post is None:
            raise ConfigurationError(f"hooks.class {self._name} has neither pre nor post.")

    @property
    def changes_answers(self) -> bool:
        """Whether there is a post hook: then outputs are what it says, not what the model has."""
        return self._post is not None

    @property
    def changes_inputs(self) -> bool:
        """Whether there is a pre hook."""
        return self._pre is not None

    def pre(self, tensors: Tensors, *, rows: int) -> Tensors:
        """What the hook makes of the inputs. Refused (500) where it fails and ``onError`` is Fail; its message has no traceback."""
        return self._run("pre", tensors, rows) if self._pre else tensors

    def post(self, tensors: Tensors, inputs: Tensors, *, rows: int) -> Tensors:
        """What the hook makes of the outputs, given what the model was asked. Refused as with ``pre``."""
        return self._run("post", tensors, rows, _copies(inputs)) if self._post else tensors

    def _run(self, which: str, tensors: Tensors, rows: int, *more: Tensors) -> Tensors:
        call = self._pre if which == "pre" else self._post
        assert call is not None  # noqa: S101
        try:
            return self._read(call(_copies(tensors), *more), rows)
        except Exception as error:  # whatever a user's code raises
            self._failed(which)
            self._seldom[which].warning("hook %s.%s failed", self._name, which, exc_info=error)
            if self._skips:
                return tensors
            raise Refused(f"hook {self._name}.{which} failed: {type(error).__name__}", status=500, reason="hook") from None

    def _read(self, found: Any, rows: int) -> Tensors:
        if not isinstance(found, Mapping):
            raise TypeError(f"it returned {type(found).__name__}, and should return a dict of numpy arrays")
        tensors = {str(name): _array(str(name), value) for name, value in found.items()}
        for name, array in tensors.items():
            if self._batched and array.shape[:1] != (rows,):
                raise ValueError(f"its tensor {name} has the shape {array.shape}, and there are {rows} rows")
        return tensors


def _made(chosen: configuration.Hooks) -> Any:
    module, _, name = chosen.cls.partition(":")
    try:
        return getattr(importlib.import_module(module), name)(MappingProxyType(chosen.parameters))
    except Exception as error:  # whatever importing and making a user's class raises
        raise ConfigurationError(f"hooks.class {chosen.cls} cannot be made: {type(error).__name__}: {error}.") from error


def _copies(tensors: Tensors) -> Tensors:
    """A hook may write to what it gets; tensors may be memory of a body, or of somebody else's answer."""
    return {name: array.copy() for name, array in tensors.items()}


def _array(name: str, value: Any) -> Array:
    array = np.asarray(value)
    if array.dtype.kind in "US":
        array = array.astype(object)
    if array.dtype == object:
        strings = np.empty(array.shape, object)
        strings.ravel()[:] = [_string(name, element) for element in array.ravel()]
        return strings
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    if datatypes.of(array) is None:
        raise TypeError(f"its tensor {name} has the type {array.dtype}, which the protocol does not have")
    return array


def _string(name: str, element: object) -> bytes:
    if not isinstance(element, str | bytes):
        raise TypeError(f"its tensor {name} has a {type(element).__name__} among strings")
    return element.encode() if isinstance(element, str) else element
