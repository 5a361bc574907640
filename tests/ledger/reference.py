"""The sums once more, in one pass over the events that were acknowledged: nothing of the ledger's own code, nothing kept between two events.

Written from docs/spec/ledger.md. Values are decimals, times are datetimes; a unit is looked at as a whole, from all its events.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from itertools import combinations_with_replacement
from typing import Any

Event = Mapping[str, Any]


def sums(
    definition: Mapping[str, Any], exposures: Iterable[Event], outcomes: Iterable[Event], *, closed_at: Mapping[str, datetime]
) -> dict[str, Any]:
    """What a look should say whose metrics are closed to these moments: sums by metric, arm, stratum and phase; and the tallies of units."""
    met: dict[str, list[Event]] = defaultdict(list)
    did: dict[str, list[Event]] = defaultdict(list)
    for event in exposures:
        met[event["unit"]].append(event)
    for event in outcomes:
        did[event["unit"]].append(event)
    found: dict[str, Any] = {
        "sums": {},
        "units": defaultdict(int),
        "waiting": 0,
        "notCounted": 0,
        "seenInTwoArms": 0,
        "late": {metric["name"]: 0 for metric in definition["metrics"]},
    }
    vectors: dict[tuple[str, str, str, str], list[list[Decimal]]] = defaultdict(list)
    for unit, events in met.items():
        first = min(events, key=lambda event: (_time(event), _rank(definition, event), event["stratum"]))
        arms = {event["arm"] for event in events} - {"waiting"}
        if first["arm"] == "waiting":
            found["notCounted"] += 1
            found["waiting"] += not arms
            continue
        found["units"][first["arm"], first["stratum"]] += 1
        found["seenInTwoArms"] += len(arms) > 1
        for metric in definition["metrics"]:
            vector, late = _unit(metric, _time(first), did[unit])
            found["late"][metric["name"]] += late
            vectors[metric["name"], first["arm"], first["stratum"], "open"].append(vector)
            if _time(first) + timedelta(seconds=metric["windowSeconds"]) <= closed_at[metric["name"]]:
                vectors[metric["name"], first["arm"], first["stratum"], "closed"].append(vector)
    found["sums"] = {where: _totals(those) for where, those in vectors.items()}
    return found


def _unit(metric: Mapping[str, Any], exposed: datetime, events: Sequence[Event]) -> tuple[list[Decimal], int]:
    """The vector of a unit, and how many outcomes came after the window."""
    window, history = timedelta(seconds=metric["windowSeconds"]), timedelta(days=metric.get("cuped", {}).get("days", 0))
    names = [metric["name"], *([metric["denominator"]] if "denominator" in metric else [])]
    within = [[event for event in events if event["metric"] == name and exposed <= _time(event) < exposed + window] for name in names]
    before = [[event for event in events if event["metric"] == name and exposed - history <= _time(event) < exposed] for name in names]
    late = sum(event["metric"] in names and _time(event) >= exposed + window for event in events)
    if metric["type"] == "Proportion":
        return [Decimal(any(event["value"] > 0 for event in those)) for those in (*within, *before)], late
    vector = [sum((Decimal(str(event["value"])) for event in those), Decimal()) for those in (*within, *before)]
    if "cap" in metric:
        for at in (0, len(names)):
            vector[at] = min(vector[at], Decimal(str(metric["cap"])))
    return vector, late


def _totals(vectors: list[list[Decimal]]) -> dict[str, Any]:
    width = len(vectors[0])
    with localcontext(prec=100):
        return {
            "units": len(vectors),
            "totals": [sum((vector[at] for vector in vectors), Decimal()) for at in range(width)],
            "products": [sum((vector[a] * vector[b] for vector in vectors), Decimal()) for a, b in combinations_with_replacement(range(width), 2)],
        }


def _rank(definition: Mapping[str, Any], event: Event) -> int:
    return -1 if event["arm"] == "waiting" else int(definition["arms"].index(event["arm"]))


def _time(event: Event) -> datetime:
    return datetime.fromisoformat(event["time"])


def said(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a ledger answered, in the same form; groups without units are left out."""
    found: dict[str, Any] = {"sums": {}, "units": {}, "late": {}}
    for metric in answer["metrics"]:
        found["late"][metric["name"]] = int(metric["late"])
        for group in metric["sums"]:
            for phase in ("open", "closed"):
                those = group[phase]
                if those["units"] != "0":
                    numbers = {name: [Decimal(number) for number in those[name]] for name in ("totals", "products")}
                    found["sums"][metric["name"], group["arm"], group["stratum"], phase] = {"units": int(those["units"])} | numbers
    found["units"] = {(group["arm"], group["stratum"]): int(group["units"]) for group in answer["units"] if group["units"] != "0"}
    return found | {name: int(answer["counts"][name]) for name in ("waiting", "notCounted", "seenInTwoArms")}
