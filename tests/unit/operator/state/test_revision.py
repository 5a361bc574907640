"""Names of revisions: what changes them and what must not."""

from typing import Any

import pytest
from pydantic import BaseModel

from slipway_operator.api.fields import LocalReference
from slipway_operator.api.v1alpha1.modeldeployment import EnvironmentVariable, ModelSource, Serving
from slipway_operator.api.v1alpha1.tensors import Tensor
from slipway_operator.api.v1alpha1.transformer import FeatureColumn, FeatureEntity, JoinKey, Transformer, ValidationRule
from slipway_operator.state import revision as revisions
from slipway_operator.state.revision import Revision, revision_name
from slipway_testing import builders, strategies, transformers


def name(serving: dict[str, Any] | None = None, **model: Any) -> str:
    return revision_name(builders.spec(serving=serving, **model), owner="digits")


# The two names below are what released versions give. A change restarts the pods of everybody who upgrades.


def test_the_name_of_a_plain_revision_never_changes() -> None:
    assert name() == "digits-0e35b7c3"


def test_the_name_of_a_revision_with_everything_set_never_changes() -> None:
    everything = {
        "runtime": "slipway-triton-abc",
        "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        "accelerator": {"type": "nvidia.com/gpu", "count": 2},
        "batching": {"maxBatchSize": 64, "maxQueueDelayMicroseconds": 500},
        "responseCache": {"sizeMebibytes": 64},
        "pod": {
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
            "imagePullSecrets": [{"name": "registry"}],
            "priorityClassName": "high",
            "env": [{"name": "A", "value": "1"}],
        },
    }

    assert name(everything, serviceAccountName="reader") == "digits-8d43ecc2"


def test_the_name_of_a_revision_with_a_transformer_never_changes() -> None:
    assert revision_name(strategies.parsed(transformers.WHOLE), owner="digits") == "digits-0acc5d7a"


@pytest.mark.parametrize(
    "transformer",
    [
        {},
        {"request": [], "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {}}},
        {"resources": {"requests": {"memory": "256Mi", "cpu": "500m"}}},
    ],
    ids=["nothing said", "defaults written out", "another order"],
)
def test_a_transformer_at_its_defaults_is_the_same_and_none_is_another(transformer: dict[str, Any]) -> None:
    def named(**written: Any) -> str:
        return revision_name(strategies.parsed({"model": builders.model(), **written}), owner="digits")

    assert named(transformer=transformer) == named(transformer={}) != named() == name()


def test_an_empty_part_of_a_transformer_is_another_than_none() -> None:
    parts: tuple[dict[str, Any], ...] = ({}, {"validation": {}})
    names = [revision_name(strategies.parsed({"model": builders.model(), "transformer": part}), owner="digits") for part in parts]

    assert names[0] != names[1]


def test_the_image_that_slipway_chose_is_recorded_and_no_part_of_the_name() -> None:
    written = strategies.parsed({"model": builders.model(), "transformer": {}})
    old, new = (Revision.of(written, owner="digits", number=1, runtime="r", transformer_image=image) for image in ("a:1", "a:2"))

    read = Revision.recorded(name=old.name, number=1, data=old.data)

    assert (old.name, old.transformer_image, new.transformer_image, read) == (new.name, "a:1", "a:2", old)


@pytest.mark.parametrize(
    "serving",
    [
        {"replicas": {"min": 3, "max": 9}},
        {"revisionHistoryLimit": 0},
        {"runtime": "slipway-triton"},
        {"resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}},
        {"pod": {"env": []}},
    ],
    ids=["replicas", "history limit", "default runtime written out", "default resources written out", "empty environment"],
)
def test_what_changes_no_pod_changes_no_name(serving: dict[str, Any]) -> None:
    assert name(serving) == name()


@pytest.mark.parametrize(
    "serving",
    [
        {"runtime": "other"},
        {"resources": {"requests": {"cpu": "501m", "memory": "512Mi"}}},
        {"resources": {"limits": {"memory": "1Gi"}}},
        {"resources": {"requests": {}}},
        {"accelerator": {"type": "nvidia.com/gpu"}},
        {"batching": {"maxBatchSize": 8}},
        {"responseCache": {"sizeMebibytes": 8}},
        {"pod": {"nodeSelector": {"disk": "fast"}}},
        {"pod": {"priorityClassName": "high"}},
        {"pod": {"env": [{"name": "A"}]}},
    ],
)
def test_what_changes_a_pod_changes_the_name(serving: dict[str, Any]) -> None:
    assert name(serving) != name()


def test_another_model_another_account_and_another_shape_are_other_revisions() -> None:
    shape = [{"name": "x", "dtype": "FP32", "shape": [65]}]

    names = {name(), name(uri="pvc://models/digits/2"), name(serviceAccountName="reader"), name(inputs=shape)}

    assert len(names) == 4


def test_a_quantity_written_as_a_number_is_the_same_quantity() -> None:
    as_number, as_text = ({"resources": {"requests": {"cpu": cpu}}} for cpu in (1, "1"))

    assert name(as_number) == name(as_text)


def test_the_runtime_that_slipway_chose_is_recorded_and_no_part_of_the_name() -> None:
    old, new = (Revision.of(builders.spec(), owner="digits", number=1, runtime=runtime) for runtime in ("a-1", "a-2"))

    assert (old.name, old.runtime) == (new.name, "a-1")


def test_a_record_gives_back_the_revision_it_was_made_from() -> None:
    made = Revision.of(
        builders.spec(serving={"batching": {"maxBatchSize": 8}, "accelerator": {"type": "a/b"}}), owner="digits", number=3, runtime="r"
    )

    read = Revision.recorded(name=made.name, number=3, data=made.data)

    assert read == made


def test_a_record_keeps_the_default_its_revision_was_born_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version may change a default in the schema; old revisions must not notice."""
    made = Revision.of(builders.spec(), owner="digits", number=1, runtime="r")

    inputs = revisions.restore(made.data["inputs"])

    assert inputs["serving"]["resources"]["requests"] == {"cpu": "500m", "memory": "512Mi"}
    assert "resources" not in made.data["inputs"]["serving"]


def test_fields_of_a_newer_operator_stay_in_the_record() -> None:
    made = Revision.of(builders.spec(), owner="digits", number=1, runtime="r")
    newer = {**made.data, "inputs": {**made.data["inputs"], "later": {"a": 1}}}

    read = Revision.recorded(name=made.name, number=1, data=newer)

    assert read.data["inputs"]["later"] == {"a": 1}


def test_every_default_of_a_field_that_changes_pods_is_recorded_as_born() -> None:
    """A new field without an entry in BORN would change every revision's name on upgrade."""
    fields = _defaulted("model", ModelSource) + _defaulted("serving", Serving) + _defaulted("transformer", Transformer)
    missing = [path for path in fields if path not in revisions.BORN]

    assert missing == []


def test_items_of_lists_have_no_default_that_a_later_version_could_add() -> None:
    """Items are hashed as they are: a new field of one must be absent (None) unless somebody sets it."""
    known = {"EnvironmentVariable.value", "ValidationRule.nullable"}

    added = [
        f"{item.__name__}.{name}"
        for item in (Tensor, EnvironmentVariable, LocalReference, ValidationRule, FeatureColumn, FeatureEntity, JoinKey)
        for name, field in item.model_fields.items()
        if not field.is_required() and field.default is not None
    ]

    assert set(added) == known


def _defaulted(path: str, model: type[BaseModel]) -> list[str]:
    """Paths of fields that are written out with a value when nobody sets them."""
    found: list[str] = []
    for field in model.model_fields.values():
        where = f"{path}.{field.alias}"
        nested = _model_in(field.annotation)
        if where in revisions.NOT_IN_A_REVISION:
            continue
        if nested is not None:
            found += _defaulted(where, nested)
        elif not field.is_required() and field.default is not None:
            found.append(where)
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    options = [annotation, *getattr(annotation, "__args__", ())] if "tuple" not in str(annotation) else []
    return next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)
