"""What is heard of objects, from watches and lists, and whom it makes look again."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import kopf

from slipway_operator import errors, settings
from slipway_operator.cluster import apply, client, credentials, observe, observe_experiments, resources
from slipway_operator.controller import keeper, queue, store, worker


@dataclass(frozen=True, kw_only=True)
class Operator:
    """The parts that the handlers reach."""

    configured: settings.Settings
    access: credentials.Credentials
    objects: store.Store
    keys: queue.WorkQueue[store.Key]
    experiments: store.Store
    experiment_keys: queue.WorkQueue[store.Key]
    namespaces: queue.WorkQueue[keeper.Namespace]
    """Whose shared router is to be seen to."""

    caches: observe.Caches
    applier: apply.Applier


def notice(operator: Operator, event: kopf.RawEvent) -> None:
    """Remember the object and ask for a pass. An event without type is part of a list: start-up, or after a lost watch."""
    body: Any = event["object"]
    if event["type"] == "DELETED":
        operator.objects.remove(body)
        operator.applier.forget(body)
        operator.keys.add(store.key_of(body))
        see_to_router(operator, body["metadata"]["namespace"])
        ask_experiments(operator, store.key_of(body))
    elif operator.objects.put(body):
        priority = urgency(body) if event["type"] is None else queue.Priority.LIVE
        # The event of a status that we write may come before the answer to it.
        ours = functools.partial(operator.applier.wrote, body, subresource="status")
        operator.keys.add(store.key_of(body), priority=priority, unless=ours)
        if operator.objects.count(body["metadata"]["namespace"]) == 1:
            see_to_router(operator, body["metadata"]["namespace"])
        ask_experiments(operator, store.key_of(body), priority=priority)


def notice_experiment(operator: Operator, event: kopf.RawEvent) -> None:
    """Remember the experiment and ask for a pass over it, over its target and over those that wait for it."""
    body: Any = event["object"]
    key, priority = store.key_of(body), queue.Priority.RESYNC if event["type"] is None else queue.Priority.LIVE
    before = operator.experiments.get(key)
    if event["type"] == "DELETED":
        operator.experiments.remove(body)
        operator.applier.forget(body)
        operator.experiment_keys.add(key)
    elif operator.experiments.put(body):
        ours = functools.partial(operator.applier.wrote, body, subresource="status")
        operator.experiment_keys.add(key, priority=priority, unless=ours)
    elif event["type"] is None:
        return
    # Also of a status that we wrote ourselves, and that is no news to its own object: another operator may have written it as well.
    for each in (body, before):
        ask_about(operator, each, priority=priority)


Hear: TypeAlias = Callable[[Operator, kopf.RawEvent], None]

WATCHED: Final[Mapping[resources.Resource, Hear]] = {resources.MODEL_DEPLOYMENTS: notice, resources.EXPERIMENTS: notice_experiment}
"""What kopf watches."""


async def relearn(operator: Operator, api: client.ApiClient, resource: resources.Resource, *, namespace: str | None) -> None:
    """Hear of everything of a kind as the server has it now, in a namespace or everywhere, and of what went.

    Raises:
        errors.ApiError: the server does not say, or does not know the kind.

    """
    known = operator.objects if resource is resources.MODEL_DEPLOYMENTS else operator.experiments
    before = known.all_in(namespace) if namespace else known.all()
    there: set[str] = set()
    async for page in api.pages(resource, namespace=namespace):
        for body in page.items:
            there.add(body["metadata"]["uid"])
            WATCHED[resource](operator, _event(None, body))
    for body in before:
        if body["metadata"]["uid"] not in there:
            WATCHED[resource](operator, _event("DELETED", body))


async def relearn_experiments(operator: Operator, api: client.ApiClient, namespace: str) -> None:
    """Hear of the Experiments of a namespace. Where their kind is not installed there are none, unless some are known: then it comes back."""
    try:
        await relearn(operator, api, resources.EXPERIMENTS, namespace=namespace)
    except errors.NotFound:
        if operator.experiments.count(namespace):
            raise


def relearn_target(operator: Operator, known: resources.Object | None, live: resources.Object | None) -> None:
    """Hear of a ModelDeployment that the server has otherwise than it was known."""
    if live is not None:
        notice(operator, _event(None, live))
    elif known is not None:
        notice(operator, _event("DELETED", known))


def _event(kind: Literal["DELETED"] | None, body: resources.Object) -> kopf.RawEvent:
    return {"type": kind, "object": body}  # type: ignore[typeddict-item]


def ask_about(operator: Operator, experiment: resources.Object | None, *, priority: queue.Priority = queue.Priority.LIVE) -> None:
    """Ask for a pass over the target of an experiment, and over the others that are there for its units."""
    target = observe_experiments.target_key(experiment) if experiment is not None else None
    if experiment is not None and target is not None:
        operator.keys.add(target, priority=priority)
        ask_experiments(operator, target, priority=priority, but=store.key_of(experiment))


def ask_experiments(operator: Operator, target: store.Key, *, priority: queue.Priority = queue.Priority.LIVE, but: store.Key | None = None) -> None:
    """Ask for a pass over every experiment of a ModelDeployment."""
    known = (operator.experiments.get(key) for key in operator.experiments.keys_in(target[0]))
    for body in observe_experiments.of_target((body for body in known if body is not None), target[1]):
        if store.key_of(body) != but:
            operator.experiment_keys.add(store.key_of(body), priority=priority)


def urgency(body: resources.Object | None) -> queue.Priority:
    """Of an object found by us when we start or take over: somebody waits for an edit that nobody has looked at, for all else nobody does."""
    if body is None:
        return queue.Priority.RESYNC
    seen = (body.get("status") or {}).get("observedGeneration")
    return queue.Priority.RESYNC if seen in (None, body["metadata"].get("generation")) else queue.Priority.LIVE


def wake(operator: Operator, old: resources.Object | None, new: resources.Object | None) -> None:
    """Ask for a pass over the ModelDeployment that a changed child belongs to; that we made the child ourselves is no news."""
    if namespace := keeper.router_of(new or old):
        notice_router(operator, namespace, old, new)
        return
    priority = queue.Priority.LIVE if old is not None else queue.Priority.RESYNC
    for child in (old, new):
        if child is not None and (key := worker.owner_key(child)):
            ours = functools.partial(operator.applier.wrote, child) if old is None else None
            operator.keys.add(key, priority=priority, unless=ours)
            if new is None and _going(operator.objects.get(key)):
                operator.applier.forget(child)


def notice_router(operator: Operator, namespace: keeper.Namespace, old: resources.Object | None, new: resources.Object | None) -> None:
    """Something of a shared router changed: a part of it is put right, and a pod that is ready now, or no more, concerns all whom it serves."""
    kind = (new or old or {}).get("kind")
    if kind == resources.ENDPOINT_SLICES.kind:
        ask_all(operator, namespace)
    elif kind != resources.PODS.kind:
        see_to_router(operator, namespace)
    elif observe.answers(old) != observe.answers(new) or not observe.answers(new):
        ask_all(operator, namespace)


def see_to_router(operator: Operator, namespace: keeper.Namespace) -> None:
    """Ask for a look at a namespace's router. Where there are none nobody looks, and a key would wait for ever."""
    if operator.configured.router_image:
        operator.namespaces.add(namespace)


def ask_without(operator: Operator, namespace: str) -> None:
    """An Experiment of the namespace went and no watch told of it: ask for passes over all that may have been divided, or have waited, for it."""
    ask_all(operator, namespace)
    for key in operator.experiments.keys_in(namespace):
        operator.experiment_keys.add(key)


def ask_all(operator: Operator, namespace: keeper.Namespace) -> None:
    """Ask for a pass over every ModelDeployment of a namespace."""
    for key in operator.objects.keys_in(namespace):
        operator.keys.add(key)


def _going(body: resources.Object | None) -> bool:
    return body is None or "deletionTimestamp" in body["metadata"]
