"""spec.transformer: what stands before a model in its pods."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from slipway_operator.api.fields import ATOMIC_LIST, ATOMIC_MAP, DecimalText, FromList, LocalReference, Model, Quantity, keyed_list, rules
from slipway_operator.api.v1alpha1.tensors import Tensor

OnInvalid = Literal["Reject", "Impute", "Flag"]
Name = Annotated[str, Field(min_length=1, max_length=128)]
TensorName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:/-]+$")]
Value = Annotated[str, Field(max_length=64)]

# A port that is none would end the transformer when it starts. What stands before an @ would be readable by whoever may read the object.
_PORT = "([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
REDIS_PATTERN = rf"^rediss?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:{_PORT})?(/[0-9]{{1,4}})?$"


class ValidationRule(Model):
    """What values of an input have to be."""

    input: TensorName = Field(description="An input that clients send.")
    column: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        default=None, description="Which value of a row, counted from 0 over all dimensions. Absent: every one."
    )
    minimum: DecimalText | None = Field(default=None, description="Least value, for numbers.")
    maximum: DecimalText | None = Field(default=None, description="Greatest value, for numbers.")
    allowed: Annotated[tuple[Value, ...], Field(min_length=1, max_length=64), FromList] | None = Field(
        default=None, description="The values that there are: numbers as text, true and false, or strings.", json_schema_extra=ATOMIC_LIST
    )
    nullable: bool = Field(default=True, description="Whether a value may be null: JSON's null, or NaN.")
    on_invalid: OnInvalid | None = Field(default=None, description="What happens to a value that breaks the rule. Absent: as validation says.")
    impute: Value | None = Field(default=None, description="What takes the place of a value that breaks the rule, where onInvalid is Impute.")


_IMPUTE_NEEDS_A_VALUE = "a rule whose onInvalid is Impute, its own or that of validation, needs impute: the value to put there"


class Validation(Model):
    """Rules for the values that clients send."""

    on_invalid: OnInvalid = Field(
        default="Reject",
        description="What happens to a value that breaks a rule. Reject: the request is answered 422. Impute: another value takes its place. Flag: it"
        " is passed on, counted, and told in a header.",
    )
    rules: Annotated[tuple[ValidationRule, ...], FromList] = Field(
        default=(), max_length=64, description="The rules, in the order in which they are asked.", json_schema_extra=ATOMIC_LIST
    )

    @model_validator(mode="after")
    def _imputing_needs_a_value(self) -> Self:
        if any((rule.on_invalid or self.on_invalid) == "Impute" and rule.impute is None for rule in self.rules):
            raise ValueError(_IMPUTE_NEEDS_A_VALUE)
        return self


VALIDATION_RULES = rules(
    (
        "!has(self.rules) || self.rules.all(rule, has(rule.impute) || (has(rule.onInvalid) ? rule.onInvalid : self.onInvalid) != 'Impute')",
        _IMPUTE_NEEDS_A_VALUE,
    )
)

_COLUMN_OF_ONE_KIND = "a column is either a view and a feature, or an input"


class FeatureColumn(Model):
    """One place of the features' input, or as many as an input of the client's has."""

    view: Name | None = Field(default=None, description="Feature view that the value is from.")
    feature: Name | None = Field(default=None, description="Feature of that view.")
    input: TensorName | None = Field(default=None, description="Instead: an input that clients send, all of its values.")

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        stored = self.view is not None and self.feature is not None and self.input is None
        sent = self.view is None and self.feature is None and self.input is not None
        if not stored and not sent:
            raise ValueError(_COLUMN_OF_ONE_KIND)
        return self


FEATURE_COLUMN_RULES = rules(
    ("has(self.view) == has(self.feature) && has(self.view) != has(self.input)", _COLUMN_OF_ONE_KIND),
)


class JoinKey(Model):
    """Where the value of a join key comes from."""

    name: Name = Field(description="Join key of the view's entity.")
    input: TensorName = Field(description="An input of one value a row that clients send.")


class FeatureEntity(Model):
    """How rows of a feature view are found."""

    view: Name = Field(description="The feature view.")
    keys: Annotated[tuple[JoinKey, ...], FromList] = Field(
        min_length=1, max_length=8, description="Its join keys.", json_schema_extra=keyed_list("name")
    )


_VIEWS_NEED_ENTITIES = "every view of features.columns needs an entry of features.entities, which says how its rows are found"


class Features(Model):
    """Values that are fetched from the online store."""

    redis: Annotated[str, Field(min_length=1, max_length=256, pattern=REDIS_PATTERN)] = Field(
        description="Address of the Redis that holds the online store: redis://<host>:6379/0, or rediss:// for TLS. Without a password."
    )
    password_from: LocalReference | None = Field(
        default=None, description="Secret of the namespace whose key password is Redis's password. Absent: Redis asks for none."
    )
    project: Name = Field(description="Feast project.")
    into: TensorName = Field(description="Input of the model, of floats, that the columns become.")
    columns: Annotated[tuple[Annotated[FeatureColumn, Field(json_schema_extra=FEATURE_COLUMN_RULES)], ...], FromList] = Field(
        min_length=1, max_length=512, description="What the input's rows hold, in order.", json_schema_extra=ATOMIC_LIST
    )
    entities: Annotated[tuple[FeatureEntity, ...], FromList] = Field(
        default=(), max_length=16, description="How the rows of each view are found.", json_schema_extra=keyed_list("view")
    )
    on_missing: Literal["Default", "Null", "Reject"] = Field(
        default="Default",
        description="What takes the place of a row that the store does not have, or that is too old. Default: the value default. Null: NaN. Reject:"
        " the request is answered 422.",
    )
    default: DecimalText = Field(default="0", description="The value of Default.")
    on_unavailable: Literal["Fail", "Default"] = Field(
        default="Fail",
        description="What happens while the store does not answer in time. Fail: requests are answered 503 and pods are not ready. Default: the value"
        " default is used.",
    )
    timeout_milliseconds: int = Field(default=50, ge=1, le=60_000, description="How long the store may take for one request.")

    @model_validator(mode="after")
    def _views_have_entities(self) -> Self:
        if not {column.view for column in self.columns if column.view is not None} <= {entity.view for entity in self.entities}:
            raise ValueError(_VIEWS_NEED_ENTITIES)
        return self


FEATURES_RULES = rules(
    (
        "self.columns.all(column, !has(column.view) || (has(self.entities) && self.entities.exists(entity, entity.view == column.view)))",
        _VIEWS_NEED_ENTITIES,
    )
)


class Hooks(Model):
    """A class of one's own, asked before and after the model."""

    class_: Annotated[str, Field(max_length=256, pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        alias="class", description="The class, as module:Class; its module is in the image."
    )
    on_error: Literal["Fail", "Skip"] = Field(
        default="Fail", description="What happens when a hook raises. Fail: the request is answered 500. Skip: it goes on without the hook."
    )
    parameters: dict[str, Annotated[str, Field(max_length=1024)]] = Field(
        default={}, max_length=32, description="What the class is made with.", json_schema_extra=ATOMIC_MAP
    )


class Answer(Model):
    """Labels that are made of an output's scores."""

    output: TensorName = Field(description="Output that holds scores.")
    labels: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], FromList] = Field(
        default=(),
        max_length=1000,
        description="Label of each score; of a single score the label below the threshold and that from it on. Absent: places, counted from 0.",
        json_schema_extra=ATOMIC_LIST,
    )
    top_k: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="How many of several scores are answered, highest first. Absent: all."
    )
    threshold: DecimalText | None = Field(
        default=None, description="Score below which there is no label; of a single score, from which on it is the second label. Absent: none; 0.5."
    )


class PredictionLog(Model):
    """Predictions that are written down."""

    sample_percent: Annotated[str, Field(min_length=1, max_length=16, pattern=r"^(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?)$")] = Field(
        description="Share of the requests that are logged, in percent."
    )


class TransformerResources(Model):
    """CPU and memory of a pod's transformer, beside those of its server."""

    requests: dict[str, Quantity] = Field(
        default={"cpu": "500m", "memory": "256Mi"},
        max_length=8,
        description="What the scheduler sets aside: cpu, memory, ephemeral-storage.",
        json_schema_extra=ATOMIC_MAP,
    )
    limits: dict[str, Quantity] = Field(
        default={}, max_length=8, description="What the transformer may use at most: cpu, memory, ephemeral-storage.", json_schema_extra=ATOMIC_MAP
    )


_HOOKS_NEED_AN_IMAGE = "hooks need transformer.image: an image built from slipway/transformer that holds the module"


class Transformer(Model):
    """A second container in each pod, which requests go through: it checks them, completes them and finishes the answers."""

    request: Annotated[tuple[Tensor, ...], FromList] = Field(
        default=(),
        max_length=64,
        description="What a client sends. Absent: the inputs of spec.model.",
        json_schema_extra=keyed_list("name"),
    )
    validation: Validation | None = Field(
        default=None, description="Rules for values. Absent: types and shapes are checked all the same.", json_schema_extra=VALIDATION_RULES
    )
    features: Features | None = Field(default=None, description="Features from the online store. Absent: none.", json_schema_extra=FEATURES_RULES)
    hooks: Hooks | None = Field(default=None, description="A class of one's own. Absent: none.")
    answer: Answer | None = Field(default=None, description="Labels in place of scores. Absent: outputs are answered as they are.")
    log: PredictionLog | None = Field(default=None, description="A log of predictions. Absent: none.")
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")] | None = Field(
        default=None, description="An image built from slipway/transformer, for hooks. Absent: the one that the operator has."
    )
    resources: TransformerResources = Field(default=TransformerResources(), description="CPU and memory of the transformer.")

    @model_validator(mode="after")
    def _hooks_need_an_image(self) -> Self:
        if self.hooks is not None and self.image is None:
            raise ValueError(_HOOKS_NEED_AN_IMAGE)
        return self


TRANSFORMER_RULES = rules(("!has(self.hooks) || has(self.image)", _HOOKS_NEED_AN_IMAGE), field=".hooks")
