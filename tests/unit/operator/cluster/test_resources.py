import pytest

from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Reference

PATHS = {
    "/api/v1/namespaces/shop/services/ranker": resources.SERVICES.path(namespace="shop", name="ranker"),
    "/api/v1/services": resources.SERVICES.path(),
    "/api/v1/namespaces": resources.NAMESPACES.path(),
    "/api/v1/namespaces/shop": resources.NAMESPACES.path(namespace="shop", name="shop"),
    "/apis/slipway.dev/v1alpha1/namespaces/shop/modeldeployments/ranker/status": resources.MODEL_DEPLOYMENTS.path(
        namespace="shop", name="ranker", subresource="status"
    ),
    "/apis/apps/v1/namespaces/shop/deployments?labelSelector=a%3Db%2Cc&limit=5": resources.DEPLOYMENTS.path(
        namespace="shop", query={"labelSelector": "a=b,c", "limit": "5"}
    ),
    "/api/v1/namespaces/..%2Fx/pods/a%2Fb": resources.PODS.path(namespace="../x", name="a/b"),
}


@pytest.mark.parametrize(("expected", "path"), PATHS.items())
def test_paths_are_those_of_the_api(expected: str, path: str) -> None:
    assert path == expected


def test_a_resource_is_found_by_api_version_and_kind() -> None:
    assert resources.by_kind("autoscaling/v2", "HorizontalPodAutoscaler") is resources.HORIZONTAL_POD_AUTOSCALERS
    assert resources.of({"apiVersion": "v1", "kind": "ConfigMap"}) is resources.CONFIG_MAPS
    with pytest.raises(KeyError):
        resources.by_kind("v1", "Deployment")


def test_a_reference_reads_well() -> None:
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ranker", "namespace": "shop"}}
    assert resources.reference(body) == Reference("v1", "Service", "shop", "ranker")
    assert str(resources.reference(body)) == "Service shop/ranker"
    assert str(Reference("v1", "Namespace", "", "shop")) == "Namespace shop"


def test_only_the_owner_that_controls_counts() -> None:
    owners = [{"uid": "a"}, {"uid": "b", "controller": True}]
    assert resources.controller_uid({"metadata": {"ownerReferences": owners}}) == "b"
    assert resources.controller_uid({"metadata": {"ownerReferences": owners[:1]}}) is None
    assert resources.controller_uid({"metadata": {}}) is None
