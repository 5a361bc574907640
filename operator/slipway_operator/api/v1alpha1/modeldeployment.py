"""ModelDeployment: what a user writes to have a model served."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from slipway_operator.api.fields import (
    ATOMIC_LIST,
    ATOMIC_MAP,
    FOREIGN,
    FromList,
    Model,
    ObjectName,
    Quantity,
    keyed_list,
    rules,
)

DataType = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BF16", "BYTES"
]  # fmt: skip

Dimension = Annotated[int, Field(ge=-1, le=2**31 - 1)]


class Tensor(Model):
    """One named input or output of a model."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:/-]+$")] = Field(
        description="Name of the tensor, as the model file has it."
    )
    dtype: DataType = Field(description="Element type, in the words of the Open Inference Protocol.")
    shape: Annotated[tuple[Dimension, ...], FromList] = Field(
        max_length=8,
        description="Size of each dimension; -1 for one that varies. With serving.batching the batch dimension is left out, as in Triton's own"
        " configuration, so that [] is one value a row; without it the whole shape is given.",
        json_schema_extra=ATOMIC_LIST,
    )


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


class LocalReference(Model):
    """An object of the same namespace, by name."""

    name: ObjectName = Field(description="Name of the object.")


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
        default=60_000, ge=1, le=3_600_000, description="For one attempt at a pod, from connecting to the last byte of the answer."
    )
    body_mebibytes: int = Field(default=64, ge=1, le=1024, description="Largest request body, in MiB; larger ones are answered 413.")
    pending_per_pod: int = Field(
        default=128,
        ge=1,
        le=100_000,
        description="Requests that may be under way for each ready pod of a revision, in each router pod. More are answered 503 with Retry-After: 1"
        " at once, so that a flood costs those who send it and not those whose requests are under way.",
    )


class Traffic(Model):
    """How requests reach the model."""

    unit: Unit | None = Field(default=None, description="Whom a split keeps together. Absent: every request is a unit of its own.")
    limits: RequestLimits = Field(default=RequestLimits(), description="Bounds of requests.")


_TRITON_HAS_NO_BATCHING = "serving.batching is refused with format triton: the repository's own config.pbtxt says it"


class ModelDeploymentSpec(Model):
    """What should be served, and how."""

    model: ModelSource = Field(description="The model.", json_schema_extra=MODEL_SOURCE_RULES)
    serving: Serving = Field(default=Serving(), description="How the model is served.")
    traffic: Traffic = Field(default=Traffic(), description="How requests reach it. Changing it makes no new revision.")
    suspend: bool = Field(
        default=False,
        description="Freeze decisions: a changed spec waits until this is false again. What serves goes on serving and is still repaired.",
    )

    @model_validator(mode="after")
    def _batching_belongs_to_the_format(self) -> Self:
        if self.model.format == "triton" and self.serving.batching is not None:
            raise ValueError(_TRITON_HAS_NO_BATCHING)
        return self


SPEC_RULES = rules(("self.model.format != 'triton' || !has(self.serving.batching)", _TRITON_HAS_NO_BATCHING), field=".serving.batching")

RevisionRole = Literal["Stable", "Candidate", "Draining", "Parked"]
ConditionStatus = Literal["True", "False", "Unknown"]
Timestamp = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]


class Condition(Model):
    """One aspect of the object's state, in the form of metav1.Condition."""

    type: Annotated[str, Field(max_length=64)] = Field(description="Which aspect.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: Annotated[int, Field(ge=0)] = Field(default=0, description="Generation of the spec that this was said of.")
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    reason: Annotated[str, Field(max_length=64)] = Field(description="One word for programs.")
    message: Annotated[str, Field(max_length=2048)] = Field(default="", description="A sentence for people.")


class RevisionStatus(Model):
    """One revision and what it is for."""

    name: Annotated[str, Field(max_length=63)] = Field(description="Name of the revision and of its InferenceService.")
    role: RevisionRole = Field(
        description="Stable: serves. Candidate: getting ready to. Draining: served until a moment ago. Parked: kept without pods."
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
