"""Kubernetes Events about our objects: repeats are counted on one Event, floods are cut, failures stay here."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from slipway_operator import metrics
from slipway_operator.cluster import client as client_

EventType: TypeAlias = Literal["Normal", "Warning"]


class Recorder:
    """Sends Events from a task of its own, so that emitting costs a reconcile nothing and cannot fail.

    The same (object, type, reason, message) is one Event whose ``series.count`` grows. Each object has a token bucket.
    """

    def __init__(
        self,
        client: client_.ApiClient,
        *,
        controller: str = "slipway.dev/operator",
        instance: str,
        meters: metrics.Metrics = metrics.DEFAULT,
    ) -> None:
        raise NotImplementedError

    def emit(self, owner: Mapping[str, Any], *, type: EventType, reason: str, message: str) -> None:  # noqa: A002
        """Tell about ``owner`` (an object with apiVersion, kind and metadata). Returns at once, never raises."""
        raise NotImplementedError

    async def run(self) -> None:
        """Send what was emitted, until cancelled."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Send everything that may be sent now; for the end of the process."""
        raise NotImplementedError
