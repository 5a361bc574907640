"""The operator's own metrics, under the names that controller-runtime and client-go made standard, so that stock dashboards work.

Everything takes a ``Metrics`` and defaults to ``DEFAULT``, which lives on ``REGISTRY``; a test makes its own with
``Metrics.on(CollectorRegistry())``. Serving the registry is the caller's business.
"""

from dataclasses import dataclass

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_QUEUE_SECONDS = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1, 10, 100, 1000)
_RECONCILE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REQUEST_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30)


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """One set of instruments on one registry. Labels are given in the comment of each."""

    workqueue_depth: Gauge
    """name: keys that wait for a worker now."""
    workqueue_adds: Counter
    """name: keys that entered the queue, coalesced ones not counted."""
    workqueue_queue_duration: Histogram
    """name: seconds a key waited for a worker."""
    workqueue_work_duration: Histogram
    """name: seconds a worker held a key."""
    workqueue_unfinished_work: Gauge
    """name: seconds of work in progress, summed; grows when a worker is stuck."""
    workqueue_longest_running: Gauge
    """name: seconds the oldest work in progress has run."""
    workqueue_retries: Counter
    """name: keys put back with backoff."""
    reconcile_total: Counter
    """controller, result: success, error, requeue, requeue_after."""
    reconcile_errors: Counter
    """controller: passes that raised."""
    reconcile_time: Histogram
    """controller: seconds of one pass."""
    active_workers: Gauge
    """controller: workers inside a pass now."""
    max_concurrent_reconciles: Gauge
    """controller: workers there are."""
    rest_client_requests: Counter
    """code, method: answers of the API server; code ``<error>`` where there was none."""
    rest_client_request_duration: Histogram
    """verb: seconds to an answer; watches are not measured."""
    leading: Gauge
    """name: 1 while this process holds the Lease of that name, 0 otherwise."""
    watch_silence: Gauge
    """resource: seconds since the API server last said anything about it; bookmarks come about every minute."""
    applies: Counter
    """kind, result: created, updated, unchanged (nothing sent), terminating (nothing sent), deleted, taken, fight."""
    events: Counter
    """result: sent, dropped (out of tokens), failed."""
    informer_lists: Counter
    """resource: full lists, the first included; climbing means watches do not hold."""
    informer_objects: Gauge
    """resource: objects in the cache."""
    experiment_looks: Counter
    """result: kept, unchanged (nothing new in it), failed (the ledger did not answer, or did not take it)."""
    experiment_decisions: Counter
    """action: Promote, RollBack, KeepControl, StopArm."""

    @classmethod
    def on(cls, registry: CollectorRegistry) -> "Metrics":
        """A new set of instruments, registered on ``registry``."""
        queue, controller = ("name",), ("controller",)
        return cls(
            workqueue_depth=Gauge("workqueue_depth", "Keys waiting for a worker", queue, registry=registry),
            workqueue_adds=Counter("workqueue_adds", "Keys that entered the queue", queue, registry=registry),
            workqueue_queue_duration=Histogram(
                "workqueue_queue_duration_seconds", "Wait of a key for a worker", queue, buckets=_QUEUE_SECONDS, registry=registry
            ),
            workqueue_work_duration=Histogram("workqueue_work_duration_seconds", "Work on one key", queue, buckets=_QUEUE_SECONDS, registry=registry),
            workqueue_unfinished_work=Gauge("workqueue_unfinished_work_seconds", "Work in progress, summed", queue, registry=registry),
            workqueue_longest_running=Gauge(
                "workqueue_longest_running_processor_seconds", "Age of the oldest work in progress", queue, registry=registry
            ),
            workqueue_retries=Counter("workqueue_retries", "Keys put back with backoff", queue, registry=registry),
            reconcile_total=Counter("controller_runtime_reconcile", "Passes by result", ("controller", "result"), registry=registry),
            reconcile_errors=Counter("controller_runtime_reconcile_errors", "Passes that raised", controller, registry=registry),
            reconcile_time=Histogram(
                "controller_runtime_reconcile_time_seconds", "Length of a pass", controller, buckets=_RECONCILE_SECONDS, registry=registry
            ),
            active_workers=Gauge("controller_runtime_active_workers", "Workers inside a pass", controller, registry=registry),
            max_concurrent_reconciles=Gauge("controller_runtime_max_concurrent_reconciles", "Workers there are", controller, registry=registry),
            rest_client_requests=Counter("rest_client_requests", "Answers of the API server", ("code", "method"), registry=registry),
            rest_client_request_duration=Histogram(
                "rest_client_request_duration_seconds", "Time to an answer", ("verb",), buckets=_REQUEST_SECONDS, registry=registry
            ),
            leading=Gauge("leader_election_master_status", "Whether this process leads", queue, registry=registry),
            watch_silence=Gauge("slipway_watch_silence_seconds", "Time since the last word of a watch", ("resource",), registry=registry),
            applies=Counter("slipway_applies", "What applying and pruning did", ("kind", "result"), registry=registry),
            events=Counter("slipway_events", "Kubernetes Events", ("result",), registry=registry),
            informer_lists=Counter("slipway_informer_lists", "Full lists of a resource", ("resource",), registry=registry),
            informer_objects=Gauge("slipway_informer_objects", "Objects in the cache", ("resource",), registry=registry),
            experiment_looks=Counter("slipway_experiment_looks", "Looks at Experiments", ("result",), registry=registry),
            experiment_decisions=Counter("slipway_experiment_decisions", "What was decided about Experiments", ("action",), registry=registry),
        )


REGISTRY = CollectorRegistry()
prometheus_client.ProcessCollector(registry=REGISTRY)
DEFAULT = Metrics.on(REGISTRY)
