"""How a pass ends: what it raises becomes a later try, and no worker ends with it."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from slipway_operator import errors, metrics
from slipway_operator.cluster import observe_experiments, resources
from slipway_operator.cluster.observe import Known
from slipway_operator.controller import passes, queue, store, worker
from slipway_operator.state.observed import Observed, Routers
from slipway_testing import builders
from slipway_testing import experiments as xp

KEY = ("shop", "digits")
BODY: dict[str, Any] = {
    "apiVersion": "slipway.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"namespace": "shop", "name": "digits", "uid": "uid-1", "resourceVersion": "1"},
}


NAMESAKE = errors.NameTaken(kind="Service", namespace="shop", name="digits", controller="ModelDeployment digits", passing=True)


GONE = errors.NotFound("gone", status=404, details={"name": "digits"})


class World:
    """What a worker reaches, with everything it did to it; ``applying`` is called for each child."""

    def __init__(self, *, applying: Callable[[], None] = lambda: None, observing: Callable[[], None] = lambda: None, settled: bool = True) -> None:
        self.applying, self.observing, self.caught_up = applying, observing, settled
        self.live: dict[str, Any] | None = BODY
        """What the server has."""
        self.children_known: dict[str, dict[str, Any]] = {}
        """By name, what the caches have of its children."""

        self.children_live: dict[str, dict[str, Any]] = {}
        """By name, what the server has of them."""

        self.seen = builders.observed()
        self.applied: list[str] = []
        self.statuses: list[dict[str, Any]] = []
        self.told: list[str] = []
        self.left: list[str] = []
        """Namespaces that an object turned out to be gone from."""

        self.experiments = store.Store()
        self.experiments_live: list[dict[str, Any]] = []
        """What the server has of them."""

        self.meters = metrics.Metrics.on(CollectorRegistry())
        self.keys: queue.WorkQueue[store.Key] = queue.WorkQueue(name="test", meters=self.meters)
        self.objects = store.Store()
        self.objects.put(BODY)
        self.worker = worker.Worker(
            keys=self.keys,
            objects=self.objects,
            observer=self,  # type: ignore[arg-type]
            trials=lambda namespace, name: observe_experiments.trials(self.experiments.all_in(namespace), name),
            relearn=self.relearn,
            applier=self,
            api=self,
            recorder=self,
            resync_s=1000.0,
            gone=self.left.append,
            meters=self.meters,
        )

    async def observe(self, body: Any) -> Observed:
        self.observing()
        return self.seen

    async def get(self, resource: Any, name: str, *, namespace: str) -> Any:
        found = self.live if resource is resources.MODEL_DEPLOYMENTS else self.children_live.get(name)
        if found is None:
            raise GONE
        return found

    def children(self, namespace: str, name: str) -> tuple[dict[str, Any], ...]:
        return tuple(self.children_known.values())

    def known(self, namespace: str, name: str) -> Known:
        return Known(name, {resources.reference(child): child for child in self.children_known.values()})

    async def relearn(self, namespace: str) -> None:
        for body in self.experiments_live:
            self.experiments.put(body)

    async def settled(self, uid: str) -> bool:
        return self.caught_up

    async def apply(self, body: Any, *, known: Any) -> None:
        self.applying()
        self.applied.append(body["kind"])

    async def apply_status(self, body: Any, *, live: Any) -> Any:
        self.statuses.append(body["status"])
        return None

    async def prune(self, live: Any, *, keep: Any, owner_uid: str) -> None:
        assert owner_uid == "uid-1"

    def emit(self, owner: Any, *, type: str, reason: str, message: str) -> None:  # noqa: A002
        self.told.append(reason)

    async def one_pass(self) -> None:
        """Work until the queue is empty, then stop."""
        self.keys.add(KEY)
        working = asyncio.create_task(self.worker.run(workers=2))
        async with asyncio.timeout(5):
            while self._passes() == 0:  # noqa: ASYNC110 - the metric is what tells that a pass has ended
                await asyncio.sleep(0)
        await self.keys.shutdown(drain_s=5)
        await working

    def results(self) -> dict[str, float]:
        samples = next(iter(self.meters.reconcile_total.collect())).samples
        return {sample.labels["result"]: sample.value for sample in samples if sample.name.endswith("_total")}

    def ready(self) -> dict[str, str]:
        """Ready of the last status written."""
        found: dict[str, str] = next(condition for condition in self.statuses[-1]["conditions"] if condition["type"] == "Ready")
        return found

    def _passes(self) -> float:
        return sum(self.results().values())


def raising(error: Exception) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


async def test_a_pass_applies_the_children_writes_the_status_and_tells() -> None:
    world = World()

    await world.one_pass()

    assert world.applied == ["Service", "ControllerRevision", "ConfigMap", "InferenceService"]
    assert (world.ready()["reason"], world.told, world.results()) == ("Starting", ["RevisionCreated"], {"requeue_after": 1.0})


async def test_an_object_that_is_gone_needs_nothing() -> None:
    world = World()
    world.objects.remove(BODY)
    world.keys.add(KEY)

    working = asyncio.create_task(world.worker.run(workers=1))
    while len(world.keys):  # noqa: ASYNC110 - the queue is what tells that the key was taken
        await asyncio.sleep(0)
    await world.keys.shutdown(drain_s=5)
    await working

    assert (world.applied, world.statuses) == ([], [])


async def test_caches_behind_our_own_writes_put_the_pass_off() -> None:
    world = World(settled=False)

    await world.one_pass()

    assert (world.applied, world.results(), world.keys.failures(KEY)) == ([], {"requeue": 1.0}, 1)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.NameTaken(kind="Service", namespace="shop", name="digits", controller=None, passing=False), "NameTaken"),
        (errors.ApplyFight(kind="Service", namespace="shop", name="digits", managers=("x",), times=6, window_s=60), "ApplyFight"),
        (errors.QuotaExceeded("exceeded quota"), "QuotaExceeded"),
        (errors.Invalid("field is immutable"), "Rejected"),
        (errors.Forbidden("may not"), "Forbidden"),
        (errors.NotFound("no such kind", status=404), "DependencyMissing"),
    ],
)
async def test_what_somebody_must_cure_is_told_at_once_and_tried_again_later(error: Exception, reason: str) -> None:
    world = World(applying=raising(error))

    await world.one_pass()

    assert world.ready()["reason"] == reason
    assert str(error) in world.ready()["message"]
    assert (world.results(), world.keys.failures(KEY)) == ({"error": 1.0}, 1 if reason == "Rejected" else 0)


async def test_what_was_refused_is_tried_again_within_seconds_at_first_for_a_webhook_may_have_been_out_of_order() -> None:
    keys: queue.WorkQueue[str] = queue.WorkQueue(name="test", meters=metrics.Metrics.on(CollectorRegistry()))

    waits = [keys.retry("digits", backoff=passes.REFUSED) for _ in range(9)]

    assert all(2.0 * 2**number <= wait <= 2.2 * 2**number for number, wait in enumerate(waits[:7]))
    assert 300 <= waits[-1] <= 330


@pytest.mark.parametrize(
    "error",
    [errors.Unavailable("refused"), TimeoutError(), errors.Conflict("edited"), errors.NamespaceTerminating("going"), NAMESAKE, GONE],
    ids=[
        "the API server away",
        "a pass too long",
        "an edit in between",
        "a namespace on its way out",
        "the child of a deleted namesake",
        "an object deleted in between",
    ],
)
async def test_what_passes_by_itself_is_tried_again_without_a_word(error: Exception) -> None:
    world = World(applying=raising(error))

    await world.one_pass()

    assert (world.statuses, world.told, world.keys.failures(KEY)) == ([], [], 1)


async def test_children_are_not_put_back_for_an_object_whose_deletion_was_missed() -> None:
    world = World()
    world.seen = builders.observed(status=builders.status(observedGeneration=1))
    world.live = None

    await world.one_pass()

    assert (world.applied, world.statuses, world.objects.get(KEY)) == ([], [], None)
    assert world.left == [KEY[0]], "its namespace may need no router any more"


async def test_children_are_put_back_only_as_the_newest_version_of_the_object_says() -> None:
    world = World()
    world.seen = builders.observed(status=builders.status(observedGeneration=1))
    world.live = BODY | {"metadata": BODY["metadata"] | {"resourceVersion": "2"}}

    await world.one_pass()

    assert (world.applied, world.objects.get(KEY), world.keys.failures(KEY)) == ([], world.live, 1)


LABELS = {"app.kubernetes.io/managed-by": "slipway", "slipway.dev/modeldeployment": "digits"}
GROUNDS = {
    "digits-routes": ("v1", "ConfigMap"),
    f"{builders.revision().name}-predictor": ("apps/v1", "Deployment"),
    builders.revision().name: ("serving.kserve.io/v1beta1", "InferenceService"),
}


def promoting() -> World:
    """A pass that moves to a new revision, which everything is known for as the server has it."""
    world = World()
    revision = builders.revision()
    world.seen = builders.observed(
        revisions=(revision,),
        workloads={revision.name: builders.running()},
        status=builders.status(builders.entry(revision, "Candidate", served=False), observedGeneration=1),
        routers=Routers(name="slipway-router", image="router", replicas=2, digests={}),
    )
    for name, (version, kind) in GROUNDS.items():
        meta = {"namespace": "shop", "name": name, "resourceVersion": "7", "labels": LABELS}
        world.children_known[name] = world.children_live[name] = {"apiVersion": version, "kind": kind, "metadata": meta}
    return world


async def test_a_step_is_taken_from_what_the_server_has() -> None:
    world = promoting()

    await world.one_pass()

    assert "Service" in world.applied
    assert world.statuses[-1]["revision"] == builders.revision().name


@pytest.mark.parametrize("name", GROUNDS)
@pytest.mark.parametrize("state", ["newer", "gone", "unheard of"])
async def test_no_step_is_taken_from_a_cache_that_is_behind(name: str, state: str) -> None:
    world = promoting()
    match state:
        case "newer":
            world.children_live[name] = world.children_live[name] | {"metadata": {"resourceVersion": "8", "labels": LABELS}}
        case "gone":
            del world.children_live[name]
        case _:
            del world.children_known[name]

    await world.one_pass()

    assert (world.applied, world.keys.failures(KEY)) == ([], 1)


def experiment(target: str = "digits", *, units: int = 0, **changes: Any) -> dict[str, Any]:
    """One whose units are divided, and so many of which were seen."""
    status = xp.begun().model_copy(update={"units": units} | changes)
    meta = {"namespace": "shop", "name": f"of-{target}", "uid": f"of-{target}", "resourceVersion": f"{units + len(changes) + 1}"}
    return {
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "Experiment",
        "metadata": meta,
        "spec": xp.written(targetRef={"name": target}),
        "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def with_arms(world: World) -> None:
    """One of its revisions was compared with another, as the status has it."""
    revision = builders.revision()
    world.seen = dataclasses.replace(world.seen, status=builders.status(builders.entry(revision, "Arm", served=False), observedGeneration=1))


@pytest.mark.parametrize(
    ("known", "live", "waits"),
    [
        ([], [experiment()], True),
        ([experiment()], [experiment(traffic=None)], True),
        ([experiment()], [experiment()], False),
        ([experiment()], [experiment(units=7)], False),
        ([], [experiment("another")], False),
    ],
    ids=["one that nobody has heard of", "other shares", "as it was known", "other figures", "another's"],
)
async def test_units_of_an_experiment_change_hands_only_when_it_is_known_as_the_server_has_it(
    known: list[dict[str, Any]], live: list[dict[str, Any]], waits: bool
) -> None:
    world = promoting()
    with_arms(world)
    world.experiments_live = live
    for body in known:
        world.experiments.put(body)

    await world.one_pass()

    assert (world.applied == [], world.keys.failures(KEY)) == (waits, int(waits))


@pytest.mark.parametrize("label", LABELS)
async def test_a_part_whose_label_somebody_took_away_keeps_no_step_waiting(label: str) -> None:
    """No cache shows it, ever: only the apply that puts the label back makes it known again."""
    world = promoting()
    name = builders.revision().name
    live = world.children_live[name]
    left = {key: value for key, value in LABELS.items() if key != label}
    world.children_live[name] = live | {"metadata": live["metadata"] | {"labels": left}}
    del world.children_known[name]

    await world.one_pass()

    assert "InferenceService" in world.applied


@pytest.mark.parametrize("version", ["7", "8"])
async def test_without_routers_the_service_says_where_requests_go(version: str) -> None:
    world = promoting()
    world.seen = dataclasses.replace(world.seen, routers=None)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "digits", "resourceVersion": "7", "labels": LABELS}}
    world.children_known["digits"] = service
    world.children_live["digits"] = service | {"metadata": service["metadata"] | {"resourceVersion": version}}  # type: ignore[operator]

    await world.one_pass()

    assert (world.applied == [], world.keys.failures(KEY)) == ((False, 0) if version == "7" else (True, 1))


async def test_what_a_step_was_decided_from_counts_as_it_was_then() -> None:
    """A cache that catches up during a pass does not make what was decided before any newer."""
    world = promoting()
    table = world.children_known["digits-routes"]
    newer = table | {"metadata": table["metadata"] | {"resourceVersion": "8"}}

    def caught_up() -> None:
        world.children_known["digits-routes"] = world.children_live["digits-routes"] = newer

    world.observing = caught_up
    await world.one_pass()

    assert (world.applied, world.keys.failures(KEY)) == ([], 1)


async def test_an_object_that_turns_out_to_be_gone_is_forgotten() -> None:
    world = World(applying=raising(GONE))
    world.live = None

    await world.one_pass()

    assert (world.statuses, world.objects.get(KEY)) == ([], None)


async def test_trouble_that_lasts_is_told_after_all() -> None:
    world = World(applying=raising(errors.Unavailable("failed calling webhook")))
    for _ in range(passes.UNTOLD_FAILURES):
        world.keys.retry(KEY)

    await world.one_pass()

    assert world.ready()["reason"] == "ApiUnavailable"
    assert world.told == []


async def test_a_pass_without_end_is_told_with_its_limit() -> None:
    world = World(applying=raising(TimeoutError()))
    for _ in range(passes.UNTOLD_FAILURES):
        world.keys.retry(KEY)

    await world.one_pass()

    assert world.ready()["message"] == "The pass took longer than 60 s and was given up."


async def test_a_missing_kind_is_told_with_where_it_comes_from() -> None:
    world = World(applying=raising(errors.NotFound("get InferenceService shop/digits: 404", status=404)))

    await world.one_pass()

    assert "InferenceService comes with KServe: install it" in world.ready()["message"]


async def test_a_bug_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    world = World(observing=raising(ZeroDivisionError("oops")))

    await world.one_pass()

    assert "this is a bug in Slipway" in caplog.text
    assert (world.statuses, world.keys.failures(KEY), world.results()) == ([], 1, {"error": 1.0})
