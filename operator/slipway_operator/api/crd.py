"""CustomResourceDefinitions of the kinds: the schema of their pydantic model, and what kubectl needs beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from slipway_operator.api import structural
from slipway_operator.api.fields import rules
from slipway_operator.api.metadata import GROUP, MAX_NAME_LENGTH, NAME_PATTERN, VERSION
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeployment

NAME_TOO_LONG: Final = f"must be no more than {MAX_NAME_LENGTH} characters: it becomes part of names that KServe makes labels of"
NAME_NOT_A_SERVICE_NAME: Final = (
    "must be lower case letters, digits and '-', begin with a letter and end with a letter or digit: it names a Service and the model itself"
)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of ``kubectl get``; those of priority 1 need ``-o wide``."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0

    def manifest(self) -> dict[str, Any]:
        """The column as a CustomResourceDefinition has it."""
        wide = {"priority": self.priority} if self.priority else {}
        return {"name": self.name, "type": self.type, "jsonPath": self.path, "description": self.description, **wide}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind: its model, its names, its columns."""

    model: type[BaseModel]
    singular: str
    plural: str
    short_name: str
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        """What stands at ``kind:`` of a manifest."""
        return self.model.__name__

    @property
    def crd_name(self) -> str:
        """Name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


MODEL_DEPLOYMENT: Final = Kind(
    model=ModelDeployment,
    singular="modeldeployment",
    plural="modeldeployments",
    short_name="mdep",
    columns=(
        Column(
            name="Ready",
            path='.status.conditions[?(@.type=="Ready")].status',
            description="Whether the revision that the spec asks for serves.",
        ),
        Column(name="Model", path=".status.modelUri", description="Model that serves at the address."),
        Column(name="Revision", path=".status.revision", description="Revision that serves at the address."),
        Column(name="Rollout", path=".status.rollout.summary", description="Step, share and what is waited for while a new revision takes over."),
        Column(
            name="Reason",
            path='.status.conditions[?(@.type=="Ready")].reason',
            description="Why it is ready, or not.",
        ),
        Column(name="URL", path=".status.url", description="Stable address inside the cluster.", priority=1),
        Column(name="Age", path=".metadata.creationTimestamp", description="Time since the object was made.", type="date"),
    ),
)
KINDS: Final = (MODEL_DEPLOYMENT,)


def crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of ``kind``.

    There is no scale subresource on purpose: an autoscaler behind it would be a third writer of a spec that Git owns.
    """
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": ["slipway"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(kind.columns),
                    "schema": {"openAPIV3Schema": _root(structural.structural(kind.model))},
                }
            ],
        },
    }


def _columns(columns: Iterable[Column]) -> list[dict[str, Any]]:
    return [column.manifest() for column in columns]


def _root(schema: Mapping[str, Any]) -> dict[str, Any]:
    """``schema`` with the three fields that every object has, and the rules of its name."""
    return {
        "description": schema["description"],
        "type": "object",
        **rules(
            (f"self.metadata.name.size() <= {MAX_NAME_LENGTH}", NAME_TOO_LONG),
            (f"self.metadata.name.matches('{NAME_PATTERN}')", NAME_NOT_A_SERVICE_NAME),
            field=".metadata.name",
        ),
        "required": schema["required"],
        "properties": {
            "apiVersion": {"description": f"Always {GROUP}/{VERSION}.", "type": "string"},
            "kind": {"description": "Which kind this is.", "type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},  # what the rules point to must be in the schema
            **schema["properties"],
        },
    }
