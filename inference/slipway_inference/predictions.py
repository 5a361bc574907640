"""A sample of the predictions as JSON lines, written by a thread that nobody waits for."""

import contextlib
import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from slipway_inference.configuration import Log
from slipway_inference.protocol.datatypes import Array, Tensors
from slipway_service import logs

QUEUE_BYTES = 16 * 1024 * 1024
"""Tensors that wait to be written; what does not fit is dropped."""
_OVERHEAD = 1024
"""Bytes that a prediction takes beside its tensors."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What is written down of one request."""

    id: str | None
    rows: int
    request: Tensors
    """As the client sent it, after the rules."""
    inputs: Tensors
    """As the model got it."""
    outputs: Tensors
    """As the model and the post hook have it."""
    seconds: float


class Predictions:
    """Use as ``with Predictions(…) as predictions``; then ``offer``. Full files get ``.1``, ``.2`` and so on, the highest being the oldest."""

    def __init__(self, chosen: Log, *, file_bytes: int, files: int, draw: Callable[[], float] = random.random) -> None:
        self.written = 0
        self.dropped = 0
        self._share = float(chosen.sample_percent) / 100
        self._path = Path(chosen.file)
        self._file_bytes = file_bytes
        self._files = files
        self._draw = draw
        self._queue: deque[tuple[float, Prediction, int]] = deque()
        self._queued_bytes = 0
        self._wake = threading.Condition()
        self._ending = False
        self._encoder = msgspec.json.Encoder()
        self._seldom = logs.Seldom(_log)
        self._thread = threading.Thread(target=self._write_all, name="predictions", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Everything that waits is written first."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        self._thread.join()

    def chosen(self) -> bool:
        """Whether the next request is one of the sample."""
        return self._draw() < self._share

    def offer(self, prediction: Prediction) -> None:
        """Have it written. Never waits for the disk."""
        size = _OVERHEAD + sum(array.nbytes for tensors in (prediction.request, prediction.inputs, prediction.outputs) for array in tensors.values())
        with self._wake:
            if self._queued_bytes + size > QUEUE_BYTES:
                self.dropped += 1
                return
            self._queued_bytes += size
            self._queue.append((time.time(), prediction, size))
            self._wake.notify()

    def _write_all(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._ending:
                    self._wake.wait()
                if not self._queue:
                    return
                at, prediction, size = self._queue.popleft()
                self._queued_bytes -= size
            self._write(at, prediction)

    def _write(self, at: float, prediction: Prediction) -> None:
        try:
            self._append(self._encoder.encode(_line(at, prediction)) + b"\n")
            self.written += 1
        except OSError as error:
            self.dropped += 1
            self._seldom.warning("a prediction could not be written to %s: %s", self._path, error.strerror)
        except Exception:  # a tensor that nobody thought of must not end the log
            self.dropped += 1
            _log.exception("a prediction could not be written")

    def _append(self, line: bytes) -> None:
        """All of a line, or nothing of it: half a line would spoil the next one too."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            before = os.fstat(descriptor).st_size
            if os.write(descriptor, line) < len(line):
                os.ftruncate(descriptor, before)
                raise OSError(28, "there is no room for all of it")
        finally:
            os.close(descriptor)
        if before + len(line) >= self._file_bytes:
            self._rotate()

    def _rotate(self) -> None:
        for number in range(self._files - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._numbered(number).replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _line(at: float, prediction: Prediction) -> dict[str, Any]:
    line: dict[str, Any] = {"time": round(at, 6), "id": prediction.id, "rows": prediction.rows, "seconds": round(prediction.seconds, 6)}
    if prediction.request is not prediction.inputs:
        line["request"] = _listed(prediction.request)
    return line | {"inputs": _listed(prediction.inputs), "outputs": _listed(prediction.outputs)}


def _listed(tensors: Tensors) -> dict[str, Any]:
    return {name: _text(array) if array.dtype == object else array.tolist() for name, array in tensors.items()}


def _text(array: Array) -> Any:
    made = np.empty(array.shape, object)
    made.ravel()[:] = [element.decode(errors="replace") for element in array.ravel()]
    return made.tolist()
