import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from slipway_box.controlplane import ControlPlane
from slipway_operator import errors, metrics
from slipway_operator.cluster import credentials, informer, resources
from slipway_operator.cluster.apply import Applier
from slipway_operator.cluster.client import ApiClient
from slipway_operator.cluster.resources import Object, Resource

from .conftest import Follow, Followed

Sent = Callable[[str], int]
MANAGED = {"app.kubernetes.io/managed-by": "slipway"}


def owned(owner: Object, name: str = "ranker-route", *, uid: str = "", **data: str) -> Object:
    """A ConfigMap as a plan has it: labelled, controlled by ``owner`` (or by an earlier one with another uid)."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": uid or owner["metadata"]["uid"],
        "controller": True,
    }
    metadata = {"name": name, "namespace": owner["metadata"]["namespace"], "labels": MANAGED, "ownerReferences": [reference]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def a_stranger(owner: Object, name: str = "ranker-route", *, labels: dict[str, str] | None = None, **data: str) -> Object:
    metadata = {"name": name, "namespace": owner["metadata"]["namespace"], "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def maps(follow: Follow) -> Followed:
    """A cache of what carries our label, as the operator has it."""
    return await follow(resources.CONFIG_MAPS, label_selector="app.kubernetes.io/managed-by=slipway")


@pytest.fixture
async def deployments(follow: Follow, owner: Object) -> Followed:
    return await follow(resources.MODEL_DEPLOYMENTS)


@pytest.fixture
def applier(client: ApiClient, maps: Followed, deployments: Followed, clock: Clock, meters: metrics.Metrics) -> Applier:
    informers = {resources.CONFIG_MAPS: maps.informer, resources.MODEL_DEPLOYMENTS: deployments.informer}
    return Applier(client, informers=informers, clock=clock, stale_wait_s=20, meters=meters)


async def live(somebody: ApiClient, body: Object) -> Object:
    reference = resources.reference(body)
    return await somebody.get(resources.of(body), reference.name, namespace=reference.namespace)


async def edit(somebody: ApiClient, followed: Followed, body: Object, patch: dict[str, Any]) -> Object:
    """Somebody changes the object, and the cache has seen it."""
    reference = resources.reference(body)
    changed = await somebody.merge_patch(resources.of(body), reference.name, patch, namespace=reference.namespace)
    await followed.caught_up(changed)
    return changed


async def test_what_is_missing_is_created(applier: Applier, owner: Object, somebody: ApiClient) -> None:
    body = owned(owner, step="1")
    answer = await applier.apply(body)
    assert answer == await live(somebody, body)
    assert answer["data"] == {"step": "1"}
    assert [entry["manager"] for entry in answer["metadata"]["managedFields"]] == ["slipway"]


async def test_what_was_there_when_it_was_decided_on_and_went_is_not_made_again(
    applier: Applier, owner: Object, somebody: ApiClient, maps: Followed
) -> None:
    """The garbage collector takes children before anybody tells of their owner's deletion."""
    body = owned(owner, step="1")
    known = await applier.apply(body)
    assert known
    await maps.caught_up(known)
    await somebody.delete(resources.CONFIG_MAPS, known["metadata"]["name"], namespace=known["metadata"]["namespace"])
    await maps.informer.until(lambda: maps.informer.get(known["metadata"]["namespace"], known["metadata"]["name"]) is None, timeout_s=10)

    with pytest.raises(errors.Conflict, match="went while"):
        await applier.apply(body, known=known)
    assert await applier.apply(body)


async def test_what_changed_since_it_was_decided_on_is_left_to_the_next_decision(
    applier: Applier, owner: Object, somebody: ApiClient, maps: Followed
) -> None:
    known = await applier.apply(owned(owner, step="1"))
    assert known
    await edit(somebody, maps, owned(owner), {"data": {"theirs": "x"}})

    with pytest.raises(errors.Conflict, match="changed while"):
        await applier.apply(owned(owner, step="2"), known=known)
    assert (await live(somebody, owned(owner)))["data"] == {"step": "1", "theirs": "x"}
    assert await applier.apply(owned(owner, step="2"))


async def test_what_only_its_own_controller_wrote_to_is_not_changed(
    client: ApiClient, follow: Follow, owner: Object, somebody: ApiClient, meters: metrics.Metrics
) -> None:
    """A status is written at any time, and is no reason to decide again."""
    budgets = await follow(resources.POD_DISRUPTION_BUDGETS)
    applier = Applier(client, informers={resources.POD_DISRUPTION_BUDGETS: budgets.informer}, meters=meters)
    known = await applier.apply(a_budget(owner))
    assert known
    written = await somebody.merge_patch(
        resources.POD_DISRUPTION_BUDGETS,
        known["metadata"]["name"],
        {"status": {"observedGeneration": 1, "currentHealthy": 3}},
        namespace=known["metadata"]["namespace"],
        subresource="status",
    )
    await budgets.caught_up(written)

    assert await applier.apply(a_budget(owner, down=2), known=known)


async def test_any_character_arrives_as_it_was_written(applier: Applier, owner: Object, somebody: ApiClient) -> None:
    """YAML, as which an apply is read, has its own mind about escapes and control characters."""
    value = '🚢 𢕆 ä \x7f \x85 \x9f \u2028 \ufeff \uffff " \\ud83d \t'
    await applier.apply(owned(owner, step=value))
    assert (await live(somebody, owned(owner)))["data"] == {"step": value}


async def test_what_is_missing_is_created_without_a_look(
    applier: Applier, owner: Object, client: ApiClient, monkeypatch: pytest.MonkeyPatch, sent: Sent
) -> None:
    monkeypatch.setattr(client, "get", None)
    assert await applier.apply(owned(owner, step="1"))
    assert sent("PATCH") == 1


async def test_what_we_made_is_known_when_the_watch_shows_it(applier: Applier, owner: Object, somebody: ApiClient, maps: Followed) -> None:
    body = owned(owner, step="1")
    answer = await applier.apply(body)
    assert answer
    assert applier.wrote(answer)
    assert not applier.wrote(await edit(somebody, maps, body, {"data": {"theirs": "x"}}))
    applier.forget(answer)
    assert not applier.wrote(answer)


@pytest.fixture
async def restarted(client: ApiClient, follow: Follow, meters: metrics.Metrics) -> Applier:
    """The applier of another operator process, which remembers nothing."""
    kinds = (resources.SERVICES, resources.CONFIG_MAPS, resources.CONTROLLER_REVISIONS, resources.POD_DISRUPTION_BUDGETS)
    caches = {kind: (await follow(kind, transform=informer.slim_but_owned("slipway"))).informer for kind in kinds}
    return Applier(client, informers=caches, meters=meters)


def a_service(owner: Object) -> Object:
    spec = {"type": "ClusterIP", "selector": {"app": "x"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]}
    body = owned(owner) | {"kind": "Service", "spec": spec}
    del body["data"]
    return body


def a_record(owner: Object, **labels: str) -> Object:
    """A ControllerRevision, which is created and not applied, for it never changes as a rule."""
    body = owned(owner) | {"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {"a": {"b": [1]}}}
    body["metadata"]["labels"] = MANAGED | labels
    return body


def a_budget(owner: Object, *, down: int = 1) -> Object:
    body = owned(owner) | {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget"}
    del body["data"]
    return body | {"spec": {"maxUnavailable": down, "selector": {"matchLabels": {"app": "x"}}}}


def for_ever(owner: Object) -> Object:
    return owned(owner, step="1") | {"immutable": True}


@pytest.mark.parametrize("make", [for_ever, a_record, a_budget])
async def test_what_never_changes_is_created_and_no_more(applier: Applier, owner: Object, sent: Sent, make: Callable[[Object], Object]) -> None:
    answer = await applier.apply(make(owner))
    assert answer
    assert [entry["manager"] for entry in answer["metadata"]["managedFields"]] == ["slipway"]
    assert (sent("POST"), sent("PATCH")) == (1, 0)


async def test_what_was_created_can_lose_a_label_all_the_same(
    applier: Applier, owner: Object, client: ApiClient, somebody: ApiClient, maps: Followed
) -> None:
    created = await applier.apply(a_record(owner, old="x"))
    assert created
    await somebody.merge_patch(
        resources.CONTROLLER_REVISIONS,
        created["metadata"]["name"],
        {"metadata": {"labels": {"theirs": "y"}}},
        namespace=created["metadata"]["namespace"],
    )
    for _ in range(2):
        await applier.apply(a_record(owner))
        assert (await live(somebody, created))["metadata"]["labels"] == MANAGED | {"theirs": "y"}
    managers = {(entry["manager"], entry["operation"]) for entry in (await live(somebody, created))["metadata"]["managedFields"]}
    assert ("slipway", "Update") not in managers


@pytest.mark.parametrize(
    "make",
    [a_service, lambda owner: owned(owner, step="1"), for_ever, a_record, a_budget],
    ids=["Service", "ConfigMap", "immutable ConfigMap", "ControllerRevision", "PodDisruptionBudget"],
)
async def test_a_restarted_operator_sends_nothing_for_what_is_as_it_was(
    restarted: Applier, client: ApiClient, owner: Object, meters: metrics.Metrics, sent: Sent, make: Callable[[Object], Object]
) -> None:
    answer = await Applier(client, informers={}, meters=meters).apply(make(owner))
    assert answer
    cache = restarted._writes._informers[resources.of(answer)]
    assert await cache.caught_up(answer["metadata"]["resourceVersion"], timeout_s=20)
    for _ in range(2):
        assert await restarted.apply(make(owner)) is None
    assert sent("PATCH") + sent("POST") == 1


async def test_a_restarted_operator_removes_what_it_does_not_plan_any_more(
    restarted: Applier, client: ApiClient, owner: Object, meters: metrics.Metrics, somebody: ApiClient
) -> None:
    answer = await Applier(client, informers={}, meters=meters).apply(owned(owner, step="1", extra="x"))
    assert answer
    assert await restarted._writes._informers[resources.CONFIG_MAPS].caught_up(answer["metadata"]["resourceVersion"], timeout_s=20)
    assert await restarted.apply(owned(owner, step="1"))
    assert (await live(somebody, owned(owner)))["data"] == {"step": "1"}


async def test_applying_the_same_again_sends_nothing(applier: Applier, owner: Object, sent: Sent) -> None:
    await applier.apply(owned(owner, step="1"))
    writes = sent("PATCH")
    for _ in range(5):
        assert await applier.apply(owned(owner, step="1")) is None
    assert (writes, sent("PATCH")) == (1, 1)


async def test_applying_the_same_again_asks_nothing_either(applier: Applier, owner: Object, maps: Followed, sent: Sent) -> None:
    answer = await applier.apply(owned(owner, step="1"))
    assert answer
    await maps.caught_up(answer)
    reads = sent("GET")
    assert await applier.apply(owned(owner, step="1")) is None
    assert sent("GET") == reads


async def test_changes_that_are_none_of_our_business_send_nothing(
    applier: Applier, owner: Object, somebody: ApiClient, maps: Followed, sent: Sent
) -> None:
    body = owned(owner, step="1")
    await applier.apply(body)
    await edit(somebody, maps, body, {"metadata": {"annotations": {"note": "theirs"}}, "data": {"theirs": "x"}})
    assert await applier.apply(body) is None
    assert sent("PATCH") == 1


async def test_drift_is_undone_and_what_others_added_stays(applier: Applier, owner: Object, somebody: ApiClient, maps: Followed) -> None:
    body = owned(owner, step="1")
    await applier.apply(body)
    await edit(somebody, maps, body, {"data": {"step": "2", "theirs": "x"}, "metadata": {"labels": {"team": "a"}}})
    answer = await applier.apply(body)
    assert answer
    assert (answer["data"], answer["metadata"]["labels"]) == ({"step": "1", "theirs": "x"}, {"team": "a"} | MANAGED)


async def test_a_label_that_the_cache_selects_by_comes_back(applier: Applier, owner: Object, somebody: ApiClient, maps: Followed) -> None:
    body = owned(owner, step="1")
    await applier.apply(body)
    await maps.until(lambda: len(maps.informer.cache) == 1)
    await somebody.merge_patch(
        resources.CONFIG_MAPS,
        "ranker-route",
        {"metadata": {"labels": dict.fromkeys(MANAGED)}},
        namespace=owner["metadata"]["namespace"],
    )
    await maps.until(lambda: not maps.informer.cache)
    await applier.apply(body)
    await maps.until(lambda: len(maps.informer.cache) == 1)


async def test_what_is_deleted_by_somebody_comes_back(applier: Applier, owner: Object, somebody: ApiClient, maps: Followed) -> None:
    body = owned(owner, step="1")
    first = await applier.apply(body)
    await somebody.delete(resources.CONFIG_MAPS, "ranker-route", namespace=owner["metadata"]["namespace"])
    await maps.until(lambda: not maps.informer.cache and len(maps.changes) == 2)
    second = await applier.apply(body)
    assert first
    assert second
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


async def test_a_field_that_is_no_longer_planned_is_removed(applier: Applier, owner: Object, somebody: ApiClient) -> None:
    await applier.apply(owned(owner, step="1", extra="x"))
    await applier.apply(owned(owner, step="1"))
    assert (await live(somebody, owned(owner)))["data"] == {"step": "1"}


async def test_what_the_server_adds_is_not_drift(client: ApiClient, owner: Object, follow: Follow, meters: metrics.Metrics, sent: Sent) -> None:
    services = await follow(resources.SERVICES)
    applier = Applier(client, informers={resources.SERVICES: services.informer}, meters=meters)
    body = owned(owner) | {"kind": "Service", "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}}
    del body["data"]
    answer = await applier.apply(body)
    assert answer
    assert answer["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    await client.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ranker-route", "namespace": owner["metadata"]["namespace"]}}
        | {"status": {"conditions": []}},
        subresource="status",
        field_manager="cloud",
    )
    writes = sent("PATCH")
    assert await applier.apply(body) is None
    assert sent("PATCH") == writes


async def test_a_fight_is_ended_after_five_rounds_and_names_the_other_side(
    applier: Applier, owner: Object, somebody: ApiClient, maps: Followed, clock: Clock, registry: CollectorRegistry
) -> None:
    body = owned(owner, step="1")
    await applier.apply(body)

    async def interfere() -> None:
        for manager, data in (("labeller", {"other": "x"}), ("kubectl-edit", {"step": "2"})):
            theirs = a_stranger(owner) | {"data": data}
            del theirs["metadata"]["labels"]
            await maps.caught_up((await somebody.apply(theirs, field_manager=manager)).object)

    for _ in range(5):
        await interfere()
        assert await applier.apply(body)
        clock.now += 5
    await interfere()
    with pytest.raises(errors.ApplyFight) as caught:
        await applier.apply(body)
    assert caught.value.managers == ("kubectl-edit",)
    assert "was restored 5 times within 60 s and changed again by kubectl-edit" in str(caught.value)
    assert registry.get_sample_value("slipway_applies_total", {"kind": "ConfigMap", "result": "fight"}) == 1
    clock.now += 60
    assert await applier.apply(body)


async def test_slow_drift_is_no_fight(applier: Applier, owner: Object, somebody: ApiClient, maps: Followed, clock: Clock) -> None:
    body = owned(owner, step="1")
    await applier.apply(body)
    for _ in range(10):
        await edit(somebody, maps, body, {"data": {"step": "2"}})
        assert await applier.apply(body)
        clock.now += 13


STRANGERS: dict[str, Callable[[Object], Object]] = {
    "without our label": lambda owner: a_stranger(owner, theirs="x"),
    "with our label": lambda owner: a_stranger(owner, labels=MANAGED, theirs="x"),
    "with exactly our content": lambda owner: a_stranger(owner, labels=MANAGED, step="1"),
    "with other values in our fields": lambda owner: a_stranger(owner, step="2"),
    "of another controller": lambda owner: owned(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": owner["metadata"]["namespace"], "uid": "u9"}}
    ),
    "of an earlier owner": lambda owner: owned(owner, uid="an-earlier-uid"),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
async def test_a_strangers_object_is_never_touched(
    applier: Applier, owner: Object, somebody: ApiClient, maps: Followed, stranger: Callable[[Object], Object]
) -> None:
    theirs = await somebody.create(stranger(owner))
    with pytest.raises(errors.NameTaken):
        await applier.apply(owned(owner, step="1") | {"immutable": True})
    marker = await somebody.create(a_stranger(owner, "marker", labels=MANAGED))
    await maps.caught_up(marker)
    with pytest.raises(errors.NameTaken):
        await applier.apply(owned(owner, step="1"))
    assert await live(somebody, theirs) == theirs


@pytest.mark.parametrize(
    ("stranger", "sentence", "passing"),
    [
        (STRANGERS["with our label"], "already exists and has no controller", False),
        (STRANGERS["of another controller"], "already exists and belongs to Deployment d", False),
        (STRANGERS["of an earlier owner"], "of the deleted ModelDeployment ranker of the same name is still there", True),
    ],
)
async def test_a_taken_name_says_by_whom(
    applier: Applier, owner: Object, somebody: ApiClient, stranger: Callable[[Object], Object], sentence: str, passing: bool
) -> None:
    await somebody.create(stranger(owner))
    with pytest.raises(errors.NameTaken, match=sentence) as caught:
        await applier.apply(owned(owner, step="1"))
    assert caught.value.passing is passing


class Blinded(ApiClient):
    """Its first read comes a moment before somebody creates the object."""

    asked = False

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None, subresource: str | None = None) -> Object:
        if not self.asked:
            self.asked = True
            raise errors.NotFound("not there yet", status=404, details={"name": name})
        return await super().get(resource, name, namespace=namespace, subresource=subresource)


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
async def test_a_stranger_that_comes_between_our_look_and_our_write_is_not_adopted(
    owner: Object, somebody: ApiClient, plane: ControlPlane, meters: metrics.Metrics, stranger: Callable[[Object], Object]
) -> None:
    theirs = await somebody.create(stranger(owner))
    async with Blinded(credentials.load(plane.kubeconfig), meters=meters) as blinded:
        applier = Applier(blinded, informers={}, meters=meters)
        with pytest.raises(errors.NameTaken):
            await applier.apply(owned(owner, step="1"))
    assert await live(somebody, theirs) == theirs


async def test_our_own_object_that_a_late_look_missed_is_kept(
    owner: Object, applier: Applier, somebody: ApiClient, plane: ControlPlane, meters: metrics.Metrics
) -> None:
    ours = await applier.apply(owned(owner, step="1"))
    async with Blinded(credentials.load(plane.kubeconfig), meters=meters) as blinded:
        await Applier(blinded, informers={}, meters=meters).apply(owned(owner, step="1"))
    assert await live(somebody, owned(owner)) == ours


async def test_a_write_for_an_object_that_was_replaced_hits_nobody(applier: Applier, owner: Object, somebody: ApiClient, maps: Followed) -> None:
    await applier.apply(owned(owner, step="1"))
    await maps.until(lambda: len(maps.informer.cache) == 1)
    await maps.stop()
    await somebody.delete(resources.CONFIG_MAPS, "ranker-route", namespace=owner["metadata"]["namespace"])
    with pytest.raises(errors.Conflict):
        await applier.apply(owned(owner, step="2"))
    theirs = await somebody.create(a_stranger(owner))
    with pytest.raises(errors.Conflict):
        await applier.apply(owned(owner, step="2"))
    assert await live(somebody, theirs) == theirs


async def test_a_terminating_object_is_left_to_go(applier: Applier, owner: Object, somebody: ApiClient, maps: Followed, sent: Sent) -> None:
    body = owned(owner, step="1")
    await applier.apply(body)
    await edit(somebody, maps, body, {"metadata": {"finalizers": ["test.slipway.dev/wait"]}})
    await somebody.delete(resources.CONFIG_MAPS, "ranker-route", namespace=owner["metadata"]["namespace"])
    await maps.until(lambda: any("deletionTimestamp" in obj["metadata"] for obj in maps.informer.cache.values()))
    assert await applier.apply(owned(owner, step="2")) is None
    assert sent("PATCH") == 1


async def test_an_object_without_controller_is_a_bug_of_the_caller(applier: Applier, owner: Object) -> None:
    with pytest.raises(ValueError, match=r"ConfigMap .*/ranker-route has no controller owner reference"):
        await applier.apply(a_stranger(owner))


async def test_pruning_deletes_what_is_ours_and_not_planned_and_nothing_else(
    applier: Applier, owner: Object, somebody: ApiClient, maps: Followed
) -> None:
    uid = owner["metadata"]["uid"]
    another_owner = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": owner["metadata"] | {"name": "d", "uid": "u9"}}
    follower = owned(owner, "merely-owned")
    del follower["metadata"]["ownerReferences"][0]["controller"]
    for body in (
        owned(owner, "planned"),
        owned(owner, "old-1"),
        owned(owner, "old-2"),
        owned(another_owner, "of-another"),
        a_stranger(owner, "unowned", labels=MANAGED),
        owned(owner, "of-an-earlier-owner", uid="an-earlier-uid"),
        follower,
    ):
        written = await somebody.create(body)
    await maps.caught_up(written)
    deleted = await applier.prune(tuple(maps.informer.cache.values()), keep={resources.reference(owned(owner, "planned"))}, owner_uid=uid)
    assert sorted(reference.name for reference in deleted) == ["old-1", "old-2"]
    assert await applier.settled(uid)
    assert sorted(name for _, name in maps.informer.cache) == ["merely-owned", "of-an-earlier-owner", "of-another", "planned", "unowned"]


async def test_pruning_looks_again_when_the_cache_is_old(applier: Applier, owner: Object, somebody: ApiClient, maps: Followed) -> None:
    namespace = owner["metadata"]["namespace"]
    for name in ("let-go", "changed", "replaced", "gone"):
        written = await somebody.create(owned(owner, name))
    await maps.caught_up(written)
    await maps.stop()
    let_go = await somebody.merge_patch(resources.CONFIG_MAPS, "let-go", {"metadata": {"ownerReferences": None}}, namespace=namespace)
    await somebody.merge_patch(resources.CONFIG_MAPS, "changed", {"data": {"a": "1"}}, namespace=namespace)
    for name in ("replaced", "gone"):
        await somebody.delete(resources.CONFIG_MAPS, name, namespace=namespace)
    replaced = await somebody.create(a_stranger(owner, "replaced", labels=MANAGED))
    deleted = await applier.prune(tuple(maps.informer.cache.values()), keep=(), owner_uid=owner["metadata"]["uid"])
    assert [reference.name for reference in deleted] == ["changed"]
    assert (await live(somebody, let_go), await live(somebody, replaced)) == (let_go, replaced)


async def test_what_is_going_already_is_not_deleted_twice(applier: Applier, owner: Object, somebody: ApiClient, maps: Followed, sent: Sent) -> None:
    body = owned(owner)
    body["metadata"]["finalizers"] = ["test.slipway.dev/wait"]
    await somebody.create(body)
    await maps.until(lambda: len(maps.informer.cache) == 1)
    for _ in range(2):
        await applier.prune(tuple(maps.informer.cache.values()), keep=(), owner_uid=owner["metadata"]["uid"])
        assert await applier.settled(owner["metadata"]["uid"])
    assert sent("DELETE") == 1


def a_status(owner: Object, **status: Any) -> Object:
    metadata = {key: owner["metadata"][key] for key in ("name", "namespace")}
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "metadata": metadata, "status": status}


async def test_a_status_is_written_once(applier: Applier, owner: Object, somebody: ApiClient, sent: Sent) -> None:
    answer = await applier.apply_status(a_status(owner, ready=True, step=1))
    assert answer
    assert answer["status"] == {"ready": True, "step": 1}
    assert await applier.apply_status(a_status(owner, ready=True, step=1)) is None
    await applier.apply_status(a_status(owner, ready=False))
    assert (await live(somebody, owner))["status"] == {"ready": False}
    assert sent("PATCH") == 2


async def test_a_restarted_operator_does_not_write_a_status_that_is_there(
    applier: Applier, owner: Object, client: ApiClient, deployments: Followed, meters: metrics.Metrics, sent: Sent
) -> None:
    await applier.apply_status(a_status(owner, ready=True))
    assert await applier.settled(owner["metadata"]["uid"])
    restarted = Applier(client, informers={resources.MODEL_DEPLOYMENTS: deployments.informer}, meters=meters)
    assert await restarted.apply_status(a_status(owner, ready=True)) is None
    assert sent("PATCH") == 1


async def test_a_status_never_lands_on_another_object_of_that_name(applier: Applier, owner: Object, somebody: ApiClient) -> None:
    await somebody.delete(resources.MODEL_DEPLOYMENTS, "ranker", namespace=owner["metadata"]["namespace"])
    with pytest.raises(errors.NotFound):
        await applier.apply_status(a_status(owner, ready=True), live=owner)
    again = await somebody.create({key: owner[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": a_status(owner)["metadata"]})
    with pytest.raises(errors.Conflict):
        await applier.apply_status(a_status(owner, ready=True), live=owner)
    assert await live(somebody, again) == again


async def test_a_status_that_was_computed_before_an_edit_is_not_written(
    applier: Applier, owner: Object, somebody: ApiClient, deployments: Followed
) -> None:
    edited = await edit(somebody, deployments, owner, {"spec": {"size": 2}})
    with pytest.raises(errors.Conflict):
        await applier.apply_status(a_status(owner, observed=1), live=owner)
    assert await live(somebody, owner) == edited
    assert await applier.apply_status(a_status(owner, observed=2))


async def test_the_status_of_what_is_gone_is_not_found(applier: Applier, owner: Object, somebody: ApiClient, deployments: Followed) -> None:
    await somebody.delete(resources.MODEL_DEPLOYMENTS, "ranker", namespace=owner["metadata"]["namespace"])
    await deployments.until(lambda: not deployments.informer.cache)
    with pytest.raises(errors.NotFound):
        await applier.apply_status(a_status(owner, ready=True))


async def test_a_cache_that_is_older_than_our_write_is_not_believed(
    client: ApiClient, owner: Object, maps: Followed, meters: metrics.Metrics
) -> None:
    applier = Applier(client, informers={resources.CONFIG_MAPS: maps.informer}, stale_wait_s=0.1, meters=meters)
    await maps.stop()
    written = await applier.apply(owned(owner, step="1"))
    assert written
    assert not await applier.settled(owner["metadata"]["uid"])
    reference = resources.reference(written)
    assert await applier.fresh(resources.CONFIG_MAPS, namespace=reference.namespace, name=reference.name) == written
    assert not maps.informer.cache


async def test_reading_waits_for_the_cache_to_show_our_write(applier: Applier, owner: Object, maps: Followed, sent: Sent) -> None:
    await maps.stop()
    await applier.apply(owned(owner, step="1"))
    settled = asyncio.ensure_future(applier.settled(owner["metadata"]["uid"]))
    await asyncio.sleep(0)
    assert not settled.done()
    await maps.start()
    assert await settled
    reads = sent("GET")
    found = await applier.fresh(resources.CONFIG_MAPS, namespace=owner["metadata"]["namespace"], name="ranker-route")
    assert found
    assert (found["data"], sent("GET")) == ({"step": "1"}, reads)
