"""Who is asked to look at what, when something is heard."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from slipway_operator import errors, metrics, settings
from slipway_operator.cluster import resources
from slipway_operator.cluster.client import Listing
from slipway_operator.controller import queue, store
from slipway_operator.handlers import notices
from slipway_testing import builders, experiments

METERS = metrics.Metrics.on(CollectorRegistry())


class Nobody:
    """An applier that has written and remembers nothing."""

    def wrote(self, *_: Any, **__: Any) -> bool:
        return False

    def forget(self, *_: Any) -> None:
        """Nothing."""


def operator(*, caches: Any = None, **changes: Any) -> notices.Operator:
    return notices.Operator(
        configured=settings.Settings(runtimes={"slipway-triton": "r"}, **changes),
        access=None,  # type: ignore[arg-type]
        objects=store.Store(),
        keys=queue.WorkQueue(name="modeldeployment", meters=METERS),
        experiments=store.Store(),
        experiment_keys=queue.WorkQueue(name="experiment", meters=METERS),
        namespaces=queue.WorkQueue(name="router", meters=METERS),
        caches=caches,
        applier=Nobody(),  # type: ignore[arg-type]
    )


def heard(kind: str | None, name: str) -> Any:
    body = builders.manifest(name=name)
    body["metadata"] |= {"uid": name, "resourceVersion": "1", "generation": 1}
    return {"type": kind, "object": body}


@pytest.mark.parametrize(("image", "looks"), [("slipway/router:1", 1), (None, 0)])
async def test_the_first_and_the_last_of_a_namespace_concern_its_router_where_there_are_routers(image: str | None, looks: int) -> None:
    told = operator(router_image=image)
    notices.notice(told, heard("ADDED", "a"))
    assert len(told.namespaces) == looks
    notices.notice(told, heard("ADDED", "b"))
    assert (len(told.keys), len(told.namespaces)) == (2, looks)
    notices.notice(told, heard("DELETED", "b"))
    assert len(told.namespaces) == looks


def heard_experiment(kind: str | None, name: str, *, target: str = "a", version: str = "1", **meta: Any) -> Any:
    body = {
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": version, "generation": 1} | meta,
        "spec": experiments.written(targetRef={"name": target}),
    }
    return {"type": kind, "object": body}


async def asked(keys: queue.WorkQueue[store.Key]) -> set[str]:
    """Names of objects that a pass is asked for; afterwards nothing is."""
    found = set()
    while len(keys):
        key = await keys.get()
        found.add(key[1])
        keys.done(key)
    return found


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", None])
async def test_an_experiment_concerns_itself_its_target_and_those_that_wait_for_it(kind: str | None) -> None:
    told = operator()
    notices.notice_experiment(told, heard_experiment("ADDED", "waits"))
    notices.notice_experiment(told, heard_experiment("ADDED", "elsewhere", target="b"))
    await asked(told.experiment_keys)
    await asked(told.keys)
    notices.notice_experiment(told, heard_experiment(kind, "new"))
    assert (await asked(told.experiment_keys), await asked(told.keys)) == ({"new", "waits"}, {"a"})


async def test_a_deleted_experiment_wakes_who_waited_for_it() -> None:
    told = operator()
    for name in ("runs", "waits"):
        notices.notice_experiment(told, heard_experiment("ADDED", name))
    await asked(told.experiment_keys)
    await asked(told.keys)
    notices.notice_experiment(told, heard_experiment("DELETED", "runs"))
    assert (await asked(told.experiment_keys), await asked(told.keys)) == ({"runs", "waits"}, {"a"})
    assert told.experiments.get(("shop", "runs")) is None


async def test_an_experiment_that_went_unheard_of_wakes_its_namespace() -> None:
    told = operator()
    notices.notice(told, heard("ADDED", "a"))
    notices.notice_experiment(told, heard_experiment("ADDED", "waits"))
    await asked(told.experiment_keys)
    await asked(told.keys)
    notices.ask_without(told, "shop")
    assert (await asked(told.experiment_keys), await asked(told.keys)) == ({"waits"}, {"a"})
    notices.ask_without(told, "elsewhere")
    assert (await asked(told.experiment_keys), await asked(told.keys)) == (set(), set())


async def test_a_list_that_brings_no_news_asks_for_nothing() -> None:
    told = operator()
    notices.notice_experiment(told, heard_experiment("ADDED", "runs"))
    await asked(told.experiment_keys)
    await asked(told.keys)
    notices.notice_experiment(told, heard_experiment(None, "runs"))
    assert (await asked(told.experiment_keys), await asked(told.keys)) == (set(), set())


async def test_the_status_that_we_wrote_is_news_to_others() -> None:
    """Our own store has it before the watch tells of it."""
    told = operator()
    for name in ("runs", "waits"):
        notices.notice_experiment(told, heard_experiment("ADDED", name))
    await asked(told.experiment_keys)
    await asked(told.keys)
    written = heard_experiment("MODIFIED", "runs", version="2")
    told.experiments.put(written["object"])
    notices.notice_experiment(told, written)
    assert (await asked(told.experiment_keys), await asked(told.keys)) == ({"waits"}, {"a"})


async def test_an_experiment_that_gets_another_target_lets_go_of_the_first() -> None:
    told = operator()
    for name, target in (("moves", "a"), ("waits", "a"), ("elsewhere", "b")):
        notices.notice_experiment(told, heard_experiment("ADDED", name, target=target))
    await asked(told.experiment_keys)
    await asked(told.keys)
    notices.notice_experiment(told, heard_experiment("MODIFIED", "moves", target="b", version="2"))
    assert (await asked(told.experiment_keys), await asked(told.keys)) == ({"moves", "waits", "elsewhere"}, {"a", "b"})


async def test_an_experiment_without_a_target_concerns_nobody_else() -> None:
    told = operator()
    odd = heard_experiment("ADDED", "odd")
    odd["object"]["spec"] = {}
    notices.notice_experiment(told, odd)
    assert (await asked(told.experiment_keys), await asked(told.keys)) == ({"odd"}, set())


@pytest.mark.parametrize("kind", ["ADDED", "DELETED"])
async def test_a_model_deployment_wakes_its_experiments(kind: str) -> None:
    told = operator()
    notices.notice_experiment(told, heard_experiment("ADDED", "runs"))
    notices.notice_experiment(told, heard_experiment("ADDED", "going", deletionTimestamp="2026-11-24T12:00:00Z"))
    notices.notice_experiment(told, heard_experiment("ADDED", "elsewhere", target="b"))
    await asked(told.experiment_keys)
    notices.notice(told, heard(kind, "a"))
    assert await asked(told.experiment_keys) == {"runs"}


class Server:
    """Has these Experiments, or does not know their kind."""

    def __init__(self, *there: Any, installed: bool = True) -> None:
        self._there = tuple(event["object"] for event in there)
        self._installed = installed

    async def pages(self, resource: resources.Resource, *, namespace: str) -> AsyncGenerator[Listing, None]:
        assert (resource, namespace) == (resources.EXPERIMENTS, "shop")
        if not self._installed:
            raise errors.NotFound("the server could not find the requested resource", status=404, reason="NotFound")
        for one in self._there:
            yield Listing((one,), "9")


async def test_experiments_are_known_again_as_the_server_has_them() -> None:
    told = operator()
    for name in ("stays", "changes", "went"):
        notices.notice_experiment(told, heard_experiment("ADDED", name, target=f"of-{name}"))
    await asked(told.experiment_keys)
    await asked(told.keys)
    changed = heard_experiment(None, "changes", target="of-changes", version="2")
    new = heard_experiment(None, "new", target="of-new")

    await notices.relearn_experiments(told, Server(heard_experiment(None, "stays", target="of-stays"), changed, new), "shop")  # type: ignore[arg-type]

    assert {body["metadata"]["name"] for body in told.experiments.all()} == {"stays", "changes", "new"}
    assert await asked(told.experiment_keys) == {"changes", "went", "new"}
    assert await asked(told.keys) == {"of-changes", "of-went", "of-new"}


async def test_without_their_kind_there_are_no_experiments_unless_some_are_known() -> None:
    """A server that says once that it does not know their kind ends none of them."""
    told, server = operator(), Server(installed=False)
    await notices.relearn_experiments(told, server, "shop")  # type: ignore[arg-type]

    notices.notice_experiment(told, heard_experiment("ADDED", "there"))
    with pytest.raises(errors.NotFound):
        await notices.relearn_experiments(told, server, "shop")  # type: ignore[arg-type]

    assert told.experiments.get(("shop", "there")) is not None


async def test_a_target_is_known_again_as_the_server_has_it() -> None:
    told = operator()
    notices.notice(told, heard("ADDED", "a"))
    newer = heard(None, "a")["object"]
    newer["metadata"]["resourceVersion"] = "2"

    notices.relearn_target(told, told.objects.get(("shop", "a")), newer)
    assert told.objects.get(("shop", "a")) == newer

    notices.relearn_target(told, newer, None)
    assert told.objects.get(("shop", "a")) is None
