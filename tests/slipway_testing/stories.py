"""ModelDeployments that get worse and are cured, and what they said on the way."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from slipway_operator.cluster.resources import Object
from slipway_testing.calm import Unrest
from slipway_testing.kube import eventually
from slipway_testing.stage import Stage

Spec: TypeAlias = Mapping[str, Any]
"""What ``Stage.apply`` takes."""

TROUBLED_S = 60.0
CURED_S = 120.0


@dataclass(frozen=True)
class Told:
    """A ModelDeployment as it was at one moment."""

    live: Object
    after_s: float = 0.0
    """Seconds that it took to get there."""

    @property
    def generation(self) -> int:
        """Of the spec."""
        return int(self.live["metadata"]["generation"])

    @property
    def observed_generation(self) -> int:
        """That the status speaks of."""
        return int((self.live.get("status") or {}).get("observedGeneration", 0))

    def verdict(self, kind: str) -> tuple[str, str]:
        """Status and reason of a condition."""
        condition = self._condition(kind)
        return condition["status"], condition["reason"]

    def message(self, kind: str) -> str:
        """Message of a condition."""
        return self._condition(kind)["message"]

    def _condition(self, kind: str) -> Mapping[str, str]:
        conditions = (self.live.get("status") or {}).get("conditions") or ()
        return next((each for each in conditions if each["type"] == kind), {"status": "", "reason": "", "message": ""})


@dataclass(frozen=True, kw_only=True)
class Story:
    """Several of them, by name."""

    first: Mapping[str, str]
    """The revision that served before."""

    troubled: Mapping[str, Told]
    unrest: Unrest
    """While all of them were in trouble."""

    cured: Mapping[str, Told]
    answered: Mapping[str, int]
    failures: Sequence[str]


def troubled(stage: Stage, name: str, *, reason: str) -> Told:
    """The object as soon as it says ``reason`` of its newest generation; as it is when it never does."""
    return _when(stage, name, within_s=TROUBLED_S, status="False", reason=reason)


def cured(stage: Stage, name: str, *, within_s: float = CURED_S) -> Told:
    """The object as soon as it is Ready; as it is when it never is."""
    return _when(stage, name, within_s=within_s, status="True", reason="Serving")


def candidate(stage: Stage, name: str) -> str:
    """The revision that gets ready."""
    revisions = (stage.live(name).get("status") or {}).get("revisions") or ()
    found: str = next(each["name"] for each in revisions if each["role"] == "Candidate")
    return found


def _when(stage: Stage, name: str, *, within_s: float, status: str, reason: str) -> Told:
    began = time.monotonic()

    def look() -> bool:
        told = Told(stage.live(name))
        return told.observed_generation == told.generation and told.verdict("Ready") == (status, reason)

    with contextlib.suppress(AssertionError):  # the test says what is missing
        eventually(look, within_s=within_s, every_s=0.25)
    return Told(stage.live(name), after_s=time.monotonic() - began)
