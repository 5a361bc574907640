"""Scores to labels: which of them, the best k, and from which score on."""

import numpy as np

from slipway_inference.configuration import AnswerStep
from slipway_inference.protocol.datatypes import Array, Tensors
from slipway_inference.refusals import Refused

YES = 0.5
"""From which score on a lone score means the second label, where no threshold is given."""


class Answer:
    """Adds ``<output>_labels`` and ``<output>_scores`` to the outputs.

    An output with several scores a row gives its ``topK`` best (all of them without it), the highest first: labels of ``labels``, or where there
    are none their places as INT64. Below ``threshold`` the label is empty, or -1. An output with one score a row says ``labels[0]`` below the
    threshold and ``labels[1]`` from it on.
    """

    def __init__(self, step: AnswerStep) -> None:
        self._output = step.output
        self._labels: Array | None = None
        if step.labels:
            self._labels = np.empty(len(step.labels), object)
            self._labels[:] = [label.encode() for label in step.labels]
        self._top = step.top_k
        self._threshold = None if step.threshold is None else float(step.threshold)

    def outputs(self, names: list[str]) -> list[str]:
        """What a client gets that asked for nothing in particular: the two in the place of the output that they are made of."""
        made = [self._output + "_labels", self._output + "_scores"]
        return [one for name in names for one in (made if name == self._output else [name])]

    def added(self, tensors: Tensors, *, rows: int) -> Tensors:
        """The outputs and the two. Refused (500): the output is not there, or has other scores than there are labels for."""
        scores = tensors.get(self._output)
        if scores is None or scores.dtype == object or not scores.size or scores.size % rows:
            raise self._unfit("it is missing, or has no numbers")
        scores = scores.reshape(rows, -1)
        labels, best = self._one(scores) if scores.shape[1] == 1 else self._best(scores)
        return {**tensors, self._output + "_labels": labels, self._output + "_scores": best}

    def _one(self, scores: Array) -> tuple[Array, Array]:
        yes = (scores >= (YES if self._threshold is None else self._threshold)).astype(np.int64)
        return (yes if self._labels is None else self._named(yes, 2)), scores

    def _best(self, scores: Array) -> tuple[Array, Array]:
        order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, : self._top]  # NaN is last; equal ones keep their order
        best = np.take_along_axis(scores, order, axis=1)
        labels = order.astype(np.int64) if self._labels is None else self._named(order, scores.shape[1])
        if self._threshold is not None:
            labels = labels.copy()
            labels[~(best >= self._threshold)] = -1 if self._labels is None else b""
        return labels, best

    def _named(self, places: Array, count: int) -> Array:
        assert self._labels is not None  # noqa: S101
        if len(self._labels) != count:
            raise self._unfit(f"it has {count} scores, and there are {len(self._labels)} labels")
        found: Array = self._labels[places]
        return found

    def _unfit(self, what: str) -> Refused:
        return Refused(f"labels cannot be made of output {self._output}: {what}", status=500, reason="answer", input=self._output)
