"""ModelDeployment: what a user writes to have a model served."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from slipway_operator.api.fields import (
    ATOMIC_LIST,
    ATOMIC_MAP,
    FOREIGN,
    FromList,
    LocalReference,
    Model,
    ObjectName,
    Quantity,
    Share,
    all_of,
    keyed_list,
    rules,
)
from slipway_operator.api.v1alpha1 import transformer_fit
from slipway_operator.api.v1alpha1.condition import Condition, Timestamp
from slipway_operator.api.v1alpha1.tensors import Tensor
from slipway_operator.api.v1alpha1.transformer import TRANSFORMER_RULES, Transformer

_TRITON_HAS_NO_TENSORS = "inputs and outputs are refused with format triton: the repository's own config.pbtxt says them"
_TENSORS_NEEDED = "inputs and outputs are needed with format onnx and python: they become the model's config.pbtxt"


class ModelSource(Model):
    """Where the model is and what it looks like."""

    uri: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[a-z][a-z0-9+.-]*://[!-~]+$")] = Field(
        description="Where the model is: pvc://<claim>/<path>, s3://<bucket>/<key>, or any other address that KServe's storage initializer takes."
        " The same address must always mean the same bytes: new bytes at an old address are not noticed. For onnx a folder with model.onnx or one"
        " file, for python a folder with model.py, for triton a whole model repository."
    )
    format: Literal["onnx", "python", "triton"] = Field(
        description="onnx: one ONNX graph. python: one model.py for Triton's Python backend. triton: a whole Triton model repository, which must"
        " hold a model named as this object."
    )
    service_account_name: ObjectName | None = Field(
        default=None,
        description="ServiceAccount that the pods run as. Its secrets are the credentials of the model store, as KServe documents them.",
    )
    inputs: Annotated[tuple[Tensor, ...], FromList] = Field(
        default=(), max_length=64, description="The model's inputs. Needed for onnx and python.", json_schema_extra=keyed_list("name")
    )
    outputs: Annotated[tuple[Tensor, ...], FromList] = Field(
        default=(), max_length=64, description="The model's outputs. Needed for onnx and python.", json_schema_extra=keyed_list("name")
    )

    @model_validator(mode="after")
    def _tensors_belong_to_the_format(self) -> Self:
        if self.format == "triton" and (self.inputs or self.outputs):
            raise ValueError(_TRITON_HAS_NO_TENSORS)
        if self.format != "triton" and not (self.inputs and self.outputs):
            raise ValueError(_TENSORS_NEEDED)
        return self


MODEL_SOURCE_RULES = rules(
    (
        "self.format != 'triton' || ((!has(self.inputs) || size(self.inputs) == 0) && (!has(self.outputs) || size(self.outputs) == 0))",
        _TRITON_HAS_NO_TENSORS,
    ),
    (
        "self.format == 'triton' || (has(self.inputs) && size(self.inputs) > 0 && has(self.outputs) && size(self.outputs) > 0)",
        _TENSORS_NEEDED,
    ),
)

_MIN_OVER_MAX = "replicas.min must not be over replicas.max"


class Replicas(Model):
    """How many pods serve, and when there are more."""

    min: int = Field(default=1, ge=1, le=1000, description="Pods that always run.")
    max: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Upper bound of autoscaling. Absent, or equal to min: the number of pods is fixed at min."
    )
    target_cpu_utilization_percent: int = Field(
        default=70,
        ge=1,
        le=1000,
        description="Average CPU use, in percent of the CPU request, that autoscaling keeps. Without effect while the number of pods is fixed.",
    )

    target_pending_requests: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None,
        description="Requests under way for each pod, as the routers count them, that autoscaling keeps beside the CPU use: what asks for more pods"
        " wins. Needs the external metric slipway_router_pending_requests. Absent: not looked at.",
    )
    target_requests_per_second: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None,
        description="Likewise, requests a second for each pod. Needs the external metric slipway_router_requests_per_second. Absent: not looked at.",
    )

    @model_validator(mode="after")
    def _min_at_most_max(self) -> Self:
        if self.max is not None and self.min > self.max:
            raise ValueError(_MIN_OVER_MAX)
        return self

    @property
    def several(self) -> bool:
        """Whether there can be more than one pod."""
        return self.min > 1 or self.autoscaled

    @property
    def autoscaled(self) -> bool:
        """Whether a HorizontalPodAutoscaler decides the number of pods."""
        return self.max is not None and self.max > self.min


REPLICAS_RULES = rules(("!has(self.max) || self.min <= self.max", _MIN_OVER_MAX), field=".min")


class Resources(Model):
    """CPU and memory of one pod's server."""

    requests: dict[str, Quantity] = Field(
        default={"cpu": "500m", "memory": "512Mi"},
        max_length=8,
        description="What the scheduler sets aside: cpu, memory, ephemeral-storage.",
        json_schema_extra=ATOMIC_MAP,
    )
    limits: dict[str, Quantity] = Field(
        default={}, max_length=8, description="What the pod may use at most: cpu, memory, ephemeral-storage.", json_schema_extra=ATOMIC_MAP
    )


class Accelerator(Model):
    """Devices of one pod."""

    type: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")] = Field(
        description="Extended resource name: nvidia.com/gpu, a MIG profile such as nvidia.com/mig-1g.10gb, or a shared slice such as"
        " nvidia.com/gpu.shared."
    )
    count: int = Field(default=1, ge=1, le=16, description="Devices a pod.")


class Batching(Model):
    """Triton's dynamic batching: requests of the same moment run as one."""

    max_batch_size: int = Field(ge=1, le=65536, description="Most rows in one batch. The batch dimension is then left out of every tensor's shape.")
    max_queue_delay_microseconds: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="How long a request may wait for others to fill its batch. 0: batch what is there, never wait.",
    )


class ResponseCache(Model):
    """Triton's local response cache: an answer given once is given again without running the model."""

    size_mebibytes: int = Field(ge=1, le=65536, description="Memory set aside in each pod, in MiB; it counts towards the pod's memory limit.")


class EnvironmentVariable(Model):
    """One environment variable of the server container."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(description="Name of the variable.")
    value: Annotated[str, Field(max_length=4096)] = Field(default="", description="Its value.")


class Pod(Model):
    """What the pods of a revision look like beyond their resources."""

    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)] = Field(
        default={}, description="Labels that a node must have.", json_schema_extra=ATOMIC_MAP
    )
    tolerations: Annotated[tuple[Annotated[dict[str, Any], Field(json_schema_extra=FOREIGN)], ...], FromList] = Field(
        default=(), max_length=16, description="Taints that the pods put up with, as in a Pod.", json_schema_extra=ATOMIC_LIST
    )
    topology_spread_constraints: Annotated[tuple[Annotated[dict[str, Any], Field(json_schema_extra=FOREIGN)], ...], FromList] = Field(
        default=(),
        max_length=8,
        description="How the pods spread over nodes and zones, as in a Pod. Absent: over nodes, as far as possible.",
        json_schema_extra=ATOMIC_LIST,
    )
    image_pull_secrets: Annotated[tuple[LocalReference, ...], FromList] = Field(
        default=(), max_length=8, description="Secrets with which images are pulled.", json_schema_extra=keyed_list("name")
    )
    priority_class_name: ObjectName | None = Field(default=None, description="PriorityClass of the pods.")
    env: Annotated[tuple[EnvironmentVariable, ...], FromList] = Field(
        default=(), max_length=64, description="Environment variables of the server.", json_schema_extra=keyed_list("name")
    )


DEFAULT_RUNTIME = "slipway-triton"


class Serving(Model):
    """How the model is served."""

    runtime: ObjectName = Field(
        default=DEFAULT_RUNTIME,
        description="Family of serving runtimes; a new revision pins the family's current ClusterServingRuntime and keeps it. The full name of a"
        " ClusterServingRuntime pins that one.",
    )
    replicas: Replicas = Field(
        default=Replicas(), description="Number of pods. Changing it never makes a new revision.", json_schema_extra=REPLICAS_RULES
    )
    resources: Resources = Field(default=Resources(), description="CPU and memory of a pod's server.")
    accelerator: Accelerator | None = Field(default=None, description="GPUs or slices of GPUs.")
    batching: Batching | None = Field(
        default=None, description="Dynamic batching. Absent: Triton runs every request as it comes. Refused with format triton."
    )
    response_cache: ResponseCache | None = Field(default=None, description="Cache of answers. Absent: none.")
    revision_history_limit: int = Field(
        default=3, ge=0, le=10, description="Revisions kept without pods once they no longer serve, to go back to in seconds."
    )
    pod: Pod = Field(default=Pod(), description="Placement, pull secrets and environment of the pods.")


class Unit(Model):
    """Whatever stays on one side of a split."""

    header: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")] = Field(
        description="Request header (gRPC: metadata) that names the unit, such as x-user-id. Its value may be 256 bytes long."
    )
    on_missing: Literal["Random", "Stable"] = Field(
        default="Random",
        description="What happens to a request without the header. Random: it is split as if it were a unit of its own. Stable: the stable revision"
        " takes it. Either way no guardrail counts it.",
    )


class RequestLimits(Model):
    """What one request, and all of them together, may take."""

    timeout_milliseconds: int = Field(
        default=60_000, ge=1, le=3_600_000, description="How long a pod may take to begin its answer, and between two parts of it."
    )
    body_mebibytes: int = Field(default=64, ge=1, le=1024, description="Largest request body, in MiB; larger ones are answered 413.")
    pending_per_pod: int = Field(
        default=128,
        ge=1,
        le=100_000,
        description="Requests that may be under way for each ready pod of a revision, in each router pod. More are answered 503 with Retry-After: 1"
        " at once, so that a flood costs those who send it and not those whose requests are under way.",
    )


_DETECT_NOTHING = "detect must be above 0: no amount of traffic shows that there is no fault at all"


class RolloutStep(Model):
    """One share of the units that a new revision has for a while."""

    percent: int = Field(ge=1, le=99, description="Share of the units that the new revision gets.")
    hold_seconds: int = Field(default=60, ge=0, le=2_592_000, description="How long the step lasts at least, from when every ready router has it.")
    detect: Share | None = Field(
        default=None,
        description="The step passes only once an increase of this much over what a guardrail allows would have been seen, as a share of requests."
        ' Absent: "0.1" at the first step, "0.02" at later ones.',
    )

    @model_validator(mode="after")
    def _something_is_to_be_detected(self) -> Self:
        if self.detect is not None and float(self.detect) <= 0:
            raise ValueError(_DETECT_NOTHING)
        return self


ROLLOUT_STEP_RULES = rules(("!has(self.detect) || double(self.detect) > 0.0", _DETECT_NOTHING))

_ERROR_RATE_IN_SHARES = "metric ErrorRate needs maxIncrease and takes no maxIncreasePercent"
_LATENCY_IN_PERCENT = "metric LatencyP95 needs maxIncreasePercent and takes no maxIncrease"


class Guardrail(Model):
    """What a new revision must not be worse at than the one that serves."""

    metric: Literal["ErrorRate", "LatencyP95"] = Field(
        description="ErrorRate: share of requests whose first attempt fails (5xx, no connection, timeout). LatencyP95: 95th percentile of the time to"
        " the first byte."
    )
    max_increase: Share | None = Field(default=None, description='ErrorRate: how much higher the share may be. "0.005" is half a percentage point.')
    max_increase_percent: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="LatencyP95: how much higher the percentile may be, in percent of the serving revision's."
    )

    @model_validator(mode="after")
    def _the_bound_fits_the_metric(self) -> Self:
        if self.metric == "ErrorRate" and (self.max_increase is None or self.max_increase_percent is not None):
            raise ValueError(_ERROR_RATE_IN_SHARES)
        if self.metric == "LatencyP95" and (self.max_increase_percent is None or self.max_increase is not None):
            raise ValueError(_LATENCY_IN_PERCENT)
        return self


GUARDRAIL_RULES = rules(
    ("self.metric != 'ErrorRate' || (has(self.maxIncrease) && !has(self.maxIncreasePercent))", _ERROR_RATE_IN_SHARES),
    ("self.metric != 'LatencyP95' || (has(self.maxIncreasePercent) && !has(self.maxIncrease))", _LATENCY_IN_PERCENT),
)

_STEPS_MUST_RISE = "each step's percent must be higher than the one before it"
_PROBABILITY_BOUNDS = "falseRollbackProbability must be above 0 and below 0.5"


class Rollout(Model):
    """How a new revision takes over: by steps, watched by guardrails."""

    steps: Annotated[tuple[Annotated[RolloutStep, Field(json_schema_extra=ROLLOUT_STEP_RULES)], ...], FromList] = Field(
        default=(RolloutStep(percent=1), RolloutStep(percent=10, hold_seconds=300), RolloutStep(percent=50, hold_seconds=300)),
        min_length=1,
        max_length=10,
        description="Shares, rising. After the last one the new revision gets everything.",
        json_schema_extra=ATOMIC_LIST,
    )
    guardrails: Annotated[tuple[Annotated[Guardrail, Field(json_schema_extra=GUARDRAIL_RULES)], ...], FromList] = Field(
        default=(Guardrail(metric="ErrorRate", max_increase="0.005"), Guardrail(metric="LatencyP95", max_increase_percent=20)),
        max_length=2,
        description="What is compared with the revision that serves, over the same time. An empty list: steps pass by time alone.",
        json_schema_extra=keyed_list("metric"),
    )
    false_rollback_probability: Share = Field(
        default="0.01",
        description="How often a revision that is no worse than allowed may be rolled back all the same: for the whole rollout, however often it is"
        " looked at.",
    )
    on_failure: Literal["RollBack", "Pause"] = Field(
        default="RollBack",
        description="What happens when a guardrail is broken or a step takes too long. RollBack: every unit goes back to the revision that serves,"
        " and the new one is refused. Pause: the step stays as it is until somebody decides.",
    )
    progress_deadline_seconds: int = Field(
        default=86_400, ge=10, le=31_536_000, description="How long a step may take beyond its holdSeconds before it counts as failed."
    )

    @model_validator(mode="after")
    def _steps_rise(self) -> Self:
        shares = [step.percent for step in self.steps]
        if shares != sorted(set(shares)):
            raise ValueError(_STEPS_MUST_RISE)
        return self

    @model_validator(mode="after")
    def _probability_is_one(self) -> Self:
        if not 0 < float(self.false_rollback_probability) < 0.5:
            raise ValueError(_PROBABILITY_BOUNDS)
        return self


ROLLOUT_RULES = rules(
    (
        "!has(self.steps) || self.steps.all(step, self.steps.filter(other, other.percent == step.percent).size() == 1)"
        " && (self.steps.size() < 2 || self.steps.map(step, step.percent).isSorted())",
        _STEPS_MUST_RISE,
    ),
    (
        "!has(self.falseRollbackProbability) || (double(self.falseRollbackProbability) > 0.0 && double(self.falseRollbackProbability) < 0.5)",
        _PROBABILITY_BOUNDS,
    ),
)


class Shadow(Model):
    """A model that sees a copy of some requests and whose answers nobody gets."""

    model: ModelSource = Field(description="The model. It is served with the same spec.serving, by one pod.", json_schema_extra=MODEL_SOURCE_RULES)
    percent: int = Field(
        default=10,
        ge=1,
        le=100,
        description="Share of the HTTP inferences that it sees, drawn at random; those with more than 1 MiB and those over gRPC are left out.",
    )


class FixedResponse(Model):
    """An answer that needs no model."""

    status: int = Field(default=200, ge=200, le=599, description="HTTP status.")
    content_type: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+(; ?[!-~]+)*$")] = Field(
        default="application/json", description="Its content type."
    )
    body: str = Field(max_length=16_384, description="Its body, byte for byte.")


_ONE_FALLBACK = "fallback takes exactly one of revision, model and response"


class Fallback(Model):
    """What answers an inference that the model did not answer. Exactly one of its fields is given."""

    revision: Literal["Previous"] | None = Field(
        default=None, description="Previous: the revision that served before the one that serves now. It keeps its pods."
    )
    model: ModelSource | None = Field(
        default=None,
        description="Another model under the same name; it is served with the same spec.serving, by serving.replicas.min pods.",
        json_schema_extra=MODEL_SOURCE_RULES,
    )
    response: FixedResponse | None = Field(default=None, description="A fixed answer, for requests over HTTP.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(given is not None for given in (self.revision, self.model, self.response)) != 1:
            raise ValueError(_ONE_FALLBACK)
        return self


FALLBACK_RULES = rules(("[has(self.revision), has(self.model), has(self.response)].filter(given, given).size() == 1", _ONE_FALLBACK))


_TOKENS_NEED_DEDICATED = "tokens need router: Dedicated; a shared router mounts nobody's Secret"


class Traffic(Model):
    """How requests reach the model."""

    unit: Unit | None = Field(default=None, description="Whom a split keeps together. Absent: every request is a unit of its own.")
    limits: RequestLimits = Field(default=RequestLimits(), description="Bounds of requests.")
    rollout: Rollout | None = Field(
        default=None,
        description="How a new revision takes over. Absent: at once, as soon as it is ready. {} takes the defaults: 1 %, 10 %, 50 %, watched for"
        " errors and latency.",
        json_schema_extra=ROLLOUT_RULES,
    )
    shadow: Shadow | None = Field(
        default=None,
        description="A model to compare with the one that serves: it sees a copy of some requests, and nobody waits for its answers. Absent: none.",
    )
    fallback: Fallback | None = Field(
        default=None,
        description="What answers an inference when the model's pods cannot be reached, take too long or answer 5xx. Absent: the error is passed on.",
        json_schema_extra=FALLBACK_RULES,
    )

    router: Literal["Shared", "Dedicated"] = Field(
        default="Shared",
        description="Shared: requests go through the namespace's router. Dedicated: through one of the ModelDeployment's own, with pods of its own.",
    )
    tokens: LocalReference | None = Field(
        default=None,
        description="Secret of the namespace whose values are bearer tokens: requests need one of them. Needs router: Dedicated, for the router's"
        " pods mount the Secret. Absent: requests need none.",
    )

    @model_validator(mode="after")
    def _tokens_need_a_router_of_their_own(self) -> Self:
        if self.tokens is not None and self.router != "Dedicated":
            raise ValueError(_TOKENS_NEED_DEDICATED)
        return self

    @property
    def models(self) -> tuple[ModelSource, ...]:
        """Those beside spec.model."""
        named = (self.shadow.model if self.shadow else None, self.fallback.model if self.fallback else None)
        return tuple(model for model in named if model is not None)


TRAFFIC_RULES = rules(("!has(self.tokens) || (has(self.router) && self.router == 'Dedicated')", _TOKENS_NEED_DEDICATED), field=".tokens")

_TRITON_HAS_NO_BATCHING = "serving.batching is refused with format triton: the repository's own config.pbtxt says it"


class ModelDeploymentSpec(Model):
    """What should be served, and how."""

    model: ModelSource = Field(description="The model.", json_schema_extra=MODEL_SOURCE_RULES)
    serving: Serving = Field(default=Serving(), description="How the model is served.")
    transformer: Transformer | None = Field(
        default=None,
        description="What stands before the model in its pods, and before those of spec.traffic: checks of values, features, hooks, labels, a log."
        " Absent: requests go to Triton as they are. Refused with format triton.",
        json_schema_extra=TRANSFORMER_RULES,
    )
    traffic: Traffic = Field(
        default=Traffic(), description="How requests reach it. Changing it makes no new revision.", json_schema_extra=TRAFFIC_RULES
    )
    suspend: bool = Field(
        default=False,
        description="Freeze decisions: a changed spec waits until this is false again. What serves goes on serving and is still repaired.",
    )

    @model_validator(mode="after")
    def _batching_belongs_to_the_format(self) -> Self:
        if self.serving.batching is not None and any(model.format == "triton" for model in (self.model, *self.traffic.models)):
            raise ValueError(_TRITON_HAS_NO_BATCHING)
        return self

    @model_validator(mode="after")
    def _transformer_fits_every_model(self) -> Self:
        if self.transformer is None:
            return self
        models = (self.model, *self.traffic.models)
        if any(model.format == "triton" for model in models):
            raise ValueError(transformer_fit.TRITON_HAS_NO_TRANSFORMER)
        for model in models:
            batched = self.serving.batching is not None
            for sentence in transformer_fit.misfits(self.transformer, inputs=model.inputs, outputs=model.outputs, batched=batched):
                raise ValueError(sentence)
        return self


_BATCHING_RULES = rules(
    (
        "!has(self.serving.batching) || (self.model.format != 'triton'"
        " && (!has(self.traffic.shadow) || self.traffic.shadow.model.format != 'triton')"
        " && (!has(self.traffic.fallback) || !has(self.traffic.fallback.model) || self.traffic.fallback.model.format != 'triton'))",
        _TRITON_HAS_NO_BATCHING,
    ),
    field=".serving.batching",
)
SPEC_RULES = all_of(_BATCHING_RULES, *transformer_fit.SPEC_RULES)

RevisionRole = Literal["Stable", "Candidate", "Arm", "Shadow", "Fallback", "Draining", "Parked"]


class RevisionStatus(Model):
    """One revision and what it is for."""

    name: Annotated[str, Field(max_length=63)] = Field(description="Name of the revision and of its InferenceService.")
    role: RevisionRole = Field(
        description="Stable: serves. Candidate: getting ready to. Shadow: sees copies of requests. Fallback: answers when the others do not."
        " Arm: what an experiment compares with it. Draining: served until a moment ago. Parked: kept without pods."
    )
    since: Timestamp = Field(description="Since when it has this role.")
    uri: Annotated[str, Field(max_length=1024)] = Field(description="The model it serves.")
    runtime: Annotated[str, Field(max_length=253)] = Field(description="The ClusterServingRuntime it is pinned to.")
    served: bool = Field(default=False, description="Whether the Service ever selected it.")


class SlotRun(Model):
    """Neighbouring slots of one revision."""

    before: Annotated[int, Field(ge=1, le=10_000)] = Field(description="The slot that the run ends before; it begins where the one before it ends.")
    revision: Annotated[str, Field(max_length=63)] = Field(description="Whose they are.")


class TrafficStatus(Model):
    """How units are divided."""

    seed: Annotated[str, Field(max_length=128)] = Field(
        description="What units are hashed with; it stays as it is, so that units stay where they are."
    )
    epoch: Annotated[int, Field(ge=1)] = Field(description="Rises with every change of the division; routers count each epoch apart.")
    slots: Annotated[tuple[SlotRun, ...], FromList] = Field(
        default=(), max_length=64, description="Which revision has which of the 10,000 slots.", json_schema_extra=ATOMIC_LIST
    )


class GuardrailStatus(Model):
    """What the last look at a guardrail said; shares of requests."""

    metric: Annotated[str, Field(max_length=32)] = Field(description="Which guardrail.")
    requests: Annotated[int, Field(ge=0)] = Field(description="Requests of the new revision in this step that were counted.")
    estimate: Annotated[str, Field(max_length=16)] = Field(
        description="How much more often its requests are bad (LatencyP95: slow) than those of the revision that serves."
    )
    lower: Annotated[str, Field(max_length=16)] = Field(description="Lower end of the interval around the estimate; above limit it is rolled back.")
    upper: Annotated[str, Field(max_length=16)] = Field(description="Upper end.")
    limit: Annotated[str, Field(max_length=16)] = Field(description="How much more often is allowed.")
    detectable: Annotated[str, Field(max_length=16)] = Field(
        description="The least increase over limit that would be seen by now; the step passes when it is at most detect."
    )


class RolloutStatus(Model):
    """A new revision on its way."""

    revision: Annotated[str, Field(max_length=63)] = Field(description="The new revision.")
    step: Annotated[int, Field(ge=0)] = Field(description="Which step, from 1; 0 before the first.")
    steps: Annotated[int, Field(ge=1)] = Field(description="How many there are.")
    percent: Annotated[int, Field(ge=0, le=100)] = Field(description="Share of the units that it has.")
    summary: Annotated[str, Field(max_length=64)] = Field(description="All of it in a few words, for kubectl get.")
    reason: Annotated[str, Field(max_length=64)] = Field(description="What it waits for, in one word.")
    since: Timestamp | None = Field(default=None, description="Since when every ready router has had this step; absent until then.")
    paused: bool = Field(default=False, description="Whether it passes no step until it is resumed. Guardrails watch all the same.")
    stable_replicas: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Pods that the serving revision had when the rollout began, and keeps until its end."
    )
    guardrails: Annotated[tuple[GuardrailStatus, ...], FromList] = Field(
        default=(), max_length=2, description="What the last look said.", json_schema_extra=keyed_list("metric")
    )


class ShadowStatus(Model):
    """How the shadow compares with the revision that serves, since units were last divided anew; looked at every half minute."""

    revision: Annotated[str, Field(max_length=63)] = Field(description="The shadow's revision.")
    compared: Annotated[int, Field(ge=0)] = Field(description="Requests that both answered, so that answers could be compared.")
    failed: Annotated[int, Field(ge=0)] = Field(description="Copies that the shadow did not answer as it should.")
    agreement: Annotated[str, Field(max_length=16)] | None = Field(
        default=None,
        description="Share of compared requests whose answers were equal; numbers may differ by a millionth. Absent while there are none.",
    )
    mean_absolute_difference: Annotated[str, Field(max_length=16)] | None = Field(
        default=None, description="Mean absolute difference between numbers at the same place of two answers."
    )
    milliseconds_difference: Annotated[str, Field(max_length=16)] | None = Field(
        default=None, description="How much longer the shadow takes to its first byte, on average; negative where it is faster."
    )


class RefusedRevision(Model):
    """A revision that was rolled back, and is not tried again until the spec changes or somebody asks for it."""

    revision: Annotated[str, Field(max_length=63)] = Field(description="Its name.")
    at: Timestamp = Field(description="When.")
    message: Annotated[str, Field(max_length=512)] = Field(description="Why.")


class PromotedStatus(Model):
    """A model that won an experiment and serves although spec.model names another one."""

    experiment: Annotated[str, Field(max_length=253)] = Field(description="Name of the experiment.")
    experiment_uid: Annotated[str, Field(max_length=64)] = Field(description="Its uid: what it decided is carried out once.")
    arm: Annotated[str, Field(max_length=63)] = Field(description="The arm that won.")
    revision: Annotated[str, Field(max_length=63)] = Field(description="The revision that it was served by.")
    model: ModelSource = Field(description="Its model: what spec.model should say.")
    model_digest: Annotated[str, Field(max_length=16)] = Field(description="Of the spec.model that it takes the place of.")
    at: Timestamp = Field(description="When.")
    standing: Literal["Serves", "Superseded", "Discarded"] = Field(
        description="Serves: it stands in for spec.model. Superseded: spec.model was changed since, and wins. Discarded: somebody asked for"
        " spec.model."
    )


class ModelDeploymentStatus(Model):
    """What the operator found and did. Short-lived figures are in metrics, not here."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Generation of the spec that the last finished pass worked on."
    )
    url: Annotated[str, Field(max_length=256)] | None = Field(
        default=None,
        description="Stable address, inside the cluster, of the Open Inference Protocol (port 80) and its gRPC twin (port 9000).",
    )
    revision: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="Revision that serves at the address.")
    model_uri: Annotated[str, Field(max_length=1024)] | None = Field(default=None, description="Model that serves at the address.")
    traffic: TrafficStatus | None = Field(default=None, description="How units are divided among revisions; absent while nothing serves.")
    rollout: RolloutStatus | None = Field(default=None, description="The new revision that is on its way; absent when none is.")
    shadow: ShadowStatus | None = Field(default=None, description="How the shadow compares; absent without one.")
    experiment: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="The Experiment that divides the units, or is about to; absent without one."
    )
    promoted: PromotedStatus | None = Field(default=None, description="The last model that an experiment promoted; absent where none did.")
    refused: Annotated[tuple[RefusedRevision, ...], FromList] = Field(
        default=(), max_length=8, description="Revisions that were rolled back, newest first.", json_schema_extra=keyed_list("revision")
    )
    handled: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="The last value of annotation slipway.dev/rollout that was carried out."
    )
    revisions: Annotated[tuple[RevisionStatus, ...], FromList] = Field(
        default=(), max_length=16, description="Every revision that exists, newest first.", json_schema_extra=keyed_list("name")
    )
    conditions: Annotated[tuple[Condition, ...], FromList] = Field(
        default=(), max_length=16, description="Conditions, in the order a person reads them.", json_schema_extra=keyed_list("type")
    )


class ModelDeployment(Model):
    """Serves one model at one stable address inside the cluster, through KServe and Triton."""

    spec: ModelDeploymentSpec = Field(description="What should be served, and how.", json_schema_extra=SPEC_RULES)
    status: ModelDeploymentStatus = Field(default=ModelDeploymentStatus(), description="What the operator found and did.")
