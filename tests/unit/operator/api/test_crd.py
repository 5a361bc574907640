"""The CRDs as they are in the tree."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from slipway_operator import manifests, yaml_text
from slipway_operator.api import crd, structural
from slipway_operator.api.crd import Kind
from slipway_testing.golden import REPOSITORY

Node = dict[str, Any]


def _schema(kind: Kind) -> Node:
    schema: Node = crd.crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("properties", {}).values():
        yield from _nodes(child)
    for keyword in ("items", "additionalProperties"):
        if keyword in node:
            yield from _nodes(node[keyword])


def test_what_is_generated_without_kubectl_is_current() -> None:
    stale = [path for path, text in manifests.sources(REPOSITORY) if (REPOSITORY / path).read_text() != text]
    assert stale == [], "run make generate"


@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda kind: kind.name)
def test_nothing_is_left_open(kind: Kind) -> None:
    schema = _schema(kind)
    written = {name: schema["properties"][name] for name in ("spec", "status")}
    assert list(structural.defects(schema | {"properties": written})) == []


@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda kind: kind.name)
def test_patterns_use_only_what_the_api_servers_engine_knows(kind: Kind) -> None:
    """RE2 has no look-around and no back reference; \\s and \\w mean other letters there than in pydantic."""
    patterns = {node["pattern"] for node in _nodes(_schema(kind)) if "pattern" in node}
    assert patterns
    for pattern in patterns:
        re.compile(pattern)
        assert not re.search(r"\(\?|\\[1-9swdb]", pattern), pattern
        assert pattern.startswith("^"), f"{pattern} is not anchored"
        assert pattern.endswith("$"), f"{pattern} is not anchored"


@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda kind: kind.name)
def test_items_of_a_keyed_list_have_their_key(kind: Kind) -> None:
    for node in _nodes(_schema(kind)):
        for key in node.get("x-kubernetes-list-map-keys", []):
            assert key in node["items"]["required"]


@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda kind: kind.name)
def test_no_text_is_shared_by_reference(kind: Kind) -> None:
    """A YAML alias in a CRD is legal and no person can read it."""
    assert not re.search(r": [&*]id", yaml_text.dump(crd.crd(kind)))


def test_there_is_a_status_and_no_scale() -> None:
    assert crd.crd(crd.MODEL_DEPLOYMENT)["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_names_of_the_kind() -> None:
    assert crd.crd(crd.MODEL_DEPLOYMENT)["spec"]["names"] == {
        "kind": "ModelDeployment",
        "listKind": "ModelDeploymentList",
        "plural": "modeldeployments",
        "singular": "modeldeployment",
        "shortNames": ["mdep"],
        "categories": ["slipway"],
    }
