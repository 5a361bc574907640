"""A revision: one immutable model plus the serving settings that change what a pod does.

Its name ends in a hash of what the user wrote. Three rules keep an upgrade of Slipway from restarting anybody's pods:

* A field at the default it was born with is left out of the hash (``BORN``), so a field that a later version adds changes no existing name, and a
  default that a later version changes is still written out in objects stored before.
* What Slipway itself chose (the ClusterServingRuntime, the transformer's image) is recorded beside the inputs and is no part of the hash.
* What Slipway made of both, word for word, is recorded too: a later version that would write it differently does so for new revisions only.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from slipway_operator.api import metadata
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec, ModelSource, Serving
from slipway_operator.api.v1alpha1.transformer import Transformer

_DIGEST_LENGTH: Final = 16

NOT_IN_A_REVISION: Final = frozenset({"serving.replicas", "serving.revisionHistoryLimit"})
"""Settings that change no pod."""

BORN: Final[Mapping[str, Any]] = {
    "model.inputs": [],
    "model.outputs": [],
    "serving.runtime": "slipway-triton",
    "serving.resources.requests": {"cpu": "500m", "memory": "512Mi"},
    "serving.resources.limits": {},
    "serving.accelerator.count": 1,
    "serving.batching.maxQueueDelayMicroseconds": 0,
    "serving.pod.nodeSelector": {},
    "serving.pod.tolerations": [],
    "serving.pod.topologySpreadConstraints": [],
    "serving.pod.imagePullSecrets": [],
    "serving.pod.env": [],
    "transformer.request": [],
    "transformer.validation.onInvalid": "Reject",
    "transformer.validation.rules": [],
    "transformer.features.entities": [],
    "transformer.features.onMissing": "Default",
    "transformer.features.default": "0",
    "transformer.features.onUnavailable": "Fail",
    "transformer.features.timeoutMilliseconds": 50,
    "transformer.hooks.onError": "Fail",
    "transformer.hooks.parameters": {},
    "transformer.answer.labels": [],
    "transformer.resources.requests": {"cpu": "500m", "memory": "256Mi"},
    "transformer.resources.limits": {},
}
"""Default of each field in the version that introduced it. Entries are added, never changed."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What the pods of a revision follow from, as the version of Slipway wrote it that made the revision."""

    labels: Mapping[str, str]
    """Of the InferenceService; KServe copies them to the pods."""

    annotations: Mapping[str, str]
    """Likewise, without the one that stops it."""

    predictor: Mapping[str, Any]
    config: str | None
    """config.pbtxt; None where the model repository brings its own."""

    transformer: str | None = None
    """transformer.json; None without a transformer."""

    def data(self) -> dict[str, Any]:
        """As it stands in a record."""
        written = {"labels": dict(self.labels), "annotations": dict(self.annotations), "predictor": dict(self.predictor)}
        files = {"config": self.config, "transformer": self.transformer}
        return written | {name: text for name, text in files.items() if text is not None}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Out of a record; raises KeyError for one that is not whole."""
        return cls(
            labels=data["labels"],
            annotations=data["annotations"],
            predictor=data["predictor"],
            config=data.get("config"),
            transformer=data.get("transformer"),
        )


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What one InferenceService is made from."""

    name: str
    """Of the revision, its InferenceService, its ConfigMap and its ControllerRevision: ``<modeldeployment>-<hash>``."""

    number: int
    """Rises by one for each new revision of a ModelDeployment; tells old from new."""

    model: ModelSource
    serving: Serving
    runtime: str
    """The ClusterServingRuntime it was pinned to when it was made."""

    transformer: Transformer | None = None
    transformer_image: str | None = None
    """Of the transformer: the spec's, or the one that the operator had when the revision was made."""

    data: Mapping[str, Any]
    """What its ControllerRevision holds, as stored: a newer operator may have written fields that this one does not know."""

    @property
    def rendered(self) -> Rendered | None:
        """What its pods follow from; None for one recorded before that was written down."""
        return Rendered.of(self.data["rendered"]) if "rendered" in self.data else None

    def born(self, rendered: Rendered) -> Self:
        """With what Slipway makes of it now written into the record for good."""
        return dataclasses.replace(self, data={**self.data, "rendered": rendered.data()})

    @classmethod
    def of(cls, spec: ModelDeploymentSpec, *, owner: str, number: int, runtime: str, transformer_image: str | None = None) -> Self:
        """A new revision of ``spec`` for the ModelDeployment ``owner``; ``transformer_image`` is the one for who names none."""
        inputs = hashed_inputs(spec)
        image = (spec.transformer.image or transformer_image) if spec.transformer else None
        data = {"apiVersion": metadata.API_VERSION, "inputs": inputs, "runtime": runtime} | ({"transformerImage": image} if image else {})
        return cls(
            name=f"{owner}-{_hash(inputs)}",
            number=number,
            model=spec.model,
            serving=_without_replicas(spec.serving),
            runtime=runtime,
            transformer=spec.transformer,
            transformer_image=image,
            data=data,
        )

    @classmethod
    def recorded(cls, *, name: str, number: int, data: Mapping[str, Any]) -> Self:
        """The revision that a ControllerRevision holds; raises KeyError or pydantic.ValidationError when its data does not fit."""
        inputs = restore(data["inputs"])
        model, serving = ModelSource.model_validate(inputs["model"]), Serving.model_validate(inputs["serving"])
        transformer = Transformer.model_validate(inputs["transformer"]) if "transformer" in inputs else None
        read = cls(
            name=name,
            number=number,
            model=model,
            serving=serving,
            runtime=str(data["runtime"]),
            transformer=transformer,
            transformer_image=data.get("transformerImage"),
            data=data,
        )
        _ = read.rendered
        return read


def revision_name(spec: ModelDeploymentSpec, *, owner: str) -> str:
    """Name of the revision that ``spec`` asks for."""
    return f"{owner}-{_hash(hashed_inputs(spec))}"


def hashed_inputs(spec: ModelDeploymentSpec) -> dict[str, Any]:
    """What the hash is taken of: the fields that change a pod, as the user writes them, without those at their born default."""
    whole = spec.model_dump(mode="json", by_alias=True, include={"model", "serving", "transformer"}, exclude_none=True)
    for part in ("serving", "transformer"):
        amounts = whole.get(part, {}).get("resources", {})
        for kind in amounts:
            amounts[kind] = {name: str(amount) for name, amount in amounts[kind].items()}
    return {part: _without_born(value, path=part) for part, value in whole.items()}


def model_digest(model: ModelSource) -> str:
    """By which a model source is told from another, however the defaults of its fields change."""
    written = _without_born(model.model_dump(mode="json", by_alias=True, exclude_none=True), path="model")
    canonical = json.dumps(written, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_DIGEST_LENGTH]


def restore(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with the born defaults written out again, so that a later default never leaks into an old revision."""
    restored: dict[str, Any] = {"model": {}, "serving": {}} | {part: dict(inputs[part]) for part in _PARTS if part in inputs}
    for path, value in BORN.items():
        *parents, leaf = path.split(".")
        node = restored
        for parent in parents:
            if parent not in node and parent in _ABSENT_MEANS_NONE:
                break
            node[parent] = dict(node.get(parent, {}))
            node = node[parent]
        else:
            node.setdefault(leaf, value)
    return restored


_PARTS: Final = ("model", "serving", "transformer")
_ABSENT_MEANS_NONE: Final = frozenset({"accelerator", "batching", "transformer", "validation", "features", "hooks", "answer"})


def _without_born(value: Any, *, path: str) -> Any:
    """``value`` less what stands at its born default; an object left empty by that stays only where its presence means something."""
    if not isinstance(value, dict) or path in BORN:
        return value
    kept = {}
    for key, item in value.items():
        where = f"{path}.{key}"
        if where in NOT_IN_A_REVISION or (where in BORN and BORN[where] == item):
            continue
        inner = _without_born(item, path=where)
        # Nothing at all, where the default is something, is something that the user said.
        if inner != {} or key in _ABSENT_MEANS_NONE or where in BORN:
            kept[key] = inner
    return kept


def _without_replicas(serving: Serving) -> Serving:
    defaults = Serving()
    return serving.model_copy(update={"replicas": defaults.replicas, "revision_history_limit": defaults.revision_history_limit})


def _hash(inputs: Mapping[str, Any]) -> str:
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[: metadata.REVISION_HASH_LENGTH]
