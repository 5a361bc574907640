"""Whether an object still carries what was applied, and who else holds fields of it. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def digest(value: object) -> bytes:
    """A short hash of a JSON value; the order of keys does not matter."""
    return hashlib.blake2b(_CANONICAL.encode(value).encode(), digest_size=16).digest()


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


def applied(live: Mapping[str, Any], body: Mapping[str, Any], *, manager: str) -> bool:
    """Whether an apply of ``body`` by ``manager`` would change nothing: its last apply owns exactly these fields, and they have these values.

    Equal values alone would not do: a field that ``manager`` owns and ``body`` lacks has to be removed.
    """
    entry = own_entry(live, manager=manager)
    if entry is None or entry["apiVersion"] != body["apiVersion"]:
        return False
    fields = entry["fieldsV1"]
    return _holds(json.loads(fields) if isinstance(fields, str) else fields, _managed(body), _managed(live))


def own_entry(live: Mapping[str, Any], *, manager: str) -> Mapping[str, Any] | None:
    """The managedFields entry of the applies by ``manager`` to the object itself; where it has applied nothing, that of its create."""
    entries = live["metadata"].get("managedFields") or ()
    ours = {entry.get("operation"): entry for entry in entries if entry.get("manager") == manager and not entry.get("subresource")}
    return ours.get("Apply") or ours.get("Update")


def claimed(live: Mapping[str, Any], *, manager: str) -> list[dict[str, Any]] | None:
    """All managedFields with the create by ``manager`` turned into an apply; None where there is nothing to turn.

    An apply takes away only fields that an earlier apply of the same manager owns.
    """
    entry = own_entry(live, manager=manager)
    if entry is None or entry["operation"] == "Apply":
        return None
    return [dict(each) | ({"operation": "Apply"} if each is entry else {}) for each in live["metadata"]["managedFields"]]


def _managed(obj: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object managedFields speak about."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("name", "namespace")}
    return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")} | {"metadata": metadata}


def _holds(fields: Mapping[str, Any], body: Any, live: Any) -> bool:
    """Whether ``body`` has exactly the fields of a fieldsV1 tree, with the values of ``live``; a field without inner fields counts as a whole."""
    names = fields.keys() - {"."}
    if not names:
        return bool(body == live)
    if isinstance(body, Mapping) and isinstance(live, Mapping):
        return names == {f"f:{key}" for key in body} and all(_holds(fields[f"f:{key}"], value, live.get(key)) for key, value in body.items())
    if isinstance(body, list) and isinstance(live, list):
        return len(names) == len(body) and all(_holds(fields[name], _item(body, name), _item(live, name)) for name in names)
    return False


def _item(items: list[Any], name: str) -> Any:
    """The item of a list that a fieldsV1 name stands for, by its keys (``k:{"port":80}``); a new object, equal to nothing, where there is none."""
    kind, _, text = name.partition(":")
    keys = json.loads(text) if kind == "k" else None
    found = (item for item in items if isinstance(keys, dict) and isinstance(item, Mapping) and all(item.get(key) == keys[key] for key in keys))
    return next(found, object())


def _overlap(fields: Mapping[str, Any], body: Any) -> bool:
    """Whether a fieldsV1 tree (``{"f:spec": {"f:replicas": {}}}``) and an object have a leaf in common; lists count as leaves."""
    if not isinstance(body, Mapping):
        return True
    names = {key[2:]: inner for key, inner in fields.items() if key.startswith("f:")}
    return any(name in body and (not inner or _overlap(inner, body[name])) for name, inner in names.items())
