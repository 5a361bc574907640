"""What a decision is made from: one frozen value, gathered before anything is decided."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from slipway_operator.state.revision import Revision
from slipway_operator.state.routes import RouteTable
from slipway_operator.state.trial import Trial
from slipway_statistics.counts import Counts
from slipway_statistics.latency import Edges


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which ModelDeployment this is about."""

    name: str
    namespace: str
    uid: str
    generation: int
    deleting: bool = False


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a revision is not ready: a reason of api.conditions and the message of whoever found it."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What runs for one revision."""

    stopped: bool = False
    """Its InferenceService carries KServe's stop annotation."""

    settled: bool = False
    """The Deployment's controller has seen the newest template and every replica runs it."""

    replicas: int | None = None
    """Pods that its Deployment asks for; None without a Deployment."""

    available: int = 0
    """Pods that passed their readiness probe, which asks Triton for the model by the ModelDeployment's name, and that are endpoints already."""

    loading: bool = False
    """A pod runs and is not ready: what it is about is known to Triton alone, and must be asked."""

    failures: tuple[Failure, ...] = ()
    """What keeps pods from being ready, gravest first."""

    def ready(self, wanted: int) -> bool:
        """Whether at least ``wanted`` pods of the newest template answer for the model."""
        return not self.stopped and self.settled and self.available >= wanted


NO_WORKLOAD = Workload()


@dataclass(frozen=True, kw_only=True)
class Routers:
    """The router pods that a ModelDeployment's requests go through."""

    name: str
    """Of the router."""

    addressed: bool = False
    """Whether the stable Service selects them."""

    announced: bool = True
    """Whether all pods that are ready are endpoints already. A Service that is moved to pods that the controller of endpoints takes for not ready yet
    has none until it hears of them."""

    reached_s: float = math.inf
    """Seconds since it was first seen that a ready pod of this router is an endpoint of the stable Service; 0 where none is. Nodes learn of endpoints
    within seconds, and tell nobody."""

    leaving: str | None = None
    """Another router that the stable Service still selects, or that its endpoints still lead to."""

    lingering: str | None = None
    """A router of the ModelDeployment's own that still has pods, though it is no longer asked for. Nodes may send requests there for a moment."""

    image: str = ""
    ledger: str | None = None
    replicas: int = 2
    """What pods of a router of the ModelDeployment's own are to be."""

    tokens: str | None = None
    """The Secret whose tokens all pods of the router have mounted."""

    trouble: str | None = None
    """What keeps the router from being there."""

    digests: Mapping[str, str | None] = field(default_factory=dict)
    """By name of each ready pod: the digest of the table that it says is live; None where it does not say, or has none."""

    def follow(self, digest: str) -> bool:
        """Whether there are any, and all act on that table. A pod that is not ready gets no requests and holds nobody up."""
        return bool(self.digests) and all(live == digest for live in self.digests.values())


@dataclass(frozen=True, kw_only=True)
class Compared:
    """How a shadow's answers compare with those that were given, over the live table's epoch and all ready router pods."""

    revision: str
    answers: int
    """Pairs that were compared."""

    agreed: int
    absolute_difference: float
    """Mean, between numbers at the same place."""

    seconds_difference: float
    """Mean, to the first byte; positive where the shadow is slower."""

    failed: int
    """Copies that the shadow did not answer."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything about one ModelDeployment at one moment."""

    identity: Identity
    spec: ModelDeploymentSpec | None
    """None when the stored object does not fit this version of the kind; ``spec_error`` then says why."""

    spec_error: str = ""
    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    revisions: tuple[Revision, ...] = ()
    """Those recorded in ControllerRevisions that are ours."""

    workloads: Mapping[str, Workload] = field(default_factory=dict)
    """By revision name; a revision without an InferenceService is absent."""

    selected: str | None = None
    """Revision that serves: the stable one of the live route table; without a table the one that the live Service selects. None: nobody does."""

    table: RouteTable | None = None
    """The live route table; None without one, or with one that this version cannot read."""

    routers: Routers | None = None
    """None: the Service leads to the pods of a revision itself."""

    counts: Mapping[str, Counts] = field(default_factory=dict)
    """What the routers counted in the live table's epoch, by revision, of all ready router pods together."""

    edges: Edges | None = None
    """The latencies from which on the counts call a request slow; None while none were asked for."""

    compared: Compared | None = None
    """What the routers say of the shadow; None without one, or when none of them says anything."""

    trial: Trial | None = None
    """The experiment that divides the units, or is about to; None without one."""

    promotion: Trial | None = None
    """The experiment that promoted an arm last, over or not; None where none did."""

    command: str | None = None
    """What somebody told the rollout, by annotation."""

    endpoints: Mapping[str, int] = field(default_factory=dict)
    """Ready endpoints of the stable Service, by the revision whose pods they are; those of routers are under the empty name."""

    runtimes: Mapping[str, str] = field(default_factory=dict)
    """Current ClusterServingRuntime of each family."""

    transformer_image: str | None = None
    """Image of the transformers whose spec names none; None: there is none."""

    drain_s: float = 15.0
    """Seconds that a revision keeps its pods after the Service moved away from it."""

    route_s: float = 2.0
    """Seconds that the nodes are given to follow the Service."""

    poll_s: float = 5.0
    """Seconds between two looks at a revision that loads its model."""

    now: datetime

    @property
    def followed(self) -> bool:
        """Whether every router acts on the live table."""
        return self.routers is not None and self.table is not None and self.routers.follow(self.table.digest)

    def revision(self, name: str | None) -> Revision | None:
        """The recorded revision of that name."""
        return next((known for known in self.revisions if known.name == name), None)

    def workload(self, name: str) -> Workload:
        """What runs for the revision of that name."""
        return self.workloads.get(name, NO_WORKLOAD)
