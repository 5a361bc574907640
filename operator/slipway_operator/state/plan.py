"""What a decision says: the objects that should be, the status, what to tell people, and when to look again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentStatus


@dataclass(frozen=True)
class Done:
    """Nothing to do until something changes."""


@dataclass(frozen=True)
class Wait:
    """Look again after so many seconds, even if nothing is seen to change."""

    seconds: float


@dataclass(frozen=True)
class Stalled:
    """The user must act; look again when something changes, or after so many seconds where the cure cannot be seen."""

    reason: str
    seconds: float | None = None


Outcome = Done | Wait | Stalled


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something worth telling: the reason is one of api.conditions."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A fixed number of pods for a Deployment that no autoscaler looks after."""

    deployment: str
    replicas: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The result of one decision."""

    objects: tuple[Mapping[str, Any], ...] = ()
    """Children as they should be, in the order to apply them."""

    scales: tuple[Scale, ...] = ()
    prune: bool = True
    """Whether children that are ours and not in ``objects`` go."""

    spared: frozenset[str] = frozenset()
    """Names of children that stay even so."""

    status: ModelDeploymentStatus | None = None
    """None: leave the status alone (the object is going away)."""

    events: tuple[Event, ...] = ()
    outcome: Outcome = Done()
