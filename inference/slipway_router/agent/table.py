"""The route table of a ModelDeployment: reading it, and refusing what a router must not execute."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

VERSION = 1
SLOTS = 10_000
_MOST_ARMS = 100
_WORD = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,62}")


class Refused(Exception):
    """A table that this router does not take; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was found good. ``text`` is what goes to nginx."""

    model: str
    epoch: int
    text: str
    revisions: tuple[str, ...]
    """All that it names: those that take requests, then shadow and fallback."""
    shadow: str | None
    digest: str
    """The first 16 hexadecimal digits of the SHA-256 of the text."""

    @classmethod
    def parse(cls, text: str, *, namespace: str, model: str) -> Self:
        """Read ``routes.json`` of ConfigMap ``<model>-routes`` in ``namespace``. Raises Refused."""
        try:
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            document = json.loads(text)
        except (ValueError, RecursionError) as cause:  # ValueError: also of what is no Unicode
            raise Refused(f"it is not JSON: {cause}") from cause
        _need(isinstance(document, dict), "it is not a JSON object")
        _need(document.get("version") == VERSION, f"its version is {document.get('version')!r}, this router knows {VERSION}")
        for field, (holds, should) in _FIELDS.items():
            _need(holds(document.get(field)), f"'{field}' is {_short(document.get(field))}, it should be {should}")
        _need(document["namespace"] == namespace, f"it is for namespace '{document['namespace']}', this router is in '{namespace}'")
        _need(document["model"] == model, f"it is for model '{document['model']}', its ConfigMap is that of '{model}'")
        roles = [entry["role"] for entry in document["revisions"]]
        names = [entry["name"] for entry in document["revisions"]]
        _need(len(set(names)) == len(names), "'revisions' has a name twice")
        _need(roles.count("Stable") == (1 if names else 0), "'revisions' should have the role Stable once, or be empty")
        _check_slots(document["slots"], revisions=len(names), arms=len((document.get("exposures") or {}).get("arms", ())))
        shadow = (document.get("shadow") or {}).get("revision")
        named = dict.fromkeys([*names, shadow, (document.get("fallback") or {}).get("revision")])
        named.pop(None, None)
        return cls(
            model=model,
            epoch=document["epoch"],
            text=text,
            revisions=tuple(named),
            shadow=shadow,
            digest=digest,
        )


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(otherwise)


def _check_slots(slots: list[list[int]], *, revisions: int, arms: int) -> None:
    """Runs in order that fill all slots, or none at all where nothing has been ready yet."""
    if not revisions:
        _need(not slots, "'slots' is not empty although 'revisions' is")
        return
    ends = [run[0] for run in slots]
    _need(bool(ends) and ends[-1] == SLOTS, f"'slots' does not end at {SLOTS}")
    _need(all(before < after for before, after in zip([0, *ends], ends, strict=False)), "'slots' does not rise")
    _need(all(run[1] < revisions for run in slots), "'slots' names a revision that is not there")
    _need(all(arm < arms for run in slots for arm in run[2:]), "'slots' names an arm that is not one of 'exposures.arms'")


def _whole(value: object, *, least: int = 0) -> bool:
    return type(value) is int and value >= least


def _name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 253


def _object(**fields: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(holds(value.get(key)) for key, holds in fields.items())


def _absent_or(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or holds(value)


def _list_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(holds(each) for each in value)


def _run(value: Any) -> bool:
    return isinstance(value, list) and len(value) in (2, 3) and all(_whole(number) for number in value)


def _word(value: object) -> bool:
    """What the ledger takes as the name of an arm or a stratum."""
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _arms(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= _MOST_ARMS and all(map(_word, value)) and len(set(value)) == len(value)


def _percent(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return 0 <= float(value) <= 100
    except ValueError:
        return False


def _fallback(value: Any) -> bool:
    if not isinstance(value, dict) or ("revision" in value) == ("response" in value):
        return False
    answer = _object(status=lambda status: _whole(status, least=200) and status <= 599, contentType=_name, body=lambda body: isinstance(body, str))
    return _name(value["revision"]) if "revision" in value else answer(value["response"])


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "namespace": (_name, "a name"),
    "model": (_name, "a name"),
    "seed": (_name, "a text"),
    "epoch": (_whole, "a whole number"),
    "unit": (
        _absent_or(_object(header=_name, onMissing=lambda value: value in ("Random", "Stable"))),
        'absent or {"header": "…", "onMissing": "Random" or "Stable"}',
    ),
    "revisions": (_list_of(_object(name=_name, role=_name)), 'a list of {"name": "…", "role": "…"}'),
    "slots": (_list_of(_run), "a list of [end, revision] or [end, revision, arm]"),
    "timeoutMilliseconds": (lambda value: _whole(value, least=1), "a whole number, at least 1"),
    "limits": (
        _object(bodyBytes=lambda value: _whole(value, least=1), pendingPerPod=lambda value: _whole(value, least=1)),
        '{"bodyBytes": n, "pendingPerPod": n}',
    ),
    "tokens": (lambda value: isinstance(value, bool), "true or false"),
    "exposures": (
        _absent_or(_object(experiment=_name, stratum=_word, arms=_arms)),
        'absent or {"experiment": "…", "stratum": "…", "arms": ["…", …]}, each arm once',
    ),
    "shadow": (_absent_or(_object(revision=_name, percent=_percent)), 'absent or {"revision": "…", "percent": "0 to 100"}'),
    "httpOnly": (_absent_or(_list_of(_name)), "absent or a list of names"),
    "fallback": (_absent_or(_fallback), 'absent, {"revision": "…"} or {"response": {"status": n, "contentType": "…", "body": "…"}}'),
}
"""What each field has to hold, as a test and in words."""
