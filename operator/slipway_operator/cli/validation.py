"""Everything that the API server would refuse about an object, and what the operator would stall on."""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from slipway_operator.api import crd, structural
from slipway_operator.api.fields import DnsLabel, Model
from slipway_operator.api.metadata import (
    API_VERSION,
    GROUP,
    MAX_NAME_LENGTH,
    MAX_REVISION_AND_NAMESPACE_LENGTH,
    NAME_PATTERN,
    REVISION_HASH_LENGTH,
)
from slipway_operator.api.structural import Schema
from slipway_operator.cli import wording
from slipway_operator.cli.documents import Path, Problem

_GENERATED_SUFFIX_LENGTH = 5
_MAX_NAME_AND_NAMESPACE_LENGTH = MAX_REVISION_AND_NAMESPACE_LENGTH - REVISION_HASH_LENGTH - len("-")


class _ObjectMeta(Model):
    """What a person may write under ``metadata``; what the server fills in is let through for the sake of ``kubectl get -o yaml``."""

    name: str | None = None
    generate_name: str | None = None
    namespace: DnsLabel | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None
    owner_references: list[dict[str, Any]] | None = None
    managed_fields: list[dict[str, Any]] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    generation: int | None = None
    resource_version: str | None = None
    self_link: str | None = None
    uid: str | None = None


def kind_of(body: Any) -> crd.Kind | None:
    """The kind of ours that ``body`` says it is, whatever its version; None for anything else."""
    if not isinstance(body, dict) or not str(body.get("apiVersion", "")).startswith(f"{GROUP}/"):
        return None
    return next((kind for kind in crd.KINDS if kind.name == body.get("kind")), None)


def problems(body: Mapping[str, Any], *, kind: crd.Kind, namespace: str | None = None) -> list[Problem]:
    """All that is wrong with ``body``: one problem for each field at fault.

    ``namespace`` is where the object will go when it does not say so itself.
    """
    if body.get("apiVersion") != API_VERSION:
        return [Problem(path=("apiVersion",), message=f"Invalid value: {wording.shown(body.get('apiVersion'))}: must be {API_VERSION}")]
    described = fields(body)
    found = [
        *_metadata_problems(body.get("metadata"), namespace=namespace, names_revisions=kind is crd.MODEL_DEPLOYMENT),
        *_model_problems(kind.model, described, at=()),
        *_repeated_keys(described, schema=_translated(kind.model), path=()),
    ]
    return _first_of_each_field(found)


def _first_of_each_field(found: list[Problem]) -> list[Problem]:
    """One problem a field: the branches of a union each say why they do not fit."""
    first: dict[Path, Problem] = {}
    for problem in found:
        first.setdefault(problem.path, problem)
    return list(first.values())


def fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the model describes, as the server looks at it: without nulls, and without the ``status`` that it ignores where a person writes one."""
    return {name: _without_nulls(value) for name, value in body.items() if name not in ("apiVersion", "kind", "metadata", "status")}


def _without_nulls(value: Any) -> Any:
    """The server drops a null before it looks at anything else."""
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


@functools.cache
def _translated(model: type[BaseModel]) -> Schema:
    """The schema of ``model``, which takes a tenth of a second to write: once, to be read only."""
    return structural.translated(model)


def _model_problems(model: type[BaseModel], value: Any, *, at: Path) -> Iterator[Problem]:
    """What ``model`` says about ``value``, with unknown fields refused as kubectl's strict validation refuses them."""
    try:
        model.model_validate(value, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as error:
        schema = _translated(model)
        for details in error.errors(include_url=False):
            if _is_echo(details):
                continue
            problem = wording.problem(details, schema=schema)
            yield Problem(path=(*at, *problem.path), message=problem.message)


def _is_echo(details: ErrorDetails) -> bool:
    """Pydantic counts an item that is wrong as one that is missing, and says of the list that it is too short beside what it says of the item."""
    return details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


def _repeated_keys(value: Any, *, schema: Schema, path: Path) -> Iterator[Problem]:
    """Items of a keyed list that share a key: two inputs of one name, two variables of one name."""
    if isinstance(value, list):
        yield from _repeated_items(value, keys=schema.get("x-kubernetes-list-map-keys", []), path=path)
        for index, item in enumerate(value):
            yield from _repeated_keys(item, schema=schema.get("items", {}), path=(*path, index))
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _repeated_keys(member, schema=schema.get("properties", {}).get(name, {}), path=(*path, name))


def _repeated_items(items: list[Any], *, keys: list[str], path: Path) -> Iterator[Problem]:
    seen = []
    for index, item in enumerate(items):
        if not keys or not isinstance(item, dict):
            continue
        key = {name: item.get(name) for name in keys}
        if key in seen:
            yield Problem(path=(*path, index), message=f"Duplicate value: {wording.shown(key)}")
        seen.append(key)


def _metadata_problems(metadata: Any, *, namespace: str | None, names_revisions: bool) -> Iterator[Problem]:
    if not isinstance(metadata, dict):
        yield Problem(path=("metadata",), message="Required value: an object needs at least metadata.name")
        return
    wrong = list(_model_problems(_ObjectMeta, _without_nulls(metadata), at=("metadata",)))
    yield from wrong
    if not wrong:
        # What revisions are named after must leave room in KServe's labels.
        yield from _name_problems(metadata, namespace=(metadata.get("namespace") or namespace) if names_revisions else None)


def _name_problems(metadata: Mapping[str, Any], *, namespace: str | None) -> Iterator[Problem]:
    name, prefix = metadata.get("name"), metadata.get("generateName")
    if not name and not prefix:
        yield Problem(path=("metadata", "name"), message="Required value: name or generateName is required")
        return
    field, name = ("name", name) if name else ("generateName", f"{prefix}{'x' * _GENERATED_SUFFIX_LENGTH}")
    for sentence in _name_refusals(name, namespace=namespace):
        yield Problem(path=("metadata", field), message=f"Invalid value: {wording.shown(metadata[field])}: {sentence}")


def _name_refusals(name: str, *, namespace: str | None) -> Iterator[str]:
    if len(name) > MAX_NAME_LENGTH:
        yield crd.NAME_TOO_LONG
    elif not re.fullmatch(NAME_PATTERN, name):
        yield crd.NAME_NOT_A_SERVICE_NAME
    elif namespace and len(name) + len(namespace) > _MAX_NAME_AND_NAMESPACE_LENGTH:
        yield (
            f"with namespace {namespace} it makes {len(name) + len(namespace)} characters, and KServe's labels leave room for"
            f" {_MAX_NAME_AND_NAMESPACE_LENGTH}"
        )
