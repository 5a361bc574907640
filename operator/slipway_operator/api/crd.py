"""CustomResourceDefinitions of the kinds: the schema of their pydantic model, and what kubectl needs beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from slipway_operator.api import structural
from slipway_operator.api.fields import all_of, rules
from slipway_operator.api.metadata import GROUP, MAX_NAME_LENGTH, NAME_PATTERN, VERSION
from slipway_operator.api.v1alpha1 import experiment
from slipway_operator.api.v1alpha1.experiment import Experiment
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
    rules: Mapping[str, Any] = field(default_factory=lambda: {"x-kubernetes-validations": []})
    """``fields.rules`` of the whole object: those that need more than the spec."""

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
EXPERIMENT: Final = Kind(
    model=Experiment,
    singular="experiment",
    plural="experiments",
    short_name="xp",
    columns=(
        Column(name="Target", path=".spec.targetRef.name", description="The ModelDeployment whose units are divided."),
        Column(name="Verdict", path=".status.verdict", description="What is known."),
        Column(name="Lift", path=".status.lift", description="The primary's effect, with the interval that holds at every look."),
        Column(name="Units", path=".status.units", description="Units that met an arm.", type="integer"),
        Column(name="SRM", path=".status.sampleRatio.summary", description="Whether arms got the units of their slots."),
        Column(name="Reason", path=".status.reason", description="Why the verdict is what it is.", priority=1),
        Column(name="Age", path=".metadata.creationTimestamp", description="Time since the object was made.", type="date"),
    ),
    rules=experiment.ROOT_RULES,
)
KINDS: Final = (MODEL_DEPLOYMENT, EXPERIMENT)


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
                    "schema": {"openAPIV3Schema": _root(structural.structural(kind.model), kind.rules)},
                }
            ],
        },
    }


def _columns(columns: Iterable[Column]) -> list[dict[str, Any]]:
    return [column.manifest() for column in columns]


def _root(schema: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    """``schema`` with the three fields that every object has, and the rules of its name and those beside."""
    return {
        "description": schema["description"],
        "type": "object",
        **all_of(
            rules(
                (f"self.metadata.name.size() <= {MAX_NAME_LENGTH}", NAME_TOO_LONG),
                (f"self.metadata.name.matches('{NAME_PATTERN}')", NAME_NOT_A_SERVICE_NAME),
                field=".metadata.name",
            ),
            dict(beside),
        ),
        "required": schema["required"],
        "properties": {
            "apiVersion": {"description": f"Always {GROUP}/{VERSION}.", "type": "string"},
            "kind": {"description": "Which kind this is.", "type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},  # what the rules point to must be in the schema
            **schema["properties"],
        },
    }
