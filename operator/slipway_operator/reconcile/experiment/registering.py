"""Which experiments of a ledger have their object in this cluster."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from slipway_operator.reconcile.experiment import plan
from slipway_operator.state.experiment import Registration

_OF_AN_OBJECT: Final = re.compile(r".+-[0-9a-f]{8}")
"""Names that end as those of objects do: whatever else is registered, somebody registered by hand."""


def without_object(registered: Iterable[Registration], bodies: Iterable[Mapping[str, Any]], *, namespace: str | None) -> tuple[Registration, ...]:
    """Those that take events and could be of an Experiment of ``namespace`` (None: of any), and are of none of ``bodies``."""
    there = {found for body in bodies for found in _names(body)}
    return tuple(
        each
        for each in registered
        if each.running and namespace in (None, each.namespace) and _OF_AN_OBJECT.fullmatch(each.name) and (each.namespace, each.name) not in there
    )


def _names(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What an object is called at the ledger; one that was restored with its status goes by that, and has another uid."""
    meta = body["metadata"]
    yield meta["namespace"], plan.ledger_name(meta["name"], meta["uid"])
    if told := (body.get("status") or {}).get("ledgerName"):
        yield meta["namespace"], str(told)
