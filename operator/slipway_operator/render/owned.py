"""Metadata of a child: where it is, whose it is."""

from collections.abc import Mapping
from typing import Any

from slipway_operator.api import metadata
from slipway_operator.state.observed import Identity


def child_metadata(
    owner: Identity, *, name: str, labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Metadata of a child of ``owner``.

    Labels and annotations of the owner are never copied: Argo CD would take a child that carries its tracking label for one of its own.
    """
    own_labels = {metadata.MANAGED_BY_LABEL: metadata.MANAGED_BY, metadata.MODELDEPLOYMENT_LABEL: owner.name}
    rendered: dict[str, Any] = {
        "name": name,
        "namespace": owner.namespace,
        "labels": own_labels | dict(labels or {}),
        "ownerReferences": [owner_reference(owner)],
    }
    if annotations:
        rendered["annotations"] = dict(annotations)
    return rendered


def owner_reference(owner: Identity) -> dict[str, Any]:
    """The controller reference that makes the API server delete a child with its owner."""
    return {
        "apiVersion": metadata.API_VERSION,
        "kind": "ModelDeployment",
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
