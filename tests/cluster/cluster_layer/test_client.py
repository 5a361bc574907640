"""Verbs and errors as the real API server has them."""

import asyncio
import contextlib
import gc
import json

import pytest

from slipway_box.controlplane import ControlPlane
from slipway_operator import errors
from slipway_operator.cluster import credentials, resources
from slipway_operator.cluster.client import ApiClient, Options
from slipway_operator.cluster.credentials import Credentials
from slipway_operator.cluster.resources import Object

PATIENCE_S = 20.0


def a_config_map(namespace: str, name: str = "x", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


async def create_until_refused(client: ApiClient, body: Object) -> None:
    """Policies and webhooks take a moment to be in force."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await client.apply(body)
            await client.delete(resources.CONFIG_MAPS, body["metadata"]["name"], namespace=body["metadata"]["namespace"])


async def test_an_object_is_created_read_patched_replaced_and_deleted(client: ApiClient, namespace: str) -> None:
    created = await client.create(a_config_map(namespace, a="1"))
    patched = await client.merge_patch(resources.CONFIG_MAPS, "x", {"data": {"b": "2"}}, namespace=namespace)
    assert (created["data"], patched["data"]) == ({"a": "1"}, {"a": "1", "b": "2"})
    replaced = await client.replace(patched | {"data": {"c": "3"}})
    assert await client.get(resources.CONFIG_MAPS, "x", namespace=namespace) == replaced
    await client.delete(resources.CONFIG_MAPS, "x", namespace=namespace)
    with pytest.raises(errors.NotFound) as caught:
        await client.get(resources.CONFIG_MAPS, "x", namespace=namespace)
    assert not caught.value.kind_missing


async def test_an_apply_says_whether_it_created(client: ApiClient, namespace: str) -> None:
    assert [(await client.apply(a_config_map(namespace, a="1"))).created for _ in range(2)] == [True, False]


async def test_an_apply_without_force_leaves_foreign_fields_alone(client: ApiClient, namespace: str) -> None:
    theirs = await client.create(a_config_map(namespace, a="1") | {"metadata": {"name": "x", "namespace": namespace}})
    with pytest.raises(errors.Conflict):
        await client.apply(a_config_map(namespace, a="2"), force=False, field_manager="other")
    assert await client.get(resources.CONFIG_MAPS, "x", namespace=namespace) == theirs


async def test_all_pages_are_listed_and_each_item_says_what_it_is(plane: ControlPlane, namespace: str) -> None:
    async with ApiClient(credentials.load(plane.kubeconfig), options=Options(page_size=3)) as client:
        for number in range(8):
            await client.apply(a_config_map(namespace, f"x-{number}"))
        listing = await client.list(resources.CONFIG_MAPS, namespace=namespace)
    assert [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in listing.items] == [
        ("v1", "ConfigMap", f"x-{number}") for number in range(8)
    ]


async def test_a_watch_tells_what_happened_since_the_list(client: ApiClient, namespace: str) -> None:
    before = await client.list(resources.CONFIG_MAPS, namespace=namespace)
    await client.create(a_config_map(namespace))
    await client.merge_patch(resources.CONFIG_MAPS, "x", {"data": {"a": "1"}}, namespace=namespace)
    await client.delete(resources.CONFIG_MAPS, "x", namespace=namespace)
    events = client.watch(resources.CONFIG_MAPS, resource_version=before.resource_version, namespace=namespace)
    async with contextlib.aclosing(events), asyncio.timeout(PATIENCE_S):
        assert [(await anext(events)).type for _ in range(3)] == ["ADDED", "MODIFIED", "DELETED"]


async def test_the_server_ends_a_watch_in_time(plane: ControlPlane, namespace: str) -> None:
    async with ApiClient(credentials.load(plane.kubeconfig), options=Options(watch_server_timeout_s=2)) as client:
        listing = await client.list(resources.CONFIG_MAPS, namespace=namespace)
        async with asyncio.timeout(PATIENCE_S):
            events = client.watch(resources.CONFIG_MAPS, resource_version=listing.resource_version, namespace=namespace)
            assert {event.type async for event in events} <= {"BOOKMARK"}


async def test_history_that_is_gone_is_said(client: ApiClient, plane: ControlPlane, namespace: str) -> None:
    await client.create(a_config_map(namespace))
    plane.stop("kube-apiserver")
    plane.start("kube-apiserver")
    with pytest.raises(errors.Gone):
        await anext(client.watch(resources.CONFIG_MAPS, resource_version="1", namespace=namespace))


async def test_a_stopped_server_is_unavailable(client: ApiClient, plane: ControlPlane, namespace: str) -> None:
    plane.stop("kube-apiserver")
    try:
        with pytest.raises(errors.Unavailable):
            await client.get(resources.CONFIG_MAPS, "x", namespace=namespace)
    finally:
        plane.start("kube-apiserver")


async def test_a_name_in_use_and_a_lost_race_are_told_apart(client: ApiClient, namespace: str) -> None:
    first = await client.create(a_config_map(namespace))
    with pytest.raises(errors.AlreadyExists):
        await client.create(a_config_map(namespace))
    await client.replace(first | {"data": {"a": "1"}})
    with pytest.raises(errors.Conflict):
        await client.replace(first | {"data": {"a": "2"}})


async def test_a_deletion_is_for_one_object_only(client: ApiClient, namespace: str) -> None:
    created = await client.create(a_config_map(namespace))
    changed = await client.merge_patch(resources.CONFIG_MAPS, "x", {"data": {"a": "1"}}, namespace=namespace)
    with pytest.raises(errors.Conflict):
        await client.delete(resources.CONFIG_MAPS, "x", namespace=namespace, uid="another")
    uid, version = created["metadata"]["uid"], created["metadata"]["resourceVersion"]
    with pytest.raises(errors.Conflict):
        await client.delete(resources.CONFIG_MAPS, "x", namespace=namespace, uid=uid, resource_version=version)
    assert await client.get(resources.CONFIG_MAPS, "x", namespace=namespace) == changed


async def test_an_apply_for_one_object_creates_none_and_hits_no_other(client: ApiClient, namespace: str) -> None:
    body = a_config_map(namespace, a="2")
    for_another = body | {"metadata": body["metadata"] | {"uid": "11111111-1111-1111-1111-111111111111"}}
    with pytest.raises(errors.Conflict):
        await client.apply(for_another)
    theirs = await client.create(a_config_map(namespace, a="1"))
    with pytest.raises(errors.Conflict):
        await client.apply(for_another)
    assert await client.get(resources.CONFIG_MAPS, "x", namespace=namespace) == theirs


async def test_a_kind_that_is_not_installed_is_told_from_a_missing_object(client: ApiClient, namespace: str) -> None:
    with pytest.raises(errors.NotFound) as caught:
        await client.get(resources.INFERENCE_SERVICES, "x", namespace=namespace)
    assert caught.value.kind_missing
    with pytest.raises(errors.NotFound) as caught:
        await client.create(a_config_map("no-such-namespace"))
    assert not caught.value.kind_missing


@pytest.mark.parametrize("spec", [{"size": 9}, {"size": "three"}, {"colour": "red"}], ids=str)
async def test_what_the_schema_refuses_is_invalid(client: ApiClient, namespace: str, spec: Object) -> None:
    with pytest.raises(errors.Invalid, match="apply ModelDeployment "):
        await client.apply(
            {
                "apiVersion": "slipway.dev/v1alpha1",
                "kind": "ModelDeployment",
                "metadata": {"name": "x", "namespace": namespace},
                "spec": spec,
            }
        )


async def test_a_full_quota_is_told_from_missing_rights(client: ApiClient, plane: ControlPlane, namespace: str) -> None:
    account = plane.kubectl("create", "serviceaccount", "visitor", "--namespace", namespace)
    assert account
    admin = credentials.load(plane.kubeconfig)
    token = plane.kubectl("create", "token", "visitor", "--namespace", namespace).strip()
    async with ApiClient(Credentials(server=admin.server, ca_path=admin.ca_path, ca_data=admin.ca_data, token=token)) as visitor:
        with pytest.raises(errors.Forbidden) as caught:
            await visitor.create(a_config_map(namespace))
        assert type(caught.value) is errors.Forbidden
    plane.kubectl("create", "quota", "full", "--hard=count/configmaps=0", "--namespace", namespace)
    plane.kubectl(
        "patch",
        "quota",
        "full",
        "--namespace",
        namespace,
        "--subresource=status",
        "--type=merge",
        "--patch",
        json.dumps({"status": {"hard": {"count/configmaps": "0"}, "used": {"count/configmaps": "0"}}}),
    )
    with pytest.raises(errors.QuotaExceeded):
        await client.create(a_config_map(namespace))


async def test_a_token_that_is_not_accepted_is_unauthorized(plane: ControlPlane, namespace: str) -> None:
    admin = credentials.load(plane.kubeconfig)
    async with ApiClient(Credentials(server=admin.server, ca_path=admin.ca_path, ca_data=admin.ca_data, token="wrong")) as nobody:
        with pytest.raises(errors.Unauthorized):
            await nobody.get(resources.CONFIG_MAPS, "x", namespace=namespace)


async def test_a_policy_that_says_no_is_invalid(client: ApiClient, plane: ControlPlane, namespace: str) -> None:
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {
                "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]
            },
            "validations": [{"expression": "'no' in object.data == false"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {
            "policyName": namespace,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
        },
    }
    plane.kubectl("create", "--filename=-", stdin="\n---\n".join(json.dumps(one) for one in (policy, binding)))
    with pytest.raises(errors.Invalid, match="denied request"):
        await create_until_refused(client, a_config_map(namespace, no="x"))


async def test_a_webhook_that_does_not_answer_is_unavailable(client: ApiClient, plane: ControlPlane, namespace: str) -> None:
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [
            {
                "name": "absent.slipway.dev",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 1,
            }
        ],
    }
    plane.kubectl("create", "--filename=-", stdin=json.dumps(webhook))
    with pytest.raises(errors.Unavailable, match="failed calling webhook"):
        await create_until_refused(client, a_config_map(namespace))


@pytest.mark.parametrize("given_up_after_s", [0.0, 0.002, 0.004, 0.008, 0.016, 0.032])
def test_requests_given_up_leave_no_connection_open(plane: ControlPlane, given_up_after_s: float) -> None:
    """Whatever they were at: connecting, shaking hands, sending, reading. A socket left open is told by Python, which fails the test."""

    async def give_up() -> None:
        async with ApiClient(credentials.load(plane.kubeconfig)) as client:
            asked = [asyncio.ensure_future(client.list(resources.CONFIG_MAPS)) for _ in range(20)]
            await asyncio.sleep(given_up_after_s)
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    for _ in range(5):
        asyncio.run(give_up())
        gc.collect()
