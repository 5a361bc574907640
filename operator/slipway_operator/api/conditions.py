"""Condition types and reasons: every one that Slipway sets, with a sentence that says when.

Ready is computed from the others at the end of a pass, never set on its own. ``Reconciling`` and ``Stalled`` follow the kstatus convention
(abnormal when True), so that Flux, Argo CD and ``kubectl wait`` read a Slipway object without a plugin. An Event's reason is always one of these.
"""

from typing import Final

READY: Final = "Ready"
"""The revision that the spec asks for answers at status.url."""

RECONCILING: Final = "Reconciling"
"""The operator is on its way to what the spec asks for; nobody needs to act."""

STALLED: Final = "Stalled"
"""The operator cannot get there unless somebody acts; the message says who and how."""

ACCEPTED: Final = "Accepted"
"""The spec can be carried out under these names in this namespace."""

MODEL_READY: Final = "ModelReady"
"""The pods of the revision that the spec asks for run and Triton says that the model is ready."""

ROUTED: Final = "Routed"
"""The stable address leads to ready pods of the revision that the spec asks for."""

AVAILABLE: Final = "Available"
"""Some revision answers at status.url: True through a whole update, also one that fails."""

FALLBACK_READY: Final = "FallbackReady"
"""The fallback of spec.traffic can answer; absent without one. Ready does not depend on it."""

SHADOW_READY: Final = "ShadowReady"
"""The shadow of spec.traffic sees copies of requests; absent without one. Ready does not depend on it."""

DEGRADED: Final = "Degraded"
"""Abnormal when True: the model does not answer, and the fallback does in its place. Absent without a fallback."""

SPEC_BEHIND: Final = "SpecBehind"
"""Abnormal when True: a model that won an experiment serves in place of spec.model; the message says what to write to Git. Absent where none did."""

# Conditions of an Experiment, beside Ready, Reconciling, Stalled and Accepted.
ADMITTED: Final = "Admitted"
"""The target's units are this experiment's to divide, and routers divide them."""

RECORDED: Final = "Recorded"
"""The ledger answers, so that looks can be taken and are kept."""

TRUSTED: Final = "Trusted"
"""The data can be believed: arms got the units of their slots, and units met one arm."""

DECIDED: Final = "Decided"
"""Something was decided, or waits for somebody's word; absent before. Ready does not depend on it."""

# Reasons of Ready.
SERVING: Final = "Serving"
"""The revision of the current spec serves."""

RUNNING: Final = "Running"
"""The experiment runs."""

CONCLUDED: Final = "Concluded"
"""The experiment is over, and every router has what follows from it."""

# Reasons of Accepted.
SPEC_ACCEPTED: Final = "SpecAccepted"
"""Names fit and nothing that belongs to somebody else is in the way."""

NAME_TOO_LONG: Final = "NameTooLong"
"""Object name and namespace together are longer than KServe's labels allow."""

NAME_TAKEN: Final = "NameTaken"
"""An object of a name that Slipway needs exists and is controlled by somebody else; it is left alone."""

SPEC_UNREADABLE: Final = "SpecUnreadable"
"""The stored object does not fit this operator's version of the kind."""

TRANSFORMER_IMAGE_UNKNOWN: Final = "TransformerImageUnknown"
"""Neither spec.transformer nor the operator's settings name an image for the transformer."""

NO_LEDGER: Final = "NoLedger"
"""The operator's settings name no ledger, without which there are no experiments."""

NO_ROUTERS: Final = "NoRouters"
"""The operator runs without routers, and nothing else can divide units."""

ARM_UNFIT: Final = "ArmUnfit"
"""An arm's model does not go with the target's settings."""

ARM_IS_CONTROL: Final = "ArmIsControl"
"""An arm is the same revision as control, or as another arm."""

REJECTED: Final = "Rejected"
"""The API server or an admission webhook refuses an object that the spec needs."""

QUOTA_EXCEEDED: Final = "QuotaExceeded"
"""A ResourceQuota leaves no room for an object that the spec needs; tried again every minute."""

DEPENDENCY_MISSING: Final = "DependencyMissing"
"""A kind that Slipway writes is not installed (KServe's InferenceService, usually)."""

FORBIDDEN: Final = "Forbidden"
"""The operator's own permissions do not allow a write."""

APPLY_FIGHT: Final = "ApplyFight"
"""Another controller keeps changing fields that Slipway owns."""

API_UNAVAILABLE: Final = "ApiUnavailable"
"""The API server, or a webhook that it must ask, does not answer; retried by itself."""

# Reasons of ModelReady.
MODEL_LOADED: Final = "ModelLoaded"
"""All replicas are up and Triton reports the model as ready."""

STARTING: Final = "Starting"
"""Pods are being created, images pulled, the model downloaded or loaded."""

SCALING: Final = "Scaling"
"""The model is ready on some replicas and not yet on all that the spec asks for."""

MODEL_LOAD_FAILED: Final = "ModelLoadFailed"
"""Triton runs and refuses the model; the message is Triton's own."""

CLAIM_MISSING: Final = "ClaimMissing"
"""The address names a PersistentVolumeClaim that the namespace does not have."""

DOWNLOAD_FAILED: Final = "DownloadFailed"
"""The storage initializer could not fetch the model; the message is its last line."""

IMAGE_PULL_FAILED: Final = "ImagePullFailed"
"""A container's image cannot be pulled."""

CONTAINER_FAILED: Final = "ContainerFailed"
"""A container cannot be created or keeps exiting."""

STORE_UNAVAILABLE: Final = "StoreUnavailable"
"""The transformer does not get at the online store, without which it may not answer; the message is its own."""

UNSCHEDULABLE: Final = "Unschedulable"
"""No node takes the pods; the message is the scheduler's."""

POD_REFUSED: Final = "PodRefused"
"""The API server refuses the pods: a quota, a limit range or Pod Security."""

RUNTIME_REFUSED: Final = "RuntimeRefused"
"""KServe does not take the InferenceService, or cannot make its Deployment: no such ClusterServingRuntime, requests over limits."""

ROLLED_BACK: Final = "RolledBack"
"""The revision that the spec asks for was worse than its guardrails allow, or took too long: it is not tried again by itself."""

SUSPENDED: Final = "Suspended"
"""spec.suspend is set: a changed spec waits, what serves goes on serving."""

EXPERIMENT_RUNNING: Final = "ExperimentRunning"
"""An Experiment divides the units: a changed spec waits until it is over."""

# Reasons of Routed.
REVISION_ROUTED: Final = "RevisionRouted"
"""The Service's endpoints are pods of the revision that the spec asks for."""

ROUTING: Final = "Routing"
"""The Service has been moved and its endpoints are not there yet."""

NO_ROUTER: Final = "NoRouter"
"""No pod of the router is ready."""

ROLLING_OUT: Final = "RollingOut"
"""The revision that the spec asks for has a share of the units; the message says which step, and what it waits for."""

ROLLOUT_PAUSED: Final = "RolloutPaused"
"""The rollout stands still until somebody resumes, promotes or undoes it."""

PREVIOUS_ROUTED: Final = "PreviousRouted"
"""The address leads to an earlier revision while the one that the spec asks for is not ready."""

# Reasons of Available.
ENDPOINT_READY: Final = "EndpointReady"
"""The Service has ready endpoints."""

NO_ENDPOINT: Final = "NoEndpoint"
"""The Service has no ready endpoint."""

FALLBACK_ANSWERS: Final = "FallbackAnswers"
"""The revision that serves has no ready pod; the fallback answers in its place."""

# Reasons of FallbackReady and ShadowReady, beside those of ModelReady.
NOTHING_BEFORE: Final = "NothingBefore"
"""No revision served before the one that serves now, so that none can be fallen back to."""

RESPONSE_FIXED: Final = "ResponseFixed"
"""The fallback is a fixed response: it needs no pods."""

SAME_REVISION: Final = "SameRevision"
"""The model serves already, or is about to, and cannot stand by as well."""

# Reasons of Degraded.
MODEL_ANSWERS: Final = "ModelAnswers"
"""The revision that serves has ready pods."""

# Reasons of Admitted, beside those of ModelReady that keep an arm from its pods.
DIVIDING: Final = "Dividing"
"""Routers divide the units."""

TARGET_MISSING: Final = "TargetMissing"
"""There is no ModelDeployment of the name in spec.targetRef."""

TARGET_NOT_READY: Final = "TargetNotReady"
"""The target is on its way to something else; the experiment waits for it."""

QUEUED: Final = "Queued"
"""Another Experiment has the target's units, or was there first."""

# Reasons of Recorded.
LEDGER_ANSWERS: Final = "LedgerAnswers"
"""The ledger answered when it was asked last."""

LEDGER_UNAVAILABLE: Final = "LedgerUnavailable"
"""The ledger does not answer, or refuses; tried again by itself. Units stay where they are meanwhile."""

# Reasons of Trusted.
DATA_SOUND: Final = "DataSound"
"""Nothing speaks against the data."""

SAMPLE_RATIO_MISMATCH: Final = "SampleRatioMismatch"
"""Arms did not get the units of their slots, by more than chance explains: exposures go missing. Nothing is decided."""

BROKEN_JOIN: Final = "BrokenJoin"
"""Too many units were seen in two arms: exposures tell of something else than what was served. Nothing is decided."""

# Reasons of Decided.
AWAITS_APPROVAL: Final = "AwaitsApproval"
"""A promotion waits for annotation slipway.dev/approve."""

HELD: Final = "Held"
"""spec.decision says Hold: everything stays as it is until somebody decides."""

COMMAND_REFUSED: Final = "CommandRefused"
"""Annotation slipway.dev/experiment says what cannot be followed; the experiment goes on as if nobody had said anything."""

ARM_PROMOTED: Final = "ArmPromoted"
"""The winner becomes the target's stable revision."""

ARM_ROLLED_BACK: Final = "ArmRolledBack"
"""Every arm was harmful, or somebody asked for it; control serves everybody."""

CONTROL_KEPT: Final = "ControlKept"
"""Control serves everybody, as spec.decision says of such a verdict."""

# Reasons of events of an Experiment.
EXPERIMENT_STARTED: Final = "ExperimentStarted"
"""Units were divided for the first time."""

EXPERIMENT_STEP: Final = "ExperimentStep"
"""Slots changed hands: a step of the ramp, an arm without pods, a bandit's update."""

ARM_STOPPED: Final = "ArmStopped"
"""An arm was harmful and lost its units."""

# Reasons of SpecBehind.
PROMOTED: Final = "Promoted"
"""The winner of an experiment serves, and spec.model names another model."""

SPEC_CURRENT: Final = "SpecCurrent"
"""spec.model names what serves, or wins over what an experiment promoted."""

# Reasons of events that tell of a step.
REVISION_CREATED: Final = "RevisionCreated"
"""A spec change that needs new pods made a new revision."""

REVISION_WOKEN: Final = "RevisionWoken"
"""The spec went back to a revision kept in history; its pods start again."""

REVISION_PROMOTED: Final = "RevisionPromoted"
"""The Service moved to this revision."""

ROLLOUT_STEP: Final = "RolloutStep"
"""A new revision got a larger share of the units."""

REVISION_PARKED: Final = "RevisionParked"
"""A revision that no longer serves gave its pods back; its object stays in history."""

REVISION_REMOVED: Final = "RevisionRemoved"
"""A revision fell out of spec.serving.revisionHistoryLimit, or never served."""

PROGRESSING: Final = "Progressing"
"""Reason of Reconciling=False and Stalled=False twins while a pass is under way."""

SETTLED: Final = "Settled"
"""Nothing is left to do."""

STALLING_REASONS: Final = frozenset(
    {
        NAME_TOO_LONG, NAME_TAKEN, SPEC_UNREADABLE, TRANSFORMER_IMAGE_UNKNOWN, REJECTED, QUOTA_EXCEEDED, APPLY_FIGHT,
        ROLLED_BACK, ROLLOUT_PAUSED, NO_LEDGER, NO_ROUTERS, ARM_UNFIT, ARM_IS_CONTROL, SAMPLE_RATIO_MISMATCH, BROKEN_JOIN,
        MODEL_LOAD_FAILED, CLAIM_MISSING, DOWNLOAD_FAILED, IMAGE_PULL_FAILED, CONTAINER_FAILED, POD_REFUSED, RUNTIME_REFUSED,
    }
)  # fmt: skip
"""Reasons that time does not cure. Unschedulable is not among them: an autoscaled cluster adds the node; and a store that is away comes back."""
