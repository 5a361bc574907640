import asyncio
import logging

import pytest
from prometheus_client import CollectorRegistry

from slipway_box.controlplane import ControlPlane
from slipway_operator.cluster import informer, resources
from slipway_operator.cluster.client import ApiClient
from slipway_operator.cluster.informer import Informer
from slipway_operator.cluster.resources import Object

from .conftest import PATIENCE_S, Follow


def a_config_map(namespace: str, name: str, *, model: str = "ranker", text: str = "") -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": {"model": model}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text}}


def restart(plane: ControlPlane) -> None:
    """A new API server on the same data: it has no history to watch from."""
    plane.stop("kube-apiserver")
    plane.start("kube-apiserver")


async def test_the_cache_follows_every_change(follow: Follow, somebody: ApiClient, namespace: str) -> None:
    await somebody.create(a_config_map(namespace, "there-before"))
    maps = await follow(resources.CONFIG_MAPS)
    await somebody.create(a_config_map(namespace, "a"))
    changed = await somebody.merge_patch(resources.CONFIG_MAPS, "a", {"data": {"text": "new"}}, namespace=namespace)
    await maps.caught_up(changed)
    assert maps.informer.get(namespace, "a") == informer.slim(changed)
    await somebody.delete(resources.CONFIG_MAPS, "there-before", namespace=namespace)
    await maps.until(lambda: len(maps.informer.cache) == 1)
    assert maps.changes == [("added", "there-before"), ("added", "a"), ("changed", "a"), ("deleted", "there-before")]


async def test_what_was_deleted_while_nobody_watched_is_told_as_deleted(
    follow: Follow, somebody: ApiClient, plane: ControlPlane, namespace: str
) -> None:
    for name in ("deleted", "changed", "same"):
        await somebody.create(a_config_map(namespace, name))
    maps = await follow(resources.CONFIG_MAPS)
    await maps.stop()
    maps.changes.clear()
    await somebody.delete(resources.CONFIG_MAPS, "deleted", namespace=namespace)
    await somebody.merge_patch(resources.CONFIG_MAPS, "changed", {"data": {"text": "new"}}, namespace=namespace)
    await somebody.create(a_config_map(namespace, "new"))
    restart(plane)
    await maps.start()
    await maps.until(lambda: len(maps.changes) >= 3)
    assert maps.changes == [("deleted", "deleted"), ("changed", "changed"), ("added", "new")]
    assert sorted(name for _, name in maps.informer.cache) == ["changed", "new", "same"]


async def test_an_object_that_was_replaced_while_nobody_watched_is_told_as_two(
    follow: Follow, somebody: ApiClient, plane: ControlPlane, namespace: str
) -> None:
    await somebody.create(a_config_map(namespace, "a"))
    maps = await follow(resources.CONFIG_MAPS)
    await maps.stop()
    await somebody.delete(resources.CONFIG_MAPS, "a", namespace=namespace)
    await somebody.create(a_config_map(namespace, "a"))
    restart(plane)
    await maps.start()
    await maps.until(lambda: len(maps.changes) >= 3)
    assert maps.changes == [("added", "a"), ("deleted", "a"), ("added", "a")]


async def test_a_restarted_server_changes_nothing_and_new_changes_come_through(
    follow: Follow, somebody: ApiClient, plane: ControlPlane, namespace: str
) -> None:
    for name in ("a", "b"):
        await somebody.create(a_config_map(namespace, name))
    maps = await follow(resources.CONFIG_MAPS)
    maps.changes.clear()
    await asyncio.to_thread(restart, plane)
    await maps.caught_up(await somebody.create(a_config_map(namespace, "c")))
    assert maps.changes == [("added", "c")]


async def test_a_killed_server_is_survived(follow: Follow, somebody: ApiClient, plane: ControlPlane, namespace: str) -> None:
    maps = await follow(resources.CONFIG_MAPS)
    await asyncio.to_thread(plane.kill, "kube-apiserver")
    await asyncio.to_thread(plane.start, "kube-apiserver")
    await maps.caught_up(await somebody.create(a_config_map(namespace, "a")))
    assert maps.changes == [("added", "a")]


async def test_an_interrupted_watch_goes_on_without_a_new_list(
    follow: Follow, somebody: ApiClient, registry: CollectorRegistry, namespace: str
) -> None:
    maps = await follow(resources.CONFIG_MAPS)
    await maps.stop()
    written = await somebody.create(a_config_map(namespace, "a"))
    await maps.start()
    await maps.caught_up(written)
    assert registry.get_sample_value("slipway_informer_lists_total", {"resource": "configmaps"}) == 1


async def test_only_selected_objects_are_cached_and_losing_the_label_is_a_deletion(follow: Follow, somebody: ApiClient, namespace: str) -> None:
    maps = await follow(resources.CONFIG_MAPS, label_selector="model=ranker")
    await somebody.create(a_config_map(namespace, "other", model="other"))
    await somebody.create(a_config_map(namespace, "a"))
    await somebody.merge_patch(resources.CONFIG_MAPS, "a", {"metadata": {"labels": {"model": None}}}, namespace=namespace)
    await maps.until(lambda: len(maps.changes) == 2)
    assert maps.changes == [("added", "a"), ("deleted", "a")]


async def test_the_index_follows_changes(follow: Follow, somebody: ApiClient, namespace: str) -> None:
    maps = await follow(resources.CONFIG_MAPS, index=lambda obj: [(obj["metadata"]["namespace"], obj["metadata"]["labels"]["model"])])

    def names(model: str) -> list[str]:
        return sorted(obj["metadata"]["name"] for obj in maps.informer.by_index((namespace, model)))

    for name, model in (("a", "ranker"), ("b", "ranker"), ("c", "other")):
        written = await somebody.create(a_config_map(namespace, name, model=model))
    await maps.caught_up(written)
    assert (names("ranker"), names("other"), names("none")) == (["a", "b"], ["c"], [])
    written = await somebody.merge_patch(resources.CONFIG_MAPS, "b", {"metadata": {"labels": {"model": "other"}}}, namespace=namespace)
    await maps.caught_up(written)
    assert (names("ranker"), names("other")) == (["a"], ["b", "c"])
    await somebody.delete(resources.CONFIG_MAPS, "a", namespace=namespace)
    await maps.until(lambda: len(maps.informer.cache) == 2)
    assert names("ranker") == []


async def test_the_transform_decides_what_is_kept(follow: Follow, somebody: ApiClient, namespace: str) -> None:
    def names_only(obj: Object) -> Object:
        return {"metadata": {key: obj["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}}

    await somebody.create(a_config_map(namespace, "a", text="large"))
    maps = await follow(resources.CONFIG_MAPS, transform=names_only)
    await maps.caught_up(await somebody.create(a_config_map(namespace, "b", text="large")))
    assert [sorted(obj) for obj in maps.informer.cache.values()] == [["metadata"]] * 2


async def test_a_listener_that_fails_does_not_end_the_cache(
    follow: Follow, somebody: ApiClient, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(old: Object | None, new: Object | None) -> None:
        raise RuntimeError("a bug")

    maps = await follow(resources.CONFIG_MAPS, on_change=fail)
    await maps.caught_up(await somebody.create(a_config_map(namespace, "a")))
    await maps.caught_up(await somebody.create(a_config_map(namespace, "b")))
    assert len(maps.informer.cache) == 2
    assert "a listener to configmaps failed" in caplog.text


async def test_a_kind_that_is_installed_later_is_found_and_its_absence_said_once(
    client: ApiClient, plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(informer, "MISSING_KIND_WAIT_S", 0.05)
    caplog.set_level(logging.WARNING)
    watched = Informer(client, resources.INFERENCE_SERVICES, on_change=lambda old, new: None)
    task = asyncio.ensure_future(watched.run())
    try:
        while "is not known" not in caplog.text:  # noqa: ASYNC110  a log line sets no event
            await asyncio.sleep(0)
        await asyncio.to_thread(plane.kubectl, "create", "--filename=-", stdin=_INFERENCE_SERVICES)
        await asyncio.wait_for(watched.synced.wait(), PATIENCE_S)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(plane.kubectl, "delete", "--filename=-", stdin=_INFERENCE_SERVICES)
    assert caplog.text.count("InferenceService is not known to the API server") == 1


_INFERENCE_SERVICES = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: inferenceservices.serving.kserve.io}
spec:
  group: serving.kserve.io
  scope: Namespaced
  names: {kind: InferenceService, plural: inferenceservices}
  versions:
    - {name: v1beta1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
"""
