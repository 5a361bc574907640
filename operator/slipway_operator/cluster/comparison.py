"""Whether an object still carries what was applied, and who else holds fields of it. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(value: object) -> bytes:
    """A short hash of a JSON value; the order of keys does not matter."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), digest_size=16).digest()


def project(value: Any, shape: Any) -> Any:
    """The part of ``value`` that ``shape`` speaks about: maps key by key, everything else (lists too) whole.

    ``project({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 9}})`` is ``{"b": {"c": 2}}``. What is missing is None.
    Applied once and compared later, it tells drift apart from changes that are none of our business, such as a status.
    """
    if isinstance(shape, Mapping) and isinstance(value, Mapping):
        return {key: project(value.get(key), part) for key, part in shape.items()}
    return value


def other_managers(live: Mapping[str, Any], *, body: Mapping[str, Any], manager: str) -> tuple[str, ...]:
    """The field managers other than ``manager`` that own a field of ``body``, by name; all others where none does.

    ``live`` needs its managedFields. A fight is over fields that the other side took with its last write.
    """
    entries = [entry for entry in live["metadata"].get("managedFields") or () if entry.get("manager") != manager and not entry.get("subresource")]
    holders = {str(entry["manager"]) for entry in entries if _overlap(entry.get("fieldsV1") or {}, body)}
    return tuple(sorted(holders or {str(entry["manager"]) for entry in entries}))


def has_strangers(live: Mapping[str, Any], *, manager: str) -> bool:
    """Whether anything but an apply by ``manager`` has ever written the object."""
    entries = live["metadata"].get("managedFields") or ()
    return any((entry.get("manager"), entry.get("operation")) != (manager, "Apply") for entry in entries)


def _overlap(fields: Mapping[str, Any], body: Any) -> bool:
    """Whether a fieldsV1 tree (``{"f:spec": {"f:replicas": {}}}``) and an object have a leaf in common; lists count as leaves."""
    if not isinstance(body, Mapping):
        return True
    names = {key[2:]: inner for key, inner in fields.items() if key.startswith("f:")}
    return any(name in body and (not inner or _overlap(inner, body[name])) for name, inner in names.items())
