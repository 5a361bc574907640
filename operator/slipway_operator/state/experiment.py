"""What is decided from about one Experiment, and what is decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slipway_operator.api.v1alpha1.experiment import ExperimentSpec, ExperimentStatus
from slipway_operator.state import observed as targets
from slipway_operator.state.observed import Identity
from slipway_operator.state.plan import Done, Event, Outcome
from slipway_statistics.experiment import Arms, Memory


@dataclass(frozen=True, kw_only=True)
class Rival:
    """An Experiment of the same target."""

    name: str
    uid: str
    created: str
    admitted_at: str | None
    over: bool
    suspended: bool
    refused: bool = False
    """Whether its spec cannot be carried out."""

    @property
    def waits(self) -> bool:
        """Whether it asks for its turn, and could take it."""
        return self.admitted_at is None and not self.over and not self.suspended and not self.refused


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What the ledger said at one moment."""

    now: datetime
    closed: Mapping[str, Arms]
    open: Mapping[str, Arms]
    units: Mapping[str, Mapping[str, int]]
    """By stratum, by arm: who came first in it."""

    waiting: int
    """Units that were seen while they waited, and in no arm since."""

    in_two_arms: int
    newest_outcome: datetime | None
    quantiles: Mapping[str, float] = field(default_factory=dict)
    """Of metrics whose cap was asked for: what it is made of, once it is known."""


@dataclass(frozen=True, kw_only=True)
class Journal:
    """How far the ledger's looks go."""

    sequence: int
    memory: Memory


@dataclass(frozen=True, kw_only=True)
class Registration:
    """An experiment as the ledger lists it."""

    namespace: str
    name: str
    running: bool
    """Whether it takes events; an ended one is there until its data go."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything about one Experiment at one moment."""

    identity: Identity
    created: str
    spec: ExperimentSpec | None
    """None when the stored object does not fit this version of the kind; ``spec_error`` then says why."""

    spec_error: str = ""
    status: ExperimentStatus = field(default_factory=ExperimentStatus)
    target: targets.Observed | None = None
    """None: there is no such ModelDeployment, or it is being deleted."""

    rivals: tuple[Rival, ...] = ()
    ledger: bool = True
    """Whether the operator knows of one."""

    trouble: str | None = None
    """Why the ledger did not answer; None where it did, or was not asked."""

    sums: Sums | None = None
    """None: it is no time for a look, or the ledger did not answer."""

    journal: Journal | None = None
    """With ``sums``."""

    look_in_s: float = 0.0
    """Until the next look is due."""

    approved: str | None = None
    """What annotation slipway.dev/approve says."""

    command: str | None = None
    """What annotation slipway.dev/experiment says."""

    now: datetime


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The result of one decision, in the order in which it is carried out."""

    register: Mapping[str, Any] | None = None
    """Definition that the ledger is to have; None: it has it."""

    look: Mapping[str, Any] | None = None
    """Look that the ledger is to keep."""

    memory: Memory | None = None
    """What the next look goes on from, with ``look``."""

    end: bool = False
    """Whether the ledger may forget it after its retention."""

    status: ExperimentStatus | None = None
    """None: leave the status alone."""

    events: tuple[Event, ...] = ()
    outcome: Outcome = field(default_factory=Done)
